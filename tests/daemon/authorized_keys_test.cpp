#include "sshd-transport/authorized_keys.hpp"

#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "tests/catch.hpp"

namespace kedge {
namespace {

std::string const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
std::string const other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA";

TEST_CASE("lines that are understood")
{
    struct sample {
        std::string line;
        char const* user;
        char const* role;
        std::vector<std::string> from;
        std::uint64_t expires_ms;
        char const* comment;
    };
    std::vector<sample> const samples{
        {"user=\"alice\" " + key, "alice", "", {}, 0, ""},
        {"user=\"alice\" " + key + " alice at home", "alice", "", {}, 0, "alice at home"},
        {"  \tuser=\"alice\" \t " + key + " a \r", "alice", "", {}, 0, "a"},
        {"user=\"b-1_x\",role=\"bot\" " + key, "b-1_x", "bot", {}, 0, ""},
        {"role=\"operator\",restrict,user=\"root\" " + key, "root", "operator", {}, 0, ""},
        {"USER=\"a\",Restrict " + key, "a", "", {}, 0, ""},
        {"user=\"a\",from=\"10.0.0.0/8\" " + key, "a", "", {"10.0.0.0/8"}, 0, ""},
        {"user=\"a\",from=\"10.0.0.1, ::1 ,2001:db8::/32\" " + key, "a", "", {"10.0.0.1", "::1", "2001:db8::/32"}, 0, ""},
        {"user=\"a\",expiry-time=\"20300102Z\" " + key, "a", "", {}, 1'893'542'400'000, ""},
        {"user=\"a\",expiry-time=\"203001021530Z\" " + key, "a", "", {}, 1'893'598'200'000, ""},
        {"user=\"a\",expiry-time=\"20300102153059Z\" " + key, "a", "", {}, 1'893'598'259'000, ""},
        {"user=\"a\",expiry-time=\"20000229Z\" " + key, "a", "", {}, 951'782'400'000, ""},
    };
    for (auto const& each : samples) {
        INFO(each.line);
        auto const read = parse_authorized_keys(each.line);
        for (auto const& wrong : read.refused) UNSCOPED_INFO(wrong.message);
        REQUIRE(read.refused.empty());
        REQUIRE(read.keys.size() == 1);
        auto const& got = read.keys[0];
        CHECK(got.user == each.user);
        CHECK(got.role == each.role);
        CHECK(got.from == each.from);
        CHECK(got.expires_ms == each.expires_ms);
        CHECK(got.comment == each.comment);
        CHECK(got.type == "ssh-ed25519");
        CHECK(got.from_file);
        REQUIRE(read.users.size() == 1);
        CHECK(read.users[0].name == each.user);
        CHECK(read.users[0].from_file);
    }
}

TEST_CASE("lines that are refused, each with its reason")
{
    struct sample {
        std::string line;
        char const* says;
    };
    std::vector<sample> const samples{
        {key, "user="},
        {"restrict " + key, "user="},
        {"role=\"bot\" " + key, "user="},
        {"user=\"alice\"", "no key"},
        {"user=\"alice\" ", "no key"},
        {"user=\"alice\" ssh-ed25519", "not a public key"},
        {"user=\"alice\" ssh-ed25519 AAAA", "not a public key"},
        {"user=\"alice\" ssh-rsa " + key.substr(12), "not a public key"},
        {"user=\"alice\" , " + key, "not a public key"},
        {"user=\"Alice\" " + key, "not a user name"},
        {"user=\"\" " + key, "not a user name"},
        {"user=\"" + std::string(33, 'a') + "\" " + key, "not a user name"},
        {"user=\"a\\\"b\" " + key, "not a user name"},
        {"user=alice " + key, "double quotes"},
        {"user= " + key, "double quotes"},
        {"user " + key, "needs a value"},
        {"user=\"alice " + key, "not closed"},
        {"user=\"alice\"role=\"bot\" " + key, "comma"},
        {"user=\"alice\", " + key, "without a name"},
        {",user=\"alice\" " + key, "without a name"},
        {"user=\"alice\",,restrict " + key, "without a name"},
        {"=\"alice\" " + key, "without a name"},
        {"user=\"alice\",user=\"bob\" " + key, "twice"},
        {"restrict,restrict,user=\"alice\" " + key, "twice"},
        {"restrict=\"yes\",user=\"alice\" " + key, "no value"},
        {"user=\"alice\",role=\"admin\" " + key, "operator, user or bot"},
        {"user=\"alice\",role=\"\" " + key, "operator, user or bot"},
        {"user=\"alice\",from=\"\" " + key, "from"},
        {"user=\"alice\",from=\"10.0.0.0/33\" " + key, "10.0.0.0/33"},
        {"user=\"alice\",from=\"10.0.0.1,\" " + key, "from"},
        {"user=\"alice\",from=\"*.example.org\" " + key, "not looked up"},
        {"user=\"alice\",from=\"!10.0.0.1\" " + key, "from"},
        {"user=\"alice\",expiry-time=\"2030\" " + key, "expiry-time"},
        {"user=\"alice\",expiry-time=\"20300231Z\" " + key, "expiry-time"},
        {"user=\"alice\",expiry-time=\"20301301Z\" " + key, "expiry-time"},
        {"user=\"alice\",expiry-time=\"203001012460Z\" " + key, "expiry-time"},
        {"user=\"alice\",expiry-time=\"203001012400Z\" " + key, "expiry-time"},
        {"user=\"alice\",expiry-time=\"2030010112Z\" " + key, "expiry-time"},
        {"user=\"alice\",expiry-time=\"2030-1-1\" " + key, "expiry-time"},
        {"user=\"alice\",expiry-time=\"19700101Z\" " + key, "expiry-time"},
        {"user=\"alice\",expiry-time=\"Z\" " + key, "expiry-time"},
        {"user=\"alice\",command=\"ls\" " + key, "unknown option \"command\""},
        {"user=\"alice\",cert-authority " + key, "unknown option \"cert-authority\""},
        {"user=\"alice\",no-pty " + key, "unknown option \"no-pty\""},
        {"user=\"alice\",users=\"bob\" " + key, "unknown option \"users\""},
        {"hello", "unknown option"},
        {std::string("user=\"alice\" \0", 14) + key, "NUL"},
    };
    for (auto const& each : samples) {
        INFO(each.line);
        auto const read = parse_authorized_keys(each.line);
        CHECK(read.keys.empty());
        CHECK(read.users.empty());
        REQUIRE(read.refused.size() == 1);
        CHECK(read.refused[0].line == 1);
        INFO(read.refused[0].message);
        CHECK(read.refused[0].message.find(each.says) != std::string::npos);
    }
}

TEST_CASE("a file: comments, blank lines, CRLF, refused lines among good ones")
{
    auto const text = "# keys\r\n\r\n   # more\nuser=\"bob\" " + key + "\r\nuser=\"alice\",foo " + key + "\n\t\nuser=\"alice\" " + other +
                      " laptop\nuser=\"bob\",role=\"bot\" " + other;
    auto const read = parse_authorized_keys(text);
    REQUIRE(read.refused.size() == 1);
    CHECK(read.refused[0].line == 5);
    REQUIRE(read.keys.size() == 3);
    CHECK(read.keys[0].user == "bob");
    CHECK(read.keys[1].comment == "laptop");
    CHECK(read.keys[2].role == "bot");
    REQUIRE(read.users.size() == 2);
    CHECK(read.users[0].name == "alice");
    CHECK(read.users[1].name == "bob");
    CHECK(parse_authorized_keys("").keys.empty());
}

TEST_CASE("lines and files are bounded")
{
    auto const start = "user=\"a\" " + key + " ";
    auto const fits = start + std::string(authorized_keys_line_max - start.size(), 'c');
    CHECK(parse_authorized_keys(fits).keys.size() == 1);
    CHECK(parse_authorized_keys(fits + "\n").keys.size() == 1);
    CHECK(parse_authorized_keys(fits + "c").refused.size() == 1);

    std::string file(authorized_keys_bytes_max - start.size() - 1, '\n');
    file += start + "\n";
    CHECK(parse_authorized_keys(file).keys.size() == 1);
    file += "\n";
    CHECK(parse_authorized_keys(file).keys.empty());
    CHECK(parse_authorized_keys(file).refused.size() == 1);
}

TEST_CASE("an expiry without Z is local time, as in OpenSSH")
{
    ::setenv("TZ", "UTC-2", 1);  // POSIX: two hours east of Greenwich
    ::tzset();
    auto const read = parse_authorized_keys("user=\"a\",expiry-time=\"20300102\" " + key);
    ::unsetenv("TZ");
    ::tzset();
    REQUIRE(read.keys.size() == 1);
    CHECK(read.keys[0].expires_ms == 1'893'542'400'000 - 2 * 3'600'000);
}

}  // namespace
}  // namespace kedge
