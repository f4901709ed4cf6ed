#include "tests/catch.hpp"

#include <ctime>

#include "router/core/consumer.hpp"

using namespace kedge;

namespace {

struct fixture {
    explicit fixture(consumer_config config = {stream_id{1}, "work", "ann", "", 1000, 0}, cursor at = {})
        : c{consumer_id{1}, std::move(config), at, 0, now}
    {
        one.id = link_id{1};
        two.id = link_id{2};
        a = &c.attach(one, 256);
    }
    void deliver(message_seq from, message_seq to)
    {
        for (auto seq = from; seq <= to; ++seq)
            c.delivered(*a, seq, seq * 100, now);
    }
    void pass(std::uint64_t ms)
    {
        now.steady_ms += ms;
        now.wall_ms += ms;
        c.expire(now);
    }
    std::vector<message_seq> ready() const { return c.to_redeliver(100); }
    std::vector<message_seq> pending() const
    {
        std::vector<message_seq> seqs;
        for (auto const& p : c.position(now).pending)
            seqs.push_back(p.seq);
        return seqs;
    }

    instant now{10'000, 1'000'000};
    kedge::link one;
    kedge::link two;
    consumer c;
    attachment* a = nullptr;
};

using seqs = std::vector<message_seq>;

consumer_config with_max(std::uint64_t max) { return {stream_id{1}, "work", "ann", "", 1000, max}; }

}  // namespace

TEST_CASE("consumer: held to done")
{
    fixture f;
    f.deliver(1, 5);
    CHECK(f.c.next() == 6);
    CHECK(f.pending() == seqs{1, 2, 3, 4, 5});
    SECTION("ack")
    {
        CHECK(f.c.ack(f.one, 2));
        CHECK_FALSE(f.c.ack(f.one, 2));
        CHECK_FALSE(f.c.ack(f.one, 9));
        CHECK_FALSE(f.c.ack(f.two, 3));
        CHECK(f.pending() == seqs{1, 3, 4, 5});
        CHECK(f.a->outstanding == 4);
    }
    SECTION("ack up to")
    {
        CHECK(f.c.ack_up_to(*f.a, 3) == std::optional<std::size_t>{3});
        CHECK(f.pending() == seqs{4, 5});
        CHECK_FALSE(f.c.ack_up_to(*f.a, 3));
        CHECK_FALSE(f.c.ack_up_to(*f.a, 9));
        CHECK(f.c.ack(f.one, 4));
        CHECK(f.c.ack_up_to(*f.a, 4) == std::optional<std::size_t>{0});
        CHECK(f.c.ack_up_to(*f.a, 5) == std::optional<std::size_t>{1});
        CHECK(f.pending().empty());
    }
    SECTION("term")
    {
        CHECK(f.c.term(f.one, 3, ""));
        CHECK_FALSE(f.c.term(f.one, 3, ""));
        CHECK(f.c.term(f.one, 4, "bad"));
        auto const deaths = f.c.take_deaths();
        REQUIRE(deaths.size() == 2);
        CHECK(deaths[0].reason == "term");
        CHECK(deaths[1].reason == "bad");
        CHECK(deaths[1].tries == 1);
        CHECK(f.pending() == seqs{1, 2, 5});
        f.c.restore_deaths(deaths);
        CHECK(f.c.has_deaths());
    }
    SECTION("gone from the log")
    {
        f.c.gone(1);
        f.c.gone(99);
        CHECK(f.pending() == seqs{2, 3, 4, 5});
        CHECK(f.a->outstanding == 4);
    }
}

TEST_CASE("consumer: held to redelivery, and back")
{
    fixture f;
    f.deliver(1, 3);
    SECTION("the ack wait is over, not before")
    {
        f.pass(999);
        CHECK(f.ready().empty());
        CHECK(f.c.due_ms() == std::optional<std::uint64_t>{f.now.steady_ms + 1});
        f.pass(1);
        CHECK(f.ready() == seqs{1, 2, 3});
        CHECK(f.a->outstanding == 0);
        SECTION("a late ack counts until it is delivered elsewhere")
        {
            CHECK(f.c.ack(f.one, 2));
            auto& b = f.c.attach(f.two, 10);
            f.c.delivered(b, 1, 50, f.now);
            CHECK(f.c.tries(1) == 2);
            CHECK_FALSE(f.c.ack(f.one, 1));
            CHECK(f.c.ack(f.two, 1));
            CHECK(f.ready() == seqs{3});
        }
        SECTION("late term")
        {
            CHECK(f.c.term(f.one, 3, ""));
            CHECK(f.ready() == seqs{1, 2});
        }
        SECTION("a late nak has nothing to say") { CHECK_FALSE(f.c.nak(f.one, 1, 0, f.now)); }
        SECTION("upto covers the order of delivery, redeliveries last")
        {
            f.c.delivered(*f.a, 1, 500, f.now);
            CHECK(f.c.ack_up_to(*f.a, 3) == std::optional<std::size_t>{2});
            CHECK(f.pending() == seqs{1});
            CHECK(f.c.ack_up_to(*f.a, 1) == std::optional<std::size_t>{1});
        }
    }
    SECTION("nak, at once and later")
    {
        CHECK(f.c.nak(f.one, 1, 0, f.now));
        CHECK(f.c.nak(f.one, 2, 300, f.now));
        CHECK_FALSE(f.c.nak(f.one, 2, 0, f.now));
        CHECK_FALSE(f.c.nak(f.two, 3, 0, f.now));
        CHECK(f.ready() == seqs{1});
        CHECK(f.c.due_ms() == std::optional<std::uint64_t>{f.now.steady_ms + 300});
        CHECK(f.c.position(f.now).pending[1].due_ms == f.now.wall_ms + 300);
        CHECK(f.c.ack_up_to(*f.a, 3) == std::optional<std::size_t>{1});  // without what was nak'd
        CHECK(f.pending() == seqs{1, 2});
        f.pass(299);
        CHECK(f.ready() == seqs{1});
        f.pass(1);
        CHECK(f.ready() == seqs{1, 2});
    }
    SECTION("working starts the wait anew, and keeps the place in the order")
    {
        f.pass(900);
        CHECK(f.c.working(f.one, 1, f.now));
        CHECK_FALSE(f.c.working(f.two, 1, f.now));
        CHECK_FALSE(f.c.working(f.one, 9, f.now));
        f.pass(100);
        CHECK(f.ready() == seqs{2, 3});
        CHECK(f.c.ack_up_to(*f.a, 1) == std::optional<std::size_t>{1});
        f.deliver(4, 4);
        CHECK(f.c.working(f.one, 4, f.now));
        f.pass(1000);
        CHECK(f.ready() == seqs{2, 3, 4});
    }
    SECTION("the link goes: what was not written is no try")
    {
        f.c.release(*f.a, 200, f.now);  // the first two ended within
        CHECK_FALSE(f.c.active());
        CHECK(f.one.attachments.empty());
        CHECK(f.c.tries(1) == 1);
        CHECK(f.c.tries(2) == 1);
        CHECK(f.c.tries(3) == 0);
        CHECK(f.ready() == seqs{1, 2, 3});
    }
    SECTION("detached: it lives on, so all count")
    {
        f.c.release(*f.a, std::nullopt, f.now);
        CHECK(f.c.tries(3) == 1);
        CHECK(f.c.ack(f.one, 3));  // late
    }
}

TEST_CASE("consumer: tried too often")
{
    fixture f{with_max(2)};
    f.deliver(1, 2);
    f.pass(1000);
    CHECK_FALSE(f.c.has_deaths());
    f.deliver(1, 2);
    SECTION("at the end of the wait")
    {
        f.pass(1000);
        CHECK(f.c.take_deaths().size() == 2);
        CHECK(f.pending().empty());
    }
    SECTION("at nak")
    {
        CHECK(f.c.nak(f.one, 1, 5000, f.now));
        auto const deaths = f.c.take_deaths();
        REQUIRE(deaths.size() == 1);
        CHECK(deaths[0].seq == 1);
        CHECK(deaths[0].tries == 2);
        CHECK(deaths[0].reason == "max_deliver");
    }
    SECTION("when the link goes, for what was written")
    {
        f.c.release(*f.a, 100, f.now);
        CHECK(f.c.take_deaths().size() == 1);
        CHECK(f.ready() == seqs{2});
        CHECK(f.c.tries(2) == 1);
    }
    SECTION("at the next start")
    {
        fixture again{with_max(2), f.c.position(f.now)};
        CHECK(again.c.take_deaths().size() == 2);
        CHECK(again.pending().empty());
    }
    SECTION("acknowledged in time")
    {
        CHECK(f.c.ack(f.one, 1));
        f.pass(1000);
        CHECK(f.c.take_deaths().size() == 1);
    }
}

TEST_CASE("consumer: the position survives")
{
    fixture f;
    f.deliver(1, 4);
    f.c.ack(f.one, 2);
    f.c.nak(f.one, 3, 5000, f.now);
    f.c.look_from(40);
    auto const saved = f.c.position(f.now);
    CHECK(saved.next == 40);
    fixture again{with_max(0), saved};
    CHECK(again.c.next() == 40);
    CHECK(again.ready() == seqs{1, 4});
    CHECK(again.c.tries(1) == 1);
    CHECK(again.c.position(again.now) == saved);
    again.pass(5000);
    CHECK(again.ready() == seqs{1, 3, 4});
}

TEST_CASE("consumer: replays")
{
    fixture f;
    f.deliver(1, 3);
    f.c.term(f.one, 1, "");
    f.c.take_deaths();
    f.c.reviving = {1};
    CHECK(f.pending() == seqs{1, 2, 3});  // in the position ...
    CHECK(f.c.redeliver() == 0);          // ... and not delivered yet
    f.c.reviving.clear();
    f.c.revive({1, 2});
    CHECK(f.ready() == seqs{1});
    CHECK(f.c.tries(1) == 0);
}

TEST_CASE("consumer: links in turn, as far as they have room")
{
    fixture f;
    auto& b = f.c.attach(f.two, 1);
    CHECK(f.c.next_with_room(1000) != f.c.next_with_room(1000));
    f.c.delivered(b, 1, 100, f.now);
    CHECK(f.c.next_with_room(1000) == f.a);
    CHECK(f.c.next_with_room(1000) == f.a);
    f.one.handed = 1000;
    CHECK(f.c.next_with_room(1000) == nullptr);
    f.one.written = 1;
    CHECK(f.c.next_with_room(1000) == f.a);
    f.one.finishing = true;
    CHECK(f.c.next_with_room(1000) == nullptr);
    CHECK(&f.c.attach(f.two, 2) == &b);
    CHECK(f.c.next_with_room(1000) == &b);
}

TEST_CASE("consumer: what it keeps and what it costs do not grow with what is over")
{
    fixture f{{stream_id{1}, "work", "ann", "", 3'600'000, 0}};
    auto const begin = std::clock();
    SECTION("delays that were acknowledged")
    {
        for (message_seq seq = 1; seq <= 1000; ++seq) {
            f.c.delivered(*f.a, seq, 0, f.now);
            f.c.nak(f.one, seq, 86'400'000, f.now);
            f.c.ack(f.one, seq);
        }
        CHECK_FALSE((f.c.due_ms() && *f.c.due_ms() > f.now.steady_ms + 3'600'000));
    }
    SECTION("working, again and again, in a full window")
    {
        f.deliver(1, 16'384);
        for (int i = 0; i < 200'000; ++i)
            f.c.working(f.one, 1 + i % 16'384, f.now);
    }
    SECTION("a backlog that was nak'd for later, and deliveries beside it")
    {
        for (message_seq seq = 1; seq <= 60'000; ++seq) {
            f.c.delivered(*f.a, seq, 0, f.now);
            f.c.nak(f.one, seq, 86'400'000, f.now);
        }
        for (message_seq seq = 60'001; seq <= 120'000; ++seq) {
            f.c.delivered(*f.a, seq, 0, f.now);
            f.c.ack(f.one, seq);
        }
        CHECK(f.a->order.size() < 200'000);
    }
    SECTION("upto of the oldest in a full window")
    {
        for (message_seq seq = 1; seq <= 100'000; ++seq) {
            f.c.delivered(*f.a, seq, 0, f.now);
            if (seq > 16'384)
                REQUIRE(f.c.ack_up_to(*f.a, seq - 16'384) == std::optional<std::size_t>{1});
        }
    }
    CHECK(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC < 3.0);
}
