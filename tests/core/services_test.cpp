#include "tests/core/service_steps.hpp"

using namespace kedge;

namespace {

/// "connect 1", "online 1": the kind of an event and the version of the instance.
lines events(harness& h, link_id l)
{
    lines found;
    for (auto const& line : h.heard(l)) {
        auto const body = nlohmann::json::parse(line.substr(line.find('{')));
        auto const kind = line.substr(17, line.find(' ', 17) - 17);
        if (line.starts_with("msg $sys.service."))
            CHECK((body["service"] == "time" && body["instance"].get<std::string>().size() == 16 && body["user"].is_string()));
        found.push_back(line.starts_with("msg $sys.node.") ? line.substr(14, line.find(' ', 14) - 14)
                                                           : kind + " " + body["version"].get<std::string>());
    }
    return found;
}

}  // namespace

TEST_CASE("services: load goes to the least busy instance")
{
    harness h;
    auto const a = instance(h, "a", "1");
    auto const b = instance(h, "b", "2");
    auto const c = h.join("cat");
    auto const calls = [&](std::string const& id) {
        h.say(c, call_with(id));
        auto const of_a = h.heard(a).size();
        return std::string(of_a, 'a') + std::string(h.heard(b).size(), 'b');
    };
    CHECK(calls("1") == "a");
    CHECK(calls("2") == "b");
    CHECK(calls("3") == "a");
    CHECK(calls("4") == "b");
    answer(h, b);
    CHECK(calls("5") == "b");  // it has one, a two
    auto const late = instance(h, "late", "3");
    h.say(c, call_with("6") + "\n" + call_with("7") + "\n" + call_with("8"));
    CHECK(h.heard(late) == lines{"call time.now", "call time.now"});
    CHECK(h.heard(a).size() + h.heard(b).size() == 1);
    std::map<std::string, std::size_t> open;
    for (auto const& i : services(h, c))
        open[i["user"].get<std::string>()] = i["open"].get<std::size_t>();
    CHECK(open == std::map<std::string, std::size_t>{{"a", 3}, {"b", 2}, {"late", 2}});
}

TEST_CASE("services: events tell of each instance, and of the first and the last")
{
    harness h;
    auto const w = watcher(h);
    h.say(w, R"({"op":"sub","subject":"$sys.node.*"})");
    auto const a = h.join("srv", "box");
    h.say(a, R"({"op":"serve","service":"time","version":"1","methods":["now"]})");
    CHECK(events(h, w) == lines{"join", "connect 1", "online 1"});
    auto const b = instance(h, "other", "2");
    CHECK(events(h, w) == lines{"connect 2"});

    SECTION("unserve")
    {
        CHECK(h.ask(a, R"({"op":"unserve","id":"1","service":"time"})" "\n" R"({"op":"unserve","id":"2","service":"time"})") ==
              lines{"ok 1", "error 2 bad_request"});
        CHECK(events(h, w) == lines{"disconnect 1"});
        h.say(b, R"({"op":"unserve","service":"time"})");
        CHECK(events(h, w) == lines{"disconnect 2", "offline 2"});
        h.say(b, R"({"op":"serve","service":"time","version":"3","methods":["now"]})");
        CHECK(events(h, w) == lines{"connect 3", "online 3"});
    }
    SECTION("crash")
    {
        h.close(b);
        CHECK(events(h, w) == lines{"disconnect 2"});
        h.close(a);
        CHECK(events(h, w) == lines{"disconnect 1", "offline 1", "leave"});
    }
    SECTION("replaced: the earlier one is told of first, whole")
    {
        h.close(b);
        CHECK(events(h, w) == lines{"disconnect 2"});
        auto const later = h.join("srv", "box");
        h.say(later, R"({"op":"serve","service":"time","version":"1","methods":["now"]})");
        CHECK(events(h, w) == lines{"disconnect 1", "offline 1", "leave", "join", "connect 1", "online 1"});
        h.close(a);  // long replaced
        CHECK(events(h, w).empty());
    }
    SECTION("drain")
    {
        h.drain();
        auto heard = h.heard(w);
        REQUIRE(heard.size() >= 3);
        heard.resize(3);
        CHECK(heard[0].starts_with("msg $sys.service.disconnect"));
        CHECK(heard[1].starts_with("msg $sys.service.disconnect"));
        CHECK(heard[2].starts_with("msg $sys.service.offline"));
    }
    SECTION("who does not read is let go, and so is its instance")
    {
        h.reads(b, false);
        h.say(b, R"({"op":"sub","subject":"x"})");
        h.step([&](core& c, instant, actions&) {
            auto tight = h.bounds;
            tight.link_unsent_bytes = 64;
            c.set_limits(tight);
        });
        h.say(a, R"({"op":"pub","subject":"x","data":"one"})" "\n" R"({"op":"pub","subject":"x","data":"two"})");
        CHECK(events(h, w) == lines{"disconnect 2"});
    }
}

