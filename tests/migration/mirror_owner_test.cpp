// Whose the JetStream stream is, in the moments in which that matters: before a copy begins, before anything is written, before it is
// deleted.

#include <algorithm>

#include "tests/catch.hpp"
#include "tests/migration/mirror_steps.hpp"

using namespace kedge;
using namespace kedge::migration;

namespace {

std::string const stranger = describe_owner({"0123456789abcdef", "x", "CHAT"});

nlohmann::json const delete_confirmed{{"delete_stream", true}, {"confirm", "CHAT"}};

jet_config stream_of(std::string description)
{
    jet_config config;
    config.name = "CHAT";
    config.subjects = {"chat.>"};
    config.description = std::move(description);
    return config;
}

void describe(mirror_world& w, std::string description)
{
    auto config = w.bus.find("CHAT")->config;
    config.description = std::move(description);
    w.bus.update(config);
}

std::string description(mirror_world& w) { return w.bus.find("CHAT")->config.description; }

bool has_native(std::vector<std::string> const& list)
{
    return std::ranges::any_of(list, [](auto const& body) { return body.starts_with("native"); });
}

}  // namespace

TEST_CASE("a cancel deletes a JetStream stream that is this server's, and no other")
{
    struct row {
        char const* name;
        bool anew;               ///< deleted and made again, not only marked
        bool of_this_home;
        char const* description; ///< null: of another database
        bool cancelled_before;
    };
    for (auto const& r : {row{"another home has marked it", false, false, nullptr, true}, row{"another database of this home", false, true, nullptr, true},
                          row{"a stranger made it anew", true, false, "", false}, row{"a stranger made it anew, after a cancel", true, false, "", true},
                          row{"another home made it anew", true, false, nullptr, true}}) {
        INFO(r.name);
        mirror_world w{31};
        bring_to(w, "MIRRORING");
        auto const mark = r.description ? r.description : r.of_this_home ? describe_owner({home_of(w.alive->secret), "another", "CHAT"}) : stranger;
        if (r.cancelled_before)
            must(w.run("cancel"));
        if (r.anew) {
            w.bus.remove("CHAT");
            w.bus.create(stream_of(mark));
            w.publish_native(1);
        } else {
            describe(w, mark);
        }
        auto const before = w.jet();
        refused_because(w.run("cancel", delete_confirmed), "was not deleted: it belongs to");
        CHECK(w.state() == "LEGACY");
        REQUIRE(w.bus.find("CHAT") != nullptr);
        CHECK(w.jet() == before);
    }
}

TEST_CASE("a cancel deletes a stream that is gone already, and one that this home has marked before a restore")
{
    for (bool const gone : {true, false}) {
        INFO(gone);
        mirror_world w{32};
        bring_to(w, "MIRRORING");
        if (gone)
            w.bus.remove("CHAT");
        auto const done = w.run("cancel", delete_confirmed);
        must(done);
        CHECK(done->data["deleted"] == true);
        CHECK(w.bus.find("CHAT") == nullptr);
        CHECK(w.alive->mirror->idle());
    }
}

TEST_CASE("a copy whose NATS is gone for good is forgotten by the stream's name; the JetStream stream stays")
{
    mirror_world w{33};
    bring_to(w, "MIRRORING");
    w.bus.stop();
    REQUIRE(w.until([&] { return !w.alive->link.up; }));
    refused_because(w.run("cancel", delete_confirmed), "migrate cancel CHAT' ends the copy");
    CHECK(w.state() == "MIRRORING");
    must(w.run("cancel"));
    auto const asked = w.run("cancel", {{"delete_stream", true}});
    refused_because(asked, "confirmed");
    CHECK(asked->data["confirm"] == "CHAT");
    CHECK(asked->data["risk"].dump().find("stays there") != std::string::npos);
    auto const done = w.run("cancel", delete_confirmed);
    must(done);
    CHECK(done->data["deleted"] == false);
    CHECK(w.alive->mirror->idle());
    w.crash();
    w.boot();
    CHECK(w.alive->mirror->idle());
    // It comes back after all: a copy that begins anew leaves alone what it holds.
    w.bus.start();
    REQUIRE(w.until([&] { return w.alive->link.up.has_value(); }));
    auto const rows = w.log();
    must(w.run("start"));
    REQUIRE(w.until([&] { return caught_up(w); }));
    CHECK(w.log() == rows);
}

