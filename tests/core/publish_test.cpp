#include "tests/catch.hpp"

#include "tests/core/harness.hpp"

using namespace kedge;

namespace {

std::string pub(std::string const& id, std::string const& subject = "chat.x", std::string const& data = "")
{
    return R"({"op":"pub","id":")" + id + R"(","subject":")" + subject + R"(","data":")" + data + "\"}";
}
std::string number(std::uint64_t n, std::string const& subject = "chat.x")
{
    return R"({"op":"pub","n":)" + std::to_string(n) + R"(,"subject":")" + subject + "\"}";
}

struct chat : harness {
    explicit chat(limits l = {}) : harness{l} { add_stream("CHAT", {"chat.>"}); }
};

}  // namespace

TEST_CASE("publish: plain and durable")
{
    chat h;
    auto const a = h.join("ann");
    auto const b = h.join("bob", {}, "bot");
    h.say(b, R"({"op":"sub","subject":">"})");
    CHECK(h.ask(a, pub("1", "x.y", "hi")) == lines{"ok 1"});
    CHECK(h.ask(a, R"({"op":"pub","subject":"x.y","data":"quiet"})").empty());
    CHECK(h.heard(b) == lines{"msg x.y hi", "msg x.y quiet"});
    h.hold();
    CHECK(h.ask(a, pub("2", "chat.x", "kept")).empty());
    CHECK(h.heard(b).empty());  // deliveries come from the row, not from the publish
    h.release();
    CHECK(h.heard(a) == lines{"ok 2 CHAT#1"});
    CHECK(h.heard(b) == lines{"msg chat.x CHAT#1 kept"});
    CHECK(h.last<notice::msg>(b).pub_id == "2");
    CHECK(h.last<notice::msg>(b).from.starts_with("ann/~s"));
    CHECK(h.last<notice::msg>(b).time_ms == h.now.wall_ms);
    CHECK(h.counts.published.get() == 2);
    CHECK(h.counts.published_durable.get() == 1);
}

TEST_CASE("publish: an id is stored once")
{
    chat h;
    auto const a = h.join("ann", "desk");
    CHECK(h.ask(a, pub("1", "chat.x", "m")) == lines{"ok 1 CHAT#1"});
    CHECK(h.ask(a, pub("1", "chat.x", "m")) == lines{"ok 1 CHAT#1 dup"});
    CHECK(h.ask(a, pub("1", "chat.x", "other")) == lines{"error 1 exists"});
    CHECK(h.ask(a, pub("1", "chat.y", "m")) == lines{"error 1 exists"});
    CHECK(h.ask(a, R"({"op":"pub","id":"1","subject":"chat.x","data":"m","headers":{"A":"b"}})") == lines{"error 1 exists"});
    SECTION("of another node, or of none, it is another")
    {
        CHECK(h.ask(h.join("ann", "phone"), pub("1", "chat.x", "m")) == lines{"ok 1 CHAT#2"});
        auto const nobody = h.join("ann");
        CHECK(h.ask(nobody, pub("1") + "\n" + pub("1")) == lines{"ok 1 CHAT#3", "ok 1 CHAT#4"});
    }
    SECTION("neither a new link nor a restart shortens the window")
    {
        CHECK(h.ask(h.join("ann", "desk"), pub("1", "chat.x", "m")) == lines{"ok 1 CHAT#1 dup"});
        h.crash();
        CHECK(h.ask(h.join("ann", "desk"), pub("1", "chat.x", "m")) == lines{"ok 1 CHAT#1 dup"});
    }
    SECTION("after the window it is new")
    {
        h.pass(h.bounds.dedupe_ms + 1);
        CHECK(h.ask(a, pub("1", "chat.x", "m")) == lines{"ok 1 CHAT#2"});
    }
}

TEST_CASE("publish: a repetition waits for the first one's answer")
{
    chat h;
    auto const a = h.join("ann", "desk");
    h.hold();
    CHECK(h.ask(a, pub("1") + "\n" + pub("1") + "\n" + pub("1", "chat.x", "other") + "\n" + pub("2")).empty());
    CHECK(h.waiting() >= 2);
    auto const b = h.join("ann", "desk");
    CHECK(h.ask(b, pub("1") + "\n" + pub("2") + "\n" + pub("3")).empty());
    SECTION("stored")
    {
        h.release();
        CHECK(h.heard(b) == lines{"ok 1 CHAT#1 dup", "ok 2 CHAT#2 dup", "ok 3 CHAT#3"});
    }
    SECTION("failed")
    {
        h.disk.fail(memory_store::fault::full);
        h.release();
        CHECK(h.heard(b) == lines{"error 1 store_full", "error 2 store_full", "error 3 store_full"});
        CHECK(h.ask(b, R"({"op":"ping"})" "\n" + pub("1") + "\n" + pub("2") + "\n" + pub("3")) ==
              lines{"pong", "ok 1 CHAT#1", "ok 2 CHAT#2", "ok 3 CHAT#3"});
    }
    CHECK(h.given(a) == h.credited(a));
    CHECK(h.given(b) == h.credited(b));
}

