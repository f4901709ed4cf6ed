// What a message says of itself in NATS, and what is believed of it.

#include <algorithm>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <rapidcheck.h>

#include "migration/identity.hpp"
#include "migration/lanes.hpp"
#include "migration/percent.hpp"
#include "router/core/digest.hpp"
#include "router/protocol/names.hpp"
#include "router/protocol/subject.hpp"
#include "tests/catch.hpp"

namespace kedge::migration {

namespace {

std::string const secret(32, 'k');

row row_of(message::parts const& parts, std::string_view sender = "alice/laptop", message_seq seq = 7)
{
    return {seq, 1'700'000'000'123, shared_bytes::copy_of(sender), message::make(parts)};
}

store_request::append append_of(message::parts const& parts, std::string_view sender = "alice/laptop", std::uint64_t n = 0)
{
    store_request::append a;
    a.time_ms = 1'700'000'000'123;
    a.sender = shared_bytes::copy_of(sender);
    a.named = is_node(sender);
    a.n = n;
    a.message = message::make(parts);
    return a;
}

std::string const* header(bus_message const& m, std::string_view name)
{
    for (auto const& [n, value] : m.headers)
        if (n == name)
            return &value;
    return nullptr;
}

std::string why_not(identity const& wire, bus_message const& m)
{
    auto const held = wire.native(m);
    auto const* const why = std::get_if<unrepresentable>(&held);
    return why == nullptr ? "" : why->why;
}

void holds(char const* what, auto const& property) { CHECK(rc::check(what, property)); }

rc::Gen<std::string> some_text(std::size_t max)
{
    return rc::gen::map(rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
                            "a", "Z", "0", " ", "%", "&", "=", "\"", "\\", "/", "\xc3\xa9", "\xe4\xb8\x96", "\xf0\x9f\x98\x80")),
                        [max](std::vector<std::string> const& parts) {
                            std::string all = "x";
                            for (auto const& part : parts)
                                if (all.size() + part.size() < max)
                                    all += part;
                            return all + "y";
                        });
}

}  // namespace

TEST_CASE("a copy is known as the row that it is a copy of")
{
    identity const wire{secret, "CHAT", stream_id{1}};
    auto const r = row_of({"chat.qw", "id 1%", "answers.é", R"({"Topic":"a \"b\"","X":"1"})", "hello"});
    auto const m = wire.copy("abc", r);
    CHECK(m.subject == "chat.qw");
    CHECK(m.body == "hello");
    CHECK(m.reply.empty());
    REQUIRE(header(m, "Kedge-Id") != nullptr);
    CHECK(*header(m, "Kedge-Id") == "id%201%25");
    CHECK(*header(m, "Topic") == "a \"b\"");
    CHECK(header(m, "Nats-Msg-Id")->starts_with("abc.CHAT.7."));

    auto const seen = wire.look(m);
    REQUIRE(seen.what == sighting::kind::copy);
    CHECK(seen.incarnation == "abc");
    CHECK(seen.seq == 7);
    CHECK(seen.from == "alice/laptop");
    CHECK(seen.time_ms == r.time_ms);
    auto const back = wire.ours(m, seen);
    CHECK(back->id() == "id 1%");
    CHECK(back->reply_to() == "answers.é");
    CHECK(back->headers() == r.message->headers());

    SECTION("in any order of the headers, with others of the server's beside them")
    {
        auto other = m;
        std::reverse(other.headers.begin(), other.headers.end());
        other.headers.emplace_back("Nats-Stream", "CHAT");
        CHECK(wire.look(other).what == sighting::kind::copy);
    }
    SECTION("and the next attempt has another message id")
    {
        CHECK(*header(wire.copy("abc", r, 1), "Nats-Msg-Id") == *header(m, "Nats-Msg-Id") + ".1");
    }
}

