/// The commands of a migration as conversations: what they ask the server, what they say, how they end.

#include "router/command/migrate_commands.hpp"
#include "tests/command/harness.hpp"

using namespace kedge;

namespace {

/// With a clock that stands still, at a terminal or not.
command_environment migrate_terminal(bool terminal = true, bool remote = false)
{
    command_environment e;
    e.in_is_terminal = e.out_is_terminal = e.error_is_terminal = terminal;
    e.remote = remote;
    e.now_us = [] { return std::uint64_t{1'000'000}; };
    return e;
}

nlohmann::json status_with(char const* stream)
{
    auto s = nlohmann::json::parse(stream);
    s["stream"] = "CHAT";
    return {{"link", {{"state", "up"}}}, {"streams", {s}}, {"bridges", nlohmann::json::array()}};
}

nlohmann::json const demand = nlohmann::json::parse(R"({"confirm":"CHAT","risk":["12 messages are only in NATS"]})");

}  // namespace

TEST_CASE("each call has a line that makes the same call")
{
    for (auto const* line : {"migrate plan S", "migrate start S --from first", "migrate status S", "migrate status", "migrate diff S --tail 7",
                             "migrate diff S --follow", "migrate switch S --dry-run", "migrate switch S --hold 250ms --json",
                             "migrate reverse S --abandon --yes --json", "migrate reverse S --hold 5s --json", "migrate pause S", "migrate resume S --adopt",
                             "migrate complete S --yes", "migrate complete S --dry-run", "migrate cancel S --delete-stream", "migrate events S"}) {
        INFO(line);
        runner c{line};
        CHECK(c.it->runs() == course::steps);
        auto const call = c.begin().calls.at(0);
        auto const again = c.it->line_of(call);
        INFO(again);
        CHECK(again == migrate_line(call));
        command_environment remote;
        remote.remote = true;
        runner there{again, remote};
        auto const its = there.begin().calls.at(0);
        CHECK(its.name == call.name);
        CHECK(its.args == call.args);
        auto const fx = there.admin({0, {{"running", true}, {"ok", true}, {"x", 1}}, {}});
        CHECK(fx.exit_status);
        CHECK(nlohmann::json::parse(fx.out)["x"] == 1);
    }
}

TEST_CASE("switch: before, what happened, and what to do next")
{
    runner c{"migrate switch CHAT --hold 2s", migrate_terminal()};
    auto fx = c.begin();
    CHECK(fx.calls.at(0).name == "migrate status");
    fx = c.admin({0, status_with(R"({"state":"MIRRORING","authority":"sqlite","lag":{"messages":12,"bytes":2048,"seconds":0.2,"known":true}})"), {}});
    CHECK(fx.out == "CHAT: MIRRORING: SQLite orders it, lag 12 messages, 2.0 KiB, 0.2s\n");
    CHECK(fx.calls.at(0).name == "migrate switch");
    CHECK(fx.calls.at(0).args["hold_ms"] == 2000);
    fx = c.admin({0, nlohmann::json::parse(R"({"stream":"CHAT","state":"NATS","held_ms":38,"held_messages":120})"), {}});
    CHECK(fx.out == "CHAT: JetStream orders it now. 120 publishes waited; the hold was 38ms.\n");
    CHECK(fx.calls.at(0).name == "migrate status");
    CHECK_FALSE(fx.exit_status);
    fx = c.admin({0, status_with(R"({"state":"NATS","authority":"nats","next":"watch it for a while"})"), {}});
    CHECK(fx.out == "next: watch it for a while\n");
    CHECK(fx.exit_status == 0);
}

TEST_CASE("switch that was rolled back: why, and what to do about it")
{
    runner c{"migrate switch CHAT", migrate_terminal()};
    c.begin();
    c.admin({0, status_with(R"({"state":"MIRRORING"})"), {}});
    auto fx = c.admin({1, nullptr, "the importer had not passed 17 within 5s: all is as before"});
    CHECK(fx.error == "kedge: the importer had not passed 17 within 5s: all is as before\n");
    CHECK_FALSE(fx.exit_status);
    CHECK(fx.calls.at(0).name == "migrate status");
    fx = c.admin({0, status_with(R"({"state":"MIRRORING","not_ready":["5000 messages are not copied yet"],"next":"wait until it has caught up"})"), {}});
    CHECK(fx.error == "  - 5000 messages are not copied yet\nnext: wait until it has caught up\n");
    CHECK(fx.out.empty());
    CHECK(fx.exit_status == 1);
}