TEST_CASE("services: a link serves a service once")
{
    harness h;
    auto const w = watcher(h);
    auto const s = instance(h, "srv");
    auto const first = h.last<notice::ok>(s).instance;
    CHECK(events(h, w) == lines{"connect 1", "online 1"});
    CHECK(h.ask(s, R"({"op":"serve","id":"2","service":"time","version":"1","methods":["now"]})") == lines{"ok 2"});
    CHECK(h.last<notice::ok>(s).instance == first);
    for (auto const* const other : {R"("version":"2","methods":["now"])", R"("version":"1","methods":["now","zone"])",
                                    R"("version":"1","methods":["now"],"description":"new")"}) {
        INFO(other);
        CHECK(h.ask(s, std::string{R"({"op":"serve","id":"3","service":"time",)"} + other + "}") == lines{"error 3 exists"});
    }
    CHECK(events(h, w).empty());
    CHECK(services(h, s).size() == 1);
    CHECK(h.ask(s, R"({"op":"unserve","id":"4","service":"time"})" "\n"
                   R"({"op":"serve","id":"5","service":"time","version":"2","methods":["now"]})") == lines{"ok 4", "ok 5"});
    CHECK(h.last<notice::ok>(s).instance != first);
}

TEST_CASE("services: each limit, and one beyond")
{
    limits l;
    l.link_calls = 2;
    l.link_services = 2;
    l.service_methods = 2;
    harness h{l};
    auto const s = h.join("srv");
    auto const serve = [&](std::string const& service, std::string const& methods) {
        return h.ask(s, R"({"op":"serve","id":"1","version":"1","service":")" + service + R"(","methods":)" + methods + "}");
    };
    CHECK(serve("a", R"(["m","n"])") == lines{"ok 1"});
    CHECK(serve("b", R"(["m","n","o"])") == lines{"error 1 bad_request"});
    CHECK(serve("b", R"(["m"])") == lines{"ok 1"});
    CHECK(serve("c", R"(["m"])") == lines{"error 1 quota"});
    CHECK(serve("a", R"(["n","m"])") == lines{"ok 1"});  // it is there
    h.say(s, R"({"op":"unserve","service":"a"})");
    CHECK(serve("c", R"(["m"])") == lines{"ok 1"});

    auto const c = h.join("cat");
    auto const call = [&](std::string const& id) {
        return h.ask(c, R"({"op":"call","service":"b","method":"m","id":")" + id + "\"}");
    };
    CHECK(call("1").empty());
    CHECK(h.ask(c, R"({"op":"sub","subject":"x"})" "\n" R"({"op":"call","id":"2","subject":"x"})") == lines{"msg x"});
    CHECK(call("3") == lines{"error 3 quota"});
    CHECK(h.ask(c, R"({"op":"call","id":"4","subject":"x"})") == lines{"error 4 quota"});
    answer(h, s);
    CHECK(h.heard(c) == lines{"reply 1 noon"});
    CHECK(call("5").empty());
    h.router().measure();
    CHECK(h.counts.calls_open.get() == 2);
    CHECK(h.counts.calls_open_largest.get() == 2);
    CHECK(h.counts.services.get() == 2);
    CHECK(h.counts.service_instances.get() == 2);
}

TEST_CASE("services: rules say who serves and who calls, also later")
{
    harness h;
    auto const w = watcher(h);
    auto const s = instance(h, "srv");
    auto const c = h.join("cat");
    add_rule(h, "deny", "call", "time.zone");
    CHECK(h.ask(c, R"({"op":"call","id":"1","service":"time","method":"zone"})") == lines{"error 1 denied"});
    CHECK(h.ask(c, call_now).empty());
    add_rule(h, "deny", "serve", "time");
    CHECK(h.heard(s) == lines{"call time.now", "error denied"});
    CHECK(events(h, w) == lines{"connect 1", "online 1", "disconnect 1", "offline 1"});
    answer(h, s);
    CHECK(h.heard(c) == lines{"reply 1 noon"});
    CHECK(h.ask(s, R"({"op":"serve","id":"2","service":"time","version":"1","methods":["now"]})") == lines{"error 2 denied"});
    CHECK(h.ask(s, R"({"op":"serve","id":"3","service":"times","version":"1","methods":["now"]})") == lines{"ok 3"});
}