TEST_CASE("our headers on anything else prove nothing")
{
    identity const wire{secret, "CHAT", stream_id{1}};
    auto const copy = wire.copy("abc", row_of({"chat.qw", "1", "", R"({"X":"1"})", "hello"}));
    auto const own = wire.own("abc", 2, 0xfeed, 9, append_of({"chat.qw", "1", "", R"({"X":"1"})", "hello"}));
    for (auto const& m : {copy, own}) {
        REQUIRE(wire.look(m).what != sighting::kind::native);
        auto const changed = [&](auto const& change) {
            auto other = m;
            change(other);
            return wire.look(other).what;
        };
        auto const set = [](char const* name, char const* value) {
            return [=](bus_message& b) {
                for (auto& [n, v] : b.headers)
                    if (n == name)
                        v = value;
            };
        };
        CHECK(changed([](bus_message& b) { b.body += "!"; }) == sighting::kind::native);
        CHECK(changed([](bus_message& b) { b.subject = "chat.other"; }) == sighting::kind::native);
        CHECK(changed([](bus_message& b) { b.headers.emplace_back("Y", "2"); }) == sighting::kind::native);
        CHECK(changed(set("X", "2")) == sighting::kind::native);
        CHECK(changed(set("Kedge-From", "bob/phone")) == sighting::kind::native);
        CHECK(changed(set("Kedge-Time", "1")) == sighting::kind::native);
        CHECK(changed(set("Kedge-Id", "2")) == sighting::kind::native);
        CHECK(changed([](bus_message& b) { b.headers.emplace_back("Kedge-N", "5"); }) == sighting::kind::native);
        CHECK(changed([](bus_message& b) { b.headers.emplace_back("Kedge-Reply", "x"); }) == sighting::kind::native);
        CHECK(changed([&](bus_message& b) { b.headers.emplace_back("Kedge-Row", *header(m, "Kedge-Row")); }) == sighting::kind::native);
        CHECK(changed([&](bus_message& b) {
                  for (auto& [n, v] : b.headers)
                      if (n == "Kedge-Row")
                          v[2] = 'x';
              }) == sighting::kind::native);
        CHECK(identity(std::string(32, 'o'), "CHAT", stream_id{1}).look(m).what == sighting::kind::native);
        CHECK(identity(secret, "OTHER", stream_id{1}).look(m).what == sighting::kind::native);
        // Of a stream of that name which was removed.
        CHECK(identity(secret, "CHAT", stream_id{2}).look(m).what == sighting::kind::native);
    }
}

TEST_CASE("message ids of own publishes tell publishes apart as the log does")
{
    identity const wire{secret, "CHAT", stream_id{1}};
    auto const id = [&](store_request::append const& a, std::uint64_t lane, std::uint64_t counter) {
        return *header(wire.own("abc", 2, lane, counter, a), "Nats-Msg-Id");
    };
    auto const named = append_of({"chat.a", "1", "", "", "x"});
    CHECK(id(named, 1, 1) == id(named, 2, 5));
    CHECK(id(named, 1, 1) != id(append_of({"chat.a", "2", "", "", "x"}), 1, 1));
    CHECK(id(named, 1, 1) != id(append_of({"chat.a", "1", "", "", "x"}, "bob/laptop"), 1, 1));
    auto const numbered = append_of({"chat.a", "", "", "", "x"}, "alice/laptop", 1);
    CHECK(id(numbered, 1, 1) == id(numbered, 1, 2));
    CHECK(id(numbered, 1, 1) != id(named, 1, 1));
    // Without a node, or without an id, each is its own.
    for (auto const& a : {append_of({"chat.a", "1", "", "", "x"}, "alice/~9f"), append_of({"chat.a", "", "", "", "x"})}) {
        CHECK(id(a, 1, 1) != id(a, 1, 2));
        CHECK(id(a, 1, 1) != id(a, 2, 1));
        CHECK(id(a, 1, 1) == id(a, 1, 1));
    }
}

TEST_CASE("what kedge cannot hold is said, with why")
{
    identity const wire{secret, "CHAT", stream_id{1}, 100, 4096};
    auto const with = [](bus_headers headers) {
        bus_message m;
        m.subject = "chat.a";
        m.headers = std::move(headers);
        return m;
    };
    auto sixteen = std::string{"chat"};
    for (int i = 0; i < 15; ++i)
        sixteen += ".a";
    auto at_limit = with({});
    at_limit.subject = sixteen;
    at_limit.body = std::string(100, 'b');
    CHECK(why_not(wire, at_limit).empty());
    at_limit.subject += ".a";
    CHECK(why_not(wire, at_limit).find("16 parts") != std::string::npos);
    at_limit.subject = "chat." + std::string(250, 's');
    CHECK(why_not(wire, at_limit).empty());
    at_limit.subject += "s";
    CHECK(!why_not(wire, at_limit).empty());
    at_limit.subject = "chat.\xff";
    CHECK(!why_not(wire, at_limit).empty());
    at_limit.subject = "chat.a";
    at_limit.body += "b";
    CHECK(why_not(wire, at_limit).find("body") != std::string::npos);

    CHECK(why_not(wire, with({{"X", "1"}})).empty());
    CHECK(!why_not(wire, with({{"X_Y", "1"}})).empty());
    CHECK(!why_not(wire, with({{"X", ""}})).empty());
    CHECK(!why_not(wire, with({{"X", "\xff"}})).empty());
    CHECK(why_not(wire, with({{"X", std::string(1024, 'v')}})).empty());
    CHECK(!why_not(wire, with({{"X", std::string(1025, 'v')}})).empty());
    CHECK(!why_not(wire, with({{"X", std::string(1000, 'v')}, {"Y", std::string(1000, 'v')}, {"Z", std::string(100, 'v')}})).empty());
    bus_headers many;
    for (int i = 0; i < 32; ++i)
        many.emplace_back("H" + std::to_string(i), "v");
    CHECK(why_not(wire, with(many)).empty());
    many.emplace_back("H32", "v");
    CHECK(!why_not(wire, with(many)).empty());
}

