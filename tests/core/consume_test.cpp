#include "tests/catch.hpp"

#include "tests/core/harness.hpp"

using namespace kedge;

namespace {

std::string pub_data(std::string const& data, std::string const& subject = "chat.x")
{
    return R"({"op":"pub","subject":")" + subject + R"(","data":")" + data + "\"}";
}
std::string consume(std::string const& more = "", std::string const& id = "c")
{
    return R"({"op":"consume","id":")" + id + R"(","stream":"CHAT","consumer":"work")" + more + "}";
}
std::string ack(std::string const& what, std::string const& id = "")
{
    return R"({"op":"ack","consumer":"work",)" + what + (id.empty() ? "" : R"(,"id":")" + id + "\"") + "}";
}

struct consumed_chat : harness {
    explicit consumed_chat(limits l = {}) : harness{l}
    {
        add_stream("CHAT", {"chat.>"});
        writer = join("writer");
    }
    void publish(int from, int to, std::string const& subject = "chat.x")
    {
        for (int i = from; i <= to; ++i)
            say(writer, pub_data(std::to_string(i), subject));
        heard(writer);
    }
    link_id writer{};
};

}  // namespace

TEST_CASE("consume: where a new one starts")
{
    struct row {
        char const* start;
        lines first;
    };
    row const rows[] = {
        {"", {"ok c", "msg chat.x CHAT#4 c=work t=1 4"}},
        {R"(,"start":"new")", {"ok c", "msg chat.x CHAT#4 c=work t=1 4"}},
        {R"(,"start":"first","window":1)", {"ok c", "msg chat.x CHAT#1 c=work t=1 1"}},
        {R"(,"start":{"seq":3},"window":1)", {"ok c", "msg chat.x CHAT#3 c=work t=1 3"}},
        {R"(,"start":{"time_ms":1700000000011},"window":1)", {"ok c", "msg chat.x CHAT#2 c=work t=1 2"}},
    };
    for (auto const& r : rows) {
        INFO(r.start);
        consumed_chat h;
        for (int i = 1; i <= 3; ++i) {
            h.publish(i, i);
            h.pass(10);
        }
        auto const a = h.join("ann");
        h.say(a, consume(r.start));
        h.publish(4, 4);
        CHECK(h.heard(a) == r.first);
    }
}

TEST_CASE("consume: what is refused")
{
    limits l;
    l.user_consumers = 2;
    consumed_chat h{l};
    auto const a = h.join("ann");
    struct row {
        char const* operation;
        char const* answer;
    };
    row const rows[] = {
        {R"("stream":"NONE","consumer":"w")", "error c unknown_stream"},
        {R"("stream":"CHAT","consumer":"w","window":0)", "error c bad_request"},
        {R"("stream":"CHAT","consumer":"w","window":16385)", "error c bad_request"},
        {R"("stream":"CHAT","consumer":"w","ack_wait_ms":999)", "error c bad_request"},
        {R"("stream":"CHAT","consumer":"w","ack_wait_ms":3600001)", "error c bad_request"},
        {R"("stream":"CHAT","consumer":"w","filter":"news.>")", "error c bad_request"},
        {R"("stream":"CHAT","consumer":"w","window":16384,"ack_wait_ms":1000,"filter":"chat.x","max_deliver":3)", "ok c"},
        {R"("stream":"CHAT","consumer":"w","filter":"chat.y")", "error c exists"},
        {R"("stream":"CHAT","consumer":"w","ack_wait_ms":2000)", "error c exists"},
        {R"("stream":"CHAT","consumer":"w","max_deliver":4)", "error c exists"},
        {R"("stream":"CHAT","consumer":"w","window":1,"start":"first")", "ok c"},
        {R"("stream":"CHAT","consumer":"w2","ack_wait_ms":3600000)", "ok c"},
        {R"("stream":"CHAT","consumer":"w3")", "error c quota"},
    };
    for (auto const& r : rows) {
        INFO(r.operation);
        CHECK(h.ask(a, std::string{R"({"op":"consume","id":"c",)"} + r.operation + "}") == lines{r.answer});
    }
    CHECK(h.ask(h.join("bob"), R"({"op":"consume","id":"c","stream":"CHAT","consumer":"w"})") == lines{"error c denied"});
    CHECK(h.given(a) == h.credited(a));
}

