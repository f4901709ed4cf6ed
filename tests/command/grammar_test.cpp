#include "router/command/grammar.hpp"


#include "tests/command/harness.hpp"

using namespace kedge;

TEST_CASE("every administrative command becomes the call that the router knows")
{
    struct row {
        char const* line;
        char const* name;
        char const* args;
    };
    static row const rows[] = {
        {"status", "status", "{}"},
        {"user add alice", "user add", R"({"name":"alice","keys":[]})"},
        {"user add alice --role bot --key 'ssh-ed25519 AAAA x' --key 'ssh-ed25519 BBBB'", "user add",
         R"({"name":"alice","role":"bot","keys":["ssh-ed25519 AAAA x","ssh-ed25519 BBBB"]})"},
        {"user add --key K alice", "user add", R"({"name":"alice","keys":["K"]})"},
        {"user list", "user list", "{}"},
        {"user remove alice", "user remove", R"({"name":"alice"})"},
        {"key add alice K1 K2", "key add", R"({"user":"alice","keys":["K1","K2"]})"},
        {"key list", "key list", "{}"},
        {"key list alice", "key list", R"({"user":"alice"})"},
        {"key remove alice SHA256:x", "key remove", R"({"user":"alice","fingerprint":"SHA256:x"})"},
        {"rule add --user bob deny publish 'secret.>'", "rule add",
         R"({"user":"bob","effect":"deny","action":"publish","pattern":"secret.>"})"},
        {"rule add --role bot allow subscribe 'home.{user}.>'", "rule add",
         R"({"role":"bot","effect":"allow","action":"subscribe","pattern":"home.{user}.>"})"},
        {"rule list", "rule list", "{}"},
        {"rule remove 7", "rule remove", R"({"id":7})"},
        {"rule add --key SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA allow serve time", "rule add",
         R"({"key":"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","effect":"allow","action":"serve","pattern":"time"})"},
        {"rule add deny call time.set --role bot", "rule add", R"({"role":"bot","effect":"deny","action":"call","pattern":"time.set"})"},
        {"rule add deny post @all --role bot", "rule add", R"({"role":"bot","effect":"deny","action":"post","pattern":"@all"})"},
        {"rule add allow create 'stream.{user}-*' --role user", "rule add",
         R"({"role":"user","effect":"allow","action":"create","pattern":"stream.{user}-*"})"},
        {"rule test alice publish a.b", "rule test", R"({"user":"alice","action":"publish","subject":"a.b"})"},
        {"rule test alice call a.b --role bot", "rule test", R"({"user":"alice","action":"call","subject":"a.b","role":"bot"})"},
        {"user show alice", "user show", R"({"name":"alice"})"},
        {"user edit alice --role bot", "user edit", R"({"name":"alice","role":"bot"})"},
        {"user edit alice --limit mail_messages=5 --limit user_stored_bytes=1G --limit user_burst_ms=2s --limit mail_bytes=", "user edit",
         R"({"name":"alice","limits":{"mail_messages":5,"user_stored_bytes":1073741824,"user_burst_ms":2000,"mail_bytes":null}})"},
        {"ban add --user bob --reason 'too loud'", "ban add", R"({"user":"bob","reason":"too loud"})"},
        {"ban add --address 10.0.0.0/8", "ban add", R"({"address":"10.0.0.0/8"})"},
        {"ban list", "ban list", "{}"},
        {"ban remove 3", "ban remove", R"({"id":3})"},
        {"audit list", "audit list", "{}"},
        {"audit list --count 5 --before 9", "audit list", R"({"count":5,"before":9})"},
        {"alias add Support", "alias add", R"({"alias":"Support"})"},
        {"alias add ~support --user carol", "alias add", R"({"alias":"support","user":"carol"})"},
        {"alias remove ~support", "alias remove", R"({"alias":"support"})"},
        {"alias list", "alias list", "{}"},
        {"alias list carol", "alias list", R"({"user":"carol"})"},
        {"list add @all alice ~support @admins --posting members", "list add",
         R"({"list":"all","members":["alice","~support","@admins"],"posting":"members"})"},
        {"list add none", "list add", R"({"list":"none","members":[]})"},
        {"list edit all --add a --add b --remove c --posting owners --owner dave", "list edit",
         R"({"list":"all","add":["a","b"],"remove":["c"],"posting":"owners","owner":"dave"})"},
        {"list remove all", "list remove", R"({"list":"all"})"},
        {"list show", "list show", "{}"},
        {"list show @all", "list show", R"({"list":"all"})"},
        {"node list", "node list", "{}"},
        {"node list alice", "node list", R"({"user":"alice"})"},
        {"node show alice/laptop", "node show", R"({"node":"alice/laptop"})"},
        {"node remove alice/laptop", "node remove", R"({"node":"alice/laptop"})"},
        {"check", "check", "{}"},
        {"stream add S --subjects a --max-msgs-per-subject 1 --discard new", "stream add",
         R"({"name":"S","subjects":["a"],"max_msgs_per_subject":1,"discard":"new"})"},
        {"stream edit S --discard old --max-msgs-per-subject 0", "stream edit", R"({"name":"S","discard":"old","max_msgs_per_subject":0})"},
        {"stream pause S", "stream pause", R"({"stream":"S"})"},
        {"stream resume S", "stream resume", R"({"stream":"S"})"},
        {"stream purge S", "stream purge", R"({"stream":"S"})"},
        {"stream purge S --filter 'a.*' --up-to 9", "stream purge", R"({"stream":"S","filter":"a.*","up_to":9})"},
        {"stream peek S --from 3 --filter '>' --count 5", "stream peek", R"({"stream":"S","from":3,"filter":">","count":5})"},
        {"consumer pause S c", "consumer pause", R"({"stream":"S","consumer":"c"})"},
        {"consumer resume S c", "consumer resume", R"({"stream":"S","consumer":"c"})"},
        {"consumer edit S c --backoff 1s,500ms --ack-wait 5s --max-deliver 3", "consumer edit",
         R"({"stream":"S","consumer":"c","backoff_ms":[1000,500],"ack_wait_ms":5000,"max_deliver":3})"},
        {"stream add S --subjects 'a.>,b.*'", "stream add", R"({"name":"S","subjects":["a.>","b.*"]})"},
        {"stream add S --subjects a --max-age 7d --max-bytes 1G --max-msgs 5 --retention interest", "stream add",
         R"({"name":"S","subjects":["a"],"max_age_ms":604800000,"max_bytes":1073741824,"max_msgs":5,"retention":"interest"})"},
        {"stream list", "stream list", "{}"},
        {"stream show S", "stream show", R"({"name":"S"})"},
        {"stream edit S --max-msgs 0", "stream edit", R"({"name":"S","max_msgs":0})"},
        {"stream remove S", "stream remove", R"({"name":"S"})"},
        {"consumer list", "consumer list", "{}"},
        {"consumer list S", "consumer list", R"({"stream":"S"})"},
        {"consumer show S c", "consumer show", R"({"stream":"S","consumer":"c"})"},
        {"consumer remove S c", "consumer remove", R"({"stream":"S","consumer":"c"})"},
        {"dead list S c", "dead list", R"({"stream":"S","consumer":"c"})"},
        {"dead list S c --after 5 --max 10", "dead list", R"({"stream":"S","consumer":"c","after":5,"max":10})"},
        {"dead show S c 5", "dead show", R"({"stream":"S","consumer":"c","seq":5})"},
        {"dead replay S c", "dead replay", R"({"stream":"S","consumer":"c","seqs":[]})"},
        {"dead replay S c 5 6", "dead replay", R"({"stream":"S","consumer":"c","seqs":[5,6]})"},
        {"dead drop S c 5", "dead drop", R"({"stream":"S","consumer":"c","seqs":[5]})"},
        {"bridge add 'live.>'", "bridge add", R"({"pattern":"live.>"})"},
        {"bridge add live.x --one-way in", "bridge add", R"({"pattern":"live.x","one_way":"in"})"},
        {"bridge remove 'live.>'", "bridge remove", R"({"pattern":"live.>"})"},
        {"bridge list", "bridge list", "{}"},
        {"migrate plan S", "migrate plan", R"({"stream":"S"})"},
        {"migrate plan S --from unacked", "migrate plan", R"({"stream":"S","from":"unacked"})"},
        {"migrate start S --from first --no-wait", "migrate start", R"({"stream":"S","from":"first"})"},
        {"migrate status", "migrate status", "{}"},
        {"migrate status S", "migrate status", R"({"stream":"S"})"},
        {"migrate status S --watch", "migrate status", R"({"stream":"S"})"},
        {"migrate diff S", "migrate diff", R"({"stream":"S"})"},
        {"migrate diff S --tail 100", "migrate diff", R"({"stream":"S","tail":100})"},
        {"migrate diff S --follow", "migrate diff", R"({"stream":"S","follow":true})"},
        {"migrate switch S --dry-run --hold 2s", "migrate switch", R"({"stream":"S","dry_run":true,"hold_ms":2000})"},
        {"migrate switch S --json", "migrate switch", R"({"stream":"S"})"},
        {"migrate reverse S --json --abandon --yes", "migrate reverse", R"({"stream":"S","abandon":true,"confirm":"S"})"},
        {"migrate reverse S --json --hold 1m", "migrate reverse", R"({"stream":"S","hold_ms":60000})"},
        {"migrate pause S", "migrate pause", R"({"stream":"S"})"},
        {"migrate resume S --adopt", "migrate resume", R"({"stream":"S","adopt":true})"},
        {"migrate complete S --dry-run", "migrate complete", R"({"stream":"S","dry_run":true})"},
        {"migrate complete S -y", "migrate complete", R"({"stream":"S","confirm":"S"})"},
        {"migrate cancel S", "migrate cancel", R"({"stream":"S"})"},
        {"migrate cancel S --delete-stream --yes", "migrate cancel", R"({"stream":"S","delete_stream":true,"confirm":"S"})"},
        {"migrate events S", "migrate events", R"({"stream":"S"})"},
        {"backup /tmp/x", "backup", R"({"path":"/tmp/x"})"},
        {"backup -", "backup", R"({"path":"-"})"},
    };
    for (bool const remote : {false, true})
        for (auto const& r : rows) {
            INFO(r.line << (remote ? " (remote)" : ""));
            command_environment e;
            e.remote = remote;
            runner c{r.line, e};
            CHECK_FALSE(c.it->needs_link());
            auto const fx = c.begin();
            REQUIRE(fx.calls.size() == 1);
            CHECK(fx.calls[0].name == r.name);
            CHECK(fx.calls[0].args == nlohmann::json::parse(r.args));
        }
}

