/// The client's state machine, a link at a time: what is sent, what is sent again, what the program hears.

#include "tests/client/session_fixture.hpp"

using namespace kedge;
using namespace kedge::client_lib;

TEST_CASE("nothing is sent before the welcome, then in the order of submission")
{
    fixture f;
    REQUIRE(f.s.submit(publish("1")));
    REQUIRE(f.s.submit(op::subscribe{"s", "a.>", {}}));
    REQUIRE(f.s.submit(publish("2")));
    CHECK(f.said().empty());
    f.up();
    CHECK(f.said() == words{"sub a.>", "pub 1", "pub 2"});
    CHECK_FALSE(f.s.idle());
    for (auto const* id : {"s", "1", "2"})
        REQUIRE(f.hear(notice::ok{id, {}, 0, false, {}}));
    CHECK(f.told<notice::ok>().size() == 3);
    CHECK(f.s.idle());
}

TEST_CASE("after a lost link: hello, what stands, the unanswered in order, then the new")
{
    fixture f;
    f.up();
    REQUIRE(f.s.submit(op::subscribe{"s", "a.>", {}}));
    REQUIRE(f.s.submit(consume("c")));
    REQUIRE(f.s.submit(publish("1")));
    REQUIRE(f.s.submit(publish("2")));
    REQUIRE(f.s.submit(publish("3")));
    CHECK(f.said().size() == 5);
    REQUIRE(f.hear(notice::ok{"s", {}, 0, false, {}}));
    REQUIRE(f.hear(notice::ok{"1", "S", 1, false, {}}));
    f.s.link_down(f.now);
    REQUIRE(f.s.submit(publish("4")));
    CHECK(f.said().empty());
    f.s.take_notices();
    f.up();
    CHECK(f.said() == words{"sub a.>", "consume", "pub 2", "pub 3", "pub 4"});
    // The subscription had its answer: this one is not the program's. The consumer had none.
    REQUIRE(f.hear(notice::ok{"c", {}, 0, false, {}}));
    REQUIRE(f.hear(notice::ok{"2", "S", 2, true, {}}));
    auto const told = f.told<notice::ok>();
    REQUIRE(told.size() == 2);
    CHECK(told[0].id == "c");
    CHECK(told[1].dup);
}

TEST_CASE("without a node the unanswered are not sent again, and the program hears of it; the unsent are kept")
{
    fixture f{""};
    f.up();
    REQUIRE(f.s.submit(publish("1")));
    CHECK(f.said() == words{"pub 1"});
    REQUIRE(f.s.submit(publish("2")));
    f.s.link_down(f.now);
    auto const errors = f.told<notice::error>();
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].id == "1");
    CHECK(errors[0].code == error_code::unavailable);
    f.up();
    CHECK(f.said() == words{"pub 2"});
}

TEST_CASE("plain publishes leave no trace")
{
    fixture f;
    f.up();
    REQUIRE(f.s.submit(publish("")));
    CHECK(f.said() == words{"pub "});
    CHECK(f.s.idle());
    f.s.link_down(f.now);
    f.up();
    CHECK(f.said().empty());
}

TEST_CASE("a publish that is refused for a while: ping, then all refused ones again, in order, before the new")
{
    struct row {
        error_code code;
        bool retried_with_node;
        bool retried_without;
    };
    static row const rows[] = {
        {error_code::store_full, true, true},    {error_code::quota, true, true},
        {error_code::draining, true, true},      {error_code::unavailable, true, false},
        {error_code::internal, true, false},     {error_code::denied, false, false},
        {error_code::too_large, false, false},   {error_code::exists, false, false},
        {error_code::bad_request, false, false},
    };
    for (auto const& r : rows)
        for (bool const with_node : {true, false}) {
            INFO(wire_word(r.code) << (with_node ? " with a node" : " without a node"));
            fixture f{with_node ? "n" : ""};
            f.up();
            for (auto const* id : {"1", "2", "3"})
                REQUIRE(f.s.submit(publish(id)));
            CHECK(f.said().size() == 3);
            f.s.take_notices();
            REQUIRE(f.hear(notice::ok{"1", "S", 1, false, {}}));
            REQUIRE(f.hear(notice::error{"2", r.code, "no", {}}));
            if (!(with_node ? r.retried_with_node : r.retried_without)) {
                auto const errors = f.told<notice::error>();
                REQUIRE(errors.size() == 1);
                CHECK(errors[0].code == r.code);
                continue;
            }
            CHECK(f.told<notice::error>().empty());
            REQUIRE(f.s.submit(publish("4")));
            CHECK(f.said().empty());  // the new waits behind the refused
            f.now += 100;
            CHECK(f.said() == words{"ping kedge~retry"});
            REQUIRE(f.hear(notice::pong{"kedge~retry"}));
            CHECK(f.said().empty());  // 3 is not answered yet
            REQUIRE(f.hear(notice::error{"3", r.code, "no", {}}));
            CHECK(f.said() == words{"pub 2", "pub 3", "pub 4"});
            for (auto const* id : {"2", "3", "4"})
                REQUIRE(f.hear(notice::ok{id, "S", 2, false, {}}));
            CHECK(f.told<notice::ok>().size() == 3);
            CHECK(f.s.idle());
        }
}