TEST_CASE("a native message loses what is NATS's and ours, and joins what is there twice")
{
    identity const wire{secret, "CHAT", stream_id{1}};
    bus_message m;
    m.subject = "chat.a";
    m.body = "b";
    m.headers = {{"Color", "red"}, {"Nats-Msg-Id", "1"}, {"kedge-row", "x"}, {"Color", "blue"}, {"NATS-Rollup", "all"}, {"X", "1"}};
    auto const held = wire.native(m);
    REQUIRE(std::holds_alternative<message_ptr>(held));
    auto const& message = *std::get<message_ptr>(held);
    CHECK(message.headers() == R"({"Color":"red, blue","X":"1"})");
    CHECK(message.id().empty());
}

TEST_CASE("a header of an old row that NATS would act on travels aside")
{
    identity const wire{secret, "CHAT", stream_id{1}};
    auto const r = row_of({"chat.a", "", "", R"({"Nats-Rollup":"all","X":"1","Kedge-Row":"r","Odd_Name":" v "})", "b"});
    auto const m = wire.copy("abc", r);
    CHECK(header(m, "Nats-Rollup") == nullptr);
    CHECK(header(m, "Odd_Name") == nullptr);
    CHECK(header(m, "Kedge-Row")->starts_with("r abc 7 "));
    CHECK(*header(m, "X") == "1");
    auto const seen = wire.look(m);
    REQUIRE(seen.what == sighting::kind::copy);
    CHECK(digest_of(*wire.ours(m, seen)) == digest_of(*r.message));
}

TEST_CASE("a stamp tells what a message was, and when")
{
    bus_message m;
    m.subject = "chat.a";
    m.body = "b";
    m.headers = {{"A", "1"}, {"B", "2"}};
    m.place = 5;
    m.time_ns = 99;
    auto const stamp = stamp_of(m);
    auto const changed = [&](auto const& change) {
        auto other = m;
        change(other);
        return stamp_of(other) != stamp;
    };
    CHECK(stamp != 0);
    CHECK(!changed([](bus_message& o) { std::swap(o.headers[0], o.headers[1]); }));
    CHECK(!changed([](bus_message& o) { o.reply = "x"; }));
    CHECK(changed([](bus_message& o) { o.subject = "chat.b"; }));
    CHECK(changed([](bus_message& o) { o.body = "c"; }));
    CHECK(changed([](bus_message& o) { o.headers[0].second = "2"; }));
    CHECK(changed([](bus_message& o) { o.headers.pop_back(); }));
    CHECK(changed([](bus_message& o) { o.place = 6; }));
    CHECK(changed([](bus_message& o) { o.time_ns = 100; }));
}

TEST_CASE("round trip: any publish")
{
    holds("percent", [] {
        auto const text = *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
        for (auto const how : {percent::spare, percent::strict})
            RC_ASSERT(percent_decode(percent_encode(text, how)) == text);
    });
    holds("a publish", [] {
        identity const wire{secret, "CHAT", stream_id{1}};
        auto const subject = "chat." + *rc::gen::suchThat(rc::gen::container<std::string>(rc::gen::elementOf(std::string{"ab$_-\"\\"})),
                                                          [](auto const& s) { return !s.empty() && s.size() < 200; });
        auto const id = *some_text(64);
        auto const reply = *rc::gen::arbitrary<bool>() ? *some_text(64) : std::string{};
        auto const value = *some_text(100);
        auto const headers = *rc::gen::arbitrary<bool>() ? "{\"A\":" + nlohmann::json(value).dump() + ",\"Nats-B\":\"c\"}" : std::string{};
        auto const body = *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
        auto const n = *rc::gen::inRange<std::uint64_t>(0, 3);
        auto append = append_of({subject, id, reply, headers, body}, "alice/laptop", n);
        append.previous_n = n == 0 ? 0 : n - 1;
        auto const m = wire.own("abc", *rc::gen::inRange<std::uint64_t>(0, 1ull << 62), *rc::gen::arbitrary<std::uint64_t>(),
                                *rc::gen::inRange<std::uint64_t>(0, 1ull << 62), append);
        auto const seen = wire.look(m);
        RC_ASSERT(seen.what == sighting::kind::own);
        RC_ASSERT(seen.n == n);
        RC_ASSERT(seen.previous_n == append.previous_n);
        auto const back = wire.ours(m, seen);
        RC_ASSERT(back->id() == id);
        RC_ASSERT(back->reply_to() == reply);
        RC_ASSERT(back->body() == body);
        RC_ASSERT(digest_of(*back) == digest_of(*append.message));
    });
}