TEST_CASE("what is not understood is exit status 2 and a sentence on standard error")
{
    static char const* const rows[] = {
        "", "nope", "pub", "pub 'a b'", "pub 'a.>' x", "pub a x y", "pub a - --chunk 1.5K", "pub a x --header nocolon",
        "pub a x --header 'Kedge-X: y'", "pub a x --header 'A:'", "pub a x --node 'UPPER'", "pub a x --reply-to '*'",
        "pub a x --id-prefix ''", "sub", "sub 'a..b'", "sub a --count 0", "sub a --count x", "sub a --json --raw", "consume S",
        "consume --consumer c", "consume 'S S' --consumer c", "consume S --consumer c --start last", "consume S --consumer c --start 0",
        "consume S --consumer c --window 0", "consume S --consumer c --ack-wait 5", "consume S --consumer c --filter 'a..'",
        "ping x", "who knows", "user", "user add", "user add Alice", "user add a --role king", "user remove", "key add a", "key remove a",
        "rule add allow publish a", "rule add --user a --role bot allow publish x", "rule add --user a permit publish x",
        "rule add --user a allow read x", "rule remove x", "rule remove 0", "stream add S", "stream add S --subjects ''",
        "stream add S --subjects 'a,,b'", "stream add S --subjects a --max-age 7", "stream add S --subjects a --max-bytes 1X",
        "stream add S --subjects a --retention some", "stream add 'a.b' --subjects a", "consumer show S", "dead show S c",
        "dead show S c x", "dead replay S", "user edit a", "user edit a --limit x", "user edit a --limit nope=1",
        "user edit a --limit mail_messages=1G", "user show", "rule add --user a --key SHA256:x allow publish x",
        "rule add --key SHA256:x allow publish x", "rule test a publish", "rule test a eat x", "ban add", "ban add --user a --address ::/0",
        "ban add --user a --for 0", "ban add --user a --for soon", "ban remove x", "audit list --count 0", "alias add '~'", "alias add 'a b'",
        "list add '@'", "list add a --posting all", "node show alice", "node remove alice/", "stream add S --subjects a --discard some",
        "stream peek S --from 0", "stream purge S --filter 'a..'", "consumer edit S c --backoff 1", "consumer edit S c --backoff 1s,",
        "stream export", "stream export S --from 0", "stream import", "stream import S --node X", "replay", "replay S --rate 0",
        "replay S --speed 0", "replay S --speed x", "replay S --rate 1 --speed 2", "replay S --prefix 'a.*'", "status --every 1ms",
        "status --every x", "migrate", "migrate plan", "migrate plan S --from some",
        "migrate start", "migrate start 'a.b'", "migrate diff S --tail 0", "migrate diff S --tail 5 --follow", "migrate switch S --hold 5",
        "migrate switch S --abandon", "migrate cancel", "migrate status S T", "migrate events", "migrate nope S", "bridge", "bridge add",
        "bridge add 'a..'", "bridge add a --one-way both", "bridge remove", "bridge list x", "top x", "doctor x", "backup", "completion", "completion fish", "help nope", "status --nope",
    };
    for (auto const* line : rows) {
        INFO(line);
        auto const s = stopped(line);
        CHECK(s.exit_status == 2);
        CHECK(s.out.empty());
        CHECK_FALSE(s.error.empty());
    }
}

