#include "tests/catch.hpp"

#include "tests/core/harness.hpp"

using namespace kedge;

TEST_CASE("links: the server speaks first, hello names the node")
{
    harness h;
    auto const a = h.open("ann", "bot");
    CHECK(h.heard(a) == lines{"welcome"});
    CHECK(h.last<notice::welcome>(a).role == "bot");
    CHECK(h.last<notice::welcome>(a).dedupe_ids == h.bounds.dedupe_ids);
    CHECK(h.ask(a, R"({"op":"hello","id":"1","node":"desk"})") == lines{"welcome 1 desk"});
    CHECK(h.ask(a, R"({"op":"hello","id":"2","node":"desk"})") == lines{"error 2 bad_request"});

    auto const b = h.open("bob");
    CHECK(h.ask(b, R"({"op":"ping","id":"p"})" "\n" R"({"op":"hello","id":"1"})") == lines{"pong p", "error 1 bad_request"});
    auto const c = h.open("cat");
    CHECK(h.ask(c, R"({"op":"hello","id":"1","inbox":true})") == lines{"error 1 bad_request"});
    auto const d = h.open("dan");
    CHECK(h.ask(d, R"({"op":"hello","id":"1","node":"x","inbox":true})") == lines{"welcome 1 x"});
    auto const e = h.open("eve");
    CHECK(h.ask(e, R"({"op":"hello","id":"1"})") == lines{"welcome 1"});
}

TEST_CASE("links: a later link with the same node replaces the earlier")
{
    harness h;
    auto const watcher = h.join("root", {}, "operator");
    h.say(watcher, R"({"op":"sub","subject":"$sys.node.*"})");
    auto const a = h.join("ann", "desk");
    CHECK(h.heard(watcher) == lines{R"(msg $sys.node.join {"node":"desk","user":"ann"})"});
    auto const b = h.join("ann", "desk");
    CHECK(h.heard(a) == lines{"bye replaced", "closed 1"});
    CHECK(h.heard(watcher) == lines{R"(msg $sys.node.leave {"node":"desk","reason":"replaced","user":"ann"})",
                                    R"(msg $sys.node.join {"node":"desk","user":"ann"})"});
    CHECK(h.ask(a, R"({"op":"ping"})").empty());
    h.close(a);
    CHECK(h.heard(watcher).empty());
    CHECK(h.ask(b, R"({"op":"ping"})") == lines{"pong"});
    h.close(b);
    CHECK(h.heard(watcher) == lines{R"(msg $sys.node.leave {"node":"desk","reason":"closed","user":"ann"})"});
    auto const other = h.join("bob", "desk");  // another user's node of that name is another node
    h.join("ann", "desk");
    CHECK(h.heard(other).empty());
}

TEST_CASE("links: nodes of a user are bounded, and make room when they were idle for long")
{
    limits l;
    l.user_nodes = 2;
    l.node_idle_ms = 3'600'000;
    harness h{l};
    auto const a = h.join("ann", "n1");
    h.join("ann", "n2");
    auto const c = h.open("ann");
    h.heard(c);
    CHECK(h.ask(c, R"({"op":"hello","id":"1","node":"n3"})") == lines{"error 1 quota"});
    CHECK(h.ask(h.open("bob"), R"({"op":"hello","id":"1","node":"n3"})") == lines{"welcome 1 n3"});
    h.close(a);
    h.pass(3'600'000 - 1);
    CHECK(h.ask(h.open("ann"), R"({"op":"hello","id":"1","node":"n3"})") == lines{"error 1 quota"});
    h.pass(1);
    CHECK(h.ask(h.open("ann"), R"({"op":"hello","id":"1","node":"n3"})") == lines{"welcome 1 n3"});
    CHECK(h.ask(h.open("ann"), R"({"op":"hello","id":"1","node":"n1"})") == lines{"error 1 quota"});
    CHECK(h.ask(h.open("ann"), R"({"op":"hello","id":"1","node":"n2"})") == lines{"welcome 1 n2"});
}

