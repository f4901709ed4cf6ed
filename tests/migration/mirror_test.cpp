#include <algorithm>
#include <map>
#include <set>

#include "tests/catch.hpp"
#include "tests/migration/mirror_steps.hpp"

using namespace kedge;
using namespace kedge::migration;

TEST_CASE("a stream goes there and back and there for good, with publishers on both sides all the time")
{
    mirror_world w;
    w.settle();
    w.publish(3);
    w.settle();
    must(w.run("start"));
    CHECK(w.state() == "MIRRORING");
    for (auto const* const verb : {"switch", "reverse", "switch"}) {
        w.publish(10);
        w.publish_native(10);
        auto const result = w.run(verb);
        must(result);
        CHECK((*result).data["held_ms"].get<std::uint64_t>() < 1000);
        w.publish(10);
        w.publish_native(10);
        w.settle();
        CHECK(w.state() == (std::string{verb} == "switch" ? "NATS" : "MIRRORING"));
    }
    refused_because(w.run("complete"), "confirmed");
    must(w.run("complete", confirmed));
    CHECK(w.state() == "COMPLETE");
    w.publish(5);
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    CHECK(w.failures.empty());
    REQUIRE(w.until([&] { return caught_up(w); }));
    CHECK(w.jet().size() == w.log().size() - 3 * (w.log().front() == "1"));
    CHECK(w.accepted.size() == 68);
}

TEST_CASE("while a stream is held somebody looks every few milliseconds, also if nothing happens")
{
    mirror_world w;
    bring_to(w, "MIRRORING");
    std::size_t looks = 0;
    for (auto const* const verb : {"switch", "reverse"}) {
        auto const end = verb == std::string{"switch"} ? "NATS" : "MIRRORING";
        (void)w.ask(verb);
        for (int i = 0; i < 10'000 && w.state() != end; ++i) {
            if (w.step())
                continue;
            if (w.state() == "SWITCHING" || w.state() == "REVERSING") {
                ++looks;
                CHECK(w.alive->mirror->due_ms() <= w.now().steady_ms + 5);
            }
            w.advance(1);
        }
        CHECK(w.state() == end);
        w.settle();
    }
    CHECK(looks > 0);
}

TEST_CASE("publishes during a switch wait for it and keep their order")
{
    mirror_world w;
    bring_to(w, "MIRRORING");
    auto const request = w.ask("switch");
    (void)request;
    for (int i = 0; i < 200; ++i) {
        w.publish(2);
        w.advance(5);
        w.settle();
    }
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    CHECK(w.state() == "NATS");
    CHECK(w.failures.empty());
    std::vector<int> mine;
    for (auto const& body : w.jet())
        if (!body.starts_with("native"))
            mine.push_back(std::stoi(body));
    CHECK(std::is_sorted(mine.begin(), mine.end()));
    both_sides_are_one(w);
}

