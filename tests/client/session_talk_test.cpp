/// The client's state machine and what it says to users and services: mail, calls, services.

#include "tests/client/session_fixture.hpp"

using namespace kedge;
using namespace kedge::client_lib;

namespace {

op::post post(std::string_view id) { return {{"alice"}, message::make({{}, id, {}, {}, "x"})}; }

op::call call(std::string_view id)
{
    op::call c;
    c.service = "time";
    c.method = "now";
    c.message = message::make({{}, id, {}, {}, "x"});
    return c;
}

op::reply reply(std::string handle)
{
    op::reply r;
    r.call = std::move(handle);
    r.message = message::make({});
    return r;
}

op::serve serve(std::string id = {})
{
    op::serve s;
    s.id = std::move(id);
    s.service = "time";
    s.version = "1";
    s.methods = {"now"};
    return s;
}

notice::msg mail(message_seq seq)
{
    auto m = delivery(seq);
    m.stream = "INBOX";
    m.consumer = "inbox";
    m.subject = "inbox.u";
    return m;
}

op::ack read(message_seq seq)
{
    op::ack a;
    a.stream = "INBOX";
    a.consumer = "inbox";
    a.seqs = {seq};
    return a;
}

notice::call incoming(std::string handle)
{
    notice::call c;
    c.call = std::move(handle);
    c.service = "time";
    c.method = "now";
    c.left_ms = 5'000;
    return c;
}

session_options with_inbox()
{
    session_options o;
    o.inbox = true;
    return o;
}

notice::ok ok(std::string id) { return {std::move(id), {}, 0, false, {}}; }

}  // namespace

TEST_CASE("posts are sent again with their ids, among the publishes and in order")
{
    fixture f;
    f.up();
    REQUIRE(f.s.submit(publish("1")));
    REQUIRE(f.s.submit(post("2")));
    REQUIRE(f.s.submit(post("3")));
    CHECK(f.said() == words{"pub 1", "post 2", "post 3"});
    REQUIRE(f.hear(notice::ok{"1", "S", 1, false, {}}));
    f.s.link_down(f.now);
    REQUIRE(f.s.submit(post("4")));
    f.up();
    CHECK(f.said() == words{"post 2", "post 3", "post 4"});
    for (auto const* id : {"2", "3", "4"})
        REQUIRE(f.hear(notice::ok{id, "INBOX", 9, false, {}}));
    CHECK(f.told<notice::ok>().size() == 4);
    CHECK(f.s.idle());
}

TEST_CASE("without a node a post that was sent is not sent again")
{
    fixture f{""};
    f.up();
    REQUIRE(f.s.submit(post("1")));
    f.said();
    f.s.link_down(f.now);
    auto const errors = f.told<notice::error>();
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].code == error_code::unavailable);
    f.up();
    CHECK(f.said().empty());
}

TEST_CASE("a full mailbox is told at once; what was behind it gets on after a ping")
{
    fixture f;
    f.up();
    for (auto const* id : {"1", "2", "3"})
        REQUIRE(f.s.submit(post(id)));
    f.said();
    f.s.take_notices();
    // The first is for the mailbox that is full, the others have it because the link is barred.
    for (auto const* id : {"1", "2", "3"})
        REQUIRE(f.hear(notice::error{id, error_code::quota, "alice has too much mail", {}}));
    auto const errors = f.told<notice::error>();
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].id == "1");
    f.now += 100;
    CHECK(f.said() == words{"ping kedge~retry"});
    REQUIRE(f.hear(notice::pong{"kedge~retry"}));
    CHECK(f.said() == words{"post 2", "post 3"});
    REQUIRE(f.hear(notice::ok{"2", "INBOX", 1, false, {}}));
    REQUIRE(f.hear(notice::error{"3", error_code::quota, "bob has too much mail", {}}));
    auto const more = f.told<notice::error>();
    REQUIRE(more.size() == 1);
    CHECK(more[0].id == "3");
    f.now += 1'000;
    f.said();
    REQUIRE(f.hear(notice::pong{"kedge~retry"}));
    CHECK(f.said().empty());
    CHECK(f.s.idle());
}

TEST_CASE("the inbox: asked for in every hello; nothing that the program has in hand or has finished is shown twice")
{
    fixture f{"n", with_inbox()};
    f.greeting = "hello inbox";
    f.up();
    f.s.take_notices();
    REQUIRE(f.hear(mail(3)));
    REQUIRE(f.hear(mail(5)));
    CHECK(f.told<notice::msg>().size() == 2);
    REQUIRE(f.s.submit(read(3)));
    CHECK(f.said() == words{"ack 3"});
    f.s.link_down(f.now);  // the answer to the ack is lost
    REQUIRE(f.s.submit(read(5)));
    f.up();
    CHECK(f.said().empty());
    for (message_seq const seq : {3, 5, 8})
        REQUIRE(f.hear(mail(seq)));
    auto const shown = f.told<notice::msg>();
    REQUIRE(shown.size() == 1);
    CHECK(shown[0].seq == 8);
    CHECK(f.said() == words{"ack 3", "ack 5"});
}

