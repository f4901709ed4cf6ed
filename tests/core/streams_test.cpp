// What operators do with streams and consumers: pause, backoff, peek, purge, options.

#include "tests/catch.hpp"

#include "tests/core/harness.hpp"

using namespace kedge;

namespace {

std::string publish(int id, char const* subject = "s.a")
{
    return R"({"op":"pub","id":")" + std::to_string(id) + R"(","subject":")" + subject + R"(","data":"x"})" "\n";
}

char const* const attach = R"({"op":"consume","id":"c","stream":"S","consumer":"w","start":"first"})" "\n";

lines messages(lines const& all)
{
    lines found;
    for (auto const& line : all)
        if (line.starts_with("msg"))
            found.push_back(line);
    return found;
}

}  // namespace

TEST_CASE("pause: a consumer, then its whole stream; publishing goes on, and what waited comes in order")
{
    struct row {
        char const* name;
        char const* pause;
        char const* resume;
        nlohmann::json args;
    };
    row const rows[] = {
        {"consumer", "consumer pause", "consumer resume", {{"stream", "S"}, {"consumer", "w"}}},
        {"stream", "stream pause", "stream resume", {{"stream", "S"}}},
    };
    for (auto const& r : rows) {
        INFO(r.name);
        harness h;
        h.add_stream("S", {"s.>"});
        auto const a = h.join("ann", "n");
        h.say(a, attach);
        h.heard(a);
        CHECK(h.admin(r.pause, r.args)->data["paused"] == true);
        auto const got = h.ask(a, publish(1) + publish(2));
        CHECK(got == lines{"ok 1 S#1", "ok 2 S#2"});
        h.crash();
        auto const b = h.join("ann", "n");
        h.say(b, attach);
        CHECK(messages(h.heard(b)).empty());
        CHECK(h.admin(r.resume, r.args)->data["paused"] == false);
        CHECK(messages(h.heard(b)) == lines{"msg s.a S#1 c=w t=1 x", "msg s.a S#2 c=w t=1 x"});
    }
}

TEST_CASE("pause: not of everybody's mail")
{
    harness h;
    CHECK(h.admin("stream pause", {{"stream", "INBOX"}})->exit_status == 1);
    CHECK(h.admin("stream pause", {{"stream", "NONE"}})->error == "there is no stream NONE");
}