TEST_CASE("links: a node is not forgotten while its publishes are under way")
{
    limits l;
    l.user_nodes = 1;
    l.node_idle_ms = 3'600'000;
    harness h{l};
    h.add_stream("CHAT", {"chat.>"});
    auto const a = h.join("ann", "n1");
    h.hold();
    h.say(a, R"({"op":"pub","n":1,"subject":"chat.x"})");
    h.close(a);
    h.pass(3'600'001);
    CHECK(h.ask(h.open("ann"), R"({"op":"hello","id":"1","node":"n2"})") == lines{"error 1 quota"});
    h.release();
    CHECK(h.ask(h.open("ann"), R"({"op":"hello","id":"1","node":"n2"})") == lines{"welcome 1 n2"});
}

TEST_CASE("links: plain subscriptions")
{
    harness h;
    auto const p = h.join("pub");
    auto const a = h.join("ann");
    CHECK(h.ask(a, R"({"op":"sub","id":"1","subject":"a.*"})" "\n" R"({"op":"sub","id":"2","subject":"a.>"})" "\n"
                   R"({"op":"sub","id":"3","subject":"a.>"})") == lines{"ok 1", "ok 2", "ok 3"});
    h.say(p, R"({"op":"pub","subject":"a.b","data":"x"})");
    CHECK(h.heard(a) == lines{"msg a.b x"});  // one, however many match
    CHECK(h.counts.subscriptions.get() == 2);
    CHECK(h.ask(a, R"({"op":"unsub","id":"4","subject":"a.>"})" "\n" R"({"op":"unsub","id":"5","subject":"never"})") ==
          lines{"ok 4", "ok 5"});
    h.say(p, R"({"op":"pub","subject":"a.b.c","data":"y"})" "\n" R"({"op":"pub","subject":"a.b","data":"z"})");
    CHECK(h.heard(a) == lines{"msg a.b z"});
    CHECK(h.ask(a, R"({"op":"pub","id":"6","subject":"a.me","data":"self"})") == lines{"msg a.me self", "ok 6"});
    h.close(a);
    CHECK(h.counts.subscriptions.get() == 0);
}

TEST_CASE("links: a group takes turns over all its patterns")
{
    harness h;
    auto const p = h.join("pub");
    auto const a = h.join("ann");
    auto const b = h.join("bob");
    h.say(a, R"({"op":"sub","subject":"a.>","group":"g"})" "\n" R"({"op":"sub","subject":"*.x","group":"g"})");
    h.say(b, R"({"op":"sub","subject":"a.>","group":"g"})" "\n" R"({"op":"sub","subject":"a.*"})");
    for (int i = 0; i < 4; ++i)
        h.say(p, R"({"op":"pub","subject":"a.x"})");
    auto const of_a = h.heard(a);
    auto const of_b = h.heard(b);
    CHECK(of_a == lines{"msg a.x g=g", "msg a.x g=g"});
    CHECK(std::count(of_b.begin(), of_b.end(), "msg a.x g=g") == 2);
    CHECK(std::count(of_b.begin(), of_b.end(), "msg a.x") == 4);  // its own subscription is another
    h.close(b);
    h.say(p, R"({"op":"pub","subject":"a.x"})" "\n" R"({"op":"pub","subject":"q.x"})" "\n" R"({"op":"pub","subject":"a.y"})");
    CHECK(h.heard(a) == lines{"msg a.x g=g", "msg q.x g=g", "msg a.y g=g"});
    h.say(a, R"({"op":"unsub","subject":"a.>","group":"g"})" "\n" R"({"op":"unsub","subject":"*.x","group":"g"})");
    h.say(p, R"({"op":"pub","subject":"a.x"})");
    CHECK(h.heard(a).empty());
}

TEST_CASE("links: subscriptions are bounded")
{
    limits l;
    l.link_subscriptions = 2;
    harness h{l};
    auto const a = h.join("ann");
    CHECK(h.ask(a, R"({"op":"sub","id":"1","subject":"a"})" "\n" R"({"op":"sub","id":"2","subject":"b"})" "\n"
                   R"({"op":"sub","id":"3","subject":"c"})" "\n" R"({"op":"sub","id":"4","subject":"b"})") ==
          lines{"ok 1", "ok 2", "error 3 quota", "ok 4"});
    CHECK(h.ask(a, R"({"op":"unsub","id":"5","subject":"a"})" "\n" R"({"op":"sub","id":"6","subject":"c"})") ==
          lines{"ok 5", "ok 6"});
}