TEST_CASE("services: draining refuses what is new and finishes what is open")
{
    harness h;
    auto const s = instance(h, "srv");
    auto const idle = instance(h, "idle");
    auto const c = h.join("cat");
    h.say(c, call_now);
    h.drain();
    CHECK(h.heard(idle) == lines{"info draining", "bye draining", "closed 1"});
    CHECK(h.heard(s) == lines{"call time.now", "info draining"});
    CHECK(h.heard(c) == lines{"info draining"});
    CHECK(h.ask(c, call_with("2")) == lines{"error 2 draining"});
    CHECK(h.ask(s, R"({"op":"serve","id":"3","service":"b","version":"1","methods":["m"]})") == lines{"error 3 draining"});

    SECTION("answered")
    {
        answer(h, s);
        CHECK(h.heard(c) == lines{"reply 1 noon", "bye draining", "closed 1"});
        CHECK(h.heard(s) == lines{"bye draining", "closed 1"});
    }
    SECTION("timed out")
    {
        h.pass(5000);
        CHECK(h.heard(c) == lines{"error 1 timeout", "bye draining", "closed 1"});
        CHECK(h.heard(s) == lines{"bye draining", "closed 1"});
    }
    SECTION("the instance says no more")
    {
        h.end_input(s);
        CHECK(h.heard(c) == lines{"error 1 unavailable", "bye draining", "closed 1"});
        CHECK(h.heard(s) == lines{"bye draining", "closed 1"});
    }
    SECTION("the caller goes away")
    {
        h.close(c);
        CHECK(h.heard(s) == lines{"bye draining", "closed 1"});
    }
}

TEST_CASE("services: who tells of every instance")
{
    harness h;
    auto const a = h.join("srv", "box");
    h.say(a, R"({"op":"serve","service":"time","version":"1.2","methods":["zone","now"],"description":"tells it"})");
    auto const b = instance(h, "other", "1.3");
    auto const list = services(h, b);
    REQUIRE(list.size() == 2);
    CHECK(list[0]["instance"].get<std::string>().size() == 16);
    auto first = list[0];
    first.erase("instance");
    CHECK(first == nlohmann::json{{"service", "time"},
                                  {"version", "1.2"},
                                  {"user", "srv"},
                                  {"node", "box"},
                                  {"methods", {"now", "zone"}},
                                  {"description", "tells it"},
                                  {"open", 0},
                                  {"since_ms", h.now.wall_ms}});
    CHECK(list[1]["node"].is_null());
    CHECK(list[1]["description"] == "");
}

TEST_CASE("services: a broadcast reaches everyone who subscribed, and comes from those who may")
{
    harness h;
    auto const root = h.join("op", {}, "operator");
    auto const ann = h.join("ann");
    auto const bob = h.join("bob");
    CHECK(h.ask(ann, R"({"op":"sub","id":"1","subject":"$sys.broadcast"})") == lines{"error 1 denied"});
    for (auto const* const pattern : {"$sys.broadcast", "news.>", ">"})
        add_rule(h, "allow", "subscribe", pattern);
    for (auto const l : {root, ann, bob})
        CHECK(h.ask(l, R"({"op":"sub","id":"1","subject":"$sys.broadcast"})") == lines{"ok 1"});
    auto const everything = h.join("all");
    h.say(everything, R"({"op":"sub","subject":">"})");
    CHECK(h.ask(ann, R"({"op":"pub","id":"2","subject":"$sys.broadcast","data":"hi"})") == lines{"error 2 denied"});
    CHECK(h.ask(root, R"({"op":"pub","id":"3","subject":"$sys.broadcast","data":"tea"})") == lines{"msg $sys.broadcast tea", "ok 3"});
    CHECK(h.heard(ann) == lines{"msg $sys.broadcast tea"});
    CHECK(h.heard(bob) == lines{"msg $sys.broadcast tea"});
    CHECK(h.heard(everything).empty());
    CHECK(h.last<notice::msg>(bob).from.starts_with("op/"));
    REQUIRE(h.admin("user add", {{"name", "ann"}, {"keys", nlohmann::json::array()}})->exit_status == 0);
    nlohmann::json const rule{{"user", "ann"}, {"effect", "allow"}, {"action", "publish"}, {"pattern", "$sys.broadcast"}};
    REQUIRE(h.admin("rule add", rule)->exit_status == 0);
    CHECK(h.ask(ann, R"({"op":"pub","id":"4","subject":"$sys.broadcast","data":"hi"})") == lines{"msg $sys.broadcast hi", "ok 4"});
    CHECK(h.heard(bob) == lines{"msg $sys.broadcast hi"});
}
