/// HOME/authorized_keys of any bytes: what is taken is sound, and every other line is refused by name.
#include <string_view>

#include "router/protocol/names.hpp"
#include "sshd-transport/authorized_keys.hpp"
#include "sshd-transport/config.hpp"
#include "tests/fuzz/check.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size)
{
    using namespace kedge;
    using fuzz::require;
    std::string_view const text{reinterpret_cast<char const*>(data), size};
    auto const read = parse_authorized_keys(text);
    std::size_t lines = 1;
    for (char const c : text) lines += c == '\n';
    require(read.keys.size() + read.refused.size() <= lines, "a line is a key or a refusal, once");
    for (auto const& key : read.keys) {
        require(key.from_file && valid_user(key.user), "a key has a user");
        require(key.role.empty() || valid_role(key.role), "a role is one that there is");
        require(!key.blob.empty() && key.fingerprint.starts_with("SHA256:"), "a key is a key");
        for (auto const& cidr : key.from) require(valid_cidr(cidr), "a source is a network");
    }
    for (auto const& line : read.refused) require(line.line >= 1 && line.line <= lines && !line.message.empty(), "a refusal is named");
    require(read.users.size() <= read.keys.size(), "a user comes with a key");
    return 0;
}