TEST_CASE("publish: answers of a stream come in the order sent")
{
    chat h;
    h.add_stream("OTHER", {"other"});
    auto const a = h.join("ann", "desk");
    h.say(a, pub("0"));
    h.admin("user add", {{"name", "ann"}, {"keys", nlohmann::json::array()}});
    h.admin("rule add", {{"user", "ann"}, {"effect", "deny"}, {"action", "publish"}, {"pattern", "chat.no"}});
    h.heard(a);
    h.hold();
    h.say(a, pub("1") + "\n" + pub("0") + "\n" + pub("2", "chat.no") + "\n" + pub("3") + "\n" + pub("4", "plain"));
    CHECK(h.heard(a) == lines{"ok 4"});  // not of the stream
    h.commit();
    CHECK(h.heard(a) == lines{"ok 1 CHAT#2", "ok 0 CHAT#1 dup", "error 2 denied", "ok 3 CHAT#3"});
}

TEST_CASE("publish: an error sticks until a ping is answered, and the ping waits for what is on its way")
{
    chat h;
    auto const a = h.join("ann", "desk");
    h.hold();
    h.say(a, pub("1"));
    h.disk.fail(memory_store::fault::full);
    h.say(a, pub("2"));
    h.commit();
    h.say(a, pub("3") + "\n" + R"({"op":"ping","id":"p"})" + "\n" + pub("4") + "\n" + pub("5", "plain"));
    h.release();
    CHECK(h.heard(a) == lines{"error 1 store_full", "error 2 store_full", "error 3 store_full", "pong p", "ok 5", "ok 4 CHAT#1"});
    CHECK(h.router().not_ready_because().empty());

    SECTION("what was sent before the failure was known does not overtake the retry")
    {
        h.hold();
        h.say(a, pub("6"));
        auto const first = h.waiting();
        CHECK(first == 1);
        h.disk.fail(memory_store::fault::full);
        h.commit();  // 6 fails
        CHECK(h.heard(a) == lines{"error 6 store_full"});
        CHECK_FALSE(h.router().not_ready_because().empty());
        h.say(a, pub("7") + "\n" + R"({"op":"ping","id":"q"})");
        CHECK(h.heard(a) == lines{"error 7 store_full", "pong q"});
        h.say(a, pub("6") + "\n" + pub("7"));
        h.release();
        CHECK(h.heard(a) == lines{"ok 6 CHAT#2", "ok 7 CHAT#3"});
    }
    SECTION("other links fail along with the batch, and are barred too")
    {
        auto const b = h.join("bob", "desk");
        h.hold();
        h.say(a, pub("8"));
        h.disk.fail(memory_store::fault::full);
        h.say(b, pub("1"));
        h.step([&](core&, instant, actions&) {});
        h.commit();
        h.say(b, pub("2"));
        h.release();
        CHECK(h.heard(a) == lines{"error 8 store_full"});
        CHECK(h.heard(b) == lines{"error 1 store_full", "error 2 store_full"});
    }
    CHECK(h.given(a) == h.credited(a));
}

TEST_CASE("publish: by number")
{
    chat h;
    auto const a = h.join("ann", "desk");
    CHECK(h.ask(h.join("bob"), number(1)) == lines{"error bad_request"});           // needs a node
    CHECK(h.ask(a, number(1, "plain")) == lines{"error bad_request"});              // and a stream
    CHECK(h.ask(a, number(1) + "\n" + number(2) + "\n" + number(5)) == lines{"stored CHAT n=5 #3"});
    CHECK(h.ask(a, number(4)) == lines{"stored CHAT n=5 #3"});                      // dropped, and told so
    CHECK(h.ask(a, number(5) + "\n" + number(6)) == lines{"stored CHAT n=5 #3", "stored CHAT n=6 #4"});
    auto const b = h.open("ann");
    h.heard(b);
    CHECK(h.ask(b, R"({"op":"hello","id":"1","node":"desk"})") == lines{"welcome 1 desk CHAT=6"});
    h.crash();
    auto const c = h.open("ann");
    h.heard(c);
    CHECK(h.ask(c, R"({"op":"hello","id":"1","node":"desk"})") == lines{"welcome 1 desk CHAT=6"});
    CHECK(h.ask(c, number(6)) == lines{"stored CHAT n=6 #4"});
    CHECK(h.ask(c, number(7) + "\n" + pub("x")) == lines{"stored CHAT n=7 #5", "ok x CHAT#6"});
}