TEST_CASE("consume: two that create the same one at once")
{
    consumed_chat h;
    auto const a = h.join("ann");
    auto const b = h.join("ann");
    auto const c = h.join("bob");
    h.hold();
    CHECK(h.ask(a, consume()).empty());
    CHECK(h.ask(b, consume()).empty());
    CHECK(h.ask(c, consume()) == lines{"error c denied"});
    SECTION("made")
    {
        h.release();
        CHECK(h.heard(a) == lines{"ok c"});
        CHECK(h.heard(b) == lines{"ok c"});
        h.publish(1, 2);
        CHECK(h.heard(a).size() == 1);  // they share the work
        CHECK(h.heard(b).size() == 1);
    }
    SECTION("not made")
    {
        h.disk.fail(memory_store::fault::broken);
        h.release();
        CHECK(h.heard(a) == lines{"error c internal"});
        CHECK(h.heard(b) == lines{"error c internal"});
        CHECK(h.ask(a, consume()) == lines{"ok c"});
    }
}

TEST_CASE("consume: the window, and acknowledgements that open it")
{
    consumed_chat h;
    auto const a = h.join("ann");
    h.say(a, consume(R"(,"window":2)"));
    h.publish(1, 5);
    CHECK(h.heard(a) == lines{"ok c", "msg chat.x CHAT#1 c=work t=1 1", "msg chat.x CHAT#2 c=work t=1 2"});
    CHECK(h.ask(a, ack(R"("seq":1)")) == lines{"msg chat.x CHAT#3 c=work t=1 3"});
    CHECK(h.ask(a, ack(R"("upto":3)", "k")) == lines{"msg chat.x CHAT#4 c=work t=1 4", "msg chat.x CHAT#5 c=work t=1 5", "ok k"});
    CHECK(h.ask(a, ack(R"("seq":[4,5,9])")).empty());
    CHECK(h.counts.acks.get() == 5);
    CHECK(h.counts.acks_ignored.get() == 1);
    h.publish(6, 6);
    CHECK(h.heard(a) == lines{"msg chat.x CHAT#6 c=work t=1 6"});
    CHECK(h.ask(a, R"({"op":"ack","id":"x","consumer":"none","seq":1})") == lines{"error x unknown_consumer"});
}

TEST_CASE("consume: unacknowledged messages of one consumer are bounded over all links")
{
    limits l;
    l.consumer_pending = 3;
    consumed_chat h{l};
    auto const a = h.join("ann");
    h.say(a, consume());
    h.publish(1, 5);
    CHECK(h.heard(a).size() == 1 + 3);
    CHECK(h.ask(a, ack(R"("seq":2)")) == lines{"msg chat.x CHAT#4 c=work t=1 4"});
}

TEST_CASE("consume: it pauses at half of what may be unread")
{
    limits l;
    l.link_unsent_bytes = 64 * 1024;
    consumed_chat h{l};
    auto const a = h.join("ann");
    h.say(a, consume());
    h.heard(a);
    h.reads(a, false);
    for (int i = 0; i < 40; ++i)
        h.say(h.writer, pub_data(std::string(4000, 'x')));
    auto const heard = h.heard(a).size();
    CHECK(heard >= 8);
    CHECK(heard <= 9);
    h.reads(a, true);
    CHECK(h.heard(a).size() == 40 - heard);
}

TEST_CASE("consume: an ok of an ack means that the position is committed")
{
    consumed_chat h;
    auto const a = h.join("ann");
    h.say(a, consume());
    h.publish(1, 3);
    h.heard(a);
    h.hold();
    CHECK(h.ask(a, ack(R"("seq":1)", "k1")).empty());
    CHECK(h.ask(a, ack(R"("seq":2)", "k2") + "\n" + R"({"op":"ping"})") == lines{"pong"});
    h.commit();
    CHECK(h.heard(a) == lines{"ok k1"});
    h.crash();
    auto const b = h.join("ann");
    h.release();
    CHECK(h.ask(b, consume()) == lines{"ok c", "msg chat.x CHAT#2 c=work t=2 2", "msg chat.x CHAT#3 c=work t=2 3"});
    h.disk.fail(memory_store::fault::broken);
    CHECK(h.ask(b, ack(R"("seq":2)", "k")) == lines{"error k internal"});
    CHECK(h.ask(b, ack(R"("seq":2)", "k")) == lines{"ok k"});
    CHECK(h.given(b) == h.credited(b));
}

