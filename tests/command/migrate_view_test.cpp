/// What `migrate status` looks like: every state and flag, at every width.

#include <algorithm>

#include "router/command/migrate_commands.hpp"
#include "router/command/text.hpp"
#include "router/command/top_screen.hpp"
#include "tests/command/harness.hpp"

using namespace kedge;

namespace {

nlohmann::json full_stream(char const* state, char const* authority)
{
    auto s = nlohmann::json::parse(R"({"stream":"CHAT","jet":"CHAT","authority_epoch":3,"flags":[],"broken":null,"unread":0,
        "lag":{"messages":0,"bytes":0,"seconds":0,"known":true},"rates":{"published":1200,"copied":1199.6,"imported":0.4},"catching_up":null,
        "ready":false,"not_ready":[],"next":"compare both sides: kedge migrate diff CHAT","diff":null,"hold":null,
        "counters":{"copied":162000,"imported":1200,"own_publishes":0,"refusals":0,"duplicates":0,"reordered":0,"parked":0,"taken_back":0,"generation":0},
        "parked":[],"checkpoint":163200,"jet_last":163200,"floor":163200,"last":163200,"since_ms":1795248000000})");
    s["state"] = state;
    s["authority"] = authority;
    return s;
}

nlohmann::json whole_status(nlohmann::json stream)
{
    return {{"link",
             {{"state", "up"}, {"url", "nats://127.0.0.1:4222"}, {"server", "n1"}, {"version", "2.9.10"}, {"since_ms", 1795247000000}, {"why", ""}}},
            {"streams", {std::move(stream)}},
            {"bridges", nlohmann::json::array()}};
}

command_environment view_terminal(unsigned columns, bool colours = false)
{
    command_environment e;
    e.out_is_terminal = e.error_is_terminal = true;
    e.columns = columns;
    e.rows = 24;
    e.colours = colours;
    return e;
}

std::string view_plain(std::string line)
{
    for (auto at = line.find('\x1b'); at != line.npos; at = line.find('\x1b'))
        line.erase(at, line.find('m', at) + 1 - at);
    return line;
}

std::string shown(nlohmann::json const& status, command_environment const& e = {})
{
    std::string all;
    for (auto const& line : migration_lines(status, e))
        all += line + '\n';
    return all;
}

