/// status, top and doctor: pictures of every size, and how they begin and end.

#include <algorithm>

#include "router/command/text.hpp"
#include "router/command/top_screen.hpp"
#include "tests/command/harness.hpp"

using namespace kedge;

namespace {

nlohmann::json status_of(std::uint64_t uptime_ms, std::uint64_t stored, std::size_t streams = 1, std::size_t consumers = 1)
{
    auto data = nlohmann::json::parse(R"({"server":"kedge/1","why":["consumer c0 of S0 is away and 5000 messages behind"],"sessions":3,"links":4,
        "nodes":2,"bans":1,"streams":[],"consumers":[],"metrics":{"links_throttled":2,"posts":7,"inboxes":2,"services":1,"service_instances":3,"calls":9}})");
    data["uptime_ms"] = uptime_ms;
    data["metrics"]["published_durable"] = stored;
    for (std::size_t i = 0; i < streams; ++i)
        data["streams"].push_back({{"stream", "S" + std::to_string(i)}, {"last_seq", stored + i}, {"messages", i}, {"bytes", 2048},
                                   {"subjects", {"a." + std::to_string(i)}}, {"paused", i == 1}});
    for (std::size_t i = 0; i < consumers; ++i)
        data["consumers"].push_back({{"stream", "S0"}, {"consumer", "c" + std::to_string(i)}, {"next_seq", stored}, {"lag", 5000 - i},
                                     {"pending", 1}, {"links", i}, {"dead", 0}, {"owner", "alice"}, {"filter", ">"}, {"paused", false}});
    return data;
}

command_environment terminal(unsigned columns, unsigned rows, bool colours = false)
{
    command_environment e;
    e.out_is_terminal = e.error_is_terminal = true;
    e.columns = columns;
    e.rows = rows;
    e.colours = colours;
    return e;
}

std::string without_styles(std::string line)
{
    for (auto at = line.find('\x1b'); at != line.npos; at = line.find('\x1b'))
        line.erase(at, line.find('m', at) + 1 - at);
    return line;
}

std::string joined(std::vector<std::string> const& lines)
{
    std::string all;
    for (auto const& line : lines)
        all += line + '\n';
    return all;
}

}  // namespace

TEST_CASE("top fits any terminal, and shows what is behind first")
{
    for (bool const colours : {false, true})
        for (unsigned const columns : {1u, 20u, 60u, 80u, 99u, 100u, 160u, 400u})
            for (unsigned const rows : {1u, 2u, 5u, 12u, 17u, 18u, 24u, 60u})
                for (std::size_t const many : {0u, 1u, 3u, 40u}) {
                    INFO(columns << 'x' << rows << ' ' << many);
                    auto const e = terminal(columns, rows, colours);
                    auto const lines = draw_top(status_of(1000, 10, many, many), status_of(2000, 40, many, many), "gone", e);
                    CHECK(lines.size() == rows);
                    for (auto const& line : lines) {
                        CHECK(display_width(without_styles(line)) <= columns);
                        CHECK(line.find('\n') == line.npos);
                        CHECK((colours || line.find('\x1b') == line.npos));
                    }
                    if (columns < 60 || rows < 17 || many == 0)
                        continue;
                    auto const all = joined(lines);
                    CHECK(all.find("LAG") != all.npos);
                    CHECK(all.find("c0") != all.npos);
                    CHECK(all.find("MESSAGES") != all.npos);
                    CHECK((many < 40 || rows > 50 || all.find(" more") != all.npos));
                }
}

TEST_CASE("top shows rates, and none where the server was started anew")
{
    auto const e = terminal(120, 40);
    auto const all = joined(draw_top(status_of(1000, 10), status_of(3000, 70), "", e));
    INFO(all);
    CHECK(all.find("30 stored") != all.npos);
    CHECK(all.find("not well") != all.npos);
    CHECK(all.find("! consumer c0 of S0 is away") != all.npos);
    CHECK(all.find("2 links for their users' rates") != all.npos);
    CHECK(all.find("mail: 2 inboxes, 7 posts") != all.npos);
    CHECK(all.find("services: 1 service, 3 instances, 9 calls") != all.npos);
    CHECK(all.find("kept out: 1 ban") != all.npos);
    CHECK(joined(draw_top(status_of(3000, 10), status_of(1000, 70), "", e)).find("- stored") != std::string::npos);
    CHECK(joined(draw_top(nullptr, status_of(1000, 70), "", e)).find("- stored") != std::string::npos);
}

