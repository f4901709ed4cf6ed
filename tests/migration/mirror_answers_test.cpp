// What operators are told is what is so: dry runs, comparisons, refusals, what waits.

#include "tests/catch.hpp"
#include "tests/migration/mirror_steps.hpp"

using namespace kedge;
using namespace kedge::migration;

namespace {

void await_link_down(mirror_world& w)
{
    w.bus.stop();
    REQUIRE(w.until([&] { return w.status()["flags"].dump().find("link_down") != std::string::npos; }));
}

void compare(mirror_world& w, nlohmann::json args = nlohmann::json::object())
{
    must(w.run("diff", std::move(args)));
    REQUIRE(w.until([&] { return w.run("diff", {{"follow", true}})->data["running"] == false; }));
}

bool says(nlohmann::json const& what, std::string const& words) { return what.dump().find(words) != std::string::npos; }

void complete_it(mirror_world& w)
{
    bring_to(w, "NATS");
    REQUIRE(w.until([&] { return caught_up(w); }));
    must(w.run("complete", confirmed));
}

}  // namespace

TEST_CASE("a dry run of an abandon tells what would be lost, asks for nothing and changes nothing")
{
    mirror_world w{1};
    bring_to(w, "NATS");
    auto const early = w.run("reverse", {{"abandon", true}, {"dry_run", true}});
    must(early);
    CHECK(early->data["ok"] == false);
    CHECK(says(early->data["why_not"], "NATS answers"));
    await_link_down(w);
    w.publish(2);
    w.settle();
    auto const epoch = w.status()["authority_epoch"];
    auto const events = w.run("events")->data["events"].size();
    for (bool const sure : {false, true}) {
        nlohmann::json args{{"abandon", true}, {"dry_run", true}};
        if (sure)
            args["confirm"] = "CHAT";
        auto const dry = w.run("reverse", args);
        must(dry);
        INFO(dry->data.dump(1));
        CHECK(dry->data["ok"] == true);
        CHECK(dry->data["steps"].size() >= 4);
        CHECK(dry->data["risk"].size() >= 2);
        CHECK(says(dry->data["risk"], "behind message 25"));
        CHECK(says(dry->data["steps"], "\"read_up_to\":25"));
    }
    w.settle();
    CHECK(w.state() == "NATS");
    CHECK(w.status()["authority_epoch"] == epoch);
    CHECK(w.run("events")->data["events"].size() == events);
    CHECK(w.unanswered() == 2);  // they still wait for NATS
}