TEST_CASE("backoff: each try waits as the list says, the last wait for all further ones; a detach waits for nothing")
{
    harness h;
    h.add_stream("S", {"s.>"});
    auto const a = h.join("ann", "n");
    h.say(a, attach);
    CHECK(h.admin("consumer edit", {{"stream", "S"}, {"consumer", "w"}, {"backoff_ms", {100, 300}}})->exit_status == 0);
    h.say(a, publish(1));
    CHECK(messages(h.heard(a)) == lines{"msg s.a S#1 c=w t=1 x"});
    std::uint64_t const waits[] = {100, 300, 300};
    int tries = 1;
    for (auto const wait : waits) {
        h.say(a, R"({"op":"nak","consumer":"w","seq":1})" "\n");
        h.pass(wait - 1);
        CHECK(messages(h.heard(a)).empty());
        h.pass(1);
        CHECK(messages(h.heard(a)) == lines{"msg s.a S#1 c=w t=" + std::to_string(++tries) + " x"});
    }
    SECTION("a delay of the nak's own goes before")
    {
        h.say(a, R"({"op":"nak","consumer":"w","seq":1,"delay_ms":10})" "\n");
        h.pass(10);
        CHECK(messages(h.heard(a)).size() == 1);
    }
    SECTION("an ack wait that is over")
    {
        h.pass(30'000);
        CHECK(messages(h.heard(a)).empty());
        h.pass(300);
        CHECK(messages(h.heard(a)).size() == 1);
    }
    SECTION("a link that goes")
    {
        h.close(a);
        auto const b = h.join("ann", "n");
        h.say(b, attach);
        CHECK(messages(h.heard(b)).empty());
        h.pass(300);
        CHECK(messages(h.heard(b)).size() == 1);
    }
    SECTION("a detach")
    {
        auto const b = h.join("ann", "m");
        h.say(b, attach);
        h.say(a, R"({"op":"detach","consumer":"w"})" "\n");
        CHECK(messages(h.heard(b)).size() == 1);
    }
    SECTION("over a restart")
    {
        h.crash();
        auto const shown = h.admin("consumer show", {{"stream", "S"}, {"consumer", "w"}})->data;
        CHECK(shown["backoff_ms"] == nlohmann::json{100, 300});
    }
}

TEST_CASE("consumer edit: a shorter wait holds for what is delivered from then on, before what has the longer one")
{
    harness h;
    h.add_stream("S", {"s.>"});
    auto const a = h.join("ann", "n");
    h.say(a, attach);
    h.say(a, publish(1));
    CHECK(messages(h.heard(a)).size() == 1);
    CHECK(h.admin("consumer edit", {{"stream", "S"}, {"consumer", "w"}, {"ack_wait_ms", 1000}})->exit_status == 0);
    h.say(a, publish(2));
    CHECK(messages(h.heard(a)).size() == 1);
    h.pass(1000);
    CHECK(messages(h.heard(a)) == lines{"msg s.a S#2 c=w t=2 x"});
    h.say(a, R"({"op":"ack","consumer":"w","seq":2})" "\n");
    h.pass(29'000);
    CHECK(messages(h.heard(a)) == lines{"msg s.a S#1 c=w t=2 x"});
}

TEST_CASE("consumer edit: what is refused")
{
    harness h;
    h.add_stream("S", {"s.>"});
    auto const a = h.join("ann", "n");
    h.say(a, attach);
    auto const edit = [&](nlohmann::json args) {
        args["stream"] = "S";
        args["consumer"] = "w";
        return h.admin("consumer edit", args)->exit_status;
    };
    CHECK(edit({{"ack_wait_ms", h.bounds.ack_wait_ms_max}}) == 0);
    CHECK(edit({{"ack_wait_ms", h.bounds.ack_wait_ms_max + 1}}) == 1);
    CHECK(edit({{"ack_wait_ms", h.bounds.ack_wait_ms_min - 1}}) == 1);
    CHECK(edit({{"backoff_ms", std::vector<std::uint64_t>(32, 1)}}) == 0);
    CHECK(edit({{"backoff_ms", std::vector<std::uint64_t>(33, 1)}}) == 1);
    CHECK(edit({{"backoff_ms", {h.bounds.nak_delay_ms_max + 1}}}) == 1);
    CHECK(h.admin("consumer edit", {{"stream", "S"}, {"consumer", "none"}})->exit_status == 1);
}

TEST_CASE("peek: pages of what is stored, by filter; mail is nobody's business")
{
    harness h;
    h.add_stream("S", {"s.>"});
    auto const a = h.join("ann", "n");
    h.say(a, publish(1) + publish(2, "s.b") + publish(3));
    auto const page = h.admin("stream peek", {{"stream", "S"}, {"count", 2}})->data;
    REQUIRE(page["messages"].size() == 2);
    CHECK(page["messages"][1]["subject"] == "s.b");
    CHECK(page["messages"][1]["seq"] == 2);
    CHECK(page["messages"][1]["data"] == "x");
    CHECK(page["messages"][1]["pub_id"] == "2");
    CHECK(page["next"] == 3);
    CHECK(page["end"] == false);
    auto const rest = h.admin("stream peek", {{"stream", "S"}, {"from", 2}, {"filter", "s.a"}})->data;
    REQUIRE(rest["messages"].size() == 1);
    CHECK(rest["messages"][0]["seq"] == 3);
    CHECK(rest["end"] == true);
    CHECK(h.admin("stream peek", {{"stream", "INBOX"}})->error.find("owner") != std::string::npos);
    CHECK(h.admin("stream peek", {{"stream", "S"}, {"filter", "a..b"}})->exit_status == 1);
    CHECK(h.admin("stream peek", {{"stream", "T"}})->error == "there is no stream T");
}

TEST_CASE("purge: by filter and up to a seq; consumers go on behind it")
{
    harness h;
    h.add_stream("S", {"s.>"});
    auto const a = h.join("ann", "n");
    h.say(a, publish(1) + publish(2, "s.b") + publish(3) + publish(4, "s.b") + publish(5));
    h.heard(a);
    CHECK(h.admin("stream purge", {{"stream", "S"}, {"filter", "s.b"}, {"up_to", 3}})->data["purged"] == 1);
    h.say(a, attach);
    CHECK(messages(h.heard(a)) == lines{"msg s.a S#1 c=w t=1 x", "msg s.a S#3 c=w t=1 x", "msg s.b S#4 c=w t=1 x", "msg s.a S#5 c=w t=1 x"});
    CHECK(h.admin("stream purge", {{"stream", "S"}})->data["purged"] == 4);
    CHECK(h.admin("stream show", {{"name", "S"}})->data["messages"] == 0);
    CHECK(h.ask(a, publish(6)) == lines{"msg s.a S#6 c=w t=1 x", "ok 6 S#6"});
    CHECK(h.admin("stream purge", {{"stream", "INBOX"}})->exit_status == 1);
}

TEST_CASE("purge: what a consumer had not got yet does not come, wherever it was kept")
{
    for (bool const from_memory : {true, false}) {
        INFO((from_memory ? "newest rows in memory" : "rows read ahead"));
        harness h;
        h.add_stream("S", {"s.>"});
        auto const a = h.join("ann", "n");
        auto const consume = R"({"op":"consume","stream":"S","consumer":"w","start":"first","window":2})" "\n";
        std::string all;
        for (int i = 1; i <= 10; ++i)
            all += publish(i);
        if (from_memory)
            h.say(a, consume);
        h.say(a, all);
        if (!from_memory)
            h.say(a, consume);
        CHECK(messages(h.heard(a)).size() == 2);
        CHECK(h.admin("stream purge", {{"stream", "S"}, {"up_to", 6}})->data["purged"] == 6);
        CHECK(messages(h.ask(a, R"({"op":"ack","consumer":"w","seq":[1,2]})" "\n")) == lines{"msg s.a S#7 c=w t=1 x", "msg s.a S#8 c=w t=1 x"});
    }
}

TEST_CASE("discard new: a full stream refuses, says quota, and takes again when there is room")
{
    harness h;
    CHECK(h.admin("stream add", {{"name", "S"}, {"subjects", {"s.>"}}, {"max_msgs", 2u}, {"discard", "new"}})->data["discard"] == "new");
    CHECK(h.admin("stream add", {{"name", "T"}, {"subjects", {"t.>"}}, {"discard", "some"}})->exit_status == 1);
    auto const a = h.join("ann", "n");
    CHECK(h.ask(a, publish(1) + publish(2)) == lines{"ok 1 S#1", "ok 2 S#2"});
    CHECK(h.ask(a, publish(3)) == lines{"error 3 quota"});
    CHECK(h.router().not_ready_because().empty());
    CHECK(h.admin("stream purge", {{"stream", "S"}, {"up_to", 1}})->data["purged"] == 1);
    CHECK(h.ask(a, R"({"op":"ping","id":"p"})" "\n" + publish(3)) == lines{"pong p", "ok 3 S#3"});
}

TEST_CASE("stream add: by those whom a rule lets create it")
{
    harness h;
    h.admin("user add", {{"name", "ann"}, {"keys", nlohmann::json::array()}});
    h.admin("rule add", {{"user", "ann"}, {"effect", "allow"}, {"action", "create"}, {"pattern", "stream.A"}});
    auto const a = h.open("ann", "user", encoding::lines, false);
    CHECK(h.admin_as(a, "stream add", {{"name", "A"}, {"subjects", {"a.>"}}})->exit_status == 0);
    CHECK(h.admin_as(a, "stream add", {{"name", "B"}, {"subjects", {"b.>"}}})->error.find("denied") == 0);
    CHECK(h.admin_as(a, "stream remove", {{"name", "A"}})->error.find("denied") == 0);
}
