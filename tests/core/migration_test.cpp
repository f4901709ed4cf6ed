// What the core does for the migration of streams, and what it keeps from happening to those that are mirrored.

#include "tests/catch.hpp"

#include <algorithm>

#include "tests/core/harness.hpp"

using namespace kedge;

namespace {

bool says(std::optional<admin_result> const& answer, std::string const& words)
{
    INFO((answer ? answer->error : "not answered"));
    return answer && answer->exit_status == 1 && answer->error.find(words) != std::string::npos;
}
bool fine(std::optional<admin_result> const& answer)
{
    INFO((answer ? answer->error : "not answered"));
    return answer && answer->exit_status == 0;
}

struct migrating : harness {
    migrating()
    {
        step([](core& c, instant, actions&) { c.attach_migration(); });
    }
    stream_id id_of(std::string const& name)
    {
        for (auto const& s : disk.load(now.wall_ms).streams)
            if (s.config.name == name)
                return s.id;
        return {};
    }
    void show(std::string const& stream, std::string const& state, nlohmann::json status = nlohmann::json::object(),
              std::vector<std::string> bridges = {})
    {
        auto picture = std::make_shared<migration_picture>();
        if (!stream.empty())
            picture->streams.push_back({id_of(stream), state, std::move(status)});
        picture->bridges = std::move(bridges);
        picture->link = {{"state", "down"}, {"why", "connection refused"}};
        step([&](core& c, instant, actions&) { c.set_migration(picture); });
    }
    void answer(admin_result result = {0, {{"done", true}}, {}})
    {
        auto const request = asked.back().request;
        step([&](core& c, instant, actions& out) { c.migration_answered(request, std::move(result), out); });
    }
    /// A row that the importer brought.
    void import(std::string const& stream, std::string const& sender, std::string const& id, std::uint64_t n, std::uint64_t digest = 0,
                token origin = token::none)
    {
        store_event::rows_arrived e;
        e.stream = id_of(stream);
        store_event::rows_arrived::arrival arrival;
        arrival.stored = {++seq, now.wall_ms, shared_bytes::copy_of(sender), message::make({"chat.a", id, {}, {}, "native"})};
        arrival.origin = origin;
        arrival.named = sender.find('/') != std::string::npos && sender.find('~') == std::string::npos;
        arrival.n = n;
        arrival.digest = digest;
        e.rows.push_back(std::move(arrival));
        step([&](core& c, instant at, actions& out) { c.step(store_event::any{std::move(e)}, at, out); });
    }
    /// Entries of the audit log, the newest first: command and outcome.
    std::vector<std::string> audited()
    {
        std::vector<std::string> list;
        for (auto const& e : disk.read_audit(0, 100))
            list.push_back(e.command + ": " + e.outcome);
        return list;
    }

    message_seq seq = 0;
};

}  // namespace

TEST_CASE("migration commands: refused where there is no migration, and for all but operators")
{
    harness alone;
    for (auto const* const name : {"migrate status", "migrate start", "bridge list", "bridge add"})
        CHECK(says(alone.admin(name, {{"stream", "CHAT"}}), "[nats] servers"));
    CHECK(alone.asked.empty());
    CHECK(says(alone.admin("migrate away"), "there is no command"));
    migrating h;
    auto const ann = h.join("ann");
    CHECK(says(h.admin_as(ann, "migrate status"), "denied"));
    CHECK(h.asked.empty());
}

