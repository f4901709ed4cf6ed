#include "sshd-transport/home.hpp"

#include <cstdlib>
#include <fstream>
#include <string>

#include <unistd.h>

#include "sshd-transport/key_file.hpp"
#include "tests/catch.hpp"
#include "tests/daemon/temporary_directory.hpp"

namespace kedge {
namespace {

using test::mode_of;
using test::slurp;
using test::spill;

/// What the constructor says when it refuses; empty if it does not.
std::string refusal_of(std::filesystem::path const& path)
{
    try {
        home_directory const home(path);
    } catch (std::runtime_error const& error) {
        return error.what();
    }
    return {};
}

TEST_CASE("a home is made private, with its parents")
{
    test::temporary_directory const top;
    auto const path = top.path / "a/b/home";
    home_directory home(path);
    CHECK(mode_of(path) == 0700);
    CHECK(slurp(path / "lock") == std::to_string(::getpid()) + "\n");
    CHECK(home.take_notes().empty());
}

TEST_CASE("a second server on one home is refused and told who holds it")
{
    test::temporary_directory const top;
    auto const path = top.path / "home";
    {
        home_directory const home(path);
        auto const said = refusal_of(path);
        CHECK(said.find("pid " + std::to_string(::getpid())) != std::string::npos);
        CHECK(said.find(path.string()) != std::string::npos);
    }
    CHECK(refusal_of(path).empty());
}

TEST_CASE("a home that others can read is closed, one that others can write is refused")
{
    test::temporary_directory const top;
    auto const path = top.path / "home";
    std::filesystem::create_directory(path);
    ::chmod(path.c_str(), 0755);
    {
        home_directory home(path);
        CHECK(mode_of(path) == 0700);
        CHECK(home.take_notes().size() == 1);
    }
    for (unsigned const mode : {0720, 0702, 0777}) {
        ::chmod(path.c_str(), mode);
        CHECK(refusal_of(path).find("chmod 700") != std::string::npos);
    }
    spill(top.path / "file", "");
    CHECK(refusal_of(top.path / "file").find("not a directory") != std::string::npos);
}

TEST_CASE("the host key is made once, in OpenSSH's format, and closed if others can read it")
{
    test::temporary_directory const top;
    home_directory home(top.path / "home");
    home.ensure_host_key();
    auto const text = slurp(home.host_key());
    CHECK(text.find("-----BEGIN OPENSSH PRIVATE KEY-----\n") == 0);
    CHECK(mode_of(home.host_key()) == 0600);
    auto const line = public_line(home.host_key());
    CHECK(slurp(home.host_key().string() + ".pub") == line + " kedge host key\n");

    ::chmod(home.host_key().c_str(), 0644);
    home.ensure_host_key();
    CHECK(slurp(home.host_key()) == text);
    CHECK(mode_of(home.host_key()) == 0600);
    CHECK(home.take_notes().size() == 1);

    spill(home.host_key(), "not a key");
    CHECK_THROWS_AS(public_line(home.host_key()), std::runtime_error);
}

TEST_CASE("a first start makes an operator of the pair and of the user's own keys; a later one does not")
{
    test::temporary_directory const top;
    auto const before = std::getenv("HOME") ? std::string(std::getenv("HOME")) : std::string();
    ::setenv("HOME", top.path.c_str(), 1);
    std::filesystem::create_directory(top.path / ".ssh");
    make_key_pair(top.path / ".ssh/id_b", "mine");
    make_key_pair(top.path / ".ssh/other", "not for this");
    spill(top.path / ".ssh/id_a.pub", "rubbish\n");

    home_directory home(top.path / "home");
    auto const path = home.path() / "operator_ed25519";
    {
        auto const made = home.prepare_operator();
        CHECK(valid_role(role_operator));
        REQUIRE(made.keys.size() == 2);
        CHECK(made.keys[1].comment == "mine");
        for (auto const& key : made.keys) CHECK(key.user == made.user);
        CHECK(!std::filesystem::exists(path));  // not before the store has it
        auto const notes = home.take_notes();
        CHECK(std::count_if(notes.begin(), notes.end(), [](auto const& note) { return note.find("id_a.pub") != note.npos; }) == 1);
    }
    // A crash here: the next start makes another pair.
    auto const made = home.prepare_operator();
    REQUIRE(made.keys.size() == 2);
    home.keep_operator();
    CHECK(mode_of(path) == 0600);
    CHECK(slurp(home.path() / "operator") == made.user + "\n");
    auto const kept = parse_public_key(public_line(path));
    REQUIRE(kept);
    CHECK(kept->blob == made.keys[0].blob);
    CHECK(slurp(path.string() + ".pub").find(made.user + "@kedge") != std::string::npos);
    CHECK(home.prepare_operator().keys.empty());
    if (before.empty())
        ::unsetenv("HOME");
    else
        ::setenv("HOME", before.c_str(), 1);
}

TEST_CASE("where this machine reaches the server is written for the local client")
{
    test::temporary_directory const top;
    home_directory home(top.path / "home");
    home.ensure_host_key();
    auto const key = public_line(home.host_key());
    home.announce({{"0.0.0.0", 2222}, {"::", 22}});
    CHECK(slurp(home.path() / "endpoint") == "127.0.0.1:2222\n");
    auto const config = slurp(home.path() / "ssh_config");
    for (auto const* line : {"Host bus\n", " HostName 127.0.0.1\n", " Port 2222\n", " IdentitiesOnly yes\n"}) {
        INFO(line);
        CHECK(config.find(line) != std::string::npos);
    }
    auto const known = slurp(home.path() / "known_hosts");
    for (auto const* name : {"[127.0.0.1]:2222 ", "[localhost]:2222 ", "::1 ", "localhost "}) {
        INFO(name);
        CHECK(("\n" + known).find("\n" + (name + key) + "\n") != std::string::npos);
    }
}

TEST_CASE("a file is replaced whole, with its mode")
{
    test::temporary_directory const top;
    auto const path = top.path / "file";
    spill(path, "old");
    write_file(path, "new", 0640);
    CHECK(slurp(path) == "new");
    CHECK(mode_of(path) == 0640);
    CHECK_THROWS_AS(write_file(top.path / "no/such", "x", 0600), std::runtime_error);
}

}  // namespace
}  // namespace kedge
