/// control: who is asked, who is waited for, what is shown; and the bot's side.

#include "tests/command/harness.hpp"

#include <map>
#include <nlohmann/json.hpp>

#include "router/command/control_table.hpp"

using namespace kedge;

namespace {

/// A controller that has subscribed and knows whom to expect.
struct controller {
    explicit controller(std::string const& line, std::string const& who = {}, command_environment e = {})
        : c{line, with_clock(std::move(e), now)}
    {
        auto const fx = c.begin();
        auto const subs = of<op::subscribe>(fx);
        REQUIRE(subs.size() == 1);
        answers = subs[0].pattern;
        CHECK(of<op::publish>(fx).empty());
        if (!who.empty()) {
            auto const asked = of<op::who>(fx);
            REQUIRE(asked.size() == 1);
            kind = asked[0].what;
            CHECK(of<op::publish>(c.hear(notice::reply{asked[0].id, "$sys", who})).empty());
        }
        sent = c.hear(ok(subs[0].id));
        publishes = of<op::publish>(sent);
    }

    static command_environment with_clock(command_environment e, std::uint64_t& now)
    {
        e.now_us = [&now] { return now; };
        return e;
    }

    command_effects answer(std::string from, std::string body, std::string headers = {})
    {
        notice::msg m;
        m.subject = answers;
        m.from = std::move(from);
        m.body = std::move(body);
        m.headers = std::move(headers);
        return c.hear(m);
    }

    std::uint64_t now = 1'000'000;
    runner c;
    std::string answers;
    std::optional<op::who::kind> kind;
    command_effects sent;
    std::vector<op::publish> publishes;
};

constexpr char two_bots[] =
    R"({"nodes":[{"user":"bot1","node":"control","session":"1"},{"user":"bot2","node":"control-b","session":"2"},)"
    R"({"user":"op","node":null,"session":"3"},{"user":"alice","node":"laptop","session":"4"},{"user":"bot3","node":"controls","session":"5"}]})";

std::vector<std::string> lines_of(std::string const& text)
{
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size();) {
        auto const end = text.find('\n', at);
        lines.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return lines;
}

}  // namespace

TEST_CASE("control: to all; done when every node that is connected has answered")
{
    controller k{"control status now", two_bots};
    CHECK(k.kind == op::who::kind::nodes);
    REQUIRE(k.publishes.size() == 1);
    CHECK(k.publishes[0].message->subject() == "control.all");
    CHECK(k.publishes[0].message->body() == "status now");
    CHECK(k.publishes[0].message->reply_to() == k.answers);
    CHECK(k.sent.out == "BOT             STATUS          MS  ANSWER\n");
    k.now += 12'000;
    auto fx = k.answer("bot2/control-b", "well\nup 3 days\n");
    CHECK(fx.out == "bot2/control-b  ok              12  well\n"
                    "                                    up 3 days\n");
    CHECK_FALSE(fx.exit_status);
    k.now += 1'000'000;
    fx = k.answer("bot1/control", "");
    CHECK(fx.out == "bot1/control    ok            1012\n");
    CHECK(fx.error == "2 of 2 answered in 1.01 s\n");
    CHECK(fx.exit_status == 0);
    CHECK(k.answer("bot1/control", "again").out.empty());
}

TEST_CASE("control: the time is over; those that did not answer are shown last")
{
    controller k{"control status --timeout 2s", two_bots};
    REQUIRE(k.c.it->due_us());
    CHECK(*k.c.it->due_us() == 3'000'000);
    k.answer("bot1/control", "well");
    k.answer("stranger/x", "me too");
    k.now = 2'999'999;
    CHECK_FALSE(k.c.time().exit_status);
    k.now = 3'000'000;
    auto const fx = k.c.time();
    CHECK(fx.out == "bot2/control-b  no answer\n");
    CHECK(fx.error == "1 of 2 answered in 2.00 s\n");
    CHECK(fx.exit_status == 1);
    CHECK_FALSE(k.c.it->due_us());
}