TEST_CASE("migration commands: handed on with every stream, answered later by token, out of the queue of others")
{
    migrating h;
    h.add_stream("CHAT", {"chat.>"});
    auto const reader = h.join("ann", "n");
    h.say(reader, R"({"op":"consume","stream":"CHAT","consumer":"w","start":"first","window":2})");
    for (int i = 0; i < 5; ++i)
        h.say(reader, R"({"op":"pub","subject":"chat.a","data":"x"})");
    h.say(reader, R"({"op":"ack","consumer":"w","seq":[2]})");

    h.hold();
    CHECK_FALSE(h.admin("stream add", {{"name", "OTHER"}, {"subjects", {"other.>"}}}));  // waits for the store
    CHECK_FALSE(h.admin("migrate status", {{"stream", "CHAT"}}));
    REQUIRE(h.asked.size() == 1);
    auto const& asked = h.asked.front();
    CHECK_FALSE(is_migration_token(asked.request));
    CHECK(asked.call.name == "migrate status");
    CHECK(asked.call.args == nlohmann::json{{"stream", "CHAT"}});
    CHECK(asked.user == "root");
    auto const chat = std::find_if(asked.streams.begin(), asked.streams.end(), [](auto const& s) { return s.state.config.name == "CHAT"; });
    REQUIRE(chat != asked.streams.end());
    CHECK(chat->state.last == 5);
    CHECK(chat->consumers == 1);
    CHECK(chat->unacked == 1);
    CHECK(std::any_of(asked.streams.begin(), asked.streams.end(), [](auto const& s) { return s.state.config.name == "INBOX"; }));
    h.answer();
    auto const answers = h.admin_answers();
    REQUIRE(answers.size() == 1);
    CHECK(answers.front().data == nlohmann::json{{"done", true}});
    h.answer();  // a second answer finds nobody
    CHECK(h.admin_answers().empty());
    h.release();
    CHECK(h.admin_answers().size() == 1);
    CHECK(h.admin("stream show", {{"name", "OTHER"}})->exit_status == 0);
}

TEST_CASE("a completed stream keeps by interest for the core too, and a pause does not undo it")
{
    migrating h;
    h.add_stream("CHAT", {"chat.>"});
    auto const kept = [&] { return h.admin("stream show", {{"name", "CHAT"}})->data["retention"]; };
    h.show("CHAT", "NATS");
    CHECK(kept() == "limits");
    h.show("CHAT", "COMPLETE");
    CHECK(kept() == "interest");
    REQUIRE(fine(h.admin("stream pause", {{"stream", "CHAT"}})));
    for (auto const& s : h.disk.load(h.now.wall_ms).streams)
        if (s.config.name == "CHAT") {
            CHECK(s.config.paused);
            CHECK(s.config.keep == retention::interest);
        }
}

TEST_CASE("migration commands: a stream without consumers has nothing unacknowledged; who asked may be gone")
{
    migrating h;
    h.add_stream("CHAT", {"chat.>"});
    auto const gone = h.open("root", "operator", encoding::lines, false);
    CHECK_FALSE(h.admin_as(gone, "migrate plan", {{"stream", "CHAT"}}));
    for (auto const& s : h.asked.back().streams)
        CHECK(s.unacked == s.state.last + 1);
    h.close(gone);
    h.answer();
    CHECK(h.admin_answers().empty());
}

TEST_CASE("migration commands: those that change something are audited with their outcome")
{
    migrating h;
    h.add_stream("CHAT", {"chat.>"});
    auto const before = h.audited().size();
    struct {
        char const* name;
        nlohmann::json args;
        bool audited;
    } const cases[] = {
        {"migrate plan", {{"stream", "CHAT"}}, false},
        {"migrate status", nlohmann::json::object(), false},
        {"migrate diff", {{"stream", "CHAT"}}, false},
        {"migrate events", {{"stream", "CHAT"}}, false},
        {"bridge list", nlohmann::json::object(), false},
        {"migrate switch", {{"stream", "CHAT"}, {"dry_run", true}}, false},
        {"migrate switch", {{"stream", "CHAT"}, {"dry_run", false}}, true},
        {"migrate start", {{"stream", "CHAT"}}, true},
        {"migrate pause", {{"stream", "CHAT"}}, true},
        {"bridge add", {{"pattern", "live.>"}}, true},
    };
    std::size_t count = before;
    for (auto const& c : cases) {
        INFO(c.name);
        CHECK_FALSE(h.admin(c.name, c.args));
        CHECK(h.audited().size() == count);
        h.answer({1, {}, "not ready"});
        count += c.audited;
        CHECK(h.audited().size() == count);
        if (c.audited)
            CHECK(h.audited().front() == std::string{c.name} + ": not ready");
    }
}