TEST_CASE("publish: numbers fail and begin again where the store is")
{
    chat h;
    auto const a = h.join("ann", "desk");
    h.say(a, number(1));
    h.hold();
    h.say(a, number(2) + "\n" + number(3));
    h.disk.fail(memory_store::fault::full);
    h.commit();
    CHECK(h.heard(a) == lines{"stored CHAT n=1 #1", "error store_full", "error store_full"});
    h.say(a, number(4));
    CHECK(h.heard(a) == lines{"error store_full"});
    h.release();
    CHECK(h.ask(a, R"({"op":"ping"})" "\n" + number(2) + "\n" + number(3) + "\n" + number(4)) == lines{"pong", "stored CHAT n=4 #4"});
}

TEST_CASE("publish: numbers that a later link repeats while they are under way")
{
    chat h;
    auto const a = h.join("ann", "desk");
    h.hold();
    h.say(a, number(1) + "\n" + number(2));
    auto const b = h.join("ann", "desk");
    CHECK(h.ask(b, number(1) + "\n" + number(2)).empty());
    SECTION("stored: one word for both")
    {
        h.release();
        CHECK(h.heard(b) == lines{"stored CHAT n=2 #2"});
    }
    SECTION("failed: it hears of it, and what follows is not taken for them")
    {
        h.disk.fail(memory_store::fault::full);
        h.commit();
        auto const heard = h.heard(b);
        CHECK(heard == lines{"error store_full", "error store_full"});
        h.release();
        CHECK(h.ask(b, number(3)) == lines{"error store_full"});
        CHECK(h.ask(b, R"({"op":"ping"})" "\n" + number(1) + "\n" + number(2) + "\n" + number(3)) == lines{"pong", "stored CHAT n=3 #3"});
    }
    SECTION("what follows in the same failing line fails with them")
    {
        h.disk.fail(memory_store::fault::full);
        h.say(b, number(3));
        h.release();
        CHECK(h.heard(b).size() == 3);
        CHECK(h.ask(b, R"({"op":"ping"})" "\n" + number(1)) == lines{"pong", "stored CHAT n=1 #1"});
    }
    CHECK(h.given(b) == h.credited(b));
}