TEST_CASE("links: denials name the rule, and rules that come later take away")
{
    harness h;
    h.add_stream("CHAT", {"chat.>"});
    auto const a = h.join("ann");
    CHECK(h.ask(a, R"({"op":"sub","id":"1","subject":"$sys.>"})" "\n" R"({"op":"pub","id":"2","subject":"inbox.bob"})") ==
          lines{"error 1 denied", "error 2 denied"});
    CHECK(h.ask(a, R"({"op":"sub","id":"1","subject":"news.>"})" "\n" R"({"op":"sub","id":"2","subject":"other"})" "\n"
                   R"({"op":"consume","id":"3","stream":"CHAT","consumer":"work"})") == lines{"ok 1", "ok 2", "ok 3"});
    CHECK(h.ask(a, R"({"op":"pub","id":"4","subject":"news.x"})") == lines{"msg news.x", "ok 4"});
    CHECK(h.admin("user add", {{"name", "ann"}, {"keys", nlohmann::json::array()}})->exit_status == 0);
    CHECK(h.heard(a).empty());
    auto const rule = h.admin("rule add", {{"role", "user"}, {"effect", "deny"}, {"action", "subscribe"}, {"pattern", "news.secret"}});
    REQUIRE(rule->exit_status == 0);
    CHECK(h.heard(a) == lines{"error denied"});
    CHECK(h.last<notice::error>(a).message.find("rule " + rule->data["id"].dump()) != std::string::npos);
    h.say(a, R"({"op":"pub","id":"5","subject":"news.x"})" "\n" R"({"op":"pub","id":"6","subject":"other"})");
    CHECK(h.heard(a) == lines{"ok 5", "msg other", "ok 6"});
    h.admin("rule add", {{"user", "ann"}, {"effect", "deny"}, {"action", "subscribe"}, {"pattern", "chat.x"}});
    CHECK(h.heard(a) == lines{"error denied"});
    h.say(a, R"({"op":"pub","id":"7","subject":"chat.y"})");
    CHECK(h.heard(a) == lines{"ok 7 CHAT#1"});  // the consumer is detached
    h.admin("rule add", {{"user", "ann"}, {"effect", "deny"}, {"action", "publish"}, {"pattern", "chat.y"}});
    CHECK(h.ask(a, R"({"op":"pub","id":"8","subject":"chat.y"})") == lines{"error 8 denied"});
    CHECK(h.admin("rule remove", {{"id", rule->data["id"]}})->exit_status == 0);
    CHECK(h.ask(a, R"({"op":"sub","id":"9","subject":"news.>"})") == lines{"ok 9"});
}

TEST_CASE("links: what there is not is refused by name")
{
    harness h;
    auto const a = h.join("ann");
    CHECK(h.ask(a, R"({"op":"dance","id":"1"})") == lines{"error 1 unknown_op"});
    CHECK(h.given(a) == h.credited(a));
}

TEST_CASE("links: malformed operations are answered, broken frames end the link")
{
    harness h;
    h.add_stream("CHAT", {"chat.>"});
    auto const a = h.join("ann");
    CHECK(h.ask(a, "rubbish") == lines{"error bad_request"});
    CHECK(h.ask(a, R"({"op":"pub","id":"1","subject":"chat..x"})") == lines{"error 1 bad_request"});
    h.hold();
    h.say(a, R"({"op":"pub","id":"2","subject":"chat.x"})" "\n" R"({"op":"pub","id":"3","subject":"chat.x","data":1})");
    CHECK(h.heard(a).empty());  // the error waits for its turn
    h.release();
    CHECK(h.heard(a) == lines{"ok 2 CHAT#1", "error 3 bad_request"});
    h.step([&](core& c, instant now, actions& out) {
        c.step(link_event::any{a, link_event::operation{op::malformed{{}, {}, {error_code::bad_frame, "no"}}, 5}}, now, out);
    });
    CHECK(h.heard(a) == lines{"error bad_frame", "bye bad_frame", "closed 1"});
}