TEST_CASE("top takes the screen with its first picture and gives it back at each end")
{
    auto const on = "\x1b[?1049h";
    auto const off = "\x1b[?1049l";
    auto const begun = [&] {
        runner c{"top", terminal(80, 24)};
        CHECK(c.it->runs() == course::live);
        CHECK(c.it->takes_screen());
        CHECK(c.begin().calls.at(0).name == "status");
        CHECK(c.admin({0, status_of(1000, 1), {}}).out.find(on) != std::string::npos);
        CHECK(c.admin({0, status_of(2000, 1), {}}).out.find(on) == std::string::npos);
        return c;
    };
    SECTION("q")
    {
        auto const fx = begun().input("q");
        CHECK(fx.exit_status == 0);
        CHECK(fx.out.find(off) != std::string::npos);
    }
    SECTION("an interrupt")
    {
        auto const fx = begun().interrupt();
        CHECK(fx.exit_status == 0);
        CHECK(fx.out.find(off) != std::string::npos);
    }
    SECTION("other keys, and those that send a sequence with a q")
    {
        auto c = begun();
        for (auto const* keys : {"x", "\n", "\x1b[A", "\x1bOq"})
            CHECK_FALSE(c.input(keys).exit_status);
    }
    SECTION("a server that refuses")
    {
        auto c = begun();
        auto const fx = c.admin({1, nullptr, "you are no operator any more"});
        CHECK(fx.exit_status == 1);
        CHECK(fx.out.find(off) != std::string::npos);
        CHECK(fx.error.find("no operator") != std::string::npos);
    }
    SECTION("one that refuses at once: nothing was taken")
    {
        runner c{"top", terminal(80, 24)};
        c.begin();
        auto const fx = c.admin({1, nullptr, "denied"});
        CHECK(fx.out.empty());
        CHECK(fx.exit_status == 1);
    }
    SECTION("a server that went away is said so, in the picture")
    {
        auto c = begun();
        command_effects fx;
        c.it->on_away("the line is dead", fx);
        CHECK_FALSE(fx.exit_status);
        CHECK(fx.out.find("the line is dead; trying again") != std::string::npos);
    }
    SECTION("another size")
    {
        auto c = begun();
        command_effects fx;
        c.it->on_resize(40, 10, fx);
        CHECK(std::count(fx.out.begin(), fx.out.end(), '\n') == 9);
    }
}

TEST_CASE("top without a terminal is one picture, with rates")
{
    command_environment e;
    std::uint64_t clock = 5;
    e.now_us = [&clock] { return clock; };
    runner c{"top", e};
    CHECK_FALSE(c.it->takes_screen());
    c.begin();
    CHECK(c.admin({0, status_of(1000, 10), {}}).out.empty());
    REQUIRE(c.it->due_us());
    CHECK(*c.it->due_us() == 1'000'005);
    CHECK(c.time().calls.size() == 1);
    auto const fx = c.admin({0, status_of(2000, 30), {}});
    CHECK(fx.exit_status == 0);
    CHECK(fx.out.find("20 stored") != std::string::npos);
    CHECK(fx.out.find('\x1b') == std::string::npos);
}

TEST_CASE("status again and again")
{
    command_environment e;
    std::uint64_t clock = 0;
    e.now_us = [&clock] { return clock; };
    runner c{"status --every 2s --json", e};
    CHECK(c.it->runs() == course::live);
    CHECK(c.it->feed() == "status --json --every 2000ms");
    c.begin();
    auto fx = c.admin({0, {{"a", 1}}, {}});
    CHECK(fx.out == "{\"a\":1}\n");
    CHECK_FALSE(fx.exit_status);
    CHECK(c.it->due_us() == 2'000'000u);
    CHECK(c.time().calls.size() == 1);
    CHECK(c.interrupt().exit_status == 0);
    CHECK(runner{"status"}.it->runs() == course::answered);
}

TEST_CASE("status fits a narrow terminal")
{
    for (unsigned const columns : {60u, 80u, 140u}) {
        runner c{"status", terminal(columns, 24)};
        c.begin();
        std::string const out = c.admin({0, status_of(1000, 123456, 3, 3), {}}).out;
        for (std::size_t at = 0; at < out.size();) {
            auto const end = out.find('\n', at);
            INFO(out.substr(at, end - at));
            CHECK(display_width(out.substr(at, end - at)) <= columns);
            at = end + 1;
        }
    }
}

TEST_CASE("doctor: what is wrong decides, and says what to do")
{
    struct row {
        char const* findings;
        int status;
        std::vector<char const*> shown;
    };
    static row const rows[] = {
        {"[]", 0, {"all is well"}},
        {R"([{"check":"disk","state":"good","said":"much room"}])", 0, {"good   disk: much room", "all is well"}},
        {R"([{"check":"disk","state":"unsure","said":"little room","do":"make some"}])", 0, {"unsure disk: little room", "-> make some", "all is well"}},
        {R"([{"check":"home","state":"bad","said":"open","do":"chmod 0700 x"},{"check":"a","state":"good","said":"b"}])", 1,
         {"WRONG  home: open", "-> chmod 0700 x", "good   a: b", "1 thing is wrong"}},
        {R"([{"check":"a","state":"bad","said":"x","do":"y"},{"check":"b","state":"bad","said":"x\u001b","do":"y"}])", 1,
         {"x\\x1b", "2 things are wrong"}},
    };
    for (auto const& r : rows) {
        INFO(r.findings);
        nlohmann::json const data{{"findings", nlohmann::json::parse(r.findings)}};
        runner c{"doctor"};
        CHECK(c.it->runs() == course::here);
        auto const fx = c.admin({0, data, {}});
        CHECK(fx.exit_status == r.status);
        std::size_t at = 0;
        for (auto const* piece : r.shown) {
            auto const found = fx.out.find(piece, at);
            INFO("'" << piece << "' in:\n" << fx.out);
            REQUIRE(found != std::string::npos);
            at = found;
        }
        runner json{"doctor --json"};
        auto const as_json = json.admin({0, data, {}});
        CHECK(nlohmann::json::parse(as_json.out) == data);
        CHECK(as_json.exit_status == r.status);
    }
    command_environment remote;
    remote.remote = true;
    CHECK(stopped("doctor", remote).exit_status == 2);
}