TEST_CASE("the advice that is missing changes nothing of the failure")
{
    runner c{"migrate reverse CHAT"};
    c.begin();
    CHECK(c.admin({1, nullptr, "denied"}).exit_status == 1);  // of the question before
    runner d{"migrate start CHAT"};
    d.begin();
    CHECK_FALSE(d.admin({1, nullptr, "no"}).exit_status);
    auto const fx = d.admin({1, nullptr, "gone"});
    CHECK(fx.exit_status == 1);
    CHECK(fx.error.empty());
}

TEST_CASE("switch as JSON is one call and its answer")
{
    runner c{"migrate switch CHAT --json", migrate_terminal()};
    CHECK(c.begin().calls.at(0).name == "migrate switch");
    SECTION("done")
    {
        auto const fx = c.admin({0, {{"held_ms", 1}}, {}});
        CHECK(fx.out == "{\"held_ms\":1}\n");
        CHECK(fx.exit_status == 0);
    }
    SECTION("refused, with data")
    {
        auto const fx = c.admin({1, {{"state", "MIRRORING"}}, "rolled back"});
        CHECK(fx.out == "{\"state\":\"MIRRORING\"}\n");
        CHECK(fx.error == "kedge: rolled back\n");
        CHECK(fx.exit_status == 1);
    }
}

TEST_CASE("what is dangerous is confirmed by the stream's name")
{
    for (bool const remote : {false, true})
        for (auto const* line : {"migrate complete CHAT", "migrate cancel CHAT --delete-stream"})
            for (auto const* typed : {"CHAT\n", "chat\n", "", "^C"}) {
                INFO(line << remote << typed);
                runner c{line, migrate_terminal(true, remote)};
                CHECK_FALSE(c.begin().calls.at(0).args.contains("confirm"));
                CHECK_FALSE(c.it->wants_input());
                auto fx = c.admin({1, demand, "it has to be confirmed"});
                CHECK(fx.out.find("! 12 messages are only in NATS\nType CHAT to go on") == 0);
                CHECK_FALSE(fx.exit_status);
                CHECK(c.it->wants_input());
                std::string_view const keys{typed};
                fx = keys.empty() ? c.input_end() : keys == "^C" ? c.interrupt() : c.input(keys);
                if (keys == "CHAT\n") {
                    CHECK(fx.out == (remote ? "CHAT\n" : ""));
                    REQUIRE(fx.calls.size() == 1);
                    CHECK(fx.calls[0].args["confirm"] == "CHAT");
                    CHECK(c.admin({0, nlohmann::json::object(), {}}).exit_status == 0);
                    continue;
                }
                CHECK(fx.calls.empty());
                CHECK(fx.error.find("kedge: nothing was done\n") != std::string::npos);
                CHECK(fx.exit_status == (keys == "^C" ? 130 : 1));
            }
}

TEST_CASE("reverse --abandon is confirmed after its question")
{
    runner c{"migrate reverse CHAT --abandon", migrate_terminal()};
    c.begin();
    c.admin({0, status_with(R"({"state":"NATS","authority":"nats","lag":{"known":false}})"), {}});
    CHECK(c.admin({1, demand, ""}).out.find("Type CHAT") != std::string::npos);
    CHECK(c.input("CHAT\n").calls.at(0).args == nlohmann::json::parse(R"({"stream":"CHAT","abandon":true,"confirm":"CHAT"})"));
}

TEST_CASE("without a terminal there is nobody to ask")
{
    for (auto const* line : {"migrate complete CHAT", "migrate complete CHAT --json"}) {
        INFO(line);
        runner c{line, migrate_terminal(std::string_view{line}.ends_with("--json"))};
        c.begin();
        auto const fx = c.admin({1, demand, "x"});
        CHECK(fx.exit_status == 2);
        CHECK(fx.error == "kedge: this has to be confirmed: type the stream's name at a terminal, or give --yes\n");
        CHECK(fx.out.find("12 messages are only in NATS") != std::string::npos);
    }
    auto half = migrate_terminal();
    half.in_is_terminal = false;
    runner c{"migrate complete CHAT", half};
    c.begin();
    CHECK(c.admin({1, demand, "x"}).exit_status == 2);
}