TEST_CASE("control: a group is the members of the list of that name; an answer of any of a user's nodes will do")
{
    controller k{"control --group web reload",
                 R"({"lists":[{"list":"web","owner":"op","members":["bot1","bot2/main","@other","~al"]},{"list":"x","members":["y"]}]})"};
    CHECK(k.kind == op::who::kind::lists);
    REQUIRE(k.publishes.size() == 1);
    CHECK(k.publishes[0].message->subject() == "control.group.web");
    CHECK_FALSE(k.answer("bot1/anything", "ok").exit_status);
    CHECK(k.answer("bot2/main", "ok").exit_status == 0);

    controller unknown{"control --group games reload --timeout 1s", R"({"lists":[]})"};
    CHECK(unknown.answer("bot1/a", "ok").exit_status == std::nullopt);
    unknown.now += 1'000'000;
    auto const fx = unknown.c.time();
    CHECK(fx.exit_status == 0);
    CHECK(fx.error == "1 answered in 1.00 s\n");
    controller silent{"control --group games reload --timeout 1s", R"({"lists":[]})"};
    silent.now += 1'000'000;
    CHECK(silent.c.time().exit_status == 1);
}

TEST_CASE("control: some bots; a number of answers")
{
    controller k{"control --bot bot1 --bot bot2 hi", R"({"nodes":[]})"};
    REQUIRE(k.publishes.size() == 2);
    CHECK(k.publishes[0].message->subject() == "control.bot.bot1");
    CHECK(k.publishes[1].message->subject() == "control.bot.bot2");
    CHECK(k.publishes[0].message->id() != k.publishes[1].message->id());
    k.answer("bot1/~9f2c", "ok");
    CHECK(k.answer("bot2/x", "ok").exit_status == 0);

    controller both{"control --bot bot1 hi", R"({"nodes":[{"user":"bot1","node":"control"},{"user":"bot1","node":"control-x"},{"user":"bot2","node":"control"}]})"};
    CHECK_FALSE(both.answer("bot1/control", "ok").exit_status);
    CHECK(both.answer("bot1/control-x", "ok").exit_status == 0);

    controller n{"control hi --expect 2", R"({"nodes":[]})"};
    CHECK(n.answer("a/~1", "ok").exit_status == std::nullopt);
    CHECK(n.answer("a/~1", "and more").exit_status == std::nullopt);  // the same bot
    CHECK(n.answer("b/~2", "ok").exit_status == 0);
}

TEST_CASE("control: nobody is there")
{
    runner c{"control hi"};
    auto const fx = c.begin();
    c.hear(notice::reply{of<op::who>(fx).at(0).id, "$sys", R"({"nodes":[{"user":"op","node":null},{"user":"alice","node":"laptop"}]})"});
    auto const end = c.hear(ok(of<op::subscribe>(fx).at(0).id));
    CHECK(end.exit_status == 1);
    CHECK(end.operations.empty());
}

TEST_CASE("control: a bot that failed makes the exit status 1")
{
    controller k{"control --bot bot1 hi", R"({"nodes":[]})"};
    auto const fx = k.answer("bot1/x", "no such command\n", R"({"Control-Status":"127"})");
    CHECK(lines_of(fx.out).at(0) == "bot1/x        failed 127        0  no such command");
    CHECK(fx.error == "1 of 1 answered in 0.00 s, 1 failed\n");
    CHECK(fx.exit_status == 1);
}

TEST_CASE("control --json")
{
    controller k{"control --json --timeout 1s hi", two_bots};
    CHECK(k.sent.out.empty());
    auto const row = nlohmann::json::parse(k.answer("bot1/control", "a\xff").out);
    CHECK(row == nlohmann::json::parse(R"({"bot":"bot1/control","status":0,"ms":0,"data64":"Yf8="})"));
    k.now += 1'000'000;
    auto const end = k.c.time();
    CHECK(nlohmann::json::parse(end.out) == nlohmann::json::parse(R"({"answered":1,"failed":0,"missing":["bot2/control-b"]})"));
    CHECK(end.error.empty());
}

TEST_CASE("control: interrupted, it shows what it has")
{
    controller k{"control hi", two_bots};
    auto const fx = k.c.interrupt();
    CHECK(fx.exit_status == 130);
    CHECK(lines_of(fx.out).size() == 2);
    runner early{"control hi"};
    early.begin();
    CHECK(early.interrupt().exit_status == 130);
}