TEST_CASE("a comparison of the newest messages says nothing of what a whole one found")
{
    mirror_world w{2};
    bring_to(w, "MIRRORING");
    REQUIRE(w.bus.delete_message("CHAT", 3));
    compare(w);
    CHECK(w.status()["diff"]["missing"] == 1);
    compare(w, {{"tail", 5}});
    CHECK(w.run("diff", {{"follow", true}})->data["tail"] == 5);
    for (bool const restarted : {false, true}) {
        INFO(restarted);
        if (restarted) {
            w.advance(5'000);
            w.settle();
            w.crash();
            w.boot();
            REQUIRE(w.until([&] { return caught_up(w); }));
            w.advance(5'000);
            w.settle();
        }
        auto const s = w.status();
        INFO(s.dump(1));
        CHECK(s["diff"]["missing"] == 1);
        CHECK(!s["diff"].contains("tail"));
        CHECK(s["tail"]["clean"] == true);
        CHECK(s["tail"]["tail"] == 5);
        CHECK(s["tail"]["done"] == 5);
        CHECK(s["ready"] == false);
        CHECK(says(s["not_ready"], "the last diff found differences"));
    }
    must(w.run("switch", {{"dry_run", true}}));
}

TEST_CASE("a clean comparison of the newest messages is none of all, and one that differs is told")
{
    mirror_world w{3};
    bring_to(w, "MIRRORING");
    compare(w, {{"tail", 10}});
    REQUIRE(w.until([&] { return !says(w.status()["not_ready"], "checks in a row"); }));
    CHECK(w.status()["ready"] == false);
    CHECK(says(w.status()["not_ready"], "only the newest messages were compared"));
    compare(w);
    CHECK(w.status()["ready"] == true);
    CHECK(w.status()["tail"].is_null());  // all of it was looked at since
    REQUIRE(w.bus.delete_message("CHAT", 20));
    w.advance(1'000);
    compare(w, {{"tail", 10}});
    CHECK(says(w.status()["not_ready"], "the last 10 messages differ"));
    compare(w, {{"tail", 2}});
    CHECK(says(w.status()["not_ready"], "the last 10 messages differ"));
}

TEST_CASE("a message that was late in JetStream is told, and nobody has to wait for it: that order stays for good")
{
    mirror_world w{5};
    bring_to(w, "MIRRORING");
    w.bus.refuse_next("CHAT", 503, "no responders");
    w.publish(2);
    REQUIRE(w.until([&] { return caught_up(w); }));
    auto const jet = w.jet();
    REQUIRE(std::stoi(jet.back()) + 1 == std::stoi(jet.at(jet.size() - 2)));
    compare(w);
    auto const found = w.status()["diff"];
    CHECK(found["clean"] == false);
    CHECK(found["out_of_order"] == 1);
    REQUIRE(w.until([&] { return w.status()["ready"] == true; }));
    must(w.run("switch"));
    REQUIRE(w.until([&] { return w.status()["tail"].value("running", true) == false; }));  // the diff behind a switch
    CHECK(w.status()["tail"]["out_of_order"] == 1);
    REQUIRE(w.until([&] { return w.status()["ready"] == true; }));
    must(w.run("reverse"));
}

TEST_CASE("a stream that could not be switched, or not be brought back, is not ready, and says why")
{
    for (auto const* const state : {"MIRRORING", "NATS"}) {
        INFO(state);
        mirror_world w{4};
        bring_to(w, state);
        compare(w);
        REQUIRE(w.until([&] { return w.status()["ready"] == true; }));
        auto const good = w.bus.find("CHAT")->config;
        auto other = good;
        other.subjects.push_back("elsewhere.>");
        w.bus.update(other);
        // At the next look, and again within seconds of its being mended.
        REQUIRE(w.until([&] { return w.status()["ready"] == false; }, 600'000));
        CHECK(says(w.status()["not_ready"], "CHAT has the subjects"));
        CHECK(says(w.status()["not_ready"], "give it the same"));
        w.bus.update(good);
        REQUIRE(w.until([&] { return w.status()["ready"] == true; }, 10'000));
        // A new link is looked at anew.
        w.bus.stop();
        REQUIRE(w.until([&] { return w.status()["ready"] == false; }));
        w.bus.start();
        REQUIRE(w.until([&] { return w.status()["ready"] == true; }, 90'000));
    }
}

TEST_CASE("a comparison from before JetStream went back says nothing of what it is now")
{
    for (bool const restarted : {false, true}) {
        INFO(restarted);
        mirror_world w{6};
        bring_to(w, "MIRRORING");
        w.publish(50);
        REQUIRE(w.until([&] { return caught_up(w); }));
        compare(w);
        REQUIRE(w.until([&] { return w.status()["ready"] == true; }));
        w.bus.rewind("CHAT", w.bus.find("CHAT")->last - 20);
        REQUIRE(w.until([&] { return w.status()["counters"]["generation"] == 1 && caught_up(w); }));
        if (restarted) {
            w.crash();
            w.boot();
            REQUIRE(w.until([&] { return caught_up(w); }));
        }
        w.advance(10'000);
        w.settle();
        CHECK(w.status()["ready"] == false);
        CHECK(says(w.status()["not_ready"], "went back to an older copy since the last diff"));
        compare(w);
        REQUIRE(w.until([&] { return w.status()["ready"] == true; }));
    }
}

TEST_CASE("a comparison needs a link, and one that loses it says what it waits for")
{
    settings bounds;
    bounds.diff_messages_second = 5;
    mirror_world w{4, bounds};
    bring_to(w, "MIRRORING");
    must(w.run("diff"));
    w.advance(200);
    await_link_down(w);
    auto const waits = w.run("diff", {{"follow", true}});
    must(waits);
    CHECK(waits->data["running"] == true);
    CHECK(says(waits->data["waits_for"], "the link to NATS"));
    CHECK(w.status()["diff"]["waits_for"] == "the link to NATS");
    w.bus.start();
    REQUIRE(w.until([&] { return w.run("diff", {{"follow", true}})->data["running"] == false; }));
    CHECK(w.run("diff", {{"follow", true}})->data["clean"] == true);
    await_link_down(w);
    refused_because(w.run("diff"), "no link to NATS");
    CHECK(w.run("diff", {{"follow", true}})->data["running"] == false);
}

TEST_CASE("in COMPLETE nobody is sent a way that is not there")
{
    mirror_world w{5};
    complete_it(w);
    await_link_down(w);
    auto const next = w.status()["next"].get<std::string>();
    CHECK(next.find("reverse") == std::string::npos);
    CHECK(next.find("no way back") != std::string::npos);
    CHECK(next.find("--adopt") != std::string::npos);
    refused_because(w.run("reverse", {{"abandon", true}, {"confirm", "CHAT"}}), "COMPLETE");
}

TEST_CASE("in COMPLETE a stream that is gone is made anew only by who knows what that loses")
{
    mirror_world w{6};
    complete_it(w);
    w.bus.remove("CHAT");
    await_broken(w, "stream gone");
    CHECK(says(w.status()["next"], "only what consumers were not done with"));
    auto const asked = w.run("resume", {{"adopt", true}});
    refused_because(asked, "confirmed");
    CHECK(asked->data["confirm"] == "CHAT");
    CHECK(says(asked->data["risk"], "is lost"));
    CHECK(w.bus.find("CHAT") == nullptr);
    must(w.run("resume", {{"adopt", true}, {"confirm", "CHAT"}}));
    REQUIRE(w.until([&] { return caught_up(w); }));
    CHECK(w.bus.find("CHAT") != nullptr);
}

TEST_CASE("a resume that would be broken again at once is refused with what to do")
{
    mirror_world w{7};
    bring_to(w, "MIRRORING");
    w.bus.remove("CHAT");
    await_broken(w, "stream gone");
    auto const events = w.run("events")->data["events"].size();
    refused_because(w.run("resume"), "--adopt");
    CHECK(w.status()["broken"]["reason"] == "stream gone");
    CHECK(w.run("events")->data["events"].size() == events);
    must(w.run("resume", {{"adopt", true}}));
    both_sides_are_one(w);
}

TEST_CASE("a dry run does not say that it can be done when its figures say that it cannot, and says a reason once")
{
    mirror_world w{8};
    bring_to(w, "MIRRORING");
    auto const short_one = w.run("switch", {{"dry_run", true}, {"hold_ms", 1}});
    must(short_one);
    CHECK(short_one->data["ok"] == false);
    CHECK(says(short_one->data["why_not"], "--hold"));
    auto const fine = w.run("switch", {{"dry_run", true}});
    must(fine);
    INFO(fine->data.dump(1));
    CHECK(fine->data["ok"] == true);
    CHECK(says(fine->data["steps"], "carried_per_second"));
    await_link_down(w);
    auto const away = w.run("switch", {{"dry_run", true}});
    must(away);
    INFO(away->data["why_not"].dump(1));
    unsigned times = 0;
    for (auto const& why : away->data["why_not"])
        times += says(why, "no link");
    CHECK(times == 1);
}

TEST_CASE("what waits for NATS is shown with its age and the time it has left")
{
    settings bounds;
    bounds.hold_ms = 5'000;
    mirror_world w{9, bounds};
    bring_to(w, "NATS");
    CHECK(w.status()["hold"].is_null());
    w.bus.freeze(true);
    w.publish(2);
    w.settle();
    w.advance(1'000);
    w.settle();
    auto const hold = w.status()["hold"];
    INFO(hold.dump());
    REQUIRE(hold.is_object());
    CHECK(hold["messages"] == 2);
    CHECK(hold["age_ms"] == 1'000);
    CHECK(hold["left_ms"] == 4'000);
    w.bus.freeze(false);
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    CHECK(w.status()["hold"].is_null());
}

TEST_CASE("the metrics show no lag that is not known")
{
    mirror_world w{10};
    bring_to(w, "MIRRORING");
    compare(w);
    REQUIRE(w.until([&] { return w.status()["ready"] == true; }));
    auto const sample = [&] { return w.alive->mirror->sample_of({w.bus.now_ms() - 1'000'000, w.bus.now_ms()}); };
    auto const well = sample();
    CHECK(well.stream == "CHAT");
    CHECK(well.state == "MIRRORING");
    CHECK(well.ready);
    REQUIRE(well.behind.has_value());
    CHECK(well.behind->messages == 0);
    REQUIRE(well.compared.has_value());
    CHECK(well.compared->found == 0);
    await_link_down(w);
    CHECK(!sample().behind.has_value());
    CHECK(!sample().ready);
}

TEST_CASE("own publishes are told apart from what NATS clients published")
{
    mirror_world w{11};
    bring_to(w, "NATS");
    for (int i = 0; i < 4; ++i) {
        w.publish(10);
        w.settle();
        w.advance(1'000);
        w.settle();
    }
    auto const rates = w.status()["rates"];
    INFO(rates.dump());
    CHECK(rates["ordered"].get<double>() > 1);
    CHECK(rates["imported"].get<double>() == 0);
}

TEST_CASE("how much there is to catch up is measured once, and kept over a restart")
{
    settings bounds;
    bounds.pump_messages = 256;
    mirror_world w{12, bounds};
    w.settle();
    w.publish(15'000);
    w.settle();
    must(w.run("start", {{"from", "first"}}));
    auto const first = w.status()["catching_up"];
    REQUIRE(first.is_object());
    auto const total = first["total"].get<std::uint64_t>();
    CHECK(total > 10'000);
    for (int i = 0; i < 3'000; ++i)
        w.step();
    REQUIRE(w.status()["catching_up"].is_object());
    auto const later = w.status()["catching_up"];
    CHECK(later["total"] == total);
    CHECK(later["rows"].get<std::uint64_t>() <= total);
    w.crash();
    w.boot();
    auto const again = w.status()["catching_up"];
    REQUIRE(again.is_object());
    CHECK(again["total"] == total);
    both_sides_are_one(w);
    REQUIRE(w.until([&] { return w.status()["catching_up"].is_null(); }));
}

TEST_CASE("a command that has nothing to do says so")
{
    mirror_world w{13};
    bring_to(w, "LEGACY");
    auto const never = w.run("cancel", {{"delete_stream", true}, {"confirm", "CHAT"}});
    must(never);
    CHECK(never->data["already"] == true);
    CHECK(never->data["recorded"] == false);
    must(w.run("start"));
    REQUIRE(w.until([&] { return caught_up(w); }));
    refused_because(w.run("start", {{"from", "first"}}), "from 'now'");
    auto const again = w.run("start", {{"from", "now"}});
    must(again);
    CHECK(again->data["already"] == true);
    must(w.run("switch"));
    CHECK(w.run("switch")->data["already"] == true);
    must(w.run("reverse"));
    CHECK(w.run("reverse")->data["already"] == true);
    CHECK(w.run("reverse", {{"abandon", true}})->data["already"] == true);
    must(w.run("cancel"));
    auto const twice = w.run("cancel");
    must(twice);
    CHECK(twice->data["recorded"] == true);
    refused_because(w.run("start", {{"from", "first"}}), "from 'now'");
    must(w.run("start"));
}

TEST_CASE("a server that does not make the stream is told with what to do about it")
{
    struct row {
        int code;
        char const* why;
        char const* remedy;
    };
    for (auto const& r : {row{10074, "replicas > 1 not supported in non-clustered mode", "[nats] replicas"},
                          row{10047, "insufficient storage resources available", "max_file"},
                          row{10026, "maximum number of streams reached", "number of streams"}}) {
        INFO(r.why);
        auto const remedy = remedy_for(r.code, {});
        CHECK(remedy.find(r.remedy) != std::string::npos);
    }
}
