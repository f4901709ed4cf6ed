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
        "dead show S c x", "dead replay S", "backup", "completion", "completion fish", "help nope", "status --nope",
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
    std::vector<std::string> paths{""};
    auto const root = describe_commands(false);
    for (auto const& c : root.commands) {
        paths.push_back(c.name);
        for (auto const& sub : c.commands)
            paths.push_back(c.name + " " + sub.name);
    }
    CHECK(paths.size() > 30);
    for (bool const remote : {false, true})
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