TEST_CASE("publish: what waits for the store is bounded")
{
    limits l;
    l.store_queue_bytes = 1024 * 1024;
    chat h{l};
    auto const a = h.join("ann");
    h.hold();
    auto const cost = message::make({"chat.x", "1", {}, {}, std::string(262'000, 'x')})->cost();
    auto const big = std::string(262'000 + 1024 * 1024 / 4 - cost, 'x');  // four fill it exactly
    for (auto const* const id : {"1", "2", "3", "4"})
        h.say(a, pub(id, "chat.x", big));
    CHECK(h.heard(a).empty());
    CHECK(h.counts.store_queue_bytes.get() == l.store_queue_bytes);
    auto const b = h.join("bob");
    CHECK(h.ask(b, pub("1")) == lines{"error 1 unavailable"});
    h.release();
    CHECK(h.heard(a).size() == 4);
    CHECK(h.counts.store_queue_bytes.get() == 0);
    CHECK(h.ask(b, pub("2")) == lines{"error 2 unavailable"});  // until it pings
    CHECK(h.ask(b, R"({"op":"ping"})" "\n" + pub("3")) == lines{"pong", "ok 3 CHAT#5"});
}

TEST_CASE("publish: a stream that is removed answers what was under way")
{
    chat h;
    auto const a = h.join("ann", "desk");
    auto const b = h.join("bob");
    h.say(b, R"({"op":"consume","stream":"CHAT","consumer":"work"})");
    h.heard(b);
    h.hold();
    h.admin("stream remove", {{"name", "CHAT"}});
    h.say(a, pub("1") + "\n" + pub("1") + "\n" + number(1));
    h.release();
    CHECK(h.admin_answers().size() == 1);
    auto const heard = h.heard(a);
    CHECK(heard == lines{"error 1 unknown_stream", "error 1 unknown_stream", "error unknown_stream"});
    CHECK(h.heard(b) == lines{"error unknown_consumer"});
    CHECK(h.counts.store_queue_bytes.get() == 0);
    CHECK(h.given(a) == h.credited(a));
    CHECK(h.ask(a, pub("2")) == lines{"ok 2"});  // plain now
    h.add_stream("CHAT", {"chat.>"});
    CHECK(h.ask(a, pub("1")) == lines{"ok 1 CHAT#1"});
}

TEST_CASE("publish: the subjects of a stream can change")
{
    chat h;
    auto const a = h.join("ann");
    CHECK(h.ask(a, pub("1", "news.x")) == lines{"ok 1"});
    CHECK(h.admin("stream edit", {{"name", "CHAT"}, {"subjects", {"news.>"}}})->exit_status == 0);
    CHECK(h.ask(a, pub("2", "news.x") + "\n" + pub("3")) == lines{"ok 3", "ok 2 CHAT#1"});
}

TEST_CASE("every byte of every operation is credited once, and every answer comes once")
{
    for (unsigned seed = 1; seed <= 60; ++seed) {
        INFO("seed " << seed);
        limits l;
        l.store_queue_bytes = 1024 * 1024;
        l.link_subscriptions = 3;
        l.user_consumers = 3;
        l.consumer_window = 8;
        chat h{l};
        std::uint64_t state = seed * 0x9e3779b97f4a7c15u;
        auto const below = [&](std::uint64_t n) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            return (state >> 33) % n;
        };
        auto const text = [&](std::uint64_t n) { return std::to_string(below(n)); };
        std::vector<link_id> links;
        for (auto const* const node : {"", "desk", "phone"})
            links.push_back(h.join("ann", node));
        links.push_back(h.join("bob", "desk"));
        std::map<link_id, std::map<std::string, int>> asked;
        std::map<link_id, std::vector<std::string>> gone;
        std::uint64_t last_id = 0;
        for (int i = 0; i < 300; ++i) {
            auto& link = links[below(links.size())];
            auto const id = "i" + std::to_string(++last_id);
            std::string operation;
            switch (below(16)) {
            case 0: operation = R"("op":"sub","subject":"chat.)" + text(5) + "\""; break;
            case 1: operation = R"("op":"unsub","subject":"chat.)" + text(5) + "\""; break;
            case 2: operation = R"("op":"consume","stream":"CHAT","consumer":"c)" + text(4) + "\""; break;
            case 3: operation = R"("op":"detach","consumer":"c)" + text(4) + "\""; break;
            case 4: operation = R"("op":"ack","consumer":"c)" + text(4) + R"(","upto":)" + std::to_string(1 + below(50)); break;
            case 5: operation = R"("op":"ack","consumer":"c)" + text(4) + R"(","seq":)" + std::to_string(1 + below(50)); break;
            case 6: operation = R"("op":"nak","consumer":"c)" + text(4) + R"(","seq":)" + std::to_string(1 + below(50)); break;
            case 7: operation = R"("op":"term","consumer":"c)" + text(4) + R"(","seq":)" + std::to_string(1 + below(50)); break;
            case 8: operation = R"("op":"ping")"; break;
            case 9: operation = R"("op":"who")"; break;
            case 10: operation = R"("op":"nonsense")"; break;
            case 11: operation = R"("op":"pub","subject":"plain")"; break;
            default: operation = R"("op":"pub","subject":"chat.)" + text(5) + "\""; break;
            }
            h.say(link, "{\"id\":\"" + id + "\"," + operation + "}");
            asked[link][id] = 0;
            switch (below(12)) {
            case 0: h.hold(); break;
            case 1: h.release(); break;
            case 2: h.commit(); break;
            case 3:
                h.disk.fail(static_cast<memory_store::fault>(1 + below(4)), static_cast<unsigned>(below(2)));
                break;
            case 4: h.pass(below(40'000)); break;
            case 5: h.say(link, number(1 + below(1000), "plain")); break;
            default: break;
            }
            if (below(60) == 0) {
                h.end_input(link);
                gone[link] = {};
                link = h.join(below(2) ? "ann" : "bob", below(2) ? "desk" : "");
            }
        }
        h.release();
        h.pass(2000);
        h.pass(2000);
        for (auto& [link, ids] : asked) {
            CHECK(h.given(link) == h.credited(link));
            auto const heard = h.heard(link);
            bool const ended = !heard.empty() && heard.back().starts_with("closed");
            if (ended && !gone.contains(link))
                continue;  // replaced: what it asked for last is not answered
            for (auto const& line : heard) {
                auto const begin = line.find(" i");
                if (line.starts_with("msg") || begin == std::string::npos)
                    continue;
                auto const at = ids.find(line.substr(begin + 1, line.find(' ', begin + 1) - begin - 1));
                if (at != ids.end())
                    ++at->second;
            }
            for (auto const& [id, count] : ids) {
                INFO(id);
                CHECK((count == 1 || (ended && count == 0)));
            }
        }
        CHECK(h.counts.store_queue_bytes.get() == 0);
    }
}