TEST_CASE("links: quit and end of input answer everything first")
{
    harness h;
    h.add_stream("CHAT", {"chat.>"});
    auto const a = h.join("ann");
    h.hold();
    h.say(a, R"({"op":"pub","id":"1","subject":"chat.x"})" "\n" R"({"op":"quit"})" "\n" R"({"op":"pub","id":"2","subject":"chat.x"})");
    CHECK(h.heard(a).empty());
    h.release();
    CHECK(h.heard(a) == lines{"ok 1 CHAT#1", "bye quit", "closed 0"});
    CHECK(h.given(a) == h.credited(a));

    auto const b = h.join("bob");
    h.hold();
    h.say(b, R"({"op":"pub","id":"1","subject":"chat.x"})" "\n" R"({"op":"consume","id":"2","stream":"CHAT","consumer":"w"})");
    h.end_input(b);
    h.end_input(b);
    CHECK(h.heard(b).empty());
    h.release();
    CHECK(h.heard(b) == lines{"ok 1 CHAT#2", "ok 2", "bye quit", "closed 0"});
    auto const c = h.join("cat");
    h.end_input(c);
    CHECK(h.heard(c) == lines{"bye quit", "closed 0"});
}

TEST_CASE("links: draining")
{
    harness h;
    h.add_stream("CHAT", {"chat.>"});
    auto const a = h.join("ann");
    auto const b = h.join("bob");
    h.hold();
    h.say(a, R"({"op":"pub","id":"1","subject":"chat.x"})");
    h.drain();
    CHECK(h.router().not_ready_because() != "");
    CHECK(h.heard(b) == lines{"info draining", "bye draining", "closed 1"});
    CHECK(h.heard(a) == lines{"info draining"});
    h.say(a, R"({"op":"pub","id":"2","subject":"chat.x"})" "\n" R"({"op":"pub","id":"3","subject":"plain"})");
    CHECK(h.heard(a) == lines{"error 3 draining"});
    h.release();
    CHECK(h.heard(a) == lines{"ok 1 CHAT#1", "error 2 draining", "bye draining", "closed 1"});
    auto const late = h.open("cat");
    CHECK(h.heard(late) == lines{"welcome", "bye draining", "closed 1"});
    CHECK_FALSE(h.drained);
    for (auto const link : {a, b, late, h.root})
        h.close(link);
    CHECK(h.drained);
}