TEST_CASE("start at a terminal shows how it catches up")
{
    runner c{"migrate start CHAT --from first", migrate_terminal()};
    c.begin();
    auto fx = c.admin({0, nlohmann::json::object(), {}});
    CHECK(fx.calls.at(0).name == "migrate status");
    CHECK(fx.out.empty());
    auto const behind = status_with(R"({"state":"MIRRORING","flags":["catching_up"],"catching_up":{"rows":250000,"total":1000000,"rate":61000,"eta_s":4}})");
    fx = c.admin({0, behind, {}});
    CHECK_FALSE(fx.exit_status);
    CHECK(fx.out.find("\r\x1b[KCHAT  [") == 0);
    CHECK(fx.out.find("75%") != std::string::npos);
    CHECK(fx.out.find("4s left") != std::string::npos);
    CHECK(c.it->due_us() == 1'500'000u);
    SECTION("until it has")
    {
        CHECK(c.time().calls.at(0).name == "migrate status");
        CHECK_FALSE(c.it->due_us());
        fx = c.admin({0, status_with(R"({"state":"MIRRORING","authority":"sqlite","lag":{"messages":0,"known":true},"catching_up":null,"next":"compare: kedge migrate diff CHAT"})"), {}});
        CHECK(fx.out == "\r\x1b[KCHAT: MIRRORING: SQLite orders it, no lag\nnext: compare: kedge migrate diff CHAT\n");
        CHECK(fx.exit_status == 0);
    }
    SECTION("until it cannot go on")
    {
        for (auto const* flag : {"broken", "link_down", "paused"}) {
            runner d{"migrate resume CHAT", migrate_terminal()};
            d.begin();
            d.admin({0, nlohmann::json::object(), {}});
            auto s = behind;
            s["streams"][0]["flags"] = {flag};
            fx = d.admin({0, s, {}});
            CHECK(fx.exit_status == 1);
            CHECK(fx.out.find("CHAT") != std::string::npos);
        }
    }
    SECTION("also before the server has taken its measure")
    {
        runner d{"migrate start CHAT", migrate_terminal()};
        d.begin();
        d.admin({0, nlohmann::json::object(), {}});
        auto const at = [&](char const* lag) { return d.admin({0, status_with((std::string{R"({"state":"MIRRORING","catching_up":null,"lag":)"} + lag + "}").c_str()), {}}); };
        CHECK_FALSE(at(R"({"messages":0,"seconds":0,"known":false})").exit_status);
        CHECK_FALSE(at(R"({"messages":8000,"seconds":0.2,"known":true})").exit_status);
        fx = at(R"({"messages":2000,"seconds":70,"known":true})");
        CHECK(fx.out.find("75%") != std::string::npos);
        CHECK_FALSE(at(R"({"messages":3,"seconds":0.1,"known":true})").exit_status);
        CHECK_FALSE(at(R"({"messages":2,"seconds":0.1,"known":true})").exit_status);
        CHECK(at(R"({"messages":3,"seconds":0.1,"known":true})").exit_status == 0);
    }
    SECTION("or is left alone")
    {
        fx = c.interrupt();
        CHECK(fx.exit_status == 130);
        CHECK(fx.error.find("kedge migrate status CHAT --watch") != std::string::npos);
    }
    SECTION("or the server goes away")
    {
        fx = c.admin({1, nullptr, "the server ended the link"});
        CHECK(fx.exit_status == 1);
        CHECK(fx.error.find("look again: kedge migrate status CHAT --watch") != std::string::npos);
    }
}

TEST_CASE("start returns at once in a pipe and with --no-wait")
{
    for (auto const& [line, terminal] : {std::pair{"migrate start CHAT", false}, std::pair{"migrate resume CHAT --no-wait", true}}) {
        runner c{line, migrate_terminal(terminal)};
        c.begin();
        auto const fx = c.admin({0, nlohmann::json::object(), {}});
        CHECK(fx.exit_status == 0);
        CHECK(fx.calls.empty());
        CHECK_FALSE(fx.out.empty());
    }
}