TEST_CASE("help of everything, by either form")
{
    for (bool const remote : {false, true}) {
        std::vector<std::string> paths{""};
        auto const root = describe_commands(remote);
        for (auto const& c : root.commands) {
            paths.push_back(c.name);
            for (auto const& sub : c.commands)
                paths.push_back(c.name + " " + sub.name);
        }
        CHECK(paths.size() > 60);
        for (auto const& path : paths) {
            INFO(path);
            command_environment e;
            e.remote = remote;
            auto const by_option = stopped(path + " --help", e);
            CHECK(by_option.exit_status == 0);
            CHECK(by_option.error.empty());
            CHECK(by_option.out.find("kedge" + (path.empty() ? "" : " " + path)) != std::string::npos);
            CHECK(stopped("help " + path, e).out == by_option.out);
        }
    }
}

TEST_CASE("behind an exec request: no programs, no connection")
{
    command_environment remote;
    remote.remote = true;
    CHECK(stopped("consume S --consumer c --exec true", remote).exit_status == 2);
    CHECK(stopped("help", remote).out.find("--home") == std::string::npos);
    CHECK(stopped("help").out.find("--home") != std::string::npos);
    CHECK(stopped("consume --help", remote).out.find("--exec") == std::string::npos);
}

TEST_CASE("options of the connection stand before the command")
{
    auto const parsed = parse_connection(std::vector<std::string>{"--to", "a@b:1", "-i", "k1", "-i", "k2", "--accept-new", "--timeout",
                                                                  "5s", "pub", "a", "--json", "--home"});
    auto const& o = std::get<connection_options>(parsed);
    CHECK(o.to == "a@b:1");
    CHECK(o.identities == std::vector<std::string>{"k1", "k2"});
    CHECK(o.accept_new);
    CHECK(o.timeout_ms == 5'000);
    CHECK(o.words == std::vector<std::string>{"pub", "a", "--json", "--home"});

    CHECK(std::get<connection_options>(parse_connection(std::vector<std::string>{"--help"})).words ==
          std::vector<std::string>{"help"});
    CHECK(std::get<connection_options>(parse_connection(std::vector<std::string>{"--version"})).version);
    CHECK(std::get<command_stop>(parse_connection(std::vector<std::string>{"--timeout", "x", "ping"})).exit_status == 2);
    CHECK(std::get<command_stop>(parse_connection(std::vector<std::string>{"--home"})).exit_status == 2);
    CHECK(std::get<connection_options>(parse_connection(std::vector<std::string>{})).words.empty());
}

TEST_CASE("a ban for a time ends so much later")
{
    runner c{"ban add --user bob --for 1h"};
    CHECK(c.begin().calls.at(0).args.at("for_ms") == 3'600'000);
}

TEST_CASE("every command that operators use shows how it is typed")
{
    for (auto const& c : describe_commands(false).commands)
        for (auto const* name : {"user", "key", "rule", "ban", "audit", "alias", "list", "node", "stream", "consumer", "dead", "migrate", "bridge"})
            if (c.name == name)
                for (auto const& sub : c.commands) {
                    INFO(c.name << ' ' << sub.name);
                    CHECK(sub.example.find("kedge " + c.name + " " + sub.name) != std::string::npos);
                }
}