TEST_CASE("consume: redelivery goes first, the lowest first")
{
    consumed_chat h;
    auto const a = h.join("ann");
    h.say(a, consume(R"(,"window":3,"ack_wait_ms":1000)"));
    h.publish(1, 5);
    h.heard(a);
    SECTION("the wait is over")
    {
        h.pass(999);
        CHECK(h.heard(a).empty());
        h.pass(1);
        CHECK(h.heard(a) == lines{"msg chat.x CHAT#1 c=work t=2 1", "msg chat.x CHAT#2 c=work t=2 2", "msg chat.x CHAT#3 c=work t=2 3"});
        CHECK(h.counts.redeliveries.get() == 3);
    }
    SECTION("nak")
    {
        CHECK(h.ask(a, R"({"op":"nak","id":"n","consumer":"work","seq":2})") == lines{"ok n", "msg chat.x CHAT#2 c=work t=2 2"});
        CHECK(h.ask(a, R"({"op":"nak","consumer":"work","seq":1,"delay_ms":500})") == lines{"msg chat.x CHAT#4 c=work t=1 4"});
        h.say(a, ack(R"("seq":4)"));
        h.heard(a);
        h.pass(499);
        CHECK(h.heard(a).empty());
        h.say(a, ack(R"("seq":2)"));
        h.pass(1);
        CHECK(h.heard(a) == lines{"msg chat.x CHAT#1 c=work t=2 1"});
        CHECK(h.ask(a, R"({"op":"nak","id":"n","consumer":"work","seq":3,"delay_ms":86400000})").front() == "ok n");
        CHECK(h.ask(a, R"({"op":"nak","id":"n","consumer":"work","seq":3,"delay_ms":86400001})").front() == "error n bad_request");
    }
    SECTION("working")
    {
        h.pass(600);
        CHECK(h.ask(a, R"({"op":"working","id":"w","consumer":"work","seq":2})") == lines{"ok w"});
        h.pass(400);
        CHECK(h.heard(a) == lines{"msg chat.x CHAT#1 c=work t=2 1", "msg chat.x CHAT#3 c=work t=2 3"});
        h.pass(600);
        CHECK(h.heard(a) == lines{"msg chat.x CHAT#2 c=work t=2 2"});
    }
    SECTION("detach: elsewhere at once; the cursor stays")
    {
        auto const b = h.join("ann");
        h.say(b, consume());
        CHECK(h.heard(b) == lines{"ok c", "msg chat.x CHAT#4 c=work t=1 4", "msg chat.x CHAT#5 c=work t=1 5"});
        CHECK(h.ask(a, R"({"op":"detach","id":"d","consumer":"work"})") == lines{"ok d"});
        CHECK(h.heard(b) == lines{"msg chat.x CHAT#1 c=work t=2 1", "msg chat.x CHAT#2 c=work t=2 2", "msg chat.x CHAT#3 c=work t=2 3"});
        CHECK(h.ask(a, R"({"op":"detach","id":"d","consumer":"work"})") == lines{"ok d"});
        CHECK(h.ask(a, consume()) == lines{"ok c"});
    }
    SECTION("the link goes; what did not reach it was no try")
    {
        h.close(a, 0);
        auto const b = h.join("ann");
        CHECK(h.ask(b, consume()) == lines{"ok c", "msg chat.x CHAT#1 c=work t=1 1", "msg chat.x CHAT#2 c=work t=1 2",
                                           "msg chat.x CHAT#3 c=work t=1 3", "msg chat.x CHAT#4 c=work t=1 4",
                                           "msg chat.x CHAT#5 c=work t=1 5"});
    }
    SECTION("an orderly stop keeps what was acknowledged last")
    {
        h.hold();
        h.say(a, ack(R"("seq":1)", "k"));
        h.say(a, ack(R"("seq":3)"));
        h.restart();
        h.release();
        auto const b = h.join("ann");
        auto const heard = h.ask(b, consume());
        CHECK(heard.size() == 4);
        CHECK(heard[1] == "msg chat.x CHAT#2 c=work t=2 2");
        CHECK(heard[2].starts_with("msg chat.x CHAT#4"));
    }
}