TEST_CASE("diff waits for its end, and its end is the exit status")
{
    auto const runs = nlohmann::json::parse(R"({"stream":"CHAT","running":true,"done":10,"total":100})");
    auto const clean = nlohmann::json::parse(R"({"stream":"CHAT","running":false,"done":100,"total":100,"clean":true,"findings":[],"at_ms":1})");
    auto const bad = nlohmann::json::parse(R"({"stream":"CHAT","running":false,"done":100,"total":100,"clean":false,"missing":2,"findings":[
        {"kind":"missing","origin":"ssh","seq":17,"place":0,"text":"chat.a"},{"kind":"missing","origin":"nats","seq":0,"place":4,"text":"chat.b"}],"at_ms":1})");
    for (bool const terminal : {false, true})
        for (bool const json : {false, true}) {
            INFO(terminal << json);
            runner c{json ? "migrate diff CHAT --json" : "migrate diff CHAT", migrate_terminal(terminal)};
            c.begin();
            auto fx = c.admin({0, runs, {}});
            CHECK(fx.error.empty());
            CHECK(fx.out.empty() == (!terminal || json));
            REQUIRE(c.it->due_us());
            fx = c.time();
            CHECK(fx.calls.at(0).args == nlohmann::json::parse(R"({"stream":"CHAT","follow":true})"));
            fx = c.admin({0, runs, {}});
            CHECK_FALSE(fx.exit_status);
            c.time();
            bool const found = terminal;
            fx = c.admin({0, found ? bad : clean, {}});
            CHECK(fx.exit_status == (found ? 1 : 0));
            if (json)
                CHECK(nlohmann::json::parse(fx.out) == (found ? bad : clean));
            else if (found)
                CHECK(fx.out.find("2 missing, 0 extra") != std::string::npos);
            else
                CHECK(fx.out == "CHAT: 100 messages compared, both sides hold the same\n");
            CHECK(fx.error.empty());
        }
    runner failed{"migrate diff CHAT", migrate_terminal()};
    failed.begin();
    auto later = runs;
    later["at_ms"] = 1000;
    failed.admin({0, later, {}});
    failed.time();
    auto const of_before = failed.admin({0, clean, {}});
    CHECK(of_before.exit_status == 1);
    CHECK(of_before.error.find("an earlier comparison") != std::string::npos);
    // One that failed says why, also to who comes later, whatever the one before had found.
    auto const broke = nlohmann::json::parse(
        R"({"stream":"CHAT","running":false,"done":40,"total":100,"clean":false,"findings":[],"at_ms":2000,"error":"JetStream has no stream CHAT any more"})");
    for (bool const json : {false, true}) {
        runner follow{json ? "migrate diff CHAT --follow --json" : "migrate diff CHAT --follow"};
        follow.begin();
        auto const told = follow.admin({0, broke, {}});
        CHECK(told.exit_status == 1);
        CHECK(told.out.find("JetStream has no stream CHAT any more") != std::string::npos);
    }
    runner at_once{"migrate diff CHAT --no-wait"};
    at_once.begin();
    auto const fx = at_once.admin({0, runs, {}});
    CHECK(fx.exit_status == 0);
    CHECK(fx.out.find("--follow") != std::string::npos);
    // The server's own command line ends with status 1 where the answer is no.
    for (int const status : {0, 1}) {
        runner quick{"migrate diff CHAT"};
        quick.begin();
        CHECK(quick.admin({status, bad, {}}).exit_status == 1);
        runner slow{"migrate diff CHAT", migrate_terminal()};
        slow.begin();
        slow.admin({0, runs, {}});
        slow.time();
        auto const end = slow.admin({status, bad, {}});
        CHECK(end.exit_status == 1);
        CHECK(end.error.empty());
        CHECK(end.out.find("2 missing") != std::string::npos);
    }
}