TEST_CASE("lanes: a number counts once, and holes are remembered")
{
    using reading = lane_list::reading;
    lane_book book;
    auto const read = [&](std::uint64_t lane, std::uint64_t counter) {
        book = lane_book::parse(book.text());
        return book.lanes.read(lane, counter, 1000 * lane + counter, 3);
    };
    CHECK(read(1, 1) == reading::fresh);
    CHECK(read(1, 1) == reading::again);
    CHECK(read(1, 6) == reading::fresh);
    CHECK(read(1, 4) == reading::late);
    CHECK(read(1, 4) == reading::again);
    CHECK(read(1, 2) == reading::late);
    CHECK(read(1, 3) == reading::late);
    CHECK(read(1, 5) == reading::late);
    for (std::uint64_t n = 1; n <= 6; ++n)
        CHECK(read(1, n) == reading::again);
    CHECK(book.lanes.entries.at(0).holes.empty());
    CHECK(read(2, 3) == reading::fresh);
    for (std::uint64_t lane = 3; lane <= lane_list::entries_max + 1; ++lane)
        CHECK(read(lane, 1) == reading::fresh);
    CHECK(book.lanes.entries.size() == lane_list::entries_max);
    CHECK(book.lanes.entries.front().lane == 2);
    // What was read of a lane that is known no more counts as read.
    CHECK(read(1, 6) == reading::again);
    for (std::uint64_t lane = 100; lane < 200; ++lane)
        CHECK(read(lane, 1) == reading::fresh);
    CHECK(read(99, 1) == reading::again);
    CHECK(read(3, 1) == reading::again);  // our own stays, however long it is silent
    CHECK(read(3, 2) == reading::fresh);
    CHECK(book.lanes.entries.size() == lane_list::entries_max);
}

TEST_CASE("what was read before JetStream went back is known by its place and time")
{
    lane_book book;
    CHECK_FALSE(book.history.holds(1, 1));
    book.history.read(100, 5000);
    CHECK_FALSE(book.history.holds(100, 5000));
    book.history.went_back(60);
    book = lane_book::parse(book.text());
    CHECK(book.history.holds(61, 4000));
    CHECK(book.history.holds(100, 5000));
    CHECK_FALSE(book.history.holds(101, 5000));
    CHECK_FALSE(book.history.holds(61, 5001));
    for (jet_place n = 1; n < 50; ++n) {
        book.history.went_back(0);  // nothing was read since
        CHECK(book.history.marks.size() == 1);
    }
    book.history.read(62, 6000);
    book.history.went_back(61);
    CHECK(book.history.holds(62, 6000));
    CHECK(book.history.holds(100, 5000));
    CHECK(lane_book::parse("{\"incarnations\":[],\"lanes\":[[1,2,[]]]}").lanes.entries.at(0).highest == 2);
}

TEST_CASE("incarnations: a row belongs to the history in which it was born")
{
    lane_book book;
    CHECK(book.incarnations.begin("a", 50));
    CHECK(!book.incarnations.begin("a", 60));
    CHECK(book.incarnations.begin("b", 101));
    book = lane_book::parse(book.text());
    CHECK(book.incarnations.of(1) == "a");
    CHECK(book.incarnations.of(100) == "a");
    CHECK(book.incarnations.of(101) == "b");
    CHECK(book.incarnations.holds("a", 100, 200));
    CHECK(!book.incarnations.holds("a", 101, 200));
    CHECK(book.incarnations.holds("b", 200, 200));
    CHECK(!book.incarnations.holds("b", 201, 200));
    CHECK(!book.incarnations.holds("b", 100, 200));
    CHECK(!book.incarnations.holds("c", 1, 200));
}

}  // namespace kedge::migration