TEST_CASE("mirrored streams: nothing that would part the copy from the stream; the way out is named")
{
    struct {
        char const* state;
        char const* says;  // null = it may be done
    } const states[] = {{"LEGACY", nullptr},
                        {"MIRRORING", "'migrate cancel CHAT'"},
                        {"SWITCHING", "SWITCHING at this moment"},
                        {"NATS", "'migrate reverse CHAT'"},
                        {"REVERSING", "REVERSING at this moment"},
                        {"COMPLETE", "for good"}};
    for (auto const& s : states) {
        INFO(s.state);
        migrating h;
        h.add_stream("CHAT", {"chat.>"});
        h.show("CHAT", s.state);
        CHECK(fine(h.admin("stream pause", {{"stream", "CHAT"}})));
        CHECK(fine(h.admin("stream resume", {{"stream", "CHAT"}})));
        CHECK(fine(h.admin("stream edit", {{"name", "CHAT"}, {"max_msgs", 0u}})));  // which changes nothing
        auto const purged = h.admin("stream purge", {{"stream", "CHAT"}});
        auto const edited = h.admin("stream edit", {{"name", "CHAT"}, {"max_msgs", 5u}});
        auto const removed = h.admin("stream remove", {{"name", "CHAT"}});
        if (!s.says) {
            CHECK(fine(purged));
            CHECK(fine(edited));
            CHECK(fine(removed));
            CHECK(h.removed.size() == 1);
            continue;
        }
        CHECK(says(purged, s.says));
        CHECK(says(edited, s.says));
        if (std::string_view{s.state} == "COMPLETE")
            CHECK(fine(removed));
        else
            CHECK(says(removed, s.says));
    }
}

TEST_CASE("mirrored streams: a command of the migration that is under way keeps the stream as it is, and the other way round")
{
    migrating h;
    h.add_stream("CHAT", {"chat.>"});
    CHECK_FALSE(h.admin("migrate start", {{"stream", "CHAT"}}));
    CHECK(says(h.admin("stream edit", {{"name", "CHAT"}, {"max_msgs", 5u}}), "'migrate start CHAT' is under way"));
    CHECK(says(h.admin("stream remove", {{"name", "CHAT"}}), "is under way"));
    h.answer();
    CHECK_FALSE(h.admin("migrate status", {{"stream", "CHAT"}}));  // looks only
    CHECK(fine(h.admin("stream edit", {{"name", "CHAT"}, {"max_msgs", 5u}})));

    h.hold();
    CHECK_FALSE(h.admin("stream edit", {{"name", "CHAT"}, {"max_msgs", 6u}}));
    auto const asked = h.asked.size();
    CHECK(says(h.admin("migrate start", {{"stream", "CHAT"}}), "try again"));
    CHECK(h.asked.size() == asked);
    CHECK_FALSE(h.admin("migrate plan", {{"stream", "CHAT"}}));
    CHECK(h.asked.size() == asked + 1);
}

TEST_CASE("bridges: no stream covers what one carries, or is about to")
{
    migrating h;
    h.show({}, {}, {}, {"live.>"});
    h.add_stream("CHAT", {"chat.>"});
    CHECK(says(h.admin("stream add", {{"name", "LIVE"}, {"subjects", {"live.tv"}}}), "'live.>'"));
    CHECK(says(h.admin("stream edit", {{"name", "CHAT"}, {"subjects", {"chat.>", "*.tv"}}}), "'live.>'"));
    CHECK_FALSE(h.admin("bridge add", {{"pattern", "games.*"}}));
    CHECK(says(h.admin("stream add", {{"name", "GAMES"}, {"subjects", {"games.>"}}}), "'games.*'"));
    h.answer({1, {}, "no"});
    CHECK(fine(h.admin("stream add", {{"name", "GAMES"}, {"subjects", {"games.>"}}})));

    h.hold();
    CHECK_FALSE(h.admin("stream add", {{"name", "NEWS"}, {"subjects", {"news.>"}}}));
    auto const asked = h.asked.size();
    CHECK(says(h.admin("bridge add", {{"pattern", "*.sport"}}), "'*.sport'"));
    CHECK(says(h.admin("bridge add", {{"pattern", "news.>"}}), "the stream NEWS is about to cover"));
    CHECK(h.asked.size() == asked);
    CHECK_FALSE(h.admin("bridge add", {{"pattern", "weather.>"}}));
    CHECK(h.asked.size() == asked + 1);
}