TEST_CASE("plan and dry runs that say no are exit status 1, shown all the same")
{
    auto const plan = nlohmann::json::parse(R"({"stream":"CHAT","ok":false,"checks":[
        {"what":"connection","result":"ok","text":"2.9.10 answers","do":""},
        {"what":"payload","result":"warn","text":"is small","do":"raise max_payload"},
        {"what":"overlap","result":"bad","text":"stream OLD has chat.>","do":"remove it"}],"copy":{"from":"first","rows":5,"bytes":2048}})");
    for (int const status : {0, 1}) {
        runner c{"migrate plan CHAT"};
        c.begin();
        auto const fx = c.admin({status, plan, status == 0 ? "" : "something stands in the way"});
        CHECK(fx.exit_status == 1);
        CHECK(fx.calls.empty());
        CHECK(fx.out == "ok    connection: 2.9.10 answers\n"
                        "warn  payload: is small\n      -> raise max_payload\n"
                        "BAD   overlap: stream OLD has chat.>\n      -> remove it\n"
                        "1 thing stands in the way; then look again: kedge migrate plan CHAT\n");
    }
    auto const steps = nlohmann::json::parse(R"({"stream":"CHAT","ok":false,"steps":[
        {"text":"publishes are held","figures":{"rate":1200.4,"hold_ms":5000}},{"text":"the fence is read","figures":{}}],"why_not":["the link is down"]})");
    for (auto const* line : {"migrate switch CHAT --dry-run", "migrate reverse CHAT --dry-run", "migrate complete CHAT --dry-run"}) {
        runner c{line};
        CHECK(c.begin().calls.at(0).args["dry_run"] == true);
        auto const fx = c.admin({0, steps, {}});
        CHECK(fx.exit_status == 1);
        CHECK(fx.out.find("step by step; nothing of it is done now\n 1. publishes are held\n    hold 5s, rate 1,200\n 2. the fence is read\n"
                          "  ! the link is down\nit cannot be done now\n") != std::string::npos);
    }
    auto good = steps;
    good["ok"] = true;
    runner c{"migrate switch CHAT --dry-run --json"};
    c.begin();
    CHECK(c.admin({0, good, {}}).exit_status == 0);
}

TEST_CASE("an older server that does not know the command is heard")
{
    runner c{"migrate plan CHAT"};
    c.begin();
    auto const fx = c.admin({2, nullptr, "The following argument was not expected: migrate"});
    CHECK(fx.exit_status == 2);
    CHECK(fx.error == "kedge: The following argument was not expected: migrate\n");
}

TEST_CASE("events --follow listens to what is announced")
{
    runner c{"migrate events CHAT --follow"};
    CHECK(c.it->needs_link());
    CHECK(of<op::subscribe>(c.begin()).at(0).pattern == "$sys.migration.CHAT");
    notice::msg m;
    m.subject = "$sys.migration.CHAT";
    m.from = "$sys";
    m.time_ms = 1795248000000;
    m.body = R"({"stream":"CHAT","state":"NATS","what":"switch committed","why":"","time_ms":1})";
    CHECK(c.hear(m).out == "2026-11-21 08:00:00  migration.CHAT  NATS: switch committed\n");
    m.body = R"({"stream":"CHAT","state":"NATS","what":"link down","why":"refused","time_ms":1})";
    CHECK(c.hear(m).out == "2026-11-21 08:00:00  migration.CHAT  NATS: link down (refused)\n");
}

TEST_CASE("status --watch is a live screen with a feed of its own")
{
    runner c{"migrate status CHAT --watch", migrate_terminal()};
    CHECK(c.it->runs() == course::live);
    CHECK(c.it->feed() == "migrate status CHAT --watch --json");
    CHECK(c.it->takes_screen());
    CHECK(c.begin().calls.at(0).args == nlohmann::json::parse(R"({"stream":"CHAT"})"));
    auto fx = c.admin({0, status_with(R"({"state":"MIRRORING"})"), {}});
    CHECK(fx.out.find("\x1b[?1049h") != std::string::npos);
    CHECK(fx.out.find("q ends") != std::string::npos);
    command_effects away;
    c.it->on_away("the line is dead", away);
    CHECK(away.out.find("! the line is dead; trying again") != std::string::npos);
    CHECK(c.input("q").exit_status == 0);

    runner feed{c.it->feed(), migrate_terminal(false, true)};
    feed.begin();
    CHECK_FALSE(feed.it->takes_screen());
    fx = feed.admin({0, {{"a", 1}}, {}});
    CHECK(fx.out == "{\"a\":1}\n");
    CHECK_FALSE(fx.exit_status);
    CHECK(feed.time().calls.size() == 1);

    runner piped{"migrate status --watch", migrate_terminal(false)};
    CHECK(piped.it->feed() == "migrate status --watch --json");
    piped.begin();
    auto const first = piped.admin({0, status_with(R"({"state":"NATS"})"), {}}).out;
    CHECK(piped.admin({0, status_with(R"({"state":"NATS"})"), {}}).out == "\n" + first);
}