/// Something of everything.
nlohmann::json crowded()
{
    auto s = full_stream("MIRRORING", "sqlite");
    s["flags"] = {"paused", "catching_up", "link_down", "broken"};
    s["broken"] = {{"reason", "log_rewound"},
                   {"why", "JetStream holds copies of rows up to 17, the database ends at 12"},
                   {"next", "was it restored on purpose? kedge migrate resume CHAT --adopt"}};
    s["lag"] = {{"messages", 5017}, {"bytes", 3'000'000}, {"seconds", 75}, {"known", false}};
    s["unread"] = 17;
    s["catching_up"] = {{"rows", 250'000}, {"total", 1'000'000}, {"rate", 61'000}, {"eta_s", 4}};
    s["not_ready"] = {"the link to NATS is down", "5000 messages are not copied yet", "nothing was compared yet"};
    s["diff"] = {{"running", false}, {"done", 10}, {"total", 10}, {"at_ms", 1795248000000}, {"clean", false}, {"missing", 2}, {"extra", 0}, {"different", 1}, {"out_of_order", 0}};
    s["hold"] = {{"messages", 120}, {"bytes", 4096}, {"left_ms", 3000}, {"waits_for", "the importer to pass 1234"}};
    for (int i = 1; i <= 7; ++i)
        s["parked"].push_back({{"place", i}, {"subject", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q"}, {"why", "more than 16 words"}});
    auto status = whole_status(s);
    status["link"] = {{"state", "down"}, {"since_ms", 1795248000000}, {"why", "connection refused by 127.0.0.1:4222"}};
    status["streams"].push_back({{"stream", "JOBS"}, {"state", "LEGACY"}});
    status["streams"].push_back({{"stream", "STATE"}, {"state", "LEGACY"}});
    status["bridges"] = nlohmann::json::parse(R"([{"pattern":"live.>","one_way":"","out":12,"in":3,"dropped":0},{"pattern":"x","one_way":"out","out":1,"in":0,"dropped":7}])");
    return status;
}

}  // namespace

TEST_CASE("status of a migration, wide")
{
    CHECK(shown(whole_status(full_stream("MIRRORING", "sqlite"))) ==
          "NATS  up since 2026-11-21 07:43:20: nats://127.0.0.1:4222 (n1, 2.9.10)\n"
          "\n"
          "CHAT  MIRRORING  since 2026-11-21 08:00:00\n"
          "  authority   SQLite, epoch 3\n"
          "  lag         none\n"
          "  a second    1,200 published, 1,200 copied, 0.4 imported\n"
          "  counted     162,000 copied, 1,200 imported\n"
          "  next        compare both sides: kedge migrate diff CHAT\n");
    CHECK(shown(crowded()) ==
          "NATS  down since 2026-11-21 08:00:00: connection refused by 127.0.0.1:4222\n"
          "\n"
          "CHAT  MIRRORING  BROKEN  link down  paused  catching up  since 2026-11-21 08:00:00\n"
          "  authority   SQLite, epoch 3\n"
          "  lag         unknown; 5,000 messages, 2.9 MiB wait here\n"
          "  a second    1,200 published, 1,200 copied, 0.4 imported\n"
          "  catching up [###############     ] 75%, 750,000 of 1,000,000, 61,000/s, 4s left\n"
          "  held        120 publishes wait (4.0 KiB), for 3s more at most: for the importer to pass 1234\n"
          "  broken      log_rewound: JetStream holds copies of rows up to 17, the database ends at 12\n"
          "  do          was it restored on purpose? kedge migrate resume CHAT --adopt\n"
          "  diff        2026-11-21 08:00:00: 10 compared, 2 missing, 1 different\n"
          "  counted     162,000 copied, 1,200 imported\n"
          "  set aside   1 a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q: more than 16 words\n"
          "              2 a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q: more than 16 words\n"
          "              3 a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q: more than 16 words\n"
          "              4 a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q: more than 16 words\n"
          "              5 a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q: more than 16 words\n"
          "              … 2 more: --json\n"
          "  not ready   the link to NATS is down\n"
          "              5000 messages are not copied yet\n"
          "              nothing was compared yet\n"
          "  next        compare both sides: kedge migrate diff CHAT\n"
          "\n"
          "PATTERN  WAY        OUT  IN  DROPPED\n"
          "live.>   both ways   12   3        0\n"
          "x        to NATS      1   0        7\n"
          "\n"
          "not mirrored: JOBS, STATE\n");
}

TEST_CASE("status of a migration, narrow")
{
    auto s = full_stream("MIRRORING", "sqlite");
    s["not_ready"] = {"nothing was compared yet: the last diff was never"};
    CHECK(shown(whole_status(s), view_terminal(40)) ==
          "NATS  up since 2026-11-21 07:43:20:\n"
          "      nats://127.0.0.1:4222 (n1, 2.9.10)\n"
          "\n"
          "CHAT  MIRRORING\n"
          "  since 2026-11-21 08:00:00\n"
          "  authority: SQLite, epoch 3\n"
          "  lag: none\n"
          "  a second:\n"
          "    1,200 published, 1,200 copied, 0.4\n"
          "    imported\n"
          "  counted:\n"
          "    162,000 copied, 1,200 imported\n"
          "  not ready:\n"
          "    nothing was compared yet: the last\n"
          "    diff was never\n"
          "  next:\n"
          "    compare both sides: kedge migrate\n"
          "    diff CHAT\n");
}

TEST_CASE("every state, flag and width: nothing is wider than the terminal, nothing is left out")
{
    auto const all = crowded();
    for (auto const* state : {"LEGACY", "MIRRORING", "SWITCHING", "NATS", "REVERSING", "COMPLETE"})
        for (bool const colours : {false, true})
            for (unsigned const columns : {1u, 20u, 39u, 40u, 59u, 60u, 80u, 100u, 200u}) {
                INFO(state << ' ' << columns);
                auto status = all;
                status["streams"][0]["state"] = state;
                auto const lines = migration_lines(status, view_terminal(columns, colours));
                std::string joined;
                for (auto const& line : lines) {
                    INFO(line);
                    auto const plain = view_plain(line);
                    CHECK(display_width(plain) <= std::max(columns, 20u));
                    CHECK((colours || plain == line));
                    joined += plain + ' ';
                }
                if (columns < 39)
                    continue;
                for (auto const* word : {"BROKEN", "link down", "paused", "log_rewound", "not ready", "next", "--adopt", "live.>", "JOBS"}) {
                    INFO(word);
                    CHECK(joined.find(word) != joined.npos);
                }
                CHECK(joined.find(state) != joined.npos);
            }
}

TEST_CASE("what a line of a status says")
{
    auto const with = [](char const* key, char const* value) {
        auto s = full_stream("NATS", "nats");
        s[key] = nlohmann::json::parse(value);
        return shown(whole_status(s));
    };
    struct row {
        char const* key;
        char const* value;
        char const* said;
    };
    static row const rows[] = {
        {"ready", "true", "CHAT  NATS  ready  since"},
        {"jet", "\"k_CHAT\"", "authority   JetStream, epoch 3; in JetStream it is k_CHAT\n"},
        {"authority", "\"nats\"", "authority   JetStream, epoch 3\n"},
        {"lag", R"({"messages":1,"bytes":10,"seconds":0.04,"known":true})", "lag         1 message, 10 B, 0s\n"},
        {"lag", R"({"messages":0,"bytes":0,"seconds":0,"known":false})", "lag         unknown; nothing waits here\n"},
        {"hold", R"({"messages":2,"bytes":10,"left_ms":null,"waits_for":"the link to NATS"})", "held        2 publishes wait (10 B): for the link to NATS\n"},
        {"diff", R"({"running":true,"done":5,"total":10})", "diff        runs: [##########          ] 5 of 10\n"},
        {"diff", R"({"running":true,"done":0,"total":0})", "diff        begins\n"},
        {"diff", R"({"running":true,"done":0,"total":0,"waits_for":"the link to NATS"})", "diff        waits for the link to NATS\n"},
        {"diff", R"({"running":true,"done":5,"total":10,"waits_for":"the link to NATS"})", "diff        waits for the link to NATS, after 5 of 10\n"},
        {"diff", R"({"running":false,"clean":true,"done":1200,"at_ms":1795248000000})", "diff        2026-11-21 08:00:00: 1,200 compared, clean\n"},
        {"tail", R"({"running":false,"clean":true,"done":10,"tail":10,"at_ms":1795248000000})", "tail        2026-11-21 08:00:00: the last 10 compared, clean\n"},
        {"tail", R"({"running":true,"done":5,"total":10,"tail":10})", "5 of the last 10\n"},
        {"hold", R"({"messages":2,"bytes":10,"age_ms":2000,"left_ms":3000,"waits_for":"the link to NATS"})",
         "held        2 publishes wait (10 B), the first for 2s, 3s more at most: for the link to NATS\n"},
        {"rates", R"({"published":213,"copied":0,"ordered":212,"imported":6})", "a second    213 published, 212 ordered, 6 imported\n"},
        {"rates", R"({"published":213,"copied":5,"ordered":212,"imported":6})", "a second    213 published, 5 copied, 212 ordered, 6 imported\n"},
        {"diff", R"({"running":false,"clean":true,"at_ms":1795248000000})", "diff        2026-11-21 08:00:00: clean\n"},
        {"diff", R"({"running":false,"clean":false,"at_ms":1795248000000})", "did not come to its end"},
        {"hold", R"({"messages":1,"bytes":10,"left_ms":250,"waits_for":""})", "1 publish waits (10 B), for 250ms more at most\n"},
        {"counters", R"({"taken_back":4,"generation":1,"reordered":2})", "counted     2 late, 4 taken back, JetStream went back once\n"},
    };
    for (auto const& r : rows) {
        auto const text = with(r.key, r.value);
        INFO(text);
        CHECK(text.find(r.said) != text.npos);
    }
    auto legacy = whole_status({{"stream", "CHAT"}, {"state", "LEGACY"}, {"since_ms", 0}, {"next", "kedge migrate plan CHAT"}});
    CHECK(shown(legacy).find("CHAT  LEGACY  since -\n  next        kedge migrate plan CHAT\n") != std::string::npos);
    legacy["link"]["state"] = "none";
    CHECK(shown(legacy).find("NATS  no NATS is configured") == 0);
}

TEST_CASE("events and findings stay whole on a narrow terminal")
{
    auto const events = nlohmann::json::parse(R"({"events":[{"time_ms":1795248000000,"state":"MIRRORING","what":"switch rolled back",
        "why":"the importer had not passed 17 within the hold of 5s","by":"root"},{"time_ms":0,"state":"NATS","what":"x","why":"","by":""}]})");
    auto const render = [&](command_environment const& e) { return render_migrate({"migrate events", {{"stream", "CHAT"}}}, events, e); };
    CHECK(render({}).find("TIME                 STATE      WHAT                BY    WHY\n"
                          "2026-11-21 08:00:00  MIRRORING  switch rolled back  root  the importer had") == 0);
    CHECK(render(view_terminal(40)) == "2026-11-21 08:00:00  MIRRORING\n"
                                       "  switch rolled back  by root\n"
                                       "    the importer had not passed 17\n"
                                       "    within the hold of 5s\n"
                                       "-  NATS  x\n");
    auto const found = nlohmann::json::parse(R"({"clean":false,"done":5,"missing":1,"extra":1,"findings":[
        {"kind":"missing","origin":"ssh","seq":17,"place":0,"text":"chat.a is not in JetStream, and nothing can have taken it"},
        {"kind":"extra","origin":"nats","seq":0,"place":4,"text":"chat.b"}]})");
    auto const diff = [&](command_environment const& e) { return render_migrate({"migrate diff", {{"stream", "CHAT"}}}, found, e); };
    CHECK(diff({}) == "KIND     BORN  SEQ  PLACE  WHAT\n"
                      "missing  ssh    17      -  chat.a is not in JetStream, and nothing can have taken it\n"
                      "extra    nats    -      4  chat.b\n"
                      "CHAT: 5 messages compared: 1 missing, 1 extra, 0 different, 0 out of order\n");
    CHECK(diff(view_terminal(40)) == "missing  ssh  seq 17\n"
                                     "    chat.a is not in JetStream, and\n"
                                     "    nothing can have taken it\n"
                                     "extra  nats  place 4\n"
                                     "    chat.b\n"
                                     "CHAT: 5 messages compared: 1 missing, 1\n"
                                     "  extra, 0 different, 0 out of order\n");
    CHECK(render_migrate({"migrate events", {{"stream", "CHAT"}}}, nlohmann::json::object(), {}) == "nothing has happened\n");
}