TEST_CASE("stream facts: state and authority, in lists, who and status")
{
    migrating h;
    h.add_stream("CHAT", {"chat.>"});
    h.add_stream("OTHER", {"other.>"});
    h.show("CHAT", "NATS",
           {{"authority", "nats"}, {"lag", {{"messages", 7}, {"bytes", 70}, {"seconds", 1}}}, {"broken", {{"reason", "stream_gone"}, {"why", "it was deleted"}}}});
    auto const shown = h.admin("stream show", {{"name", "CHAT"}})->data;
    CHECK(shown["state"] == "NATS");
    CHECK(shown["authority"] == "nats");
    auto const other = h.admin("stream show", {{"name", "OTHER"}})->data;
    CHECK(other["state"] == "LEGACY");
    CHECK(other["authority"] == "sqlite");
    auto const status = h.admin("status")->data;
    auto const& migration = status["migration"];
    CHECK(migration["states"] == nlohmann::json{{"NATS", 1}, {"LEGACY", 1}});
    CHECK(migration["link"]["state"] == "down");
    REQUIRE(migration["streams"].size() == 1);
    CHECK(migration["streams"][0]["authority"] == "nats");
    CHECK(migration["worst_lag"]["stream"] == "CHAT");
    CHECK(migration["worst_lag"]["messages"] == 7);
    auto const why = status["why"].dump();
    CHECK(why.find("the migration of CHAT is broken: it was deleted") != std::string::npos);
    CHECK(why.find("no link to NATS: connection refused") != std::string::npos);
    CHECK(h.router().not_ready_because().empty());  // publishing and consuming go on without NATS

    auto const ann = h.join("ann");
    h.say(ann, R"({"op":"who","id":"1","what":"streams"})");
    auto const streams = nlohmann::json::parse(h.last<notice::reply>(ann).body)["streams"];
    CHECK(std::any_of(streams.begin(), streams.end(), [](auto const& s) { return s["stream"] == "CHAT" && s["state"] == "NATS" && s["authority"] == "nats"; }));

    harness without;
    CHECK(without.admin("status")->data["migration"].is_null());
}

TEST_CASE("announcements: told to those who subscribe, from $sys")
{
    migrating h;
    auto const op = h.join("root", {}, "operator");
    h.say(op, R"({"op":"sub","subject":"$sys.migration.>"})");
    h.step([](core& c, instant at, actions& out) { c.announce_migration("CHAT", {{"stream", "CHAT"}, {"state", "MIRRORING"}}, at, out); });
    auto const told = h.last<notice::msg>(op);
    CHECK(told.subject == "$sys.migration.CHAT");
    CHECK(told.from == "$sys");
    CHECK(nlohmann::json::parse(told.body)["state"] == "MIRRORING");
}

