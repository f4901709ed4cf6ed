// Numbered publishes that JetStream stores out of their order, as rows that arrive and appends that fail.

#include "tests/catch.hpp"

#include <algorithm>

#include "router/core/digest.hpp"
#include "tests/core/harness.hpp"

using namespace kedge;

namespace {

std::string send(std::uint64_t n, std::string const& data = "x")
{
    return R"({"op":"pub","n":)" + std::to_string(n) + R"(,"subject":"chat.x","data":")" + data + "\"}";
}
constexpr char const* ping = R"({"op":"ping"})";

/// The store is held: what it would get is what JetStream would get, and the test says what becomes of it.
struct behind_jetstream : harness {
    behind_jetstream()
    {
        add_stream("CHAT", {"chat.>"});
        ann = join("ann", "desk");
        hold();
    }
    /// The last append of number n.
    store_request::append under_way(std::uint64_t n) const
    {
        store_request::append found;
        for (auto const& each : queue())
            if (auto const* const a = std::get_if<store_request::append>(&each); a != nullptr && a->n == n)
                found = *a;
        REQUIRE(found.n == n);
        return found;
    }
    std::size_t appends(std::uint64_t n) const
    {
        return static_cast<std::size_t>(std::ranges::count_if(queue(), [&](auto const& each) {
            auto const* const a = std::get_if<store_request::append>(&each);
            return a != nullptr && a->n == n;
        }));
    }
    void arrives(std::uint64_t n)
    {
        auto const a = under_way(n);
        store_event::rows_arrived e{a.stream, {{{++seq, now.wall_ms, a.sender, a.message}, a.request, true, a.n, a.previous_n, digest_of(*a.message)}}};
        step([&](core& c, instant at, actions& out) { c.step(store_event::any{std::move(e)}, at, out); });
    }
    void fails(std::uint64_t n, error_code code = error_code::unavailable)
    {
        auto const a = under_way(n);
        step([&](core& c, instant at, actions& out) { c.step(store_event::any{store_event::append_failed{a.request, a.stream, {code, "no"}}}, at, out); });
    }
    std::vector<chained_number> put() const
    {
        std::vector<chained_number> list;
        for (auto const& each : queue())
            if (auto const* const p = std::get_if<store_request::put_number>(&each))
                list.push_back(p->number);
        return list;
    }

    link_id ann{};
    message_seq seq = 0;
};

}  // namespace

TEST_CASE("numbers out of order: nothing is said to be stored before all of it is")
{
    behind_jetstream h;
    h.say(h.ann, send(1) + "\n" + send(2) + "\n" + send(3));
    CHECK(h.under_way(1).previous_n == 0);
    CHECK(h.under_way(2).previous_n == 1);
    CHECK(h.under_way(3).previous_n == 2);
    h.arrives(2);
    CHECK(h.heard(h.ann).empty());
    h.arrives(1);
    CHECK(h.heard(h.ann) == lines{"stored CHAT n=2 #1"});
    h.arrives(3);
    CHECK(h.heard(h.ann) == lines{"stored CHAT n=3 #3"});
}