TEST_CASE("top and status show what is mirrored")
{
    auto migration = crowded();
    auto const now = nlohmann::json{{"server", "kedge/1"}, {"uptime_ms", 5}, {"why", nlohmann::json::array()}, {"migration", migration}};
    auto const lines = draw_top(nullptr, now, "", view_terminal(100));
    std::string all;
    for (auto const& line : lines)
        all += line + '\n';
    INFO(all);
    CHECK(all.find("! NATS is down since 2026-11-21 08:00:00: connection refused") != all.npos);
    CHECK(all.find("MIRRORED  STATE          LAG   BEHIND  OUT/S  IN/S  FLAGS\n"
                   "CHAT      MIRRORING  unknown  unknown   1200   0.4  broken, link down, paused, catching up\n") != all.npos);
    CHECK(all.find("JOBS") == all.npos);
    for (unsigned const columns : {1u, 40u, 80u})
        for (unsigned const rows : {1u, 5u, 17u, 24u}) {
            auto e = view_terminal(columns);
            e.rows = rows;
            auto const fit = draw_top(nullptr, now, "gone", e);
            CHECK(fit.size() == rows);
            for (auto const& line : fit)
                CHECK(display_width(line) <= columns);
        }
    runner c{"status", view_terminal(80)};
    c.begin();
    auto const out = c.admin({0, now, {}}).out;
    INFO(out);
    CHECK(out.find("MIRRORED  STATE") != out.npos);
    CHECK(out.find("UNREAD") != out.npos);
}

