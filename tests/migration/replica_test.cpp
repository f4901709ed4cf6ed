// Single situations of a stream's traffic.

#include <algorithm>
#include <string>
#include <vector>

#include "migration/identity.hpp"
#include "tests/catch.hpp"
#include "tests/migration/replica_scene.hpp"

namespace kedge::migration::test {

namespace {

/// Until what is beyond the limits of `config`, and has been in JetStream long enough, is gone from the log.
void trim_log(scene& s, stream_config config)
{
    config.name = replica_world::name;
    config.subjects = {"chat.>"};
    std::vector<store_event::any> out;
    s.store->execute({store_request::edit_stream{token{1'000'000}, s.stream, config}}, out);
    for (int i = 0; i < 5; ++i) {
        s.advance(s.server.mirror_sync_ms);
        s.store->maintain(s.bus.now_ms(), out);
    }
}

}  // namespace

TEST_CASE("replica: rows go out, messages come in, both once and in order")
{
    scene s;
    s.settle();
    CHECK(s.facts().synchronous);
    for (int i = 0; i < 5; ++i)
        s.append("a/x", "chat.a", "ssh" + std::to_string(i), {"i" + std::to_string(i)});
    s.settle();
    s.native("nats0");
    s.native("nats1");
    s.settle();
    CHECK(s.bodies() == lines{"ssh0", "ssh1", "ssh2", "ssh3", "ssh4", "nats0", "nats1"});
    CHECK(s.log() == lines{"a/x ssh0", "a/x ssh1", "a/x ssh2", "a/x ssh3", "a/x ssh4", "nats nats0", "nats nats1"});
    CHECK(s.idle());
    CHECK(s.facts().copied == 5);
    CHECK(s.facts().imported == 2);
    CHECK(s.facts().floor == 7);
    CHECK(s.stored.size() == 5);
    CHECK(std::ranges::count(s.reached, "pump.sent") > 0);
    CHECK(std::ranges::count(s.reached, "import.stored") > 0);
}

TEST_CASE("replica: a message that is refused in the middle of a window is sent again, and counted")
{
    scene s;
    s.settle();
    for (int i = 0; i < 10; ++i)
        s.append("a/x", "chat.a", std::to_string(i));
    // The third one: two have gone before.
    while (s.jet().last < 2)
        REQUIRE(s.step());
    s.bus.refuse_next(replica_world::name, 10077, "maximum bytes exceeded");
    s.settle(2000);
    CHECK(s.idle());
    auto all = s.bodies();
    std::ranges::sort(all);
    CHECK(all == lines{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
    CHECK(s.facts().refusals >= 1);
    CHECK(s.facts().refused_why.empty());
}

TEST_CASE("replica: what NATS refuses for good breaks the mirror, and mending tries again")
{
    scene s;
    s.settle();
    s.append("a/x", "chat.a", "1");
    s.bus.refuse_next(replica_world::name, 10054, "message size exceeds maximum allowed", 100);
    s.settle(20'000);
    CHECK(s.facts().broken == breakage::refused);
    CHECK(!s.replica->running());
    s.bus.refuse_no_more(replica_world::name);
    s.replica->mend();
    effects out;
    s.replica->run(s.now(), out);
    s.apply(std::move(out));
    s.settle(3000);
    CHECK(s.idle());
    CHECK(s.bodies() == lines{"1"});

    SECTION("a server that is full is tried for ever")
    {
        s.append("a/x", "chat.a", "2");
        s.bus.refuse_next(replica_world::name, 10047, "insufficient storage", 1000);
        s.settle(60'000);
        CHECK(s.facts().broken == breakage::none);
        CHECK(s.facts().refused_why == "insufficient storage");
        s.bus.refuse_no_more(replica_world::name);
        s.settle(6000);
        CHECK(s.idle());
    }
}

TEST_CASE("replica: an old row with a header that NATS would act on is carried safely")
{
    scene s;
    publish_options how;
    how.headers = R"({"Nats-Rollup":"all","Nats-Expected-Stream":"OTHER","X":"1"})";
    s.append("a/x", "chat.a", "old", how);
    s.settle();
    CHECK(s.idle());
    auto const all = s.messages();
    REQUIRE(all.size() == 1);
    for (auto const& [name, value] : all.front().headers)
        CHECK((name == "Nats-Msg-Id" || !name.starts_with("Nats-")));
}

TEST_CASE("replica: a NATS client that copies our headers publishes a message of its own")
{
    scene s;
    s.settle();
    s.append("a/x", "chat.a", "row", {"1"});
    s.settle();
    s.jetstream();
    s.append("a/x", "chat.a", "own", {"2"});
    s.settle();
    for (std::size_t i = 0; i < 2; ++i) {
        auto verbatim = s.messages().at(i);
        std::erase_if(verbatim.headers, [](auto const& h) { return h.first == "Nats-Msg-Id"; });
        auto changed = verbatim;
        changed.body += "!";
        s.bus.publish(verbatim);
        s.bus.publish(changed);
    }
    s.settle();
    CHECK(s.idle());
    CHECK(s.log() == lines{"a/x row", "a/x own", "nats row", "nats row!", "nats own", "nats own!"});
    for (auto const& r : s.rows())
        CHECK((r.sender->view() != native_sender || r.message->id().empty()));
}

TEST_CASE("replica: a message id of ours that somebody else has used keeps nothing out")
{
    scene s;
    identity const wire{s.contents.secret, replica_world::name, s.stream};
    auto const id_of = [](bus_message const& m) {
        return std::ranges::find(m.headers, "Nats-Msg-Id", &bus_headers::value_type::first)->second;
    };
    s.settle();
    row const coming{1, s.bus.now_ms(), shared_bytes::copy_of("a/x"), message::make({"chat.a", "1", "", "", "row"})};
    s.native("thief", {{"Nats-Msg-Id", id_of(wire.copy(s.contents.incarnation, {2, coming.time_ms, coming.sender, coming.message}))}});
    s.settle();
    s.append("a/x", "chat.a", "row", {"1"});
    s.settle(3000);
    CHECK(s.idle());
    CHECK(s.log() == lines{"nats thief", "a/x row"});
    CHECK(s.bodies() == lines{"thief", "row"});
    CHECK(s.facts().duplicates == 1);

    s.jetstream();
    store_request::append a;
    a.sender = shared_bytes::copy_of("a/x");
    a.named = true;
    a.message = message::make({"chat.a", "2", "", "", "own"});
    s.native("thief2", {{"Nats-Msg-Id", id_of(wire.own(s.contents.incarnation, 2, 1, 1, a))}});
    auto const request = s.append("a/x", "chat.a", "own", {"2"});
    s.settle(3000);
    CHECK(s.stored.contains(request));
    CHECK(s.log() == lines{"nats thief", "a/x row", "nats thief2", "a/x own"});
}

TEST_CASE("replica: what kedge cannot hold is parked, shown and passed")
{
    scene s;
    s.settle();
    s.native("long", {}, "chat.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p");
    s.native("odd", {{"Under_Score", "1"}});
    s.native("good");
    s.settle();
    CHECK(s.idle());
    CHECK(s.log() == lines{"nats good"});
    CHECK(s.facts().parked == 2);
    REQUIRE(s.facts().last_parked.size() == 2);
    CHECK(s.facts().last_parked[0].place == 1);
    CHECK(s.facts().last_parked[1].why.find("header") != std::string::npos);
    CHECK(s.facts().checkpoint == 3);
}

TEST_CASE("replica: a NATS clock that is a day ahead does not move stored time")
{
    scene s;
    s.settle();
    auto const now = s.bus.now_ms();
    s.native("tomorrow");
    s.jet().messages.at(1).time_ns = (now + 86'400'000) * 1'000'000;
    s.settle();
    s.append("a/x", "chat.a", "today");
    s.settle();
    auto const rows = s.rows();
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].time_ms == now);
    CHECK(rows[1].time_ms == now);
}

TEST_CASE("replica: a JetStream directory that was put back is noticed and repaired, also when natives published before we came")
{
    for (auto const to : {jet_place{0}, jet_place{7}, jet_place{19}})
        for (auto const later : {0, 1, 30}) {
            INFO("back to " << to << ", then " << later << " more");
            scene s;
            s.settle();
            for (int i = 0; i < 10; ++i) {
                s.append("a/x", "chat.a", "ssh" + std::to_string(i));
                s.settle();
                s.native("nats" + std::to_string(i));
                s.settle();
            }
            s.bus.rewind(replica_world::name, to);
            for (int i = 0; i < later; ++i)
                s.native("later" + std::to_string(i));
            s.settle(1000);
            CHECK(s.idle());
            CHECK(s.facts().generation == 1);
            CHECK(s.facts().taken_back == 20 - to);
            auto in_log = s.log();
            for (auto& line : in_log)
                line = line.substr(line.find(' ') + 1);
            auto in_jet = s.bodies();
            CHECK(in_log.size() == 20 + static_cast<std::size_t>(later));
            std::ranges::sort(in_log);
            std::ranges::sort(in_jet);
            CHECK(in_log == in_jet);
            CHECK(std::ranges::count(s.reached, "takeback.done") == 1);
        }
}

TEST_CASE("replica: a JetStream directory that was put back is noticed where limits took the last message that was read")
{
    // Natives fill it up beyond what was read. Of theirs one stands at `place`; the others have taken each other, and whatever stood there.
    auto const back = jet_place{5};
    auto const read = jet_place{45};
    auto const place = GENERATE(range(back + 1, read + 1));
    auto const lost_rows = GENERATE(false, true);
    INFO("at " << place << (lost_rows ? ", and the log lost its rows" : ""));
    scene s;
    s.settle();
    s.jet().config.max_msgs_per_subject = 1;
    for (jet_place i = 1; i <= back; ++i)
        s.append("a/x", "chat.a" + std::to_string(i), "kept");
    s.append("a/x", "chat.lost", "lost");
    while (s.jet().last < read) {
        s.append("a/x", "chat.x", "x");
        s.settle();
    }
    s.settle(1000);
    REQUIRE(s.facts().checkpoint == read);
    if (lost_rows) {
        stream_config config;
        config.max_msgs_per_subject = 1;
        trim_log(s, config);
        REQUIRE(s.log().size() == back + 2);
    }
    s.bus.rewind(replica_world::name, back);
    while (s.jet().last < read + 10)
        s.native(s.jet().last + 1 == place ? "new" : "other", {}, s.jet().last + 1 == place ? "chat.new" : "chat.x");
    s.settle(1000);
    CHECK(s.idle());
    CHECK(s.facts().generation == 1);
    auto const in_jet = s.bodies();
    CHECK(std::ranges::count(in_jet, "kept") == static_cast<std::ptrdiff_t>(back));
    CHECK(std::ranges::count(in_jet, "new") == 1);
    CHECK(std::ranges::count(in_jet, "lost") == 1);
    CHECK(std::ranges::count(s.log(), "nats new") == 1);
    CHECK(std::ranges::count(s.log(), "a/x lost") == 1);
}

TEST_CASE("replica: a JetStream directory that was put back behind a link that stands is noticed too")
{
    for (auto const to : {jet_place{0}, jet_place{7}, jet_place{19}})
        for (auto const later : {0, 1, 30})
            for (auto const away_ms : {0, 300, 5000}) {
                INFO("back to " << to << ", then " << later << " more, away for " << away_ms << " ms");
                scene s;
                s.settle();
                for (int i = 0; i < 10; ++i) {
                    s.append("a/x", "chat.a", "ssh" + std::to_string(i));
                    s.settle();
                    s.native("nats" + std::to_string(i));
                    s.settle();
                }
                s.bus.detach(true);
                s.bus.rewind_detached(replica_world::name, to);
                for (int i = 0; i < later; ++i)
                    s.native("later" + std::to_string(i));
                if (later == 1)
                    s.append("a/x", "chat.a", "meanwhile");
                s.settle(static_cast<std::uint64_t>(away_ms));
                if (away_ms > 3000)
                    CHECK_FALSE(s.facts().synchronous);
                s.bus.detach(false);
                s.settle(10'000);
                CHECK(s.idle());
                CHECK(s.facts().generation == 1);
                auto in_log = s.log();
                for (auto& line : in_log)
                    line = line.substr(line.find(' ') + 1);
                auto in_jet = s.bodies();
                CHECK(in_log.size() == 20 + static_cast<std::size_t>(later) + (later == 1));
                std::ranges::sort(in_log);
                std::ranges::sort(in_jet);
                CHECK(in_log == in_jet);
            }
}

TEST_CASE("replica: a stream that was made anew behind a link that stands is not filled up")
{
    scene s;
    s.append("a/x", "chat.a", "1");
    s.settle();
    auto const config = s.jet().config;
    s.bus.detach(true);
    s.bus.remove(replica_world::name);
    s.bus.create(config);
    s.bus.detach(false);
    s.settle(5000);
    CHECK(s.facts().broken == breakage::stream_gone);
    CHECK(s.bodies().empty());
}

TEST_CASE("replica: what is answered of a stream while no reader can be made does not make it read")
{
    scene s;
    s.bus.allow_readers(false);
    s.native("1");
    s.native("2");
    s.native("3");
    s.bus.delete_message(replica_world::name, 3);
    s.append("a/x", "chat.a", "row");
    s.settle(6000);
    CHECK_FALSE(s.facts().synchronous);
    CHECK(s.bodies() == lines{"1", "2"});
    s.bus.allow_readers(true);
    s.settle(6000);
    CHECK(s.idle());
    CHECK(s.log() == lines{"a/x row", "nats 1", "nats 2"});
    CHECK(s.bodies() == lines{"1", "2", "row"});
}

TEST_CASE("replica: a server that miscounts what is behind the last message does not keep the lag up")
{
    scene s;
    s.settle();
    s.bus.overstate_behind(2);
    s.native("last");
    s.settle();
    REQUIRE(s.facts().unread == 2);
    s.settle(3000);
    CHECK(s.facts().unread == 0);
    CHECK(s.log() == lines{"nats last"});
}

TEST_CASE("replica: a take-back that is answered when the link has gone counts")
{
    scene s;
    s.settle();
    for (int i = 0; i < 10; ++i)
        s.native(std::to_string(i));
    s.settle();
    s.bus.rewind(replica_world::name, 5);
    while (std::ranges::count(s.reached, "takeback.asked") == 0)
        REQUIRE((s.step() || (s.advance(50), true)));
    REQUIRE(s.facts().generation == 0);
    s.backend->cut("the cable", {.landed = std::nullopt, .late = 0, .told = std::nullopt});
    s.backend->run();
    s.settle(2000);
    CHECK(s.idle());
    CHECK(s.facts().generation == 1);
    CHECK(std::ranges::count(s.reached, "takeback.done") == 1);
    CHECK(s.bodies().size() == 10);
    CHECK(s.log().size() == 10);
}

TEST_CASE("replica: history that the log has lost does not come again when JetStream goes far back")
{
    scene s;
    s.settle();
    for (int i = 0; i < 20; ++i) {
        s.native("n" + std::to_string(i));
        s.settle();
        s.append("a/x", "chat.a", "s" + std::to_string(i));
        s.settle();
    }
    s.settle(1000);
    stream_config config;
    config.max_msgs = 4;
    trim_log(s, config);
    s.settle();
    REQUIRE(s.log() == lines{"nats n18", "a/x s18", "nats n19", "a/x s19"});
    SECTION("with what the process knows") {}
    SECTION("and over a crash") { s.crash(); s.settle(100); }
    s.bus.rewind(replica_world::name, 20);
    s.native("later");
    s.settle(1000);
    CHECK(s.idle());
    CHECK(s.facts().generation == 1);
    CHECK(s.log() == lines{"nats n18", "a/x s18", "nats n19", "a/x s19", "nats later"});
    CHECK(s.bodies().size() == 20 + 1 + 4);
}

TEST_CASE("replica: a database that is older than its copy stops, until it is to take over what it lacks")
{
    scene s;
    s.settle();
    s.append("a/x", "chat.a", "1", {"i1"});
    s.settle();
    s.keep();
    s.append("a/x", "chat.a", "2", {"i2"});
    s.append("b/~9", "chat.a", "3");
    s.settle();
    s.native("4");
    s.settle();
    s.restore("another");
    s.settle(1000);
    CHECK(s.facts().broken == breakage::log_rewound);
    CHECK(!s.replica->running());
    CHECK(s.log() == lines{"a/x 1"});

    SECTION("new rows are of another history")
    {
        s.append("a/x", "chat.a", "new");
        s.settle();
        s.crash();
        s.settle(1000);
        CHECK(s.facts().broken == breakage::log_rewound);
        CHECK(s.bodies().size() == 4);
    }
    s.replica->mend();
    s.replica->adopt(true);
    effects out;
    s.replica->run(s.now(), out);
    s.apply(std::move(out));
    s.settle(1000);
    CHECK(s.idle());
    auto log = s.log();
    std::erase(log, "a/x new");
    CHECK(log == lines{"a/x 1", "a/x 2", "b/~9 3", "nats 4"});
    s.append("a/x", "chat.a", "5");
    s.settle(1000);
    CHECK(s.idle());
    CHECK(s.bodies().size() == s.log().size());
}

TEST_CASE("replica: what limits of the JetStream stream take before it is read counts as copied")
{
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        scene s{usual_bounds(), seed};
        s.jet().config.max_msgs_per_subject = 1;
        s.settle();
        for (int i = 0; i < 100; ++i)
            s.append("a/x", "chat.a", std::to_string(i));
        s.settle(5000);
        INFO("seed " << seed);
        REQUIRE(s.facts().waiting_rows == 0);
        REQUIRE(s.bodies() == lines{"99"});
    }
}

TEST_CASE("replica: a copy that went before it was read is told by its acknowledgement, however late that comes")
{
    scene s;
    s.settle();
    s.append("a/x", "chat.a", "1");
    while (s.jet().last == 0)
        REQUIRE(s.step());
    s.bus.delete_message(replica_world::name, 1);
    // The acknowledgement is in the same queue, so what would be read before it is told by hand.
    bus_message later;
    later.subject = "chat.n";
    later.body = "later";
    later.place = 2;
    later.time_ns = 1;
    for (auto id = 1u; id < 20; ++id) {
        effects out;
        backend_event::any heard{backend_event::messages{reader_id{id}, {later}, 0}};
        s.replica->on_backend(heard, s.now(), out);
        s.apply(std::move(out));
    }
    while (s.store_step() || s.store_event_step()) {}
    REQUIRE(s.facts().checkpoint == 2);
    CHECK(s.facts().waiting_rows == 1);
    s.settle();
    CHECK(s.facts().waiting_rows == 0);
    CHECK(s.facts().copied == 1);
}

TEST_CASE("replica: a deleted stream and a backlog stop it, and say so")
{
    auto bounds = usual_bounds();
    bounds.backlog_bytes = 1000;
    scene s{bounds};
    s.settle();
    SECTION("deleted")
    {
        s.bus.remove(replica_world::name);
        s.settle(2000);
        CHECK(s.facts().broken == breakage::stream_gone);
    }
    SECTION("backlog")
    {
        s.backend->reachable(false);
        s.backend->cut("the cable");
        for (int i = 0; i < 40; ++i)
            s.append("a/x", "chat.a", std::to_string(i));
        s.settle();
        CHECK(s.facts().broken == breakage::backlog);
        CHECK(s.log().size() == 40);
    }
}

TEST_CASE("replica: a stopped one sends and reads nothing, and goes on where it was")
{
    scene s;
    s.settle();
    effects out;
    s.replica->stop(s.now(), out);
    s.apply(std::move(out));
    for (int i = 0; i < 3; ++i)
        s.append("a/x", "chat.a", std::to_string(i));
    s.native("n");
    s.settle(2000);
    CHECK(s.bodies() == lines{"n"});
    CHECK(s.facts().waiting_rows == 3);
    CHECK(s.facts().waiting_since_ms != 0);
    effects again;
    s.replica->run(s.now(), again);
    s.apply(std::move(again));
    s.settle();
    CHECK(s.idle());
    CHECK(s.bodies() == lines{"n", "0", "1", "2"});
}

TEST_CASE("replica: notes of places may wait where nobody waits for them, and nothing else may")
{
    scene s;
    s.settle();
    std::vector<bool> waits;
    s.on_import = [&](auto const& asked) {
        for (auto const& item : asked.items)
            waits.push_back(asked.may_wait && item.message == nullptr);
    };
    s.append("a/x", "chat.a", "nobody said that it may");
    s.settle();
    CHECK(waits == std::vector{false});
    waits.clear();
    s.replica->patient(true);
    s.append("a/x", "chat.a", "a copy");
    s.settle();
    CHECK(waits == std::vector{true});
    waits.clear();
    s.native("a row to insert");
    s.settle();
    CHECK(waits == std::vector{false});
    waits.clear();
    s.jetstream();
    s.append("a/x", "chat.a", "an own publish", {"i"});
    s.settle();
    CHECK(waits == std::vector{false});
    CHECK(s.log().size() == 4);
    CHECK(s.idle());
}

}  // namespace kedge::migration::test