TEST_CASE("refused too long: the program hears the reason")
{
    session_options o;
    o.retry_ms = 1'000;
    fixture f{"n", o};
    f.up();
    REQUIRE(f.s.submit(publish("1")));
    f.said();
    std::vector<notice::error> errors;
    for (int i = 0; i < 200 && errors.empty(); ++i) {
        f.now += 50;
        for (auto const& o2 : f.sent()) {
            if (std::holds_alternative<op::ping>(o2))
                REQUIRE(f.hear(notice::pong{"kedge~retry"}));
            else
                REQUIRE(f.hear(notice::error{"1", error_code::store_full, "the disk is full", {}}));
        }
        if (i == 0)
            REQUIRE(f.hear(notice::error{"1", error_code::store_full, "the disk is full", {}}));
        errors = f.told<notice::error>();
    }
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].code == error_code::store_full);
    CHECK(f.now >= 2'000);
    CHECK(f.now <= 6'000);
    CHECK(f.s.idle());
}

TEST_CASE("numbered publishes: numbers rise from what the server has, one answer covers many, and they are sent again")
{
    fixture f;
    REQUIRE(f.s.submit_numbered("S", publish("")));
    f.up({{"S", 41}});
    REQUIRE(f.s.submit_numbered("S", publish("")));
    REQUIRE(f.s.submit_numbered("S", publish("")));
    CHECK(f.said() == words{"pub #42", "pub #43", "pub #44"});
    REQUIRE(f.hear(notice::stored{"S", 42, 100}));
    CHECK(f.s.numbered_under_way("S") == 2);
    f.s.link_down(f.now);
    // 43 was stored, its answer lost.
    f.up({{"S", 43}});
    CHECK(f.s.numbered_under_way("S") == 1);
    CHECK(f.said() == words{"pub #44"});
    REQUIRE(f.hear(notice::stored{"S", 44, 102}));
    CHECK(f.s.numbered_under_way("S") == 0);
    CHECK(f.s.idle());
    CHECK(f.told<notice::stored>().size() == 3);
    CHECK(f.s.last_stored("S") == 44);
}

TEST_CASE("numbered publishes need a node, and one failure ends all that wait")
{
    fixture none{""};
    CHECK_FALSE(none.s.submit_numbered("S", publish("")));
    fixture f;
    f.up();
    REQUIRE(f.s.submit_numbered("S", publish("")));
    REQUIRE(f.s.submit_numbered("S", publish("")));
    f.said();
    f.s.take_notices();
    REQUIRE(f.hear(notice::error{{}, error_code::denied, "not yours", {}}));
    CHECK(f.s.numbered_under_way("S") == 0);
    CHECK(f.told<notice::error>().size() == 1);
    CHECK(f.s.idle());
}

TEST_CASE("messages of a consumer are shown once across links, and finished again where the server does not know it")
{
    fixture f;
    f.up();
    REQUIRE(f.s.submit(consume("c")));
    f.said();
    REQUIRE(f.hear(notice::ok{"c", {}, 0, false, {}}));
    for (message_seq const seq : {1, 2, 3, 4})
        REQUIRE(f.hear(delivery(seq)));
    CHECK(f.told<notice::msg>().size() == 4);
    REQUIRE(f.s.submit(ack({1})));
    REQUIRE(f.s.submit(ack({2})));
    CHECK(f.said() == words{"ack 1 2"});  // what gathers goes as one
    REQUIRE(f.hear(notice::ok{f.last_ack, {}, 0, false, {}}));
    CHECK(f.told<notice::ok>().empty());
    REQUIRE(f.s.submit(ack({3})));
    CHECK(f.said() == words{"ack 3"});
    f.s.link_down(f.now);  // whether 3 was taken is not known; 4 is in hand
    f.up();
    CHECK(f.said() == words{"consume"});
    REQUIRE(f.hear(delivery(3)));
    REQUIRE(f.hear(delivery(4)));
    REQUIRE(f.hear(delivery(5)));
    auto const shown = f.told<notice::msg>();
    REQUIRE(shown.size() == 1);
    CHECK(shown[0].seq == 5);
    CHECK(f.said() == words{"ack 3"});
    REQUIRE(f.s.submit(ack({4, 5})));
    CHECK(f.said() == words{"ack 4 5"});
}

TEST_CASE("a message given back is shown again, and one set aside is set aside again")
{
    fixture f;
    f.up();
    REQUIRE(f.s.submit(consume()));
    f.said();
    REQUIRE(f.hear(delivery(1)));
    REQUIRE(f.hear(delivery(2)));
    op::nak nak;
    nak.stream = "S";
    nak.consumer = "c";
    nak.seq = 1;
    REQUIRE(f.s.submit(nak));
    op::term term;
    term.stream = "S";
    term.consumer = "c";
    term.seq = 2;
    REQUIRE(f.s.submit(term));
    CHECK(f.said() == words{"nak", "term 2"});
    f.s.take_notices();
    REQUIRE(f.hear(delivery(1)));
    REQUIRE(f.hear(delivery(2)));
    CHECK(f.told<notice::msg>().size() == 1);
    CHECK(f.said() == words{"term 2"});
}

TEST_CASE("upto is said as the messages that it covers")
{
    fixture f;
    f.up();
    REQUIRE(f.s.submit(consume()));
    f.said();
    for (message_seq const seq : {5, 6, 7})
        REQUIRE(f.hear(delivery(seq)));
    op::ack a = ack({}, "mine");
    a.upto = 6;
    REQUIRE(f.s.submit(a));
    CHECK(f.said() == words{"ack 5 6"});
    f.s.take_notices();
    REQUIRE(f.hear(notice::ok{"mine", {}, 0, false, {}}));
    CHECK(f.told<notice::ok>().size() == 1);
}

TEST_CASE("bounds: at the limit and one beyond")
{
    session_options o;
    o.operations_max = 4;
    fixture f{"n", o};
    CHECK(f.s.wants_more());
    for (int i = 1; i <= 4; ++i) {
        REQUIRE(f.s.submit(publish(std::to_string(i))));
        CHECK(f.s.wants_more() == (i <= 2));
    }
    auto const beyond = f.s.submit(publish("5"));
    REQUIRE_FALSE(beyond);
    CHECK(beyond.error().code == error_code::quota);
    f.up();
    CHECK(f.said().size() == 4);
    CHECK_FALSE(f.s.submit(publish("5")));  // sent is not answered
    REQUIRE(f.hear(notice::ok{"1", {}, 0, false, {}}));
    CHECK(f.s.submit(publish("5")));

    session_options b;
    b.bytes_max = 2'000;
    fixture g{"n", b};
    REQUIRE(g.s.submit(publish("1", std::string(3'000, 'x'))));  // one is always taken
    CHECK_FALSE(g.s.submit(publish("2")));
}

TEST_CASE("what a program may not submit")
{
    fixture f;
    f.up();
    CHECK(f.s.submit(op::hello{}).error().code == error_code::bad_request);
    CHECK(f.s.submit(op::ping{"kedge~1"}).error().code == error_code::bad_request);
    REQUIRE(f.s.submit(publish("1")));
    CHECK(f.s.submit(publish("1")).error().code == error_code::exists);
    f.said();
    REQUIRE(f.hear(notice::ok{"1", {}, 0, false, {}}));
    CHECK(f.s.submit(publish("1")));
}

TEST_CASE("byes: which end it, and which lead to a new link")
{
    struct row {
        error_code code;
        bool ends;
    };
    static row const rows[] = {{error_code::replaced, true},      {error_code::revoked, true},
                               {error_code::draining, false},     {error_code::idle, false},
                               {error_code::slow_consumer, false}, {error_code::bad_frame, false},
                               {error_code::quit, false}};
    for (auto const& r : rows) {
        INFO(wire_word(r.code));
        fixture f;
        f.up();
        REQUIRE(f.s.submit(publish("1")));
        f.said();
        auto const heard = f.hear(notice::bye{r.code, "so it is"});
        CHECK(heard.has_value() == r.ends);
        CHECK((f.s.current() == session::state::ended) == r.ends);
        if (!r.ends)
            continue;
        auto const errors = f.told<notice::error>();
        REQUIRE(errors.size() == 1);
        CHECK(errors[0].id == "1");
        CHECK_FALSE(f.s.submit(publish("2")));
    }
}

TEST_CASE("a refused hello: what may pass leads to a new link, the rest ends it")
{
    for (auto const& [code, ends] : {std::pair{error_code::denied, true}, std::pair{error_code::bad_request, true},
                                     std::pair{error_code::draining, false}, std::pair{error_code::unavailable, false}}) {
        INFO(wire_word(code));
        fixture f;
        f.s.link_up(f.now);
        f.said();
        CHECK(f.hear(notice::error{"kedge~hello", code, "no", {}}).has_value() == ends);
        CHECK((f.s.current() == session::state::ended) == ends);
    }
}

TEST_CASE("a subscription that is refused does not stand")
{
    fixture f;
    f.up();
    REQUIRE(f.s.submit(op::subscribe{"s", "a.>", {}}));
    f.said();
    f.s.take_notices();
    REQUIRE(f.hear(notice::error{"s", error_code::denied, "no", {}}));
    CHECK(f.told<notice::error>().size() == 1);
    f.s.link_down(f.now);
    f.up();
    CHECK(f.said().empty());
}

TEST_CASE("unsubscribed while there is no link: answered at once, not said again")
{
    fixture f;
    f.up();
    REQUIRE(f.s.submit(op::subscribe{"s", "a.>", {}}));
    f.said();
    REQUIRE(f.hear(notice::ok{"s", {}, 0, false, {}}));
    f.s.link_down(f.now);
    f.s.take_notices();
    REQUIRE(f.s.submit(op::unsubscribe{"u", "a.>", {}}));
    auto const told = f.told<notice::ok>();
    REQUIRE(told.size() == 1);
    CHECK(told[0].id == "u");
    f.up();
    CHECK(f.said().empty());
}

TEST_CASE("silence: a ping, then the link is given up")
{
    session_options o;
    o.silence_ms = 1'000;
    fixture f{"n", o};
    f.up();
    f.now += 999;
    REQUIRE(f.s.tick(f.now));
    CHECK(f.said().empty());
    f.now += 1;
    REQUIRE(f.s.tick(f.now));
    CHECK(f.said() == words{"ping kedge~alive"});
    f.now += 999;
    REQUIRE(f.s.tick(f.now));
    CHECK(f.said().empty());
    f.now += 1;
    CHECK_FALSE(f.s.tick(f.now));
}

TEST_CASE("silence that is broken is none")
{
    session_options o;
    o.silence_ms = 1'000;
    fixture f{"n", o};
    f.up();
    for (int i = 0; i < 10; ++i) {
        f.now += 1'000;
        REQUIRE(f.s.tick(f.now));
        CHECK(f.said() == words{"ping kedge~alive"});
        REQUIRE(f.hear(notice::pong{"kedge~alive"}));
    }
    CHECK(f.told<notice::pong>().empty());
}

TEST_CASE("no publish follows a ping of ours before its pong: the ping lifts what an earlier failure has barred")
{
    session_options o;
    o.silence_ms = 1'000;
    fixture f{"n", o};
    f.up();
    REQUIRE(f.s.submit(publish("1")));
    CHECK(f.said().size() == 1);
    f.now += 1'000;
    REQUIRE(f.s.tick(f.now));
    REQUIRE(f.s.submit(publish("2")));
    CHECK(f.said() == words{"ping kedge~alive"});
    REQUIRE(f.hear(notice::pong{"kedge~alive"}));
    CHECK(f.said().size() == 1);
}

TEST_CASE("quit ends it in order")
{
    fixture f;
    f.up();
    REQUIRE(f.s.submit(op::quit{}));
    CHECK_FALSE(f.s.submit(publish("1")));
    CHECK(f.said() == words{"quit"});
    REQUIRE(f.hear(notice::bye{error_code::quit, "goodbye"}));
    CHECK(f.s.current() == session::state::ended);
    CHECK_FALSE(f.s.ended_because());
}

TEST_CASE("garbage from a server is a failure of the link")
{
    fixture f;
    f.up();
    CHECK_FALSE(f.s.receive("\xff\xff\xff\xffgarbage", f.now));
}