TEST_CASE("numbers out of order: what failed is stored when it is sent again, what was stored early is not")
{
    for (bool const same_link : {true, false})
        for (bool const fails_again : {false, true}) {
            INFO((same_link ? "the same link" : "a later link") << (fails_again ? ", failed once more" : ", stored"));
            behind_jetstream h;
            h.say(h.ann, send(1) + "\n" + send(2));
            h.arrives(2);
            h.fails(1);
            CHECK(h.heard(h.ann) == lines{"error unavailable"});
            if (same_link) {
                CHECK(h.ask(h.ann, ping) == lines{"pong"});
            } else {
                h.ann = h.open("ann");
                h.heard(h.ann);
                CHECK(h.ask(h.ann, R"({"op":"hello","id":"1","node":"desk"})") == lines{"welcome 1 desk"});
            }
            CHECK(h.ask(h.ann, send(1) + "\n" + send(2) + "\n" + send(3)).empty());
            CHECK(h.appends(1) == 2);
            CHECK(h.under_way(1).previous_n == 0);
            CHECK(h.appends(2) == 1);
            CHECK(h.under_way(3).previous_n == 2);
            if (fails_again) {
                h.fails(1);
                h.fails(3);
                CHECK(std::ranges::count(h.heard(h.ann), "error unavailable") >= 2);
                CHECK(h.ask(h.ann, std::string{ping} + "\n" + send(1) + "\n" + send(2) + "\n" + send(3)) == lines{"pong"});
                CHECK(h.appends(1) == 3);
                CHECK(h.appends(2) == 1);
                CHECK(h.appends(3) == 2);
            } else {
                h.arrives(1);
                CHECK(h.heard(h.ann) == lines{"stored CHAT n=2 #1"});
                h.arrives(3);
                CHECK(h.heard(h.ann) == lines{"stored CHAT n=3 #3"});
                CHECK(h.given(h.ann) == h.credited(h.ann));
            }
            CHECK(h.put().empty());
        }
}

TEST_CASE("numbers out of order: an early number with another message is another publish")
{
    behind_jetstream h;
    h.say(h.ann, send(1) + "\n" + send(2));
    h.arrives(2);
    h.fails(1);
    h.say(h.ann, std::string{ping} + "\n" + send(1) + "\n" + send(2, "other"));
    CHECK(h.appends(2) == 2);
}

TEST_CASE("numbers out of order: what is refused for good holds up nothing")
{
    behind_jetstream h;
    SECTION("with something stored behind it")
    {
        h.say(h.ann, send(1) + "\n" + send(2));
        h.arrives(2);
        CHECK(h.heard(h.ann).empty());
        h.fails(1, error_code::too_large);
        CHECK(h.heard(h.ann) == lines{"error too_large", "stored CHAT n=2 #1"});
        CHECK(h.put() == std::vector{chained_number{1, 0, 0, 0}});
        h.say(h.ann, send(3));
        CHECK(h.under_way(3).previous_n == 2);
        h.arrives(3);
        CHECK(h.heard(h.ann) == lines{"stored CHAT n=3 #2"});
    }
    SECTION("with something under way behind it")
    {
        h.say(h.ann, send(1) + "\n" + send(2));
        h.fails(1, error_code::too_large);
        CHECK(h.heard(h.ann) == lines{"error too_large"});
        h.arrives(2);
        CHECK(h.heard(h.ann) == lines{"stored CHAT n=2 #1"});
    }
    SECTION("with nothing behind it: it may come again")
    {
        h.say(h.ann, send(1));
        h.fails(1, error_code::too_large);
        CHECK(h.put().empty());
        h.say(h.ann, send(1, "smaller"));
        CHECK(h.appends(1) == 2);
        h.say(h.ann, send(2));
        h.arrives(1);
        h.arrives(2);
        CHECK(h.heard(h.ann) == lines{"error too_large", "stored CHAT n=1 #1", "stored CHAT n=2 #2"});
    }
}

TEST_CASE("numbers out of order: a node that goes on behind what is missing has given it up")
{
    behind_jetstream h;
    h.say(h.ann, send(1) + "\n" + send(2));
    h.arrives(2);
    h.fails(1);
    h.heard(h.ann);
    SECTION("with what is stored early")
    {
        CHECK(h.ask(h.ann, std::string{ping} + "\n" + send(2)) == lines{"pong", "stored CHAT n=2 #1"});
        REQUIRE(h.put().size() == 1);
        CHECK(h.put().front().n == 2);
        CHECK(h.put().front().previous == 0);
        CHECK(h.put().front().seq == 1);
        h.say(h.ann, send(3));
        CHECK(h.under_way(3).previous_n == 2);
    }
    SECTION("with what is new")
    {
        h.say(h.ann, std::string{ping} + "\n" + send(3));
        CHECK(h.under_way(3).previous_n == 0);
        h.arrives(3);
        CHECK(h.heard(h.ann) == lines{"pong", "stored CHAT n=3 #2"});
    }
}
