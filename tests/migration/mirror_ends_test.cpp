// What an operator gives up: a NATS that is lost, and a journal that cannot be read.

#include <algorithm>

#include "tests/catch.hpp"
#include "tests/migration/mirror_steps.hpp"

using namespace kedge;
using namespace kedge::migration;

namespace {

nlohmann::json const abandon_confirmed{{"abandon", true}, {"confirm", "CHAT"}};

std::string journal_in(mirror_world& w)
{
    auto const contents = w.store.load(w.bus.now_ms());
    REQUIRE(contents.mirrors.size() == 1);
    return contents.mirrors.front().journal;
}

void link_goes(mirror_world& w)
{
    w.bus.stop();
    REQUIRE(w.until([&] { return !w.alive->link.up; }));
}

}  // namespace

TEST_CASE("what comes behind a publish that is given up with NATS does not overtake it")
{
    mirror_world w{41};
    bring_to(w, "NATS");
    link_goes(w);
    w.publish(1);
    auto late = std::exchange(w.alive->queued, {});  // on its way to the migration's thread
    REQUIRE(late.size() == 1);
    auto const accepted = w.accepted.size();
    w.ask("reverse", abandon_confirmed);
    w.settle();
    CHECK(w.state() == "MIRRORING");
    CHECK(w.alive->gates.look(w.stream.id).holding);
    w.publish(1);
    w.settle();
    CHECK(w.accepted.size() == accepted);
    w.alive->queued = std::move(late);
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    CHECK(w.failures.size() == 2);
    CHECK_FALSE(w.alive->gates.look(w.stream.id).holding);
    w.publish_again();
    w.publish(1);
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    auto const log = w.log();
    auto const last = std::stoi(log.back());
    REQUIRE(log.size() > 3);
    CHECK(std::vector<std::string>(log.end() - 3, log.end())
          == std::vector<std::string>{std::to_string(last - 2), std::to_string(last - 1), std::to_string(last)});
    w.bus.start();
    both_sides_are_one(w);
}

TEST_CASE("a NATS that is given up has its publishers answered, and those who wait go on")
{
    mirror_world w{42};
    bring_to(w, "NATS");
    link_goes(w);
    w.publish(3);
    w.settle();
    w.ask("reverse", abandon_confirmed);
    w.publish(3, "bob/two");
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    CHECK(w.state() == "MIRRORING");
    CHECK_FALSE(w.alive->gates.look(w.stream.id).holding);
    w.publish_again();
    w.publish(1);
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    w.bus.start();
    both_sides_are_one(w);
}

TEST_CASE("a journal that cannot be read is left as it is until an operator gives it up")
{
    for (auto const* const text : {R"({"v":2,"state":"NATS","more":1})", "damaged"}) {
        INFO(text);
        mirror_world w{43};
        bring_to(w, "NATS");
        w.crash();
        store_request::put_mirror put;
        put.request = token{1};
        put.mirror.stream = w.stream.id;
        put.mirror.keep = true;
        put.mirror.journal = text;
        std::vector<store_event::any> events;
        w.store.execute({put}, events);
        w.boot();
        w.settle();
        CHECK(w.status()["broken"]["reason"] == "journal");
        for (int i = 0; i < 3; ++i) {
            link_goes(w);
            w.advance(5'000);
            w.settle();
            w.bus.start();
            REQUIRE(w.until([&] { return w.alive->link.up.has_value(); }));
            w.advance(5'000);
            w.settle();
        }
        refused_because(w.run("resume"), "migrate cancel CHAT");
        effects last;
        w.alive->mirror->flush(last);
        CHECK(last.store.empty());
        CHECK(journal_in(w) == text);
        must(w.run("cancel"));
        CHECK(w.state() == "LEGACY");
        CHECK(journal_in(w).find("LEGACY") != std::string::npos);
        w.publish(3);
        REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    }
}