TEST_CASE("a call that a lost link left unanswered fails; one that was not sent waits for the next link")
{
    for (auto const* node : {"n", ""}) {
        INFO("node '" << node << "'");
        fixture f{node};
        f.up();
        REQUIRE(f.s.submit(call("1")));
        CHECK(f.said() == words{"call 1"});
        REQUIRE(f.s.submit(call("2")));
        f.s.link_down(f.now);
        auto const errors = f.told<notice::error>();
        REQUIRE(errors.size() == 1);
        CHECK(errors[0].id == "1");
        CHECK(errors[0].code == error_code::unavailable);
        f.up();
        CHECK(f.said() == words{"call 2"});
        f.s.take_notices();
        REQUIRE(f.hear(notice::reply{"2", "bot1/a", "noon"}));
        auto const replies = f.told<notice::reply>();
        REQUIRE(replies.size() == 1);
        CHECK(replies[0].body == "noon");
        CHECK(f.s.idle());
    }
}

TEST_CASE("errors to calls are told at once, whatever they are")
{
    for (auto const code : {error_code::no_responders, error_code::timeout, error_code::unavailable, error_code::quota,
                            error_code::internal, error_code::draining}) {
        INFO(wire_word(code));
        fixture f;
        f.up();
        REQUIRE(f.s.submit(call("1")));
        f.said();
        f.s.take_notices();
        REQUIRE(f.hear(notice::error{"1", code, "no", {}}));
        CHECK(f.told<notice::error>().size() == 1);
        CHECK(f.s.idle());
        REQUIRE(f.s.submit(publish("2")));
        CHECK(f.said() == words{"pub 2"});  // nothing waits because of it
    }
}

TEST_CASE("a call that nobody waits for any more: not sent, or its answer not told")
{
    fixture f;
    REQUIRE(f.s.submit(call("1")));
    f.s.abandon("1");
    CHECK(f.s.idle());
    f.up();
    CHECK(f.said().empty());
    REQUIRE(f.s.submit(call("2")));
    f.said();
    f.s.abandon("2");
    CHECK(f.s.idle());
    f.s.take_notices();
    REQUIRE(f.hear(notice::reply{"2", "bot1/a", "late"}));
    CHECK(f.told<notice::reply>().empty());
    f.s.abandon("3");  // none such
    REQUIRE(f.s.submit(call("2")));  // the id is free again
}

TEST_CASE("a service is registered on every link, until it is not served any more")
{
    fixture f;
    REQUIRE(f.s.submit(serve("s")));
    f.up();
    CHECK(f.said() == words{"serve time"});
    f.s.take_notices();
    REQUIRE(f.hear(notice::ok{"s", {}, 0, false, "0123456789abcdef"}));
    auto const told = f.told<notice::ok>();
    REQUIRE(told.size() == 1);
    CHECK(told[0].instance == "0123456789abcdef");
    f.s.link_down(f.now);
    f.up();
    CHECK(f.said() == words{"serve time"});
    REQUIRE(f.s.submit(op::unserve{"u", "time"}));
    CHECK(f.said() == words{"unserve"});
    REQUIRE(f.hear(ok("u")));
    f.s.link_down(f.now);
    f.up();
    CHECK(f.said().empty());
}

TEST_CASE("a service that is refused does not stand; one that cannot be registered again for now has the link tried again")
{
    fixture f;
    f.up();
    REQUIRE(f.s.submit(serve("s")));
    f.said();
    f.s.take_notices();
    REQUIRE(f.hear(notice::error{"s", error_code::denied, "no", {}}));
    CHECK(f.told<notice::error>().size() == 1);
    f.s.link_down(f.now);
    f.up();
    CHECK(f.said().empty());

    fixture g;
    g.up();
    REQUIRE(g.s.submit(serve("s")));
    g.said();
    REQUIRE(g.hear(ok("s")));
    g.s.link_down(g.now);
    g.up();
    CHECK(g.said() == words{"serve time"});
    CHECK_FALSE(g.hear(notice::error{"kedge~1", error_code::draining, "soon gone", {}}));
}

TEST_CASE("replies go to the link that brought the call, or nowhere")
{
    fixture f;
    f.up();
    f.s.take_notices();
    REQUIRE(f.hear(incoming("7")));
    CHECK(f.told<notice::call>().size() == 1);
    REQUIRE(f.s.submit(reply("7")));
    CHECK(f.said() == words{"reply 7"});
    REQUIRE(f.hear(incoming("8")));
    REQUIRE(f.s.submit(reply("8")));  // not written when the link goes
    f.s.link_down(f.now);
    REQUIRE(f.s.submit(reply("8")));
    f.up();
    CHECK(f.said().empty());
    CHECK(f.s.idle());
}

TEST_CASE("bodies of posts, calls and replies count for the bound")
{
    session_options o;
    o.bytes_max = 2'000;
    std::string const big(3'000, 'x');
    op::call c = call("1");
    c.message = message::make({{}, "1", {}, {}, big});
    op::reply r = reply("1");
    r.message = message::make({{}, {}, {}, {}, big});
    for (op::any const& what : {op::any{op::post{{"a"}, message::make({{}, "1", {}, {}, big})}}, op::any{c}, op::any{r}}) {
        fixture f{"n", o};
        f.up();
        REQUIRE(f.s.submit(what));
        CHECK_FALSE(f.s.submit(publish("2")));
    }
}