TEST_CASE("a kill at each labelled point ends in a legal state without an operator, and the command again is harmless")
{
    struct row {
        char const* verb;
        char const* label;
        char const* from;
        std::set<std::string> legal;  ///< after the restart
        char const* to;               ///< after the command again
        nlohmann::json args;
    };
    std::vector<row> const rows{
        {"start", "start.intent", "LEGACY", {"LEGACY"}, "MIRRORING", {}},
        {"start", "start.created", "LEGACY", {"LEGACY"}, "MIRRORING", {}},
        {"start", "start.committed", "LEGACY", {"MIRRORING"}, "MIRRORING", {}},
        {"switch", "switch.intent", "MIRRORING", {"MIRRORING"}, "NATS", {}},
        {"switch", "switch.held", "MIRRORING", {"MIRRORING"}, "NATS", {}},
        {"switch", "switch.fenced", "MIRRORING", {"MIRRORING", "NATS"}, "NATS", {}},
        {"switch", "switch.committed", "MIRRORING", {"NATS"}, "NATS", {}},
        {"switch", "switch.released", "MIRRORING", {"NATS"}, "NATS", {}},
        {"reverse", "reverse.intent", "NATS", {"NATS"}, "MIRRORING", {}},
        {"reverse", "reverse.held", "NATS", {"NATS"}, "MIRRORING", {}},
        {"reverse", "reverse.fenced", "NATS", {"NATS", "MIRRORING"}, "MIRRORING", {}},
        {"reverse", "reverse.committed", "NATS", {"MIRRORING"}, "MIRRORING", {}},
        {"reverse", "reverse.released", "NATS", {"MIRRORING"}, "MIRRORING", {}},
        {"complete", "complete.intent", "NATS", {"COMPLETE"}, "COMPLETE", confirmed},
        {"complete", "complete.committed", "NATS", {"COMPLETE"}, "COMPLETE", confirmed},
        {"cancel", "cancel.intent", "MIRRORING", {"LEGACY"}, "LEGACY", {}},
        {"cancel", "cancel.committed", "MIRRORING", {"LEGACY"}, "LEGACY", {}},
    };
    for (auto const& r : rows)
        for (std::uint64_t seed = 1; seed <= 5; ++seed) {
            INFO(r.label << " seed " << seed);
            mirror_world w{seed};
            bring_to(w, r.from);
            w.kill_at(r.label);
            auto args = r.args.is_null() ? nlohmann::json::object() : r.args;
            w.ask(r.verb, args);
            for (int i = 0; i < 2000 && !w.killed(); ++i) {
                w.publish(1);
                if (i % 3 == 0)
                    w.publish_native(1);
                w.advance(10);
                w.settle();
            }
            REQUIRE(w.killed());
            w.crash();
            w.publish_native(3);
            w.boot();
            w.publish_again();
            w.settle();
            CHECK(r.legal.contains(w.state()));
            REQUIRE(w.until([&] { return w.unanswered() == 0; }));
            REQUIRE(w.until([&] { return w.alive->link.up.has_value(); }));
            if (w.state() != "LEGACY")
                REQUIRE(w.until([&] { return caught_up(w); }));
            must(w.run(r.verb, args));
            CHECK(w.state() == r.to);
            w.publish(5);
            w.publish_native(5);
            REQUIRE(w.until([&] { return w.unanswered() == 0; }));
            if (w.state() == "LEGACY")
                continue;
            REQUIRE(w.until([&] { return caught_up(w); }));
            // Rows from before a start that goes on with what is new are on one side only, and so are native messages from before it.
            std::map<std::string, int> times;
            for (auto const& body : w.log())
                ++times[body];
            for (auto const& [body, n] : times)
                CHECK(n == 1);
            for (auto const& body : w.accepted)
                CHECK(times[body] == 1);
            if (std::string{r.verb} != "start")
                both_sides_are_one(w);
        }
}

TEST_CASE("a switch that takes longer than the hold rolls back, and says why")
{
    settings bounds;
    bounds.hold_ms = 500;
    mirror_world w{3, bounds};
    bring_to(w, "MIRRORING");
    w.ask("switch");
    while (w.state() != "SWITCHING")
        if (!w.step())
            w.advance(10);
    w.publish(1);
    w.bus.freeze(true);
    w.publish(10);
    REQUIRE(w.until([&] { return w.state() != "SWITCHING"; }));
    CHECK(w.state() == "MIRRORING");
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    CHECK(w.failures.empty());
    auto const events = w.run("events");
    must(events);
    auto const dump = events->data.dump();
    INFO(dump);
    CHECK(dump.find("switch rolled back") != std::string::npos);
    w.bus.freeze(false);
    REQUIRE(w.until([&] { return caught_up(w); }));
    both_sides_are_one(w);
}

TEST_CASE("a switch holds so many bytes and no more")
{
    settings bounds;
    bounds.hold_bytes = 4096;
    mirror_world w{4, bounds};
    bring_to(w, "MIRRORING");
    w.ask("switch");
    while (w.state() != "SWITCHING")
        if (!w.step())
            w.advance(10);
    w.publish(1);
    w.bus.freeze(true);
    for (int i = 0; i < 20 && w.state() == "SWITCHING"; ++i) {
        w.publish(10);
        w.advance(1);
        w.settle();
    }
    CHECK(w.state() == "MIRRORING");
    w.settle();
    REQUIRE(!w.failures.empty());
    CHECK(w.failures.front().code == error_code::unavailable);
    w.bus.freeze(false);
    w.publish_again();
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    both_sides_are_one(w);
}