TEST_CASE("rows that nobody waits for: delivered, and their ids and n known from then on")
{
    migrating h;
    h.add_stream("CHAT", {"chat.>"});
    auto const ann = h.join("ann", "n");
    auto const bob = h.join("bob");
    h.say(bob, R"({"op":"sub","subject":"chat.>"})");

    SECTION("a native one has no sender with a node")
    {
        h.import("CHAT", "nats", {}, 0);
        CHECK(h.heard(bob) == lines{"msg chat.a CHAT#1 native"});
        CHECK(h.last<notice::msg>(bob).from == "nats");
    }
    SECTION("an id: the publish sent again is a duplicate")
    {
        auto const pub = R"({"op":"pub","id":"7","subject":"chat.a","data":"native"})";
        h.hold();
        h.say(ann, pub);
        auto const sent = std::get<store_request::append>(h.queue().front());
        h.step([&](core& c, instant at, actions& out) {
            c.step(store_event::append_failed{sent.request, sent.stream, {error_code::unavailable, "no link"}}, at, out);
        });
        CHECK(h.heard(ann) == lines{"error 7 unavailable"});
        CHECK(h.router().not_ready_because().empty());  // the store is well
        h.import("CHAT", "ann/n", "7", 0, sent.digest, sent.request);  // JetStream had it after all
        CHECK(h.heard(ann).empty());  // what was failed stays failed
        CHECK(h.heard(bob) == lines{"msg chat.a CHAT#1 native"});
        CHECK(h.ask(ann, std::string{R"({"op":"ping","id":"p"})"} + "\n" + pub) == lines{"pong p", "ok 7 CHAT#1 dup"});
        CHECK(h.ask(ann, R"({"op":"pub","id":"7","subject":"chat.a","data":"other"})") == lines{"error 7 exists"});
    }
    SECTION("an n: told at once, or by the next welcome; what is not above it is dropped")
    {
        h.import("CHAT", "ann/n", {}, 5);
        CHECK(h.heard(ann) == lines{"stored CHAT n=5 #1"});
        CHECK(h.ask(ann, R"({"op":"pub","n":5,"subject":"chat.a","data":"native"})") == lines{"stored CHAT n=5 #1"});
        h.import("CHAT", "ann/n", {}, 3);
        CHECK(h.ask(ann, R"({"op":"pub","n":4,"subject":"chat.a","data":"x"})") == lines{"stored CHAT n=5 #1"});
        h.close(ann);
        h.import("CHAT", "ann/n", {}, 9);
        auto const again = h.open("ann");
        CHECK(h.ask(again, R"({"op":"hello","node":"n"})") == lines{"welcome n CHAT=9"});
    }
    SECTION("a node that was removed stays forgotten")
    {
        h.close(ann);
        CHECK(fine(h.admin("node remove", {{"node", "ann/n"}})));
        h.import("CHAT", "ann/n", "8", 4);
        CHECK(h.heard(bob) == lines{"msg chat.a CHAT#1 native"});
        auto const again = h.open("ann");
        CHECK(h.ask(again, R"({"op":"hello","node":"n"})") == lines{"welcome n"});
    }
}

TEST_CASE("rows that nobody waits for: they count in what their user has stored, native ones in nobody's")
{
    migrating h;
    h.bounds.user_stored_bytes = 400;
    h.step([&](core& c, instant, actions&) { c.set_limits(h.bounds); });
    h.add_stream("CHAT", {"chat.>"});
    auto const ann = h.join("ann", "n");
    auto const publish = [&](char const* id) { return h.ask(ann, R"({"op":"pub","id":")" + std::string{id} + R"(","subject":"chat.a","data":"x"})"); };
    for (int i = 0; i < 20; ++i)
        h.import("CHAT", "nats", {}, 0);
    h.seq = 0;
    CHECK(publish("1").front().starts_with("ok 1"));
    for (int i = 0; i < 20; ++i)
        h.import("CHAT", "ann/n", {}, 0);
    CHECK(publish("2") == lines{"error 2 quota"});
}

