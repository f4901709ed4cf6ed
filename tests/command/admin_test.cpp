#include "tests/command/harness.hpp"

using namespace kedge;

TEST_CASE("answers of the router, for people and as JSON")
{
    struct row {
        char const* line;
        char const* data;
        std::vector<char const*> shown;  ///< pieces that the output has, in order
    };
    static row const rows[] = {
        {"user add alice", "{}", {"user alice may log in"}},
        {"user list", R"({"users":[{"name":"alice","role":"bot","keys":2,"sessions":1,"added_ms":1795248000000,"source":"store","removed":true}]})",
         {"USER", "ROLE", "KEYS", "alice", "bot", "2", "1", "2026-11-21 08:00:00", "store", "yes"}},
        {"user list", R"({"users":[]})", {"no users"}},
        {"user remove alice", "{}", {"user alice is removed"}},
        {"key add alice K", "{}", {"user alice has the key"}},
        {"key list", R"({"keys":[{"user":"a","type":"ssh-ed25519","fingerprint":"SHA256:x","comment":"c","role":"","from":["10.0.0.0/8"],"expires_ms":0,"added_ms":0,"source":"file"}]})",
         {"FINGERPRINT", "SHA256:x", "10.0.0.0/8", "file"}},
        {"key remove a SHA256:x", "{}", {"no longer has the key"}},
        {"rule add --user a deny publish x", R"({"id":4})", {"rule 4 holds"}},
        {"rule list", R"({"rules":[{"id":4,"effect":"deny","action":"publish","user":"a","pattern":"x","builtin":false}]})",
         {"ID", "EFFECT", "4", "deny", "publish", "a", "x"}},
        {"rule remove 4", "{}", {"rule 4 is removed"}},
        {"rule test a publish x", R"({"allowed":true,"why":"a may publish 'x': allowed by rule 4","rule":4})", {"yes: a may publish 'x'"}},
        {"user edit a --role bot", R"({"name":"a","role":"bot","limits":{}})", {"user a is changed"}},
        {"user show a", R"({"name":"a","role":"bot","source":"store","removed":false,"added_ms":0,"sessions":2,"keys":[{"user":"a","fingerprint":"SHA256:x"}],
            "rules":[{"id":4,"effect":"deny","action":"post","user":"a","pattern":"bob"}],"nodes":[{"node":"a/n","online":true,"seen_ms":0}],
            "aliases":["help"],"lists":["all"],"mail":{"messages":3,"bytes":2048},"stored_messages":5,"stored_bytes":10,
            "limits":{"mail_messages":7,"mail_bytes":9},"own_limits":{"mail_messages":7}})",
         {"USER", "a", "SESSIONS", "2", "STORED", "5", "MAIL ", "3", "2.0 KiB", "help", "all", "SHA256:x", "deny", "a/n", "mail_bytes", "9",
          "mail_messages", "7", "yes"}},
        {"ban add --user a", R"({"id":2})", {"ban 2 holds"}},
        {"ban list", R"({"bans":[{"id":2,"address":"10.0.0.0/8","until_ms":1795248000000,"reason":"loud","by":"op","added_ms":0,"over":false}]})",
         {"ID", "ADDRESS", "REASON", "2", "10.0.0.0/8", "2026-11-21 08:00:00", "op", "loud"}},
        {"ban remove 2", "{}", {"ban 2 is over"}},
        {"audit list", R"({"entries":[{"id":9,"time_ms":0,"user":"op","key":"SHA256:k","command":"ban add","args":"{}","outcome":"done"}]})",
         {"COMMAND", "9", "op", "ban add", "{}", "done", "SHA256:k"}},
        {"alias add x", R"({"alias":"x","user":"op"})", {"mail to ~x goes to op"}},
        {"alias remove x", "{}", {"alias x is removed"}},
        {"alias list", R"({"aliases":[{"alias":"x","user":"op"}]})", {"ALIAS", "x", "op"}},
        {"list add l a", R"({"list":"l"})", {"list l is there"}},
        {"list edit l --add b", R"({"list":"l"})", {"list l is changed"}},
        {"list remove l", R"({"list":"l"})", {"list l is removed"}},
        {"list show", R"({"lists":[{"list":"l","owner":"op","posting":"members","members":["a","@m"]}]})", {"MEMBERS", "l", "op", "members", "a,@m"}},
        {"node list", R"({"nodes":[{"node":"a/n","online":true,"seen_ms":0,"inbox":true,"mail":{"messages":3,"bytes":2048}}]})",
         {"NODE", "MAIL", "a/n", "yes", "yes", "3", "2.0 KiB"}},
        {"node show a/n", R"({"nodes":[]})", {"no nodes"}},
        {"node remove a/n", "{}", {"node a/n is forgotten"}},
        {"stream pause S", "{}", {"stream S pauses"}},
        {"stream resume S", "{}", {"stream S goes on"}},
        {"stream purge S", R"({"purged":7})", {"7 forgotten"}},
        {"stream peek S", R"({"messages":[{"seq":3,"time_ms":0,"from":"u","subject":"a","data":"he\u001b"},{"seq":4,"data64":"/wA="}],"next":5,"end":false})",
         {"SEQ", "BODY", "3", "3 B", "he\\x1b", "4", "2 B", "/wA=", "more: --from 5"}},
        {"stream peek S", R"({"messages":[],"next":1,"end":true})", {"no messages"}},
        {"consumer pause S c", "{}", {"consumer c of S pauses"}},
        {"consumer resume S c", "{}", {"consumer c of S goes on"}},
        {"consumer edit S c --max-deliver 3", "{}", {"consumer c of S is changed"}},
        {"consumer show S c", R"({"stream":"S","consumer":"c","paused":true,"backoff_ms":[1000,300000]})", {"PAUSED", "yes", "BACKOFF", "1s,5m"}},
        {"check", R"({"findings":[],"rows":20,"streams":2})", {"20 rows of 2 streams were read: all is well"}},
        {"stream add S --subjects a", "{}", {"stream S stores"}},
        {"stream list", R"({"streams":[{"stream":"S","subjects":["a"],"first_seq":1,"last_seq":2,"messages":2,"bytes":10,"max_age_ms":604800000,"max_bytes":0,"max_msgs":0,"retention":"limits","consumers":1}]})",
         {"STREAM", "S", "10 B", "7d", "limits"}},
        {"stream show S", R"({"stream":"S","subjects":["a","b"],"first_seq":1})", {"STREAM", "S", "SUBJECTS", "a,b"}},
        {"stream edit S", "{}", {"stream S is changed"}},
        {"stream remove S", "{}", {"stream S is removed"}},
        {"consumer list", R"({"consumers":[]})", {"no consumers"}},
        {"consumer show S c", R"({"stream":"S","consumer":"c","ack_wait_ms":30000,"max_deliver":0})", {"CONSUMER", "c", "ACK WAIT", "30s"}},
        {"consumer remove S c", "{}", {"consumer c of S is removed"}},
        {"dead list S c", R"({"dead":[{"seq":3,"subject":"a","from":"u","time_ms":0,"died_ms":0,"tries":5,"reason":"why","size":7}],"total":9})",
         {"SEQ", "REASON", "3", "why", "1 of 9"}},
        {"dead show S c 3", R"({"seq":3,"subject":"a","headers":{"A":"b"},"data":"hello\u001b"})", {"SEQ", "3", "A: b", "hello\\x1b"}},
        {"dead replay S c", R"({"count":2})", {"2 will be delivered again"}},
        {"dead drop S c 3", R"({"count":1})", {"1 dropped"}},
        {"backup /x", R"({"path":"/x","bytes":2048})", {"/x: 2.0 KiB"}},
        {"status",
         R"({"server":"kedge/1","uptime_ms":60000,"sessions":1,"links":2,"nodes":3,"streams":[{"stream":"S"}],"consumers":[{"consumer":"c"}],"metrics":{"published":5,"denied":0},"why":["consumer c is behind"]})",
         {"kedge/1", "up 1m", "1 thing is not well", "consumer c is behind", "1 sessions, 2 links, 3 nodes", "waiting: nothing\n", "STREAM", "S", "CONSUMER",
          "c", "published", "5"}},
        {"status", R"({"server":"kedge/1","why":[]})", {"all is well"}},
    };
    for (auto const& r : rows) {
        INFO(r.line);
        admin_result const answer{0, nlohmann::json::parse(r.data), {}};
        runner c{r.line};
        c.begin();
        auto const fx = c.admin(answer);
        CHECK(fx.exit_status == 0);
        CHECK(fx.error.empty());
        std::size_t at = 0;
        for (auto const* piece : r.shown) {
            INFO("'" << piece << "' in:\n" << fx.out);
            auto const found = fx.out.find(piece, at);
            REQUIRE(found != std::string::npos);
            at = found;
        }
        runner json{std::string{r.line} + " --json"};
        json.begin();
        auto const as_json = json.admin(answer);
        CHECK(nlohmann::json::parse(as_json.out) == answer.data);
    }
}

