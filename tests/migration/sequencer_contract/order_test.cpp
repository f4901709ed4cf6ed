// What is appended arrives: once, in order, whole, and is known again.

#include <map>

#include "tests/migration/sequencer_contract/side.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

/// Dense from 1, as the log has them.
void rows_are_the_log(ordering_side& side, desk& d, stream_id stream)
{
    auto const arrived = d.arrived(stream);
    auto const log = side.log(stream);
    REQUIRE(arrived.size() == log.size());
    std::uint64_t time = 0;
    for (std::size_t i = 0; i < log.size(); ++i) {
        CHECK(arrived[i].stored.seq == i + 1);
        CHECK(log[i].seq == i + 1);
        CHECK(log[i].message->id() == arrived[i].stored.message->id());
        CHECK(log[i].sender->view() == arrived[i].stored.sender->view());
        CHECK(log[i].time_ms == arrived[i].stored.time_ms);
        CHECK(log[i].time_ms >= time);
        time = log[i].time_ms;
    }
}

}  // namespace

KEDGE_SEQUENCER_CASE(each_once_in_order, ordinary_side, "every append arrives once, and those of a sender in their order")
{
    desk d{side};
    std::map<std::string, std::vector<token>> of;
    for (int batch = 0; batch < 20; ++batch) {
        std::vector<store_request::append> some;
        for (int i = 0; i < 1 + batch % 7 * 5; ++i) {
            std::string const sender = i % 3 == 0 ? "alice/one" : i % 3 == 1 ? "bob/pc" : "carol/~9f2c41d07a55e8b1";
            some.push_back(d.make(side.chat, sender));
            of[sender].push_back(some.back().request);
        }
        d.append(std::move(some));
        if (batch % 6 == 5)
            REQUIRE(d.answered());
    }
    REQUIRE(d.answered());
    CHECK(d.failed(side.chat).empty());
    std::map<std::string, std::vector<token>> arrived;
    for (auto const& each : d.arrived(side.chat))
        arrived[std::string{each.stored.sender->view()}].push_back(each.origin);
    CHECK(arrived == of);
    rows_are_the_log(side, d, side.chat);
}

KEDGE_SEQUENCER_CASE(streams_apart, ordinary_side, "streams in one batch keep an order of their own")
{
    desk d{side};
    std::vector<store_request::append> batch;
    for (int i = 0; i < 60; ++i)
        batch.push_back(d.make(i % 3 == 0 ? side.other : side.chat));
    std::vector<token> chat, other;
    for (auto const& each : batch)
        (each.stream == side.chat ? chat : other).push_back(each.request);
    d.append(std::move(batch));
    REQUIRE(d.answered());
    for (auto const& [stream, wanted] : {std::pair{side.chat, chat}, std::pair{side.other, other}}) {
        std::vector<token> origins;
        for (auto const& each : d.arrived(stream))
            origins.push_back(each.origin);
        CHECK(origins == wanted);
        rows_are_the_log(side, d, stream);
    }
}

KEDGE_SEQUENCER_CASE(whole, ordinary_side, "a row arrives with all that was appended")
{
    std::string const large(1'000'000, 'L');
    struct {
        char const* name;
        message::parts parts;
    } const rows[] = {
        {"all parts", {"chat.all", "id-1", "reply.here", R"({"A":"ü"})", "body"}},
        {"only a subject", {"chat.s", {}, {}, {}, {}}},
        {"octets", {"chat.octets", {}, {}, {}, std::string_view{"\0\xff\n\0", 4}}},
        {"what is special in a header", {"chat.h", "ä %\"1\"", {}, R"({"X-Q":"50% = 1/2, \"so\""})", "\r\n"}},
        {"a megabyte", {"chat.large", {}, {}, {}, large}},
    };
    desk d{side};
    std::vector<store_request::append> batch;
    for (auto const& each : rows) {
        batch.push_back(d.make(side.chat));
        batch.back().message = message::make(each.parts);
    }
    auto const tokens = d.append(std::move(batch));
    REQUIRE(d.answered());
    CHECK(d.failed(side.chat).empty());
    auto const arrived = d.arrived(side.chat);
    auto const log = side.log(side.chat);
    REQUIRE(arrived.size() == std::size(rows));
    REQUIRE(log.size() == std::size(rows));
    for (std::size_t i = 0; i < std::size(rows); ++i) {
        INFO(rows[i].name);
        CHECK(arrived[i].origin == tokens[i]);
        for (auto const* const row : {&arrived[i].stored, &log[i]}) {
            auto const& m = *row->message;
            CHECK(row->sender->view() == "alice/one");
            CHECK(m.subject() == rows[i].parts.subject);
            CHECK(m.id() == rows[i].parts.id);
            CHECK(m.reply_to() == rows[i].parts.reply_to);
            CHECK(m.headers() == rows[i].parts.headers);
            CHECK(m.body() == rows[i].parts.body);
        }
    }
}

KEDGE_SEQUENCER_CASE(time_never_falls, ordinary_side, "the stored time never falls, whatever the clock does")
{
    desk d{side};
    for (auto const step : {0, -5'000, 1, -60'000, 2}) {
        d.time_ms = static_cast<std::uint64_t>(static_cast<std::int64_t>(desk::now_ms()) + step);
        d.append({d.make(side.chat), d.make(side.chat)});
        REQUIRE(d.answered());
    }
    rows_are_the_log(side, d, side.chat);
}

KEDGE_SEQUENCER_CASE(known_again, ordinary_side, "ids and numbers are remembered, and seqs go on, in the next process")
{
    desk d{side};
    std::vector<store_request::append> batch;
    for (auto const* const id : {"one", "two", "three"})
        batch.push_back(d.make(side.chat, "alice/one", id));
    for (std::uint64_t n = 1; n <= 4; ++n) {
        batch.push_back(d.make(side.chat, "bob/pc"));
        batch.back().n = n * 10;
        batch.back().previous_n = (n - 1) * 10;
    }
    batch.push_back(d.make(side.chat, "carol/~9f2c41d07a55e8b1", "nobody's"));
    auto const tokens = d.append(batch);
    REQUIRE(d.answered());
    side.end();
    auto const known = side.contents();

    std::map<std::string, remembered_id> ids;
    for (auto const& each : known.ids)
        ids.emplace(each.id, each);
    CHECK(ids.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        auto const& each = ids[std::string{batch[i].message->id()}];
        INFO(batch[i].message->id());
        CHECK(each.sender == "alice/one");
        CHECK(each.stream == side.chat);
        CHECK(each.seq == d.seq_of(tokens[i]));
        CHECK(each.digest == batch[i].digest);
    }
    std::size_t numbered = 0;
    for (auto const& node : known.nodes)
        for (auto const& each : node.last) {
            ++numbered;
            CHECK(node.name == "bob/pc");
            CHECK(each.stream == side.chat);
            CHECK(each.numbers.n == 40);
            CHECK(each.numbers.seq == d.seq_of(tokens[6]));
        }
    CHECK(numbered == 1);

    d.begin();
    auto const next = d.append({d.make(side.chat)});
    REQUIRE(d.answered());
    CHECK(d.seq_of(next[0]) == tokens.size() + 1);
}