TEST_CASE("publishes wait for a NATS that is away, then are unavailable, and go on when it is back")
{
    settings bounds;
    bounds.hold_ms = 1000;
    mirror_world w{5, bounds};
    bring_to(w, "NATS");
    w.bus.stop();
    w.publish(3);
    w.settle();
    CHECK(w.failures.empty());
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    CHECK(w.failures.size() == 3);
    CHECK(w.failures.front().code == error_code::unavailable);
    CHECK(w.state() == "NATS");
    CHECK(w.status()["flags"].dump().find("link_down") != std::string::npos);
    CHECK(w.status()["lag"]["known"] == false);
    refused_because(w.run("reverse"), "no link");
    w.bus.start();
    REQUIRE(w.until([&] { return caught_up(w); }));
    w.publish_again();
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    both_sides_are_one(w);
}

TEST_CASE("a NATS that is lost for good is given up by its name only")
{
    mirror_world w{6};
    bring_to(w, "NATS");
    refused_because(w.run("reverse", {{"abandon", true}, {"confirm", "CHAT"}}), "NATS answers");
    w.bus.stop();
    REQUIRE(w.until([&] { return w.status()["flags"].dump().find("link_down") != std::string::npos; }));
    w.publish(3);
    auto const asked = w.run("reverse", {{"abandon", true}});
    refused_because(asked, "confirmed");
    CHECK(asked->data["confirm"] == "CHAT");
    CHECK(asked->data["risk"].size() >= 2);
    must(w.run("reverse", {{"abandon", true}, {"confirm", "CHAT"}}));
    CHECK(w.state() == "MIRRORING");
    w.publish_again();
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    w.publish(3);
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    w.bus.start();
    REQUIRE(w.until([&] { return caught_up(w); }));
    w.publish_again();
    both_sides_are_one(w);
}

TEST_CASE("a stream that was cancelled goes on where it was")
{
    mirror_world w{7};
    bring_to(w, "MIRRORING");
    must(w.run("cancel"));
    CHECK(w.state() == "LEGACY");
    must(w.run("cancel"));
    w.publish(5);
    w.publish_native(5);
    w.settle();
    if (w.bus.now_ms() % 2 == 0) {
        w.crash();
        w.boot();
        REQUIRE(w.until([&] { return w.alive->link.up.has_value(); }));
    }
    must(w.run("start"));
    both_sides_are_one(w);
    refused_because(w.run("cancel", {{"delete_stream", true}}), "confirmed");
    must(w.run("cancel", {{"delete_stream", true}, {"confirm", "CHAT"}}));
    CHECK(w.bus.find("CHAT") == nullptr);
    CHECK(w.alive->mirror->idle());
    must(w.run("start", {{"from", "first"}}));
    both_sides_are_one(w);
}

TEST_CASE("a pause copies nothing, and goes on by resume; it ends no publishing")
{
    mirror_world w{8};
    bring_to(w, "MIRRORING");
    must(w.run("pause"));
    auto const before = w.jet().size();
    w.publish(5);
    w.settle();
    CHECK(w.unanswered() == 0);
    CHECK(w.jet().size() == before);
    CHECK(w.status()["lag"]["known"] == false);
    w.crash();
    w.boot();
    REQUIRE(w.until([&] { return w.alive->link.up.has_value(); }));
    CHECK(w.status()["flags"].dump().find("paused") != std::string::npos);
    refused_because(w.run("switch"), "paused");
    must(w.run("resume"));
    both_sides_are_one(w);
    must(w.run("switch"));
    refused_because(w.run("pause"), "ordered by JetStream");
}

TEST_CASE("a stream of somebody else is not taken, and one that is taken from us is left alone")
{
    mirror_world w{9};
    w.settle();
    jet_config theirs;
    theirs.name = "CHAT";
    theirs.subjects = {"chat.>"};
    theirs.description = describe_owner({"0123456789abcdef", "x", "CHAT"});
    w.bus.create(theirs);
    refused_because(w.run("start"), "belongs to");
    CHECK(w.state() == "LEGACY");
    w.bus.remove("CHAT");
    must(w.run("start"));
    auto config = w.bus.find("CHAT")->config;
    auto const ours = config.description;
    config.description = describe_owner({home_of(w.alive->secret), "another", "CHAT"});
    w.bus.update(config);
    REQUIRE(w.until([&] { return !w.status()["broken"].is_null(); }));
    CHECK(w.status()["broken"]["reason"] == "foreign owner");
    auto const before = w.jet().size();
    w.publish(5);
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    CHECK(w.jet().size() == before);
    config.description = ours;
    w.bus.update(config);
    REQUIRE(w.until([&] { return w.status()["broken"].is_null(); }));
    both_sides_are_one(w);
}