TEST_CASE("what a command answers is what happened")
{
    struct row {
        char const* verb;
        char const* args;
        char const* data;
        char const* said;
    };
    static row const rows[] = {
        {"switch", "{}", R"({"state":"NATS","already":true,"held_ms":0,"held_messages":0})", "CHAT: JetStream orders it already; nothing was done.\n"},
        {"reverse", R"({"abandon":true})", R"({"state":"MIRRORING","already":true})", "CHAT: SQLite orders it already; nothing was done.\n"},
        {"plan", "{}", R"({"ok":true,"state":"MIRRORING","checks":[]})", "CHAT is MIRRORING already: kedge migrate status CHAT\n"},
        {"plan", "{}", R"({"ok":true,"state":"LEGACY","checks":[]})", "CHAT can be started: kedge migrate start CHAT\n"},
        {"start", "{}", R"({"state":"MIRRORING","authority":"sqlite","already":true,"lag":{"known":false},"next":"it goes on"})",
         "CHAT was started before. MIRRORING: SQLite orders it, lag unknown; nothing waits here\nnext: it goes on\n"},
        {"cancel", R"({"delete_stream":true})", R"({"state":"LEGACY","already":true,"recorded":false})", "CHAT is not mirrored: nothing was done\n"},
        {"cancel", "{}", R"({"state":"LEGACY","already":true,"recorded":true})", "CHAT was cancelled before; what was copied stays in JetStream"},
        {"cancel", R"({"delete_stream":true})", R"({"state":"LEGACY","deleted":true})", "CHAT is not mirrored any more, and its stream in JetStream is gone\n"},
        {"cancel", R"({"delete_stream":true})", R"({"state":"LEGACY","deleted":false})", "its stream in JetStream is still there\n"},
        {"diff", R"({"tail":100})", R"({"clean":true,"done":100,"tail":100,"at_ms":1})", "CHAT: the last 100 messages compared, both sides hold the same\n"},
        {"diff", "{}", R"({"running":true,"done":0,"total":0,"waits_for":"the link to NATS"})", "CHAT: the comparison waits for the link to NATS\n"},
        {"switch", R"({"dry_run":true})",
         R"({"ok":true,"steps":[{"text":"hold","figures":{"longest_hold_ms":5000,"most_held_bytes":65536,"expected_hold_ms":57,"expected_held_messages":3}}]})",
         "expected held messages 3, expected hold 57ms, longest hold 5s, most held 64.0 KiB\n"},
        {"reverse", R"({"dry_run":true,"abandon":true})", R"({"ok":true,"steps":[{"text":"give up","figures":{"read_up_to":5}}],"risk":["what is behind 5"]})",
         "  ! what is behind 5\nit can be done"},
    };
    for (auto const& r : rows) {
        auto args = nlohmann::json::parse(r.args);
        args["stream"] = "CHAT";
        auto const text = render_migrate({std::string{"migrate "} + r.verb, args}, nlohmann::json::parse(r.data), {});
        INFO(text);
        CHECK(text.find(r.said) != text.npos);
    }
}

TEST_CASE("what is not read is not known without a link")
{
    auto s = full_stream("MIRRORING", "sqlite");
    s["lag"]["known"] = false;
    s["unread"] = 0;
    auto const rows = migration_rows(whole_status(s));
    CHECK(rows.at(0)["unread"] == "unknown");
    CHECK(rows.at(0)["lag"] == "unknown");
}