TEST_CASE("answers of a migration that are not what they should be do no harm")
{
    for (auto const* line : {"migrate plan S", "migrate start S", "migrate status S", "migrate diff S", "migrate switch S", "migrate switch S --dry-run",
                             "migrate reverse S", "migrate pause S", "migrate resume S", "migrate complete S", "migrate cancel S", "migrate events S",
                             "migrate status --watch", "bridge list", "bridge add a", "bridge remove a"})
        for (auto const* data : {"null", "[]", "5", "\"x\"", "{}", R"({"streams":5,"checks":{},"steps":7,"link":[],"bridges":"x","findings":[5],"events":[5]})",
                                R"({"streams":[5,{}],"checks":[5],"steps":[7],"link":5,"bridges":[5],"confirm":5,"risk":5,"running":true})",
                                R"({"streams":[{"stream":"S","state":5,"flags":5,"lag":5,"broken":5,"not_ready":[5],"catching_up":{"rows":"x"},"parked":[5],"next":7,
                                    "diff":{"at_ms":-5},"hold":{"left_ms":-3},"counters":{"copied":-1},"rates":{"copied":1e300}}],"confirm":"","held_ms":-7})"}) {
            INFO(line << " " << data);
            runner c{line, migrate_terminal()};
            c.begin();
            for (int i = 0; i < 3; ++i) {
                auto const fx = c.admin({0, nlohmann::json::parse(data), {}});
                if (fx.exit_status)
                    break;
            }
        }
}

TEST_CASE("a comparison that waits for its link says so: in place of the bar, and once in a pipe")
{
    auto const waits = nlohmann::json::parse(R"({"stream":"CHAT","running":true,"done":0,"total":0,"waits_for":"the link to NATS"})");
    auto const begins = nlohmann::json::parse(R"({"stream":"CHAT","running":true,"done":0,"total":0})");
    runner bar{"migrate diff CHAT", migrate_terminal()};
    bar.begin();
    auto fx = bar.admin({0, waits, {}});
    CHECK(fx.out.find("\r\x1b[KCHAT  waits for the link to NATS") == 0);
    CHECK(fx.out.find('%') == std::string::npos);
    bar.time();
    fx = bar.admin({0, begins, {}});
    CHECK(fx.out.find("\r\x1b[KCHAT  begins") == 0);
    runner pipe{"migrate diff CHAT --follow", migrate_terminal(false)};
    pipe.begin();
    CHECK(pipe.admin({0, waits, {}}).error == "kedge: it waits for the link to NATS\n");
    pipe.time();
    CHECK(pipe.admin({0, waits, {}}).error.empty());
    pipe.time();
    CHECK(pipe.admin({0, begins, {}}).error.empty());
    pipe.time();
    CHECK(pipe.admin({0, waits, {}}).error == "kedge: it waits for the link to NATS\n");
}

TEST_CASE("the bar of a copy goes one way, whoever measures")
{
    runner c{"migrate start CHAT --from first", migrate_terminal()};
    c.begin();
    c.admin({0, nlohmann::json::object(), {}});
    auto fx = c.admin({0, status_with(R"({"state":"MIRRORING","catching_up":null,"lag":{"messages":200000,"known":false}})"), {}});
    CHECK(fx.out.find("0 of 200,000") != std::string::npos);
    c.time();
    fx = c.admin({0, status_with(R"({"state":"MIRRORING","catching_up":{"rows":150000,"total":152160,"rate":30000,"eta_s":5}})"), {}});
    CHECK(fx.out.find("50,000 of 200,000") != std::string::npos);
}