TEST_CASE("an answer that is no is exit status 1, and shown all the same")
{
    struct row {
        char const* line;
        char const* data;
        char const* shown;
    };
    static row const rows[] = {
        {"rule test a publish x", R"({"allowed":false,"why":"a may not","rule":4})", "no: a may not\n"},
        {"check", R"({"findings":["row 7 of S has no sender","x"],"rows":2,"streams":1})",
         "! row 7 of S has no sender\n! x\n2 rows of 1 streams were read: 2 things are wrong\n"},
    };
    for (auto const& r : rows) {
        runner c{r.line};
        c.begin();
        auto const fx = c.admin({0, nlohmann::json::parse(r.data), {}});
        CHECK(fx.exit_status == 1);
        CHECK(fx.out == r.shown);
        CHECK(fx.error.empty());
    }
}

TEST_CASE("status shows no metric that is zero")
{
    runner c{"status"};
    c.begin();
    auto const out = c.admin({0, nlohmann::json::parse(R"({"metrics":{"denied":0,"seen":1}})"), {}}).out;
    CHECK(out.find("denied") == std::string::npos);
    CHECK(out.find("seen") != std::string::npos);
}

TEST_CASE("status says in a line what waits")
{
    runner c{"status"};
    c.begin();
    auto const out = c.admin({0, nlohmann::json::parse(R"({"metrics":{"unsent_bytes":2048,"operations_held":3,"store_queue_bytes":0,"seen":7}})"), {}}).out;
    INFO(out);
    CHECK(out.find("\nwaiting: 3 operations held back, 2.0 KiB for clients to read\n") != std::string::npos);
}