TEST_CASE("a stream that another database of this home has marked is taken back by an operator's word; another home's is not")
{
    struct row {
        char const* name;
        bool of_this_home;
    };
    for (auto const& r : {row{"a backup of this home", true}, row{"another home", false}}) {
        INFO(r.name);
        mirror_world w{11};
        bring_to(w, "MIRRORING");
        auto config = w.bus.find("CHAT")->config;
        auto const ours = config.description;
        config.description = describe_owner({r.of_this_home ? home_of(w.alive->secret) : "0123456789abcdef", "another", "CHAT"});
        w.bus.update(config);
        REQUIRE(w.until([&] { return !w.status()["broken"].is_null(); }));
        refused_because(w.run("resume"), "belongs to");
        if (!r.of_this_home) {
            refused_because(w.run("resume", {{"adopt", true}}), "belongs to");
            continue;
        }
        must(w.run("resume", {{"adopt", true}}));
        REQUIRE(w.until([&] { return w.bus.find("CHAT")->config.description == ours; }));
        w.publish(5);
        both_sides_are_one(w);
        CHECK(w.status()["broken"].is_null());
    }
}

TEST_CASE("a JetStream stream that is gone is made anew by an operator's word, and filled from the log")
{
    mirror_world w{10};
    bring_to(w, "MIRRORING");
    w.bus.remove("CHAT");
    REQUIRE(w.until([&] { return !w.status()["broken"].is_null(); }));
    CHECK(w.status()["broken"]["reason"] == "stream gone");
    w.publish(5);
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    must(w.run("resume", {{"adopt", true}}));
    REQUIRE(w.until([&] { return caught_up(w); }));
    both_sides_are_one(w);
}

TEST_CASE("a plan says what would fail, and what a start would do")
{
    mirror_world w{11};
    w.settle();
    w.publish(3);
    w.settle();
    jet_config theirs;
    theirs.name = "OTHER";
    theirs.subjects = {"*.room"};
    w.bus.create(theirs);
    refused_because(w.run("start"), "overlaps");
    w.bus.remove("OTHER");
    w.bus.services = {{"clock", {"chat.time"}}};
    refused_because(w.run("start"), "service clock");
    w.bus.services.clear();
    w.bus.account.storage_max = 1;
    must(w.run("start"));
    CHECK(w.bus.directory().size() == 1);  // the probe is gone
}

TEST_CASE("switch and reverse say beforehand what they would do, and change nothing")
{
    mirror_world w{12};
    bring_to(w, "MIRRORING");
    auto const dry = w.run("switch", {{"dry_run", true}});
    must(dry);
    INFO(dry->data.dump(1));
    CHECK(dry->data["ok"] == true);
    CHECK(dry->data["steps"].size() >= 5);
    CHECK(w.state() == "MIRRORING");
    must(w.run("switch"));
    auto const back = w.run("reverse", {{"dry_run", true}});
    must(back);
    CHECK(back->data["ok"] == true);
    auto const end = w.run("complete", {{"dry_run", true}});
    must(end);
    CHECK(end->data["ok"] == true);
    CHECK(w.state() == "NATS");
}

TEST_CASE("ready is said with every reason why not")
{
    mirror_world w{13};
    bring_to(w, "MIRRORING");
    CHECK(w.status()["ready"] == false);
    must(w.run("diff"));
    REQUIRE(w.until([&] { return w.status()["ready"] == true; }));
    CHECK(w.status()["not_ready"].empty());
    w.bus.stop();
    REQUIRE(w.until([&] { return w.status()["ready"] == false; }));
    CHECK(w.status()["not_ready"].dump().find("no link") != std::string::npos);
}

TEST_CASE("a diff begins again when JetStream is found to have gone back, also if that was found by the next process")
{
    settings bounds;
    bounds.diff_messages_second = 20;
    for (bool const over_a_crash : {false, true}) {
        mirror_world w{1, bounds};
        bring_to(w, "MIRRORING");
        w.publish(200);
        REQUIRE(w.until([&] { return w.status()["lag"]["messages"] == 0; }));
        auto const last = w.bus.find(mirror_world::name)->last;
        REQUIRE(last >= 200);
        must(w.run("diff"));
        auto const follow = [&] { return w.run("diff", {{"follow", true}})->data; };
        REQUIRE(w.until([&] { return follow()["done"] > last - 50; }));
        if (over_a_crash)
            w.crash();
        w.bus.rewind(mirror_world::name, last - 100);
        w.publish_native(120);
        if (over_a_crash)
            w.boot();
        REQUIRE(w.until([&] { return w.status()["counters"]["generation"] == 1; }));
        REQUIRE(w.until([&] { return follow()["running"] == false; }));
        CHECK(follow()["clean"] == true);
        CHECK(follow()["done"] == last - 100);
    }
}