TEST_CASE("internal links: the sender is the user alone, nobody sees them, and the limits of clients do not hold")
{
    harness h;
    h.bounds.link_calls = 1;
    h.bounds.link_unsent_bytes = 64 * 1024;
    h.step([&](core& c, instant, actions&) { c.set_limits(h.bounds); });
    auto const inside = h.open("nats", "operator", encoding::lines, true, true);
    CHECK(h.heard(inside).empty());
    auto const ann = h.join("ann");
    h.say(ann, R"({"op":"sub","subject":"live.>"})");
    h.say(inside, R"({"op":"sub","subject":"live.>"})");

    h.say(inside, R"({"op":"pub","subject":"live.a","headers":{"A":"b"},"data":"x"})");
    auto const heard = h.last<notice::msg>(ann);
    CHECK(heard.from == "nats");
    CHECK(heard.headers == R"({"A":"b"})");
    CHECK(h.heard(inside) == lines{"msg live.a x"});
    h.say(ann, R"({"op":"who","id":"w"})");
    CHECK(nlohmann::json::parse(h.last<notice::reply>(ann).body)["nodes"].size() == 1);

    SECTION("it is never too slow")
    {
        h.reads(inside, false);
        std::string const large(10'000, 'x');
        for (int i = 0; i < 20; ++i)
            h.say(ann, R"({"op":"pub","subject":"live.a","data":")" + large + "\"}");
        CHECK(h.heard(inside).size() == 20);
        CHECK(h.counts.slow_consumers.get() == 0);
    }
    SECTION("its calls: more than a client's, with headers both ways, and not answered by itself")
    {
        h.heard(ann);
        auto const call = [](char const* id, char const* subject) {
            return R"({"op":"call","id":")" + std::string{id} + R"(","subject":")" + subject + R"(","headers":{"Q":"1"},"data":"?"})";
        };
        h.say(inside, call("1", "live.q"));
        auto const asked = h.last<notice::msg>(ann);
        CHECK(asked.headers == R"({"Q":"1"})");
        REQUIRE(asked.reply_to.starts_with("_call."));
        h.say(inside, call("2", "live.q"));
        CHECK(h.heard(inside) == lines{"msg live.q ?", "msg live.q ?"});
        h.say(ann, R"({"op":"pub","subject":")" + asked.reply_to + R"(","headers":{"R":"2"},"data":"!"})");
        CHECK(h.heard(inside) == lines{"reply 1 !"});
        CHECK(h.last<notice::reply>(inside).headers == R"({"R":"2"})");
        auto const op = h.join("root", {}, "operator");
        h.say(op, R"({"op":"sub","subject":"$sys.unhandled"})");
        h.close(ann);
        CHECK(h.ask(inside, call("3", "live.q")) == lines{"error 3 no_responders"});
        CHECK(h.heard(op).empty());  // outside somebody may have answered
    }
    SECTION("it can say that nobody answers a call that was given to it alone")
    {
        auto const bob = h.join("bob");
        auto const op = h.join("root", {}, "operator");
        h.say(op, R"({"op":"sub","subject":"$sys.unhandled"})");
        auto const call = R"({"op":"call","id":"1","subject":"live.q","data":"?"})";
        auto const nobody = [&](std::string const& reply_to) {
            h.say(inside, R"({"op":"reply","call":")" + reply_to + R"(","error":{"code":"no_responders","message":"nobody"}})");
        };
        h.say(bob, call);
        nobody(h.last<notice::msg>(inside).reply_to);  // ann was given it too, and may answer
        CHECK(h.heard(bob).empty());
        h.pass(5000);
        CHECK(h.heard(bob) == lines{"error 1 timeout"});
        h.close(ann);
        h.say(bob, call);
        auto const reply_to = h.last<notice::msg>(inside).reply_to;
        for (auto const* const wrong : {"_call.", "_call.00", "live.q", "x"})
            nobody(wrong);
        CHECK(h.heard(bob).empty());
        nobody(reply_to);
        CHECK(h.heard(bob) == lines{"error 1 no_responders"});
        CHECK(nlohmann::json::parse(h.last<notice::msg>(op).body)["subject"] == "live.q");
        nobody(reply_to);
        CHECK(h.heard(bob).empty());
    }
    SECTION("a drain ends it like others")
    {
        h.drain();
        CHECK(h.heard(inside) == lines{"closed 1"});
        h.close(inside);
        h.close(ann);
        h.close(h.root);
        CHECK(h.drained);
    }
}
