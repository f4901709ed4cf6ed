/// sub, consume, ping, who.

#include "tests/command/harness.hpp"

#include <map>
#include <nlohmann/json.hpp>

using namespace kedge;

namespace {

notice::msg delivered(message_seq seq, std::string body = "x")
{
    notice::msg m;
    m.subject = "a.b";
    m.from = "u/n";
    m.stream = "S";
    m.consumer = "c";
    m.seq = seq;
    m.tries = 1;
    m.pub_id = "id";
    m.body = std::move(body);
    return m;
}

}  // namespace

TEST_CASE("sub: subscribes, says when it stands, prints, stops at the count")
{
    runner c{"sub 'a.>' b --group g --count 2"};
    CHECK(c.it->waits_for_messages());
    auto const subs = of<op::subscribe>(c.begin());
    REQUIRE(subs.size() == 2);
    CHECK(subs[0].pattern == "a.>");
    CHECK(subs[1].pattern == "b");
    CHECK(subs[0].group == "g");
    CHECK(c.hear(ok(subs[0].id)).error.empty());
    CHECK(c.hear(ok(subs[1].id)).error == "subscribed\n");
    auto fx = c.hear(delivered(1, "one"));
    CHECK(fx.out == "a.b  u/n  one\n");
    CHECK_FALSE(fx.exit_status);
    fx = c.hear(delivered(2, "two"));
    CHECK(fx.exit_status == 0);
    CHECK(c.hear(delivered(3)).out.empty());
}

TEST_CASE("sub: refused, ended, interrupted")
{
    runner refused{"sub a"};
    refused.begin();
    CHECK(refused.hear(notice::error{"sub-1", error_code::denied, "no", {}}).exit_status == 1);
    runner ended{"sub a"};
    ended.begin();
    CHECK(ended.hear(notice::bye{error_code::slow_consumer, ""}).exit_status == 1);
    runner interrupted{"sub a"};
    interrupted.begin();
    CHECK(interrupted.interrupt().exit_status == 0);
}

