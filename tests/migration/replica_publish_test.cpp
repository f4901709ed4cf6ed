// Publishes that JetStream orders, in single situations.

#include <algorithm>
#include <string>

#include "tests/catch.hpp"
#include "tests/migration/replica_scene.hpp"

namespace kedge::migration::test {

TEST_CASE("replica: publishes that JetStream orders wait for it, and end together when it does not come")
{
    scene s;
    s.settle();
    s.jetstream();
    auto const first = s.append("a/x", "chat.a", "1", {"i1"});
    s.settle();
    CHECK(s.stored.contains(first));
    CHECK(s.facts().own_publishes == 1);

    s.backend->reachable(false);
    // Carried out, and its answer lost.
    auto const sent = s.append("a/x", "chat.a", "2", {"i2"});
    s.backend->cut("the cable", {.landed = 1, .late = 0, .told = 0});
    auto const queued = s.append("a/x", "chat.a", "3", {"i3"});
    CHECK(s.replica->unsettled() == 2);
    s.settle(1900);
    CHECK(s.failed.empty());
    s.settle(200);
    REQUIRE(s.failed.size() == 2);
    CHECK(s.failed[0].first == sent);
    CHECK(s.failed[1].first == queued);
    for (auto const& [t, why] : s.failed)
        CHECK(why.code == error_code::unavailable);
    CHECK(s.replica->unsettled() != 0);  // what became of the one that was sent nobody knows yet

    SECTION("one that was stored all the same ends the same publish when it comes again")
    {
        auto const again = s.append("a/x", "chat.a", "2", {"i2"});
        auto const next = s.append("a/x", "chat.a", "3", {"i3"});
        s.backend->reachable(true);
        s.settle(1000);
        CHECK(s.stored.contains(again));
        CHECK(s.stored.contains(next));
        CHECK(s.bodies() == lines{"1", "2", "3"});
    }
    SECTION("given up for the log, which has it again: what was stored all the same is that row")
    {
        s.set_authority(authority::sqlite, 3);
        effects out;
        s.replica->abandon("given up", s.now(), out);
        s.apply(std::move(out));
        s.put();
        s.settle();
        auto const again = s.append("a/x", "chat.a", "2", {"i2"});
        auto const next = s.append("a/x", "chat.a", "3", {"i3"});
        s.settle();
        CHECK(s.stored.contains(again));
        CHECK(s.stored.contains(next));
        s.backend->reachable(true);
        s.settle(1000);
        CHECK(s.log() == lines{"a/x 1", "a/x 2", "a/x 3"});
        CHECK(s.bodies() == lines{"1", "2", "3"});
    }
    SECTION("another publish with its id is told so")
    {
        auto const other = s.append("a/x", "chat.a", "other", {"i2"});
        s.backend->reachable(true);
        s.settle(1000);
        CHECK(s.failed.back().first == other);
        CHECK(s.failed.back().second.code == error_code::exists);
        CHECK(s.bodies() == lines{"1", "2"});
    }
    s.backend->reachable(true);
    s.settle(1000);
    CHECK(s.replica->unsettled() == 0);
    CHECK(s.bodies().size() == s.log().size());
}

TEST_CASE("replica: publishes keep their order over a lost link")
{
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        scene s{usual_bounds(), seed};
        s.settle();
        s.jetstream();
        lines expected;
        for (int i = 0; i < 40; ++i) {
            expected.push_back("a/~1 " + std::to_string(i));
            s.append("a/~1", "chat.a", std::to_string(i));
            for (int step = 0; step < 3; ++step)
                s.step();
            if (i % 10 == 9)
                s.backend->cut("the cable", {.landed = std::nullopt, .late = 0, .told = std::nullopt});
        }
        s.settle(1000);
        INFO("seed " << seed);
        REQUIRE(s.log() == expected);
        REQUIRE(s.stored.size() == 40);
        REQUIRE(s.failed.empty());
    }
}

TEST_CASE("replica: rows are copied after a change of authority, also while an acknowledgement of before it is missing")
{
    scene s;
    s.settle();
    s.jetstream();
    s.bus.lose_acks(1);
    auto const read_back = s.append("a/x", "chat.a", "1", {"i1"});
    s.settle();
    REQUIRE(s.stored.contains(read_back));
    s.bus.refuse_next(replica_world::name, 10047, "insufficient storage", 1);
    s.append("a/x", "chat.a", "2", {"i2"});
    s.settle();
    effects out;
    s.replica->abandon("given up", s.now(), out);
    s.apply(std::move(out));
    s.set_authority(authority::sqlite, 3);
    s.put();
    s.append("a/x", "chat.a", "3", {"i3"});
    s.settle(5000);
    CHECK(s.idle());
    CHECK(s.bodies() == lines{"1", "3"});
}

TEST_CASE("replica: a publish that was superseded before it was read stands before what superseded it, and ends")
{
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        INFO("seed " << seed);
        scene s{usual_bounds(), seed};
        s.jet().config.max_msgs_per_subject = 1;
        s.settle();
        s.jetstream();
        s.bus.hold_acks(true);
        auto const first = s.append("a/x", "chat.hot", "1", {"i1"});
        s.settle();
        auto const second = s.append("a/x", "chat.hot", "2", {"i2"});
        auto const third = s.append("b/y", "chat.hot", "3", {"i3"});
        while (s.jet().last < 3)
            REQUIRE(s.step());
        s.native("n", {}, "chat.hot");
        s.settle();
        if (seed % 2 == 0) {  // the acknowledgements are late
            s.bus.hold_acks(false);
            s.settle(100);
            REQUIRE(s.failed.empty());
            REQUIRE(s.log() == lines{"a/x 1", "a/x 2", "b/y 3", "nats n"});
            REQUIRE(s.bodies() == lines{"n"});
        } else {  // they never come
            s.backend->cut("the cable");
            s.settle(6000);
            for (auto const t : {first, second, third})
                REQUIRE((s.stored.contains(t) || std::ranges::count(s.failed, t, &std::pair<token, failure>::first) == 1));
        }
        REQUIRE(s.replica->unsettled() == 0);
        REQUIRE(s.idle());
    }
}

TEST_CASE("replica: a full JetStream ends publishes only when nothing behind them was accepted")
{
    scene s;
    s.settle();
    s.jetstream();
    s.bus.refuse_next(replica_world::name, 10047, "insufficient storage", 100);
    for (int i = 1; i <= 5; ++i)
        s.append("a/x", "chat.a", std::to_string(i), {"", static_cast<std::uint64_t>(i)});
    s.settle(1500);
    CHECK(s.failed.size() == 5);
    for (auto const& [t, why] : s.failed)
        CHECK(why.code == error_code::store_full);
    CHECK(s.bodies().empty());
    s.bus.refuse_no_more(replica_world::name);
    for (int i = 1; i <= 5; ++i)
        s.append("a/x", "chat.a", std::to_string(i), {"", static_cast<std::uint64_t>(i)});
    s.settle(1500);
    CHECK(s.bodies() == lines{"1", "2", "3", "4", "5"});
}

}  // namespace kedge::migration::test