TEST_CASE("a stream that another home has made anew is foreign, and no adoption takes it over")
{
    mirror_world w{34};
    bring_to(w, "MIRRORING");
    w.bus.remove("CHAT");
    bool const seen_gone = GENERATE(true, false);
    INFO(seen_gone);
    if (seen_gone)
        await_broken(w, "stream gone");
    w.bus.create(stream_of(stranger));
    w.publish_native(3);
    if (!seen_gone)
        await_broken(w, "foreign owner");
    refused_because(w.run("resume", {{"adopt", true}}), "belongs to");
    CHECK(w.status()["broken"]["reason"] == "foreign owner");
    CHECK(description(w) == stranger);
    w.publish(3);
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    w.advance(30'000);
    w.settle();
    CHECK(w.jet().size() == 3);
    // And when that one is deleted, it is there to be made again.
    w.bus.remove("CHAT");
    await_broken(w, "stream gone");
    must(w.run("resume", {{"adopt", true}}));
    both_sides_are_one(w);
}

TEST_CASE("a stream made anew by nobody that kedge knows is adopted by an operator's word")
{
    mirror_world w{35};
    bring_to(w, "MIRRORING");
    w.bus.remove("CHAT");
    w.bus.create(stream_of({}));
    await_broken(w, "stream gone");
    must(w.run("resume", {{"adopt", true}}));
    both_sides_are_one(w);
    CHECK(w.status()["broken"].is_null());
}

TEST_CASE("after a resume nothing is written before it is known whose the stream is")
{
    mirror_world w{36};
    bring_to(w, "MIRRORING");
    describe(w, describe_owner({home_of(w.alive->secret), "another", "CHAT"}));
    await_broken(w, "foreign owner");
    w.publish(5);
    REQUIRE(w.until([&] { return w.unanswered() == 0; }));
    describe(w, stranger);
    auto const before = w.jet();
    // Whoever asks first gets no answer, and asks again after a while.
    w.bus.fail_next_request({0, "no answer", true, false});
    w.bus.fail_next_request({0, "no answer", true, false});
    must(w.run("resume", {{"adopt", true}}));
    await_broken(w, "foreign owner");
    CHECK(w.jet() == before);
    CHECK(description(w) == stranger);
}

TEST_CASE("a start that was interrupted leaves what an existing stream held where it is, like the one before it")
{
    for (auto const* const label : {"start.intent", "start.created"}) {
        INFO(label);
        mirror_world w{37};
        bring_to(w, "LEGACY");
        w.publish(3);
        w.bus.create(stream_of({}));
        w.publish_native(50);
        w.kill_at(label);
        w.ask("start");
        w.settle();
        REQUIRE(w.killed());
        w.crash();
        w.boot();
        REQUIRE(w.until([&] { return w.alive->link.up.has_value(); }));
        must(w.run("start"));
        REQUIRE(w.until([&] { return caught_up(w); }));
        CHECK(w.log() == std::vector<std::string>{"1", "2", "3"});
        w.publish(2);
        w.publish_native(2);
        REQUIRE(w.until([&] { return caught_up(w) && w.log().size() == 7; }));
        CHECK(w.jet().size() == 54);
    }
}

TEST_CASE("a stream that is added again under its name does not take the copy of the former one for its own")
{
    mirror_world w{38};
    bring_to(w, "MIRRORING");
    auto const mark = description(w);
    must(w.run("cancel"));
    w.crash();
    std::vector<store_event::any> events;
    w.store.execute({store_request::remove_stream{token{1}, w.stream.id}}, events);
    w.store.execute({store_request::create_stream{token{2}, w.stream.config}}, events);
    w.boot();
    REQUIRE(w.until([&] { return w.alive->link.up.has_value(); }));
    w.publish(10);
    w.settle();
    auto const copied = w.jet().size();
    must(w.run("start"));
    CHECK(description(w) != mark);
    REQUIRE(w.until([&] { return caught_up(w); }));
    CHECK(w.log().size() == 10);
    CHECK_FALSE(has_native(w.log()));
    w.publish(5);
    REQUIRE(w.until([&] { return caught_up(w) && w.jet().size() == copied + 5; }));
    CHECK(w.log().size() == 15);
}

TEST_CASE("the probe stream of a plan that runs is left alone; an old one is swept")
{
    mirror_world w{39};
    bring_to(w, "LEGACY");
    auto probe = stream_of(describe_owner({home_of(w.alive->secret), w.alive->incarnation, "probe"}));
    probe.name = std::string{preflight_probe} + "another";
    probe.subjects = {"kedge-probe." + probe.name};
    w.bus.create(probe);
    w.advance(preflight_all_in_ms / 2);
    must(w.run("start"));
    CHECK(w.bus.find(probe.name) != nullptr);
    must(w.run("cancel"));
    w.advance(preflight_all_in_ms / 2);
    must(w.run("start"));
    CHECK(w.bus.find(probe.name) == nullptr);
}