TEST_CASE("consume: the operation says what the options say")
{
    struct row {
        char const* options;
        op::start_position::kind at;
        std::uint64_t value;
    };
    using kind = op::start_position::kind;
    static row const rows[] = {{"", kind::new_only, 0},
                               {"--start new", kind::new_only, 0},
                               {"--start first", kind::first, 0},
                               {"--start 17", kind::seq, 17},
                               {"--start 2026-11-21T08:00:00Z", kind::time, 1'795'248'000'000}};
    for (auto const& r : rows) {
        INFO(r.options);
        runner c{std::string{"consume S --consumer c "} + r.options};
        auto const o = of<op::consume>(c.begin());
        REQUIRE(o.size() == 1);
        CHECK(o[0].stream == "S");
        CHECK(o[0].consumer == "c");
        CHECK(o[0].start.at == r.at);
        CHECK(o[0].start.value == r.value);
        CHECK_FALSE(o[0].filter);
        CHECK_FALSE(o[0].window);
    }
    runner all{"consume S --consumer c --filter 'a.*' --window 7 --ack-wait 5s --max-deliver 3"};
    auto const o = of<op::consume>(all.begin()).at(0);
    CHECK(o.filter == "a.*");
    CHECK(o.window == 7);
    CHECK(o.ack_wait_ms == 5'000);
    CHECK(o.max_deliver == 3);
    runner counted{"consume S --consumer c --count 3"};
    CHECK(of<op::consume>(counted.begin()).at(0).window == 3);
    runner with_jobs{"consume S --consumer c --exec true"};
    CHECK(of<op::consume>(with_jobs.begin()).at(0).window == 16);
}

TEST_CASE("consume: printed, then acknowledged, one ack under way at a time; at the count it leaves in order")
{
    runner c{"consume S --consumer c --count 3 --raw"};
    c.begin();
    CHECK(c.hear(ok("consume")).error == "attached\n");
    auto fx = c.hear(delivered(1, "one"));
    CHECK(fx.out == "one\n");
    auto acks = of<op::ack>(fx);
    REQUIRE(acks.size() == 1);
    CHECK(acks[0].seqs == std::vector<message_seq>{1});
    CHECK(acks[0].consumer == "c");
    CHECK(acks[0].stream == "S");
    CHECK(of<op::ack>(c.hear(delivered(2, "two"))).empty());
    CHECK(of<op::ack>(c.hear(delivered(3, "three"))).empty());
    CHECK(c.hear(delivered(4, "four")).out.empty());  // beyond the count: for others
    fx = c.hear(ok(acks[0].id));
    acks = of<op::ack>(fx);
    REQUIRE(acks.size() == 1);
    CHECK(acks[0].seqs == std::vector<message_seq>{2, 3});
    CHECK(of<op::detach>(fx).empty());
    fx = c.hear(ok(acks[0].id));
    auto const detach = of<op::detach>(fx);
    REQUIRE(detach.size() == 1);
    CHECK_FALSE(fx.exit_status);
    CHECK(c.hear(ok(detach[0].id)).exit_status == 0);
}

TEST_CASE("consume --exec: one job at a time, with the facts; 0 acknowledges, another gives back")
{
    runner c{"consume S --consumer c --exec 'do it' --retry-delay 5s"};
    c.begin();
    c.hear(ok("consume"));
    auto fx = c.hear(delivered(1, "body"));
    REQUIRE(fx.jobs.size() == 1);
    CHECK(fx.jobs[0].shell == "do it");
    CHECK(fx.jobs[0].input == "body");
    std::map<std::string, std::string> const facts{fx.jobs[0].environment.begin(), fx.jobs[0].environment.end()};
    CHECK(facts.at("KEDGE_SUBJECT") == "a.b");
    CHECK(facts.at("KEDGE_FROM") == "u/n");
    CHECK(facts.at("KEDGE_STREAM") == "S");
    CHECK(facts.at("KEDGE_SEQ") == "1");
    CHECK(facts.at("KEDGE_CONSUMER") == "c");
    CHECK(facts.at("KEDGE_TRIES") == "1");
    CHECK(facts.at("KEDGE_PUB_ID") == "id");
    CHECK(facts.at("KEDGE_HEADERS") == "{}");
    CHECK(c.hear(delivered(2)).jobs.empty());
    CHECK(c.job(99, 0).operations.empty());  // not ours
    auto const first = fx.jobs[0].number;
    fx = c.job(first, 0);
    CHECK(of<op::ack>(fx).size() == 1);
    REQUIRE(fx.jobs.size() == 1);
    fx = c.job(fx.jobs[0].number, 3);
    auto const naks = of<op::nak>(fx);
    REQUIRE(naks.size() == 1);
    CHECK(naks[0].seq == 2);
    CHECK(naks[0].delay_ms == 5'000);
    CHECK(fx.error.find("status 3") != std::string::npos);
}

TEST_CASE("consume --exec: long jobs keep what they hold")
{
    runner c{"consume S --consumer c --exec 'sleep 100' --ack-wait 6s"};
    c.begin();
    c.hear(ok("consume"));
    CHECK(c.second().operations.empty());
    c.hear(delivered(1));
    c.hear(delivered(2));
    CHECK(of<op::working>(c.second()).size() == 2);
    CHECK(c.second().operations.empty());
    CHECK(of<op::working>(c.second()).size() == 2);
}

TEST_CASE("consume --exec: interrupted, it finishes the job in hand, then leaves")
{
    runner c{"consume S --consumer c --exec true"};
    c.begin();
    c.hear(ok("consume"));
    auto const job = c.hear(delivered(1)).jobs.at(0).number;
    c.hear(delivered(2));
    CHECK_FALSE(c.interrupt().exit_status);
    auto fx = c.job(job, 0);
    CHECK(fx.jobs.empty());
    auto const acks = of<op::ack>(fx);
    REQUIRE(acks.size() == 1);
    fx = c.hear(ok(acks[0].id));
    CHECK(of<op::detach>(fx).size() == 1);
    CHECK(c.hear(ok("detach")).exit_status == 0);

    runner twice{"consume S --consumer c --exec true"};
    twice.begin();
    twice.hear(ok("consume"));
    twice.hear(delivered(1));
    twice.interrupt();
    CHECK(twice.interrupt().exit_status == 130);
    runner early{"consume S --consumer c"};
    early.begin();
    CHECK(early.interrupt().exit_status == 0);
}

TEST_CASE("consume: refused is exit 1")
{
    runner c{"consume S --consumer c"};
    c.begin();
    auto const fx = c.hear(notice::error{"consume", error_code::unknown_stream, "there is no stream S", {}});
    CHECK(fx.exit_status == 1);
    CHECK(fx.error == "kedge: unknown_stream: there is no stream S\n");
}

TEST_CASE("ping")
{
    command_environment e;
    std::uint64_t now = 1'000;
    e.now_us = [&now] { return now; };
    runner c{"ping --count 2", e};
    notice::welcome w;
    w.server = "kedge/1";
    w.user = "alice";
    w.role = "bot";
    c.hear(w);
    CHECK(of<op::ping>(c.begin()).size() == 1);
    now += 1'500;
    auto fx = c.hear(notice::pong{"ping"});
    CHECK(fx.out == "pong from kedge/1 to alice (bot) in 1.500 ms\n");
    CHECK(of<op::ping>(fx).size() == 1);
    CHECK_FALSE(fx.exit_status);
    CHECK(c.hear(notice::pong{"ping"}).exit_status == 0);

    runner json{"ping --json"};
    json.begin();
    CHECK(nlohmann::json::parse(json.hear(notice::pong{"ping"}).out)["pong"] == true);
}

TEST_CASE("who: each kind, as a table and as JSON")
{
    struct row {
        char const* what;
        op::who::kind kind;
        char const* body;
        char const* shown;
    };
    using kind = op::who::kind;
    static row const rows[] = {
        {"", kind::nodes, R"({"nodes":[{"user":"a","node":null,"session":"9f","since_ms":1795248000000}]})",
         "USER  NODE  SESSION  SINCE\na     -     9f       2026-11-21 08:00:00\n"},
        {"nodes", kind::nodes, R"({"nodes":[]})", "no nodes\n"},
        {"streams", kind::streams, R"({"streams":[{"stream":"S","subjects":["a.>","b"],"first_seq":1,"last_seq":9,"messages":9,"bytes":2048}]})",
         "STREAM  SUBJECTS  FIRST  LAST  MESSAGES     SIZE\nS       a.>,b         1     9         9  2.0 KiB\n"},
        {"consumers", kind::consumers,
         R"({"consumers":[{"stream":"S","consumer":"c","owner":"a","filter":"","next_seq":4,"pending":1,"lag":6,"links":1,"dead":0}]})",
         "STREAM  CONSUMER  OWNER  FILTER  NEXT  PENDING  LAG  LINKS  DEAD\nS       c         a      -          4        1    6      1     0\n"},
        {"services", kind::services, R"({"services":[]})", "no services\n"},
        {"services", kind::services,
         R"({"services":[{"service":"time","version":"2","user":"bot1","node":null,"methods":["now","zone"],"open":1,"instance":"00ff","since_ms":1795248000000}]})",
         "SERVICE  VERSION  USER  NODE  METHODS   OPEN  INSTANCE  SINCE\n"
         "time     2        bot1  -     now,zone     1  00ff      2026-11-21 08:00:00\n"},
        {"lists", kind::lists, R"({"lists":[]})", "no lists\n"},
        {"lists", kind::lists, R"({"lists":[{"list":"web","owner":"op","posting":"anyone","members":["a","@b"]}]})",
         "LIST  OWNER  POSTING  MEMBERS\nweb   op     anyone   a,@b\n"},
    };
    for (auto const& r : rows) {
        INFO(r.what);
        runner c{std::string{"who "} + r.what};
        auto const asked = of<op::who>(c.begin());
        REQUIRE(asked.size() == 1);
        CHECK(asked[0].what == r.kind);
        auto const fx = c.hear(notice::reply{"who", "$sys", r.body});
        CHECK(fx.out == r.shown);
        CHECK(fx.exit_status == 0);
        runner json{std::string{"who --json "} + r.what};
        json.begin();
        CHECK(nlohmann::json::parse(json.hear(notice::reply{"who", "$sys", r.body}).out) == nlohmann::json::parse(r.body));
    }
    runner bad{"who"};
    bad.begin();
    CHECK(bad.hear(notice::reply{"who", "$sys", "not json"}).exit_status == 1);
}
