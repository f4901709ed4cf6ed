#include "sshd-transport/config.hpp"

#include <string>
#include <variant>
#include <vector>

#include <sys/stat.h>

#include "migration/server_url.hpp"
#include "migration/settings.hpp"
#include "tests/catch.hpp"
#include "tests/daemon/temporary_directory.hpp"

namespace kedge {
namespace {

using errors = std::vector<config_error>;

server_config good(std::string const& text)
{
    auto parsed = parse_config(text);
    if (auto const* wrong = std::get_if<errors>(&parsed)) FAIL(wrong->front().line << ": " << wrong->front().message);
    return std::get<server_config>(parsed);
}

errors bad(std::string const& text)
{
    auto parsed = parse_config(text);
    return std::holds_alternative<errors>(parsed) ? std::get<errors>(parsed) : errors{};
}

TEST_CASE("an empty configuration is the default one")
{
    CHECK(good("") == server_config{});
    CHECK(good("\n# nothing\n[limits]\n[server]\n") == server_config{});
    CHECK(check_config({}).empty());
}

TEST_CASE("every key is taken")
{
    auto const config = good(R"(
[server]
listen = ["0.0.0.0:22", "[::1]:0"]
name = "bus.example.org"
servers = ["bus.example.org:2222", "127.0.0.1:22", "[2001:db8::1]:2222"]
threads = 3
[log]
level = "debug"
format = "json"
file = "/var/log/kedged.log"
[http]
listen = "127.0.0.1:9090"
anywhere = true
[gate]
exempt = ["10.0.0.0/8", "::1"]
watchdog_ms = 100
[nats]
servers = ["nats://a.example.org:4222", "tls://[2001:db8::1]"]
name = "kedge at home"
ca_file = "/etc/kedge/ca.pem"
certificate_file = "/etc/kedge/own.pem"
key_file = "/etc/kedge/own.key"
expected_name = "nats.example.org"
nkey_file = "/etc/kedge/seed"
stream_prefix = "K_"
stream_names = ["CHAT=TALK", "A=B"]
domain = "hub"
replicas = 3
hold_ms = 2000
[limits]
body_bytes = 2048
)");
    server_config want;
    want.listen = {{"0.0.0.0", 22}, {"::1", 0}};
    want.name = "bus.example.org";
    want.servers = {"bus.example.org:2222", "127.0.0.1:22", "[2001:db8::1]:2222"};
    want.threads = 3;
    want.level = log_level::debug;
    want.format = log_format::json;
    want.log_file = "/var/log/kedged.log";
    want.http = listen_endpoint{"127.0.0.1", 9090};
    want.http_anywhere = true;
    want.exempt = {"10.0.0.0/8", "::1"};
    want.watchdog_ms = 100;
    want.nats.servers = {"nats://a.example.org:4222", "tls://[2001:db8::1]"};
    want.nats.name = "kedge at home";
    want.nats.ca_file = "/etc/kedge/ca.pem";
    want.nats.certificate_file = "/etc/kedge/own.pem";
    want.nats.key_file = "/etc/kedge/own.key";
    want.nats.expected_name = "nats.example.org";
    want.nats.nkey_file = "/etc/kedge/seed";
    want.nats.stream_prefix = "K_";
    want.nats.stream_names = {"CHAT=TALK", "A=B"};
    want.nats.domain = "hub";
    want.nats.replicas = 3;
    want.nats.hold_ms = 2000;
    want.limits.body_bytes = 2048;
    CHECK(config == want);
    CHECK(check_config(config).empty());
}

TEST_CASE("every limit is taken at its bounds and refused one beyond, with its line and its range")
{
    for (auto const& field : limit_fields()) {
        auto const name = std::string(field.name);
        INFO(name);
        auto const line = [&](std::string const& value) { return "[limits]\n\n" + name + " = " + value + "\n"; };
        CHECK(good(line(std::to_string(field.min))).limits.*field.member == field.min);
        CHECK(good(line(std::to_string(field.max))).limits.*field.member == field.max);
        CHECK(server_config{}.limits.*field.member >= field.min);
        CHECK(server_config{}.limits.*field.member <= field.max);

        std::vector<std::string> beyond{std::to_string(field.max + 1), "-1", "true", "\"1\"", "1.5", "[1]"};
        if (field.min > 0) beyond.push_back(std::to_string(field.min - 1));
        for (auto const& value : beyond) {
            INFO(value);
            auto const wrong = bad(line(value));
            REQUIRE(wrong.size() == 1);
            CHECK(wrong[0].line == 3);
            CHECK(wrong[0].message.find("limits." + name + " = ") == 0);
            CHECK(wrong[0].message.find(std::to_string(field.min) + " to " + std::to_string(field.max)) != std::string::npos);
        }
    }
}

TEST_CASE("every number of [nats] is taken at its bounds and refused one beyond")
{
    for (auto const& field : migration::settings_numbers()) {
        auto const name = std::string(field.name);
        INFO(name);
        auto const line = [&](std::uint64_t value) { return "[nats]\n" + name + " = " + std::to_string(value) + "\n"; };
        CHECK(good(line(field.min)).nats.*field.member == field.min);
        CHECK(good(line(field.max)).nats.*field.member == field.max);
        CHECK(server_config{}.nats.*field.member >= field.min);
        CHECK(server_config{}.nats.*field.member <= field.max);
        CHECK(bad(line(field.max + 1)).size() == 1);
        if (field.min > 0) CHECK(bad(line(field.min - 1)).size() == 1);
    }
}

TEST_CASE("what is wrong is named with its line")
{
    struct mistake {
        char const* name;
        std::string text;
        std::size_t line;
        char const* says;
    };
    std::vector<mistake> const mistakes{
        {"unknown key", "[server]\nlisten = [\"127.0.0.1:1\"]\nport = 22\n", 3, "unknown key server.port"},
        {"unknown limit", "[limits]\n\n\nbody = 1\n", 4, "unknown key limits.body"},
        {"unknown section", "\n[serve]\nname = \"a\"\n", 2, "unknown section [serve]"},
        {"key outside", "name = \"a\"\n", 1, "unknown key name"},
        {"section as key", "\nserver = 1\n", 2, "[server]"},
        {"section as list", "\n[[server]]\nname = \"a\"\n", 2, "[server]"},
        {"listen as text", "[server]\nlisten = \"127.0.0.1:22\"\n", 2, "server.listen"},
        {"listen empty", "[server]\nlisten = []\n", 2, "at least one"},
        {"listen by name", "[server]\nlisten = [\"localhost:22\"]\n", 2, "numeric"},
        {"listen without port", "[server]\nlisten = [\"127.0.0.1\"]\n", 2, "server.listen"},
        {"name with blank", "[server]\nname = \"a b\"\n", 2, "host name"},
        {"servers without port", "[server]\nservers = [\"a\"]\n", 2, "HOST:PORT"},
        {"servers with port 0", "[server]\nservers = [\"a:0\"]\n", 2, "HOST:PORT"},
        {"threads", "[server]\nthreads = 65\n", 2, "0 to 64"},
        {"level", "[log]\nlevel = \"loud\"\n", 2, "\"loud\""},
        {"file", "[log]\nfile = \"kedged.log\"\n", 2, "an absolute path"},
        {"format", "[log]\nformat = 1\n", 2, "\"json\""},
        {"http", "[http]\nlisten = \"here\"\n", 2, "http.listen"},
        {"anywhere", "[http]\nanywhere = \"yes\"\n", 2, "true or false"},
        {"exempt", "[gate]\nexempt = [\"10.0.0.0/33\"]\n", 2, "gate.exempt"},
        {"exempt mixed", "[gate]\nexempt = [\"10.0.0.0/8\", 7]\n", 2, "gate.exempt"},
        {"watchdog", "[gate]\nwatchdog_ms = 9\n", 2, "10 to 60000"},
        {"NATS server without scheme", "[nats]\nservers = [\"127.0.0.1:4222\"]\n", 2, "nats://HOST:PORT"},
        {"NATS server with a password", "[nats]\nservers = [\"nats://me:secret@a:4222\"]\n", 2, "nats://HOST:PORT"},
        {"NATS server with port 0", "[nats]\nservers = [\"nats://a:0\"]\n", 2, "nats://HOST:PORT"},
        {"NATS servers as text", "[nats]\nservers = \"nats://a:1\"\n", 2, "a list"},
        {"NATS user as number", "[nats]\nuser = 1\n", 2, "a text"},
        {"NATS unknown", "[nats]\npassword = \"x\"\n", 2, "unknown key nats.password"},
        {"no value", "[server]\nname =\n", 2, "not TOML"},
        {"twice", "[server]\nname = \"a\"\nname = \"b\"\n", 3, "not TOML"},
        {"no TOML", "\n\n\nhello there\n", 4, "not TOML"},
        {"not UTF-8", "\n[server]\nname = \"a\xff\"\n", 3, "not UTF-8"},
        {"bell", "\n# \a\n", 2, "control character"},
        {"carriage return inside", "[server]\rname = \"a\"\r\n", 1, "control character"},
        {"brackets", "\n[server]\nlisten = " + std::string(5000, '[') + "\n", 3, "nested"},
    };
    for (auto const& each : mistakes) {
        INFO(each.name);
        auto const wrong = bad(each.text);
        REQUIRE(wrong.size() == 1);
        CHECK(wrong[0].line == each.line);
        INFO(wrong[0].message);
        CHECK(wrong[0].message.find(each.says) != std::string::npos);
        CHECK(wrong[0].message.find('\n') == std::string::npos);
    }
}

TEST_CASE("all mistakes are told at once, by line")
{
    auto const wrong = bad("[server]\nthreads = -1\nfoo = 1\n[limits]\nstreams = 0\n");
    REQUIRE(wrong.size() == 3);
    CHECK(wrong[0].line == 2);
    CHECK(wrong[1].line == 3);
    CHECK(wrong[2].line == 5);
}

TEST_CASE("a file is bounded")
{
    CHECK(good(std::string(config_bytes_max, '\n')) == server_config{});
    CHECK(bad(std::string(config_bytes_max + 1, '\n')).size() == 1);
}

TEST_CASE("limits that contradict each other are refused")
{
    struct contradiction {
        std::uint64_t limits::*member;
        std::uint64_t value;
        char const* says;
    };
    for (auto const& each : std::vector<contradiction>{
             {&limits::body_bytes, 2 * 1024 * 1024, "frame_bytes"},
             {&limits::line_bytes, 1024 * 1024, "line_bytes"},
             {&limits::ack_wait_ms_max, 999, "ack_wait_ms_min"},
             {&limits::consumer_pending, 16'383, "consumer_window"},
             {&limits::link_unsent_bytes, 1024 * 1024, "link_unsent_bytes"},
             {&limits::unauthenticated, 9, "unauthenticated_early_drop"},
             {&limits::dedupe_ids_total, 99'999, "dedupe_ids"},
         }) {
        INFO(each.says);
        server_config config;
        config.limits.*each.member = each.value;
        auto const wrong = check_config(config);
        REQUIRE(!wrong.empty());
        CHECK(wrong[0].message.find(each.says) != std::string::npos);
    }
}

TEST_CASE("settings of NATS that contradict each other are refused")
{
    struct contradiction {
        char const* text;
        char const* says;
    };
    for (auto const& each : std::vector<contradiction>{
             {"certificate_file = \"/a\"", "key_file"},
             {"key_file = \"/a\"", "certificate_file"},
             {"user = \"a\"", "password_file"},
             {"password_file = \"/a\"", "nats.user"},
             {"nkey_file = \"/a\"\ntoken_file = \"/b\"", "only one"},
             {"credentials_file = \"/a\"\nuser = \"b\"\npassword_file = \"/c\"", "only one"},
             {"ca_file = \"ca.pem\"", "absolute"},
             {"stream_prefix = \"a.b\"", "stream_prefix"},
             {"stream_names = [\"A=B\", \"A=C\"]", "in common"},
             {"stream_names = [\"A=B\", \"C=B\"]", "in common"},
             {"domain = \"a b\"", "domain"},
             {"name = \"a\\nb\"", "control character"},
             {"import_messages = 9000", "read_messages"},
             {"read_bytes = 65536", "import_bytes"},
         }) {
        INFO(each.text);
        auto const wrong = check_config(good("[nats]\n" + std::string(each.text) + "\n"));
        REQUIRE(wrong.size() == 1);
        CHECK(wrong[0].message.find(each.says) != std::string::npos);
    }
}

TEST_CASE("files for NATS have to be there, and secrets are nobody else's")
{
    test::temporary_directory directory;
    auto const path = (directory.path / "secret").string();
    migration::settings set;
    set.token_file = path;
    REQUIRE(migration::check_settings_files(set).size() == 1);
    CHECK(migration::check_settings_files(set)[0].find("nats.token_file: " + path) == 0);
    test::spill(path, "x\n");
    ::chmod(path.c_str(), 0640);
    REQUIRE(migration::check_settings_files(set).size() == 1);
    CHECK(migration::check_settings_files(set)[0].find("chmod 600") != std::string::npos);
    ::chmod(path.c_str(), 0600);
    CHECK(migration::check_settings_files(set).empty());
    set.token_file.clear();
    set.ca_file = path;
    ::chmod(path.c_str(), 0644);
    CHECK(migration::check_settings_files(set).empty());
    set.ca_file = directory.path.string();
    CHECK(migration::check_settings_files(set).size() == 1);
}

TEST_CASE("addresses of NATS servers")
{
    using migration::parse_server_url;
    struct address {
        char const* text;
        char const* read;  // nothing: refused
    };
    for (auto const& each : std::vector<address>{
             {"nats://a", "nats://a:4222"},
             {"nats://127.0.0.1:1", "nats://127.0.0.1:1"},
             {"tls://a.example.org:65535", "tls://a.example.org:65535"},
             {"nats://[::1]:4222", "nats://[::1]:4222"},
             {"tls://[::1]", "tls://[::1]:4222"},
             {"", nullptr},
             {"nats://", nullptr},
             {"nats://:4222", nullptr},
             {"nats://a:", nullptr},
             {"nats://a:65536", nullptr},
             {"nats://a:-1", nullptr},
             {"nats://a:1x", nullptr},
             {"nats://a/", nullptr},
             {"nats://a b", nullptr},
             {"nats://[::1", nullptr},
             {"nats://[::1]x", nullptr},
             {"nats://::1", nullptr},
             {"ws://a:1", nullptr},
             {"NATS://a:1", nullptr},
         }) {
        INFO(each.text);
        auto const read = parse_server_url(each.text);
        REQUIRE(read.has_value() == (each.read != nullptr));
        if (read) CHECK(read->text() == each.read);
    }
}

TEST_CASE("HTTP on anything but loopback has to be asked for")
{
    server_config config;
    for (auto const* text : {"127.0.0.1:80", "127.9.9.9:80", "[::1]:80"}) {
        config.http = parse_endpoint(text);
        CHECK(check_config(config).empty());
    }
    for (auto const* text : {"0.0.0.0:80", "[::]:80", "192.0.2.1:80"}) {
        config.http = parse_endpoint(text);
        config.http_anywhere = false;
        CHECK(check_config(config).size() == 1);
        config.http_anywhere = true;
        CHECK(check_config(config).empty());
    }
}

TEST_CASE("what is printed reads back, defaults commented out")
{
    server_config config;
    auto const text = print_config(config);
    CHECK(good(text) == config);
    for (auto const& field : limit_fields()) CHECK(text.find("\n# " + std::string(field.name) + " = ") != std::string::npos);
    for (auto const& field : migration::settings_numbers()) CHECK(text.find("\n# " + std::string(field.name) + " = ") != std::string::npos);
    for (auto const& field : migration::settings_texts()) CHECK(text.find("\n# " + std::string(field.name) + " = ") != std::string::npos);

    config.listen = {{"::1", 22}, {"127.0.0.1", 0}};
    config.name = "bus";
    config.servers = {"a:1", "b:2"};
    config.http = listen_endpoint{"127.0.0.1", 1};
    config.exempt = {};
    config.nats.servers = {"nats://a:1", "tls://b:2"};
    config.nats.name = "say \"hello\"";
    config.nats.hold_ms = 100;
    config.limits.streams = 7;
    config.level = log_level::off;
    auto const changed = print_config(config);
    CHECK(changed.find("\nstreams = 7\n") != std::string::npos);
    CHECK(good(changed) == config);
}

TEST_CASE("what a running server cannot take over is named")
{
    server_config now;
    server_config then;
    then.limits.streams = 7;
    then.level = log_level::debug;
    CHECK(needs_restart(now, then).empty());
    then.listen = {{"::1", 22}};
    then.threads = 1;
    then.log_file = "/x";
    then.nats.servers = {"nats://a:1"};
    then.nats.hold_ms = 100;
    CHECK(needs_restart(now, then) ==
          std::vector<std::string>{"server.listen", "server.threads", "log.file", "nats.servers", "nats.hold_ms"});
}

}  // namespace
}  // namespace kedge