TEST_CASE("consume: rows from the store, filtered, after a restart")
{
    consumed_chat h;
    auto const a = h.join("ann");
    h.say(a, consume(R"(,"filter":"chat.y","window":16384)"));
    h.close(a);
    for (int i = 1; i <= 300; ++i) {
        h.publish(i, i);
        h.publish(i, i, "chat.y");
    }
    h.crash();
    h.writer = h.join("writer");
    auto const b = h.join("ann");
    CHECK(h.ask(b, consume()).size() == 1 + 256);
    h.say(b, ack(R"("upto":512)"));
    CHECK(h.heard(b).size() == 300 - 256);
    h.publish(301, 301, "chat.y");
    h.publish(301, 301);
    CHECK(h.heard(b) == lines{"msg chat.y CHAT#601 c=work t=1 301"});
}

TEST_CASE("consume: one name in two streams")
{
    consumed_chat h;
    h.add_stream("NEWS", {"news"});
    auto const a = h.join("ann");
    h.say(a, consume() + "\n" + R"({"op":"consume","stream":"NEWS","consumer":"work"})");
    h.publish(1, 1);
    h.publish(1, 1, "news");
    h.heard(a);
    CHECK(h.ask(a, ack(R"("seq":1)", "k")) == lines{"error k bad_request"});
    CHECK(h.ask(a, ack(R"("seq":1,"stream":"NEWS")", "k")) == lines{"ok k"});
    CHECK(h.ask(a, R"({"op":"detach","consumer":"work","stream":"NEWS","id":"d"})") == lines{"ok d"});
    CHECK(h.ask(a, ack(R"("seq":1)", "k")) == lines{"ok k"});
    CHECK(h.counts.acks.get() == 2);
}

