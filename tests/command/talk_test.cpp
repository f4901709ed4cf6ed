/// post, inbox, call, serve, events.

#include "tests/command/harness.hpp"

#include <map>
#include <nlohmann/json.hpp>

#include "router/command/job_queue.hpp"
#include "router/command/talk_commands.hpp"

using namespace kedge;

namespace {

notice::welcome welcome(std::uint64_t max_body = 0)
{
    notice::welcome w;
    w.user = "alice";
    w.max_body = max_body;
    return w;
}

notice::call incoming(std::string handle, std::string method = "now", std::string body = {}, std::uint64_t left_ms = 5'000)
{
    notice::call c;
    c.call = std::move(handle);
    c.service = "time";
    c.method = std::move(method);
    c.from = "bob/desk";
    c.left_ms = left_ms;
    c.body = std::move(body);
    return c;
}

using facts = std::map<std::string, std::string>;
facts facts_of(command_effects::job const& job) { return {job.environment.begin(), job.environment.end()}; }

}  // namespace

TEST_CASE("post: of several words the last is the text")
{
    struct row {
        char const* line;
        std::vector<std::string> to;
        char const* body;
    };
    static row const rows[] = {{"post alice", {"alice"}, ""},
                               {"post alice hello", {"alice"}, "hello"},
                               {"post alice bob/laptop ~al @admins 'how are you'", {"alice", "bob/laptop", "~al", "@admins"},
                                "how are you"},
                               {"post alice ''", {"alice"}, ""},
                               {"post alice bob ''", {"alice", "bob"}, ""}};
    for (auto const& r : rows) {
        INFO(r.line);
        runner c{r.line};
        CHECK_FALSE(c.it->waits_for_messages());
        auto const posts = of<op::post>(c.begin());
        REQUIRE(posts.size() == 1);
        CHECK(posts[0].to == r.to);
        CHECK(posts[0].message->body() == r.body);
        CHECK(posts[0].message->subject().empty());
        CHECK_FALSE(c.it->wants_input());
        std::string const id{posts[0].message->id()};
        auto const fx = c.hear(notice::ok{id, "INBOX", 7, false, {}});
        CHECK(fx.out == "INBOX 7\n");
        CHECK(fx.exit_status == 0);
    }
}

TEST_CASE("post: all of standard input is one message; headers, node, id")
{
    runner c{"post @all - --header 'Kind: report' --node desk --id job-1"};
    CHECK(c.it->hello()->node == "desk");
    CHECK_FALSE(c.it->hello()->inbox);
    CHECK_FALSE(c.it->wants_input());
    CHECK(c.begin().operations.empty());
    CHECK(c.it->wants_input());
    CHECK(c.input("one\n").operations.empty());
    CHECK(c.input("two\n").operations.empty());
    auto const posts = of<op::post>(c.input_end());
    REQUIRE(posts.size() == 1);
    CHECK(posts[0].message->body() == "one\ntwo\n");
    CHECK(posts[0].message->headers() == R"({"Kind":"report"})");
    CHECK(posts[0].message->id() == "job-1");
    CHECK_FALSE(c.it->wants_input());
    CHECK(c.hear(notice::ok{"job-1", "INBOX", 7, true, {}}).out == "INBOX 7 duplicate\n");
}

TEST_CASE("post: too much input at the limit and one beyond; refused, with the names that are unknown")
{
    for (std::size_t const size : {std::size_t{10}, std::size_t{11}}) {
        runner c{"post a -"};
        c.hear(welcome(10));
        c.begin();
        auto const fx = c.input(std::string(size, 'x'));
        CHECK(fx.exit_status.has_value() == (size > 10));
        CHECK(c.it->wants_input() == (size <= 10));
    }
    runner refused{"post alice bob hi"};
    refused.begin();
    auto const fx = refused.hear(notice::error{"x", error_code::unknown_recipient, "who is alice?", {"alice", "bob"}});
    CHECK(fx.exit_status == 1);
    CHECK(fx.error == "kedge: unknown_recipient: who is alice?: bob\n");
    runner json{"post alice hi --id i --json"};
    json.begin();
    CHECK(nlohmann::json::parse(json.hear(notice::ok{"i", "INBOX", 3, false, {}}).out) ==
          nlohmann::json::parse(R"({"op":"ok","id":"i","stream":"INBOX","seq":3})"));
}

TEST_CASE("post: recipients at the limit and one beyond")
{
    std::string line = "post";
    for (int i = 1; i <= 256; ++i)
        line += " u" + std::to_string(i);
    runner c{line + " text"};
    CHECK(of<op::post>(c.begin()).at(0).to.size() == 256);
    CHECK(stopped(line + " u257 text").exit_status == 2);
    CHECK(stopped("post '' text").exit_status == 2);
}

TEST_CASE("inbox: attached by hello; printed, then acknowledged; at the count it leaves")
{
    runner c{"inbox --node laptop --count 2"};
    auto const hello = c.it->hello();
    REQUIRE(hello);
    CHECK(hello->node == "laptop");
    CHECK(hello->inbox);
    auto fx = c.begin();
    CHECK(fx.operations.empty());
    CHECK(fx.error == "attached\n");
    notice::msg m;
    m.subject = "inbox.alice";
    m.stream = "INBOX";
    m.consumer = "inbox";
    m.from = "bob/desk";
    m.time_ms = 1'795'248'000'000;
    m.seq = 4;
    m.body = "hi\nthere";
    fx = c.hear(m);
    CHECK(fx.out == "2026-11-21 08:00:00  bob/desk  hi\\nthere\n");
    auto const acks = of<op::ack>(fx);
    REQUIRE(acks.size() == 1);
    CHECK(acks[0].stream == "INBOX");
    CHECK(acks[0].consumer == "inbox");
    CHECK(acks[0].seqs == std::vector<message_seq>{4});
    m.seq = 6;
    c.hear(m);
    fx = c.hear(ok(acks[0].id));
    REQUIRE(of<op::ack>(fx).size() == 1);
    CHECK_FALSE(fx.exit_status);
    fx = c.hear(ok(acks[0].id));
    CHECK(fx.exit_status == 0);
    CHECK(fx.operations.empty());
    CHECK(runner{"inbox"}.it->hello()->node == "inbox");
}

TEST_CASE("inbox --exec: acknowledged on exit 0, given back else")
{
    runner c{"inbox --exec lp --retry-delay 3s"};
    c.begin();
    notice::msg m;
    m.stream = "INBOX";
    m.consumer = "inbox";
    m.seq = 1;
    m.body = "print me";
    auto fx = c.hear(m);
    REQUIRE(fx.jobs.size() == 1);
    CHECK(fx.jobs[0].input == "print me");
    CHECK_FALSE(fx.jobs[0].capture_bytes_max);
    fx = c.job(fx.jobs[0].number, 1);
    auto const naks = of<op::nak>(fx);
    REQUIRE(naks.size() == 1);
    CHECK(naks[0].delay_ms == 3'000);
    CHECK(naks[0].stream == "INBOX");
}

TEST_CASE("call: what the words mean")
{
    struct row {
        char const* line;
        char const* service;
        char const* method;
        char const* subject;
        char const* body;
        std::uint64_t timeout_ms;
    };
    static row const rows[] = {{"call time now", "time", "now", "", "", 0},
                               {"call time now Oslo", "time", "now", "", "Oslo", 0},
                               {"call time now Oslo --timeout 2s", "time", "now", "", "Oslo", 2'000},
                               {"call --timeout 250ms --subject a.b", "", "", "a.b", "", 250},
                               {"call --subject a.b hello", "", "", "a.b", "hello", 0}};
    for (auto const& r : rows) {
        INFO(r.line);
        runner c{r.line};
        auto const calls = of<op::call>(c.begin());
        REQUIRE(calls.size() == 1);
        CHECK(calls[0].service == r.service);
        CHECK(calls[0].method == r.method);
        CHECK(calls[0].message->subject() == r.subject);
        CHECK(calls[0].message->body() == r.body);
        CHECK(calls[0].timeout_ms == r.timeout_ms);
    }
    for (auto const* line : {"call", "call time", "call time now a b", "call --subject a.b c d", "call 't ime' now",
                             "call time now --timeout 0s", "call --subject 'a.*'"}) {
        INFO(line);
        auto const s = stopped(line);
        CHECK(s.exit_status == 2);
        CHECK(s.error.find("kedge: ") == 0);
    }
}

TEST_CASE("call: the answer, its forms, its failures")
{
    struct row {
        char const* options;
        char const* body;
        char const* out;
    };
    static row const rows[] = {{"", "noon", "noon\n"},
                               {"", "noon\n", "noon\n"},
                               {"", "", "\n"},
                               {"--raw", "noon", "noon"},
                               {"--json", "noon", "{\"op\":\"reply\",\"id\":\"call\",\"from\":\"bot1/a\",\"data\":\"noon\"}\n"}};
    for (auto const& r : rows) {
        INFO(r.options << " '" << r.body << "'");
        runner c{std::string{"call time now "} + r.options};
        auto const id = std::string{of<op::call>(c.begin()).at(0).message->id()};
        auto const fx = c.hear(notice::reply{id, "bot1/a", r.body});
        CHECK(fx.out == r.out);
        CHECK(fx.exit_status == 0);
    }
    runner failed{"call time now"};
    failed.begin();
    auto fx = failed.hear(notice::error{"call", error_code::timeout, "no answer within 5000 ms", {}});
    CHECK(fx.exit_status == 1);
    CHECK(fx.error == "kedge: timeout: no answer within 5000 ms\n");
    runner own{"call time now"};
    own.begin();
    fx = own.hear(notice::error{"call", error_code::internal, "no_zone: there is none", {}, "no_zone"});
    CHECK(fx.error == "kedge: no_zone: there is none\n");
    runner input{"call time now -"};
    CHECK(input.begin().operations.empty());
    input.input("all ");
    input.input("of it");
    CHECK(of<op::call>(input.input_end()).at(0).message->body() == "all of it");
}

TEST_CASE("serve: registers, runs a job for each call, answers with what it printed")
{
    command_environment e;
    std::uint64_t now = 1'000'000;
    e.now_us = [&now] { return now; };
    runner c{"serve time --method now --method zone --exec 'date' --version 2 --description 'What time it is' --node a", e};
    CHECK(c.it->waits_for_messages());
    CHECK(c.it->hello()->node == "a");
    c.hear(welcome(100));
    auto const serves = of<op::serve>(c.begin());
    REQUIRE(serves.size() == 1);
    CHECK(serves[0].service == "time");
    CHECK(serves[0].version == "2");
    CHECK(serves[0].methods == std::vector<std::string>{"now", "zone"});
    CHECK(serves[0].description == "What time it is");
    CHECK(c.hear(ok("serve")).error == "serving\n");
    auto fx = c.hear(incoming("h1", "zone", "Oslo"));
    REQUIRE(fx.jobs.size() == 1);
    auto const& job = fx.jobs[0];
    CHECK(job.shell == "date");
    CHECK(job.input == "Oslo");
    CHECK(job.capture_bytes_max == 100);
    CHECK(job.timeout_ms == 5'000);
    CHECK(facts_of(job) == facts{{"KEDGE_SERVICE", "time"}, {"KEDGE_METHOD", "zone"}, {"KEDGE_FROM", "bob/desk"},
                                 {"KEDGE_LEFT_MS", "5000"}});
    now += 12'000;
    fx = c.job({job.number, 0, "CET\n", {}, false});
    auto const replies = of<op::reply>(fx);
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].call == "h1");
    CHECK(replies[0].error_code.empty());
    CHECK(replies[0].message->body() == "CET\n");
    CHECK(fx.out == "zone  bob/desk  ok  12 ms\n");
}

TEST_CASE("serve: what fails is an error with the last line of standard error")
{
    runner c{"serve time --method now --exec x --quiet"};
    c.hear(welcome(10));
    c.begin();
    struct row {
        job_end ended;
        char const* code;
        char const* message;
    };
    row const rows[] = {{{0, 3, "ignored", "it is bad", false}, "failed", "it is bad"},
                        {{0, 3, "", "", false}, "failed", "the command ended with status 3"},
                        {{0, 1, "", "a\x1b[2Jb", false}, "failed", "a\\x1b[2Jb"},
                        {{0, 0, "0123456789", "", true}, "too_large", "the answer has more than 10 bytes"}};
    for (auto const& r : rows) {
        INFO(r.message);
        auto ended = r.ended;
        ended.number = c.hear(incoming("h")).jobs.at(0).number;
        auto const replies = of<op::reply>(c.job(std::move(ended)));
        REQUIRE(replies.size() == 1);
        CHECK(replies[0].error_code == r.code);
        CHECK(replies[0].error_message == r.message);
    }
    auto const number = c.hear(incoming("h")).jobs.at(0).number;
    auto const long_one = of<op::reply>(c.job({number, 1, {}, std::string(4'000, 'e'), false}));
    CHECK(long_one.at(0).error_message.size() <= 1'024);
}

TEST_CASE("serve: so many at once; what waited too long is not begun; calls of a lost link are forgotten")
{
    command_environment e;
    std::uint64_t now = 1'000'000;
    e.now_us = [&now] { return now; };
    runner c{"serve time --method now --exec x --jobs 2", e};
    c.begin();
    auto const a = c.hear(incoming("a")).jobs.at(0).number;
    auto const b = c.hear(incoming("b")).jobs.at(0).number;
    CHECK(c.hear(incoming("c", "now", {}, 1'000)).jobs.empty());
    CHECK(c.hear(incoming("d", "now", {}, 3'000)).jobs.empty());
    now += 1'000'000;
    auto fx = c.job(a, 0);
    CHECK(of<op::reply>(fx).at(0).call == "a");
    CHECK(fx.out.find("now  bob/desk  too late  1000 ms\n") != std::string::npos);
    REQUIRE(fx.jobs.size() == 1);  // d
    CHECK(fx.jobs[0].timeout_ms == 2'000);
    CHECK(facts_of(fx.jobs[0]).at("KEDGE_LEFT_MS") == "2000");
    CHECK(c.hear(incoming("e")).jobs.empty());
    c.hear(welcome());  // a new link
    fx = c.job(b, 0);
    CHECK(fx.operations.empty());
    CHECK(fx.jobs.empty());
    c.job(a + 3, 0);
    CHECK(c.hear(incoming("f")).jobs.size() == 1);
}

TEST_CASE("serve: interrupted, it finishes what it has")
{
    runner c{"serve time --method now --exec x"};
    c.begin();
    c.hear(ok("serve"));
    auto const number = c.hear(incoming("a")).jobs.at(0).number;
    auto fx = c.interrupt();
    REQUIRE(of<op::unserve>(fx).size() == 1);
    CHECK_FALSE(fx.exit_status);
    CHECK_FALSE(c.hear(ok("unserve")).exit_status);
    fx = c.job(number, 0);
    CHECK(of<op::reply>(fx).size() == 1);
    CHECK(fx.exit_status == 0);
    runner twice{"serve time --method now --exec x"};
    twice.begin();
    twice.interrupt();
    CHECK(twice.interrupt().exit_status == 130);
    runner idle{"serve time --method now --exec x"};
    idle.begin();
    idle.interrupt();
    CHECK(idle.hear(ok("unserve")).exit_status == 0);
    runner refused{"serve time --method now --exec x"};
    refused.begin();
    CHECK(refused.hear(notice::error{"serve", error_code::denied, "no", {}}).exit_status == 1);
}

TEST_CASE("serve: what it needs")
{
    for (auto const* line : {"serve", "serve time", "serve time --method now", "serve time --exec x",
                             "serve time --method 'n w' --exec x", "serve time --method now --exec x --jobs 0",
                             "serve time --method now --exec x --jobs 1025"}) {
        INFO(line);
        CHECK(stopped(line).exit_status == 2);
    }
    command_environment remote;
    remote.remote = true;
    CHECK(stopped("serve time --method now --exec x", remote).exit_status == 2);
    CHECK(stopped("inbox --exec x", remote).exit_status == 2);
    CHECK(stopped("control --listen --exec x", remote).exit_status == 2);
}

TEST_CASE("the queue of jobs is bounded in number and in bytes")
{
    command_effects fx;
    job_queue q{{"x", 1}, {}};
    CHECK(q.add({}, 1, fx) != 0);  // runs
    for (std::size_t i = 0; i < job_queue::waiting_max; ++i)
        REQUIRE(q.add({}, 1, fx) != 0);
    CHECK(q.add({}, 1, fx) == 0);
    q.ended(fx);
    CHECK(q.add({}, 1, fx) != 0);
    CHECK(fx.jobs.size() == 2);

    job_queue bytes{{"x", 1}, {}};
    command_effects::job big;
    big.input.assign(job_queue::waiting_bytes_max, 'x');
    CHECK(bytes.add(big, 1, fx) != 0);
    CHECK(bytes.add(big, 1, fx) != 0);
    command_effects::job one;
    one.input = "x";
    CHECK(bytes.add(one, 1, fx) == 0);
    bytes.ended(fx);
    CHECK(bytes.add(one, 1, fx) != 0);
}

TEST_CASE("events: each in a line")
{
    struct row {
        char const* subject;
        char const* body;
        char const* shown;
    };
    static row const rows[] = {
        {"$sys.node.join", R"({"user":"alice","node":"laptop"})", "node.join  alice/laptop"},
        {"$sys.node.leave", R"({"user":"alice","node":"laptop","reason":"retired"})", "node.leave  alice/laptop retired"},
        {"$sys.service.connect", R"({"service":"time","version":"2","instance":"00ff","user":"bot1"})",
         "service.connect  time 2 00ff of bot1"},
        {"$sys.service.online", R"({"service":"time","version":"2","instance":"00ff","user":"bot1"})",
         "service.online  time 2 of bot1"},
        {"$sys.unhandled", R"({"subject":"svc.time.now","from":"alice/laptop"})", "unhandled  svc.time.now from alice/laptop"},
        {"$sys.dead", R"({"stream":"S","consumer":"c","seq":17,"reason":"too many tries"})", "dead  S 17 of c: too many tries"},
        {"$sys.migration.S", R"({"state":"mirror","lag":3})", "migration.S  lag=3 state=mirror"},
    };
    for (auto const& r : rows) {
        INFO(r.subject);
        runner c{"events --count 1"};
        auto const subs = of<op::subscribe>(c.begin());
        REQUIRE(subs.size() == 1);
        CHECK(subs[0].pattern == "$sys.>");
        CHECK(c.hear(ok(subs[0].id)).error == "subscribed\n");
        notice::msg m;
        m.subject = r.subject;
        m.from = "$sys";
        m.time_ms = 1'795'248'000'000;
        m.body = r.body;
        auto const fx = c.hear(m);
        CHECK(fx.out == std::string{"2026-11-21 08:00:00  "} + r.shown + "\n");
        CHECK(fx.exit_status == 0);
    }
    notice::msg said;
    said.subject = "$sys.broadcast";
    said.from = "op/desk";
    said.time_ms = 1'795'248'000'000;
    said.body = "down at noon\x1b";
    CHECK(render_event(said, false, {}) == "2026-11-21 08:00:00  broadcast  op/desk: down at noon\\x1b\n");
    CHECK(nlohmann::json::parse(render_event(said, true, {}))["from"] == "op/desk");
    runner refused{"events"};
    refused.begin();
    CHECK(refused.hear(notice::error{"events", error_code::denied, "no", {}}).exit_status == 1);
}

TEST_CASE("every one of them has an example in its help")
{
    for (auto const* name : {"post", "inbox", "call", "serve", "events", "control"}) {
        INFO(name);
        auto const help = stopped(std::string{name} + " --help");
        CHECK(help.exit_status == 0);
        CHECK(help.out.find(std::string{"kedge "} + name) != std::string::npos);
        CHECK(stopped("man").out.find(std::string{"kedge "} + name) != std::string::npos);
    }
}