TEST_CASE("the table on terminals: wide, narrow, coloured; nothing is cut off")
{
    command_environment e;
    e.out_is_terminal = true;
    e.columns = 60;
    control_table wide{e};
    auto const head = wide.head(12);
    CHECK(head == "BOT           STATUS          MS  ANSWER\n");
    auto const row = lines_of(wide.row("bot1/control", 0, 5, "abcdefghijklmnopqrstuvwxyz0123456789"));
    REQUIRE(row.size() == 2);
    CHECK(row[0] == "bot1/control  ok               5  abcdefghijklmnopqrstuvwxyz");
    CHECK(row[1] == "                                  0123456789");
    CHECK(row[0].size() == 60);

    e.columns = 59;
    control_table narrow{e};
    CHECK(narrow.head(12).empty());
    CHECK(narrow.row("bot1/control", 3, 5, "one\ntwo") == "bot1/control  failed 3  5 ms\n  one\n  two\n");
    CHECK(narrow.silent("bot2/main") == "bot2/main  no answer\n");
    e.columns = 1;
    CHECK(lines_of(control_table{e}.row("b", 0, 5, "xyz")).size() == 4);

    e.columns = 80;
    e.colours = true;
    control_table coloured{e};
    CHECK(coloured.head(4).find("\x1b[1m") != std::string::npos);
    CHECK(coloured.row("b", 0, 5, "x").find("\x1b[32mok") != std::string::npos);
    CHECK(coloured.row("b", 1, 5, "x").find("\x1b[31mfailed") != std::string::npos);
    CHECK(coloured.silent("b").find("\x1b[33m") != std::string::npos);

    command_environment pipe;
    control_table piped{pipe};
    piped.head(100);
    CHECK(lines_of(piped.row("b", 0, 5, std::string(500, 'x') + "\n\x1b[2J")).size() == 2);
    CHECK(piped.row("b\x1b", 0, 5, "\x1b[2J").find('\x1b') == std::string::npos);
}

TEST_CASE("control: what it takes")
{
    for (auto const* line : {"control", "control --listen", "control --listen --exec x hi", "control --exec x hi",
                             "control --group a --group b hi", "control --group a --bot b hi", "control --expect 0 hi",
                             "control --timeout 0s hi", "control --listen --exec x --timeout 1s", "control --from op hi"}) {
        INFO(line);
        CHECK(stopped(line).exit_status == 2);
    }
}

TEST_CASE("control --listen: subscribes, runs, answers with a status")
{
    runner c{"control --listen --exec ./obey --group web --group db --from op"};
    CHECK(c.it->waits_for_messages());
    CHECK(c.it->hello()->node == "control");
    notice::welcome w;
    w.user = "bot1";
    w.max_body = 100;
    c.hear(w);
    std::vector<std::string> subjects;
    std::vector<command_effects> confirmed;
    for (auto const& s : of<op::subscribe>(c.begin()))
        subjects.push_back(s.pattern);
    CHECK(subjects == std::vector<std::string>{"control.all", "control.bot.bot1", "control.group.web", "control.group.db"});
    for (auto const& s : subjects)
        confirmed.push_back(c.hear(ok(s)));
    CHECK(confirmed[2].error.empty());
    CHECK(confirmed[3].error == "listening\n");

    notice::msg m;
    m.subject = "control.all";
    m.from = "op/desk";
    m.reply_to = "control.answer.1";
    m.body = "uptime";
    auto fx = c.hear(m);
    REQUIRE(fx.jobs.size() == 1);
    CHECK(fx.jobs[0].shell == "./obey");
    CHECK(fx.jobs[0].input == "uptime");
    CHECK(fx.jobs[0].capture_bytes_max == 100);
    std::map<std::string, std::string> const facts{fx.jobs[0].environment.begin(), fx.jobs[0].environment.end()};
    CHECK(facts.at("KEDGE_FROM") == "op/desk");
    CHECK(facts.at("KEDGE_SUBJECT") == "control.all");
    CHECK(c.hear(m).jobs.empty());  // waits for its turn
    fx = c.job({fx.jobs[0].number, 3, "", "what?", false});
    auto answers = of<op::publish>(fx);
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].message->subject() == "control.answer.1");
    CHECK(answers[0].message->body() == "what?");
    CHECK(answers[0].message->headers() == R"({"Control-Status":"3"})");
    CHECK(fx.jobs.size() == 1);
    m.from = "mallory/x";
    answers = of<op::publish>(c.hear(m));
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].message->headers() == R"({"Control-Status":"1"})");
    // Interrupted, it ends after the job in hand.
    CHECK_FALSE(c.interrupt().exit_status);
    fx = c.job({fx.jobs[0].number, 0, "up", {}, false});
    CHECK(of<op::publish>(fx).at(0).message->body() == "up");
    CHECK(fx.exit_status == 0);
}