TEST_CASE("a diff that failed is told as such, also after a restart, and the result before it is not taken for its own")
{
    mirror_world w{14};
    bring_to(w, "MIRRORING");
    must(w.run("diff"));
    REQUIRE(w.until([&] { return w.run("diff", {{"follow", true}})->data["running"] == false; }));
    CHECK(w.run("diff", {{"follow", true}})->data["clean"] == true);
    w.bus.freeze(true);
    must(w.run("diff"));
    w.bus.freeze(false);
    w.bus.remove("CHAT");
    REQUIRE(w.until([&] { return w.run("diff", {{"follow", true}})->data["running"] == false; }));
    for (bool const restarted : {false, true}) {
        INFO(restarted);
        if (restarted) {
            w.settle();
            w.advance(5'000);
            w.settle();
            w.crash();
            w.boot();
        }
        auto const told = w.run("diff", {{"follow", true}});
        must(told);
        INFO(told->data.dump());
        CHECK(told->data["error"].get<std::string>().find("CHAT") != std::string::npos);
        CHECK(told->data["clean"] == false);
        CHECK(told->data["running"] == false);
        auto const shown = w.status()["diff"];
        CHECK(shown["clean"] == true);  // of the one before
        CHECK(shown["later_error"] == told->data["error"]);
    }
}

TEST_CASE("new limits reach a mirror that runs, and its diff")
{
    mirror_world w{15};
    w.server.body_bytes = 100;
    bring_to(w, "MIRRORING");
    auto const native = [&] {
        bus_message m;
        m.subject = "chat.room";
        m.body = std::string(200, 'x');
        w.bus.publish(std::move(m));
        REQUIRE(w.until([&] { return caught_up(w); }));
    };
    auto const rows = w.log().size();
    native();
    CHECK(w.log().size() == rows);
    CHECK(w.status()["counters"]["parked"] == 1);
    w.server.body_bytes = 1000;
    w.alive->mirror->limits_changed();
    native();
    CHECK(w.log().size() == rows + 1);
    CHECK(w.status()["counters"]["parked"] == 1);
}

TEST_CASE("a diff knows the configured limits: what was set aside for them is no difference, what is larger than usual is compared")
{
    for (bool const small : {false, true}) {
        INFO(small);
        mirror_world w{16};
        w.server.body_bytes = small ? 100 : 4 * limits{}.body_bytes;
        bring_to(w, "MIRRORING");
        bus_message m;
        m.subject = "chat.room";
        m.body = std::string(small ? 200 : 2 * limits{}.body_bytes, 'x');
        w.bus.publish(std::move(m));
        REQUIRE(w.until([&] { return caught_up(w); }));
        must(w.run("diff"));
        REQUIRE(w.until([&] { return w.run("diff", {{"follow", true}})->data["running"] == false; }));
        auto const told = w.run("diff", {{"follow", true}})->data;
        INFO(told.dump());
        CHECK(told["clean"] == true);
    }
}

TEST_CASE("a command whose word could not be written down leaves everything as it was, and may be given again")
{
    for (auto const* const verb : {"pause", "resume", "cancel"}) {
        INFO(verb);
        mirror_world w{91};
        bring_to(w, "MIRRORING");
        if (verb != std::string{"pause"})
            must(w.run("pause"));
        auto const flags = w.status()["flags"];
        w.settle();
        auto const request = w.ask(verb);
        w.store.fail(memory_store::fault::broken);
        REQUIRE(w.until([&] { return w.answer_to(request).has_value(); }));
        refused_because(w.answer_to(request), "the disk failed");
        CHECK(w.state() == "MIRRORING");
        CHECK(w.status()["flags"] == flags);
        w.advance(2000);
        w.settle();
        CHECK(w.status()["flags"] == flags);
        must(w.run(verb));
        must(w.run(verb == std::string{"cancel"} ? "start" : "resume"));
        w.publish(3);
        both_sides_are_one(w);
    }
}