TEST_CASE("dead letters: made, told, listed, shown, replayed, dropped")
{
    consumed_chat h;
    auto const watcher = h.join("op", {}, "operator");
    h.say(watcher, R"({"op":"sub","subject":"$sys.dead"})");
    auto const a = h.join("ann");
    h.say(a, consume(R"(,"max_deliver":1,"ack_wait_ms":1000)"));
    h.publish(1, 2);
    h.say(h.writer, R"({"op":"pub","subject":"chat.x","headers":{"A":"b"},"data64":"/w=="})");
    h.heard(a);
    h.say(a, R"({"op":"term","consumer":"work","seq":1,"reason":"no good"})");
    CHECK(h.heard(watcher) == lines{R"(msg $sys.dead {"consumer":"work","reason":"no good","seq":1,"stream":"CHAT"})"});
    h.pass(1000);
    CHECK(h.heard(watcher).size() == 2);
    CHECK(h.heard(a).empty());
    CHECK(h.counts.dead_letters.get() == 3);

    nlohmann::json const which{{"stream", "CHAT"}, {"consumer", "work"}};
    auto const with = [&](nlohmann::json more) {
        more.update(which);
        return more;
    };
    auto const listed = h.admin("dead list", which)->data;
    CHECK(listed["total"] == 3);
    REQUIRE(listed["dead"].size() == 3);
    for (auto const* const key : {"seq", "subject", "from", "time_ms", "died_ms", "tries", "reason", "size"})
        CHECK(listed["dead"][0].contains(key));
    CHECK(h.admin("dead list", with({{"after", 1}, {"max", 1}}))->data["dead"][0]["seq"] == 2);
    CHECK(h.admin("consumer show", which)->data["dead"] == 3);
    auto const shown = h.admin("dead show", with({{"seq", 1}}))->data;
    CHECK(shown["data"] == "1");
    CHECK(shown["reason"] == "no good");
    auto const raw = h.admin("dead show", with({{"seq", 3}}))->data;
    CHECK(raw["data64"] == "/w==");
    CHECK(raw["headers"] == nlohmann::json{{"A", "b"}});
    CHECK(h.admin("dead show", with({{"seq", 9}}))->exit_status == 1);

    SECTION("dropped")
    {
        CHECK(h.admin("dead drop", with({{"seqs", {2, 9}}}))->data["count"] == 1);
        CHECK(h.admin("dead drop", with({{"seqs", nlohmann::json::array()}}))->data["count"] == 2);
        CHECK(h.admin("consumer show", which)->data["dead"] == 0);
    }
    SECTION("replayed")
    {
        CHECK(h.admin("dead replay", with({{"seqs", {1}}}))->data["count"] == 1);
        CHECK(h.heard(a) == lines{"msg chat.x CHAT#1 c=work t=1 1"});
        CHECK(h.admin("dead list", which)->data["total"] == 2);
        CHECK(h.admin("dead replay", with({{"seqs", nlohmann::json::array()}}))->data["count"] == 2);
        CHECK(h.heard(a).size() == 2);
        CHECK(h.admin("consumer show", which)->data["dead"] == 0);
        CHECK(h.admin("dead replay", which)->data["count"] == 0);
    }
    SECTION("a position that is saved while they are on their way back does not forget them")
    {
        h.publish(4, 4);
        h.heard(a);
        h.hold();
        h.admin("dead replay", which);
        h.commit();                                   // the page is read
        h.say(a, R"({"op":"ack","consumer":"work","seq":4,"id":"k"})");
        h.commit();                                   // replayed; the position follows
        h.commit();
        h.crash();
        h.release();
        auto const b = h.join("ann");
        CHECK(h.ask(b, consume()).size() == 1 + 3);
    }
    SECTION("a crash between: on the list, or delivered")
    {
        for (int commits = 0; commits < 4; ++commits) {
            h.hold();
            h.admin("dead replay", which);
            for (int i = 0; i < commits; ++i)
                h.commit();
            h.crash();
            h.release();
            h.writer = h.join("writer");
            auto const b = h.join("ann");
            auto const again = h.ask(b, consume()).size() - 1;
            CHECK(again + h.admin("dead list", which)->data["total"].get<std::size_t>() == 3);
            h.pass(1000);  // back among the dead
        }
    }
    SECTION("a replay that fails leaves them where they are")
    {
        h.hold();
        h.admin("dead replay", which);
        h.commit();
        h.disk.fail(memory_store::fault::broken);
        h.release();
        CHECK(h.admin_answers().back().exit_status == 1);
        CHECK(h.heard(a).empty());
        CHECK(h.admin("dead list", which)->data["total"] == 3);
        h.pass(2000);
        CHECK(h.admin("dead replay", which)->data["count"] == 3);
    }
}

TEST_CASE("dead letters: deaths outlive failures of the store and crashes")
{
    consumed_chat h;
    auto const a = h.join("ann");
    h.say(a, consume(R"(,"max_deliver":1,"ack_wait_ms":1000)"));
    h.publish(1, 2);
    h.disk.fail(memory_store::fault::broken);
    h.say(a, R"({"op":"term","consumer":"work","seq":1})");
    nlohmann::json const which{{"stream", "CHAT"}, {"consumer", "work"}};
    h.pass(1100);
    CHECK(h.admin("dead list", which)->data["total"] == 2);
    h.publish(3, 3);
    h.crash();  // tried once, and that was the last try
    CHECK(h.admin("dead list", which)->data["total"].get<int>() >= 2);
}

TEST_CASE("consume: a consumer that an operator removes")
{
    consumed_chat h;
    auto const a = h.join("ann");
    h.say(a, consume());
    h.publish(1, 1);
    h.heard(a);
    h.hold();
    h.say(a, ack(R"("seq":1)", "k"));
    h.admin("consumer remove", {{"stream", "CHAT"}, {"consumer", "work"}});
    h.say(a, ack(R"("seq":1)", "k2"));
    h.release();
    auto const heard = h.heard(a);
    CHECK(std::count(heard.begin(), heard.end(), "error unknown_consumer") == 1);
    CHECK(std::count_if(heard.begin(), heard.end(), [](auto const& line) { return line.find(" k") != line.npos; }) == 2);
    CHECK(h.given(a) == h.credited(a));
    CHECK(h.ask(a, ack(R"("seq":1)", "k3")) == lines{"error k3 unknown_consumer"});
    CHECK(h.ask(a, consume()) == lines{"ok c"});
}