TEST_CASE("links: a client that asked for it must be heard")
{
    harness h;
    auto const a = h.open("ann");
    auto const b = h.open("bob");
    h.say(a, R"({"op":"hello","keepalive":true})");
    h.say(b, R"({"op":"hello"})");
    h.pass(60'000);
    h.say(a, R"({"op":"ping"})");
    h.heard(a);
    h.heard(b);
    h.pass(h.bounds.idle_ms);
    CHECK(h.heard(a).empty());
    h.pass(1'000);
    CHECK(h.heard(a) == lines{"bye idle", "closed 1"});
    CHECK(h.heard(b).empty());
}

TEST_CASE("links: who does not read is let go, at the bound and not before")
{
    limits l;
    l.link_unsent_bytes = 64 * 1024;
    harness h{l};
    auto const p = h.join("pub");
    auto const a = h.join("ann");
    h.say(a, R"({"op":"sub","subject":"x"})");
    h.reads(a, false);
    auto const before = h.handed(a);
    h.say(p, R"({"op":"pub","subject":"x"})");
    auto const size = h.handed(a) - before;
    auto const fits = l.link_unsent_bytes / size;
    std::string many;
    for (std::uint64_t i = 1; i < fits; ++i)
        many += "{\"op\":\"pub\",\"subject\":\"x\"}\n";
    h.say(p, many);
    CHECK(h.heard(a).size() == fits);
    CHECK(h.counts.slow_consumers.get() == 0);
    h.say(p, R"({"op":"pub","subject":"x"})");
    CHECK(h.heard(a) == lines{"error slow_consumer", "bye slow_consumer", "closed 1"});
    CHECK(h.counts.slow_consumers.get() == 1);
    h.say(p, R"({"op":"pub","id":"1","subject":"x"})");
    CHECK(h.heard(p).back() == "ok 1");
    CHECK(h.counts.subscriptions.get() == 0);
}

TEST_CASE("links: answers that are not read stop the reading, and nothing is lost")
{
    limits l;
    l.link_unsent_bytes = 64 * 1024;
    harness h{l};
    auto const a = h.join("ann");
    h.reads(a, false);
    std::string many;
    constexpr int asked = 900;
    for (int i = 0; i < asked; ++i)
        many += "{\"op\":\"who\",\"id\":\"1\"}\n";
    h.say(a, many);
    h.say(a, R"({"op":"ping","id":"last"})");
    CHECK(h.handed(a) >= l.link_unsent_bytes);
    CHECK(h.handed(a) < l.link_unsent_bytes + 1024);  // one answer beyond the bound at most
    auto heard = h.heard(a);
    h.reads(a, true);
    for (auto const& line : h.heard(a))
        heard.push_back(line);
    CHECK(heard.size() == asked + 1);
    CHECK(heard.back() == "pong last");
    CHECK(h.counts.slow_consumers.get() == 0);
}

TEST_CASE("links: as many operations wait for their answer as the limit says; the next one waits unhandled")
{
    limits l;
    l.link_unanswered = 16;
    harness h{l};
    h.add_stream("CHAT", {"chat.>"});
    auto const a = h.join("ann");
    h.hold();
    std::string many;
    for (int i = 1; i <= 17; ++i)
        many += "{\"op\":\"pub\",\"id\":\"" + std::to_string(i) + "\",\"subject\":\"chat.x\"}\n";
    h.say(a, many);
    CHECK(h.waiting() == 16);
    CHECK(h.heard(a).empty());
    h.commit();
    CHECK(h.heard(a).size() == 16);
    CHECK(h.waiting() == 1);
    h.release();
    CHECK(h.heard(a) == lines{"ok 17 CHAT#17"});
    CHECK(h.given(a) == h.credited(a));
}

TEST_CASE("links: quit waits for what is held back behind a consumer that is being created")
{
    harness h;
    h.add_stream("CHAT", {"chat.>"});
    auto const a = h.join("ann");
    h.hold();
    h.say(a, R"({"op":"consume","id":"1","stream":"CHAT","consumer":"work"})" "\n" R"({"op":"detach","id":"2","consumer":"work"})" "\n"
             R"({"op":"quit"})");
    h.release();
    CHECK(h.heard(a) == lines{"ok 1", "ok 2", "bye quit", "closed 0"});
}

TEST_CASE("links: who")
{
    harness h;
    h.add_stream("CHAT", {"chat.>"});
    auto const a = h.join("ann", "desk");
    auto const b = h.join("bob");
    h.say(a, R"({"op":"consume","stream":"CHAT","consumer":"work","filter":"chat.x"})");
    h.say(a, R"({"op":"pub","subject":"chat.x"})");
    auto const asked = [&](link_id link, std::string const& what) {
        CHECK(h.ask(link, R"({"op":"who","id":"w","what":")" + what + "\"}") == lines{"reply w"});
        CHECK(h.last<notice::reply>(link).from == "$sys");
        return nlohmann::json::parse(h.last<notice::reply>(link).body);
    };
    auto const nodes = asked(b, "nodes")["nodes"];
    REQUIRE(nodes.size() == 2);  // the operator's command link is none
    for (auto const& n : nodes) {
        CHECK(n.size() == 4);
        CHECK(n["node"] == (n["user"] == "ann" ? nlohmann::json("desk") : nlohmann::json()));
        CHECK(n["since_ms"].is_number());
        CHECK(n["session"].is_string());
    }
    auto const streams = asked(b, "streams")["streams"];
    REQUIRE(streams.size() == 2);  // with INBOX
    CHECK(streams[1]["stream"] == "CHAT");
    CHECK(streams[1]["subjects"] == nlohmann::json{"chat.>"});
    CHECK(streams[1]["first_seq"] == 1);
    CHECK(streams[1]["last_seq"] == 1);
    CHECK(streams[1]["messages"] == 1);
    CHECK(streams[1]["bytes"].is_number());
    CHECK(asked(b, "consumers")["consumers"].empty());  // another's
    auto const consumers = asked(a, "consumers")["consumers"];
    REQUIRE(consumers.size() == 1);
    for (auto const* const key : {"stream", "consumer", "owner", "filter", "next_seq", "pending", "lag", "links", "dead"})
        CHECK(consumers[0].contains(key));
    CHECK(consumers[0]["pending"] == 1);
    CHECK(consumers[0]["next_seq"] == 2);
    CHECK(asked(h.join("op", {}, "operator"), "consumers")["consumers"].size() == 1);
    CHECK(asked(a, "services") == nlohmann::json{{"services", nlohmann::json::array()}});
    CHECK(asked(a, "lists") == nlohmann::json{{"lists", nlohmann::json::array()}});
}