TEST_CASE("a refusal is exit 1 and its sentence on standard error")
{
    runner c{"stream remove S --json"};
    c.begin();
    auto const fx = c.admin({1, nullptr, "there is no stream S"});
    CHECK(fx.exit_status == 1);
    CHECK(fx.out.empty());
    CHECK(fx.error == "kedge: there is no stream S\n");
}

TEST_CASE("backup -: the file is the output")
{
    command_environment remote;
    remote.remote = true;
    runner c{"backup -", remote};
    c.begin();
    auto const fx = c.admin({0, {{"path", "/home/x.tmp"}}, {}});
    CHECK(fx.stream_file == "/home/x.tmp");
    CHECK(fx.out.empty());
    CHECK(fx.exit_status == 0);
}

TEST_CASE("answers that are not what they should be do no harm")
{
    for (auto const* line : {"status", "user list", "stream show S", "dead show S c 1", "dead list S c", "rule add --user a allow publish x",
                             "backup /x", "user show a", "rule test a publish x", "ban list", "audit list", "node list", "list show",
                             "stream peek S", "consumer show S c", "check", "top"})
        for (auto const* data : {"null", "[]", "5", "\"x\"", "{}", R"({"users":5,"dead":{},"why":7,"metrics":[],"streams":"x","headers":[1]})",
                                R"({"messages":[5],"nodes":[5],"bans":[[]],"consumers":[5],"findings":5,"limits":7,"end":5,"mail":7})"}) {
            INFO(line << " " << data);
            runner c{line};
            c.begin();
            auto const fx = c.admin({0, nlohmann::json::parse(data), {}});
            CHECK((fx.exit_status == 0 || std::string_view{line} == "check"));
        }
}
