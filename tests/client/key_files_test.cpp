#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "clients/cli/key_files.hpp"
#include "tests/catch.hpp"

using namespace kedge;
namespace fs = std::filesystem;

TEST_CASE("key files become the text of keys")
{
    std::string pattern = (fs::temp_directory_path() / "kedge-keys-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    fs::path const folder = pattern;
    auto const file = [&](char const* name, char const* text) {
        std::ofstream{folder / name} << text;
        return (folder / name).string();
    };
    auto const one = file("one.pub", "ssh-ed25519 AAAA one\n");
    auto const two = file("two.pub", "# mine\n\nssh-ed25519 BBBB\r\nssh-ed25519 CCCC c\n");
    auto const secret = file("secret", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    auto const empty = file("empty", "\n# nothing\n");
    using words = std::vector<std::string>;

    CHECK(*cli::read_key_files({"user", "add", "a", "--key", one}) == words{"user", "add", "a", "--key", "ssh-ed25519 AAAA one"});
    CHECK(*cli::read_key_files({"user", "add", "--key=" + two, "a", "--role", "bot"}) ==
          words{"user", "add", "--key", "ssh-ed25519 BBBB", "--key", "ssh-ed25519 CCCC c", "a", "--role", "bot"});
    CHECK(*cli::read_key_files({"key", "add", "a", one}) == words{"key", "add", "a", "ssh-ed25519 AAAA one"});
    CHECK(*cli::read_key_files({"key", "add", "--json", "a", one}) ==
          words{"key", "add", "--json", "a", "ssh-ed25519 AAAA one"});
    CHECK(*cli::read_key_files({"key", "remove", "a", one}) == words{"key", "remove", "a", one});
    CHECK(*cli::read_key_files({"status"}) == words{"status"});
    CHECK(*cli::read_key_files({}) == words{});
    CHECK_FALSE(cli::read_key_files({"user", "add", "a", "--key", secret}).has_value());
    CHECK_FALSE(cli::read_key_files({"user", "add", "a", "--key", empty}).has_value());
    CHECK_FALSE(cli::read_key_files({"key", "add", "a", (folder / "none").string()}).has_value());
    fs::remove_all(folder);
}
