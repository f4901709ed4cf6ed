/// Public keys as people paste them. The fingerprints are those that ssh-keygen prints.

#include <string>

#include "router/account/directory.hpp"
#include "router/protocol/base64.hpp"
#include "tests/catch.hpp"

using namespace kedge;

namespace {

std::string const ed25519 =
    "AAAAC3NzaC1lZDI1NTE5AAAAINEB1EgG5eOEzk6gpubtYcs5W0HJT3dUkQdwkQJd0eqh";
std::string const rsa2048 =
    "AAAAB3NzaC1yc2EAAAADAQABAAABAQDIGGnFw9BRrhIiYlMHQ87O6xBRz3mNCrzv9EuU69rl0OdH6b4iy9L+9bPt1OB+1hfEZ80T"
    "xU2QpKLrXXrh9FbfszKIsLdiLWLhJH9sxmZY2IQgrChnmlV13YnH3PsQRcP+4hepXMCLrPVhPeacPlIrvxD4S6x6LWoZViHg/OoV"
    "hHTiaS1BavKfgRW8eVAWPGDbbjwmILn+PtITbuHzPHHE9amYBiVEqGfqy1Mv/T/suOih4R+QYIaWOEbJmnJqgWFTF0rbaxnAKhMa"
    "F7LI4iEDA09HccDnslGr/vBZMmc68uv0zDavTyZBDsfI9WpFfrbIBEUohktv0kraWkoF7EpL";
std::string const p256 =
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFAlgp3ZBJ/nKyc/KsUfuV4l1kYIZdOADwpIqzXFC3rGrbKJ"
    "mVfW6mcfhyKGo7MwmGZ8ODc/Heh4jL57KPUuvXg=";
std::string const sk_ed25519 =
    "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDo=";
std::string const rsa1024 =
    "AAAAB3NzaC1yc2EAAAADAQABAAAAgQDOPzHcEnJpn6H9dVsFkfiPVNKZKZBqS3eDy69cslkeZ9/d3a5jO7qRB506aLdgevD1eu2i"
    "uSxDENUiVVWlCiLr99kjJWP1S+sIPPIGb9L7sI3UfaeqgKi/O+LkxzjfqhDIoBlmY025sxpybPi7U1oSd1AMJCxZXLGllgDmt7P9"
    "BQ==";
std::string const p384 =
    "AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBOWuuE9vl7w/Ky/6XMs1plcHzpTbGD6vqODq7yvTmvKgpK7X"
    "JAM9MNEVxKvRZkFgY+JimZrRt2UDABAsTUG9jUAm5e0ntT8vX7oxMi4oXzhi86mi/HwdT3Z+sTwFEf3/ow==";

/// An ssh-ed25519 blob in base64, with another key size or something behind it.
std::string ed25519_blob(std::size_t key_bytes, std::string const& behind = {})
{
    std::string blob{"\0\0\0\x0bssh-ed25519\0\0\0", 18};
    blob += static_cast<char>(key_bytes);
    blob += std::string(key_bytes, 'k') + behind;
    std::string text(base64_size(blob.size()), '\0');
    base64_encode(blob, text.data());
    return text;
}

}  // namespace

TEST_CASE("keys of the accepted types are read, with their fingerprint and comment")
{
    struct {
        char const* name;
        std::string line;
        char const* type;
        char const* fingerprint;
        char const* comment;
    } const cases[] = {
        {"ed25519", "ssh-ed25519 " + ed25519 + " alice@laptop", "ssh-ed25519", "SHA256:iqcSXQmVpgOevsS12wsNZ6d4RaZxTPiRMsEPXASFYjc", "alice@laptop"},
        {"rsa of 2048 bits", "ssh-rsa " + rsa2048, "ssh-rsa", "SHA256:eoXYE/isNtB/08PSEV1OnkY4sKYnvlHbDEwUGBMlAMQ", ""},
        {"ecdsa p256", "ecdsa-sha2-nistp256 " + p256 + " ec", "ecdsa-sha2-nistp256", "SHA256:aDdJojCW+k+6fymEKmfChZ/rTFyvNWvlu0DO5/Cx+X8", "ec"},
        {"a security key", "sk-ssh-ed25519@openssh.com " + sk_ed25519 + " token", "sk-ssh-ed25519@openssh.com", "SHA256:/p0CbeE3dk2SyW1OXXsThGc12ezDVD8eGw2/vtztDfk", "token"},
        {"blanks around", "  ssh-ed25519\t " + ed25519 + "  my key  \r\n", "ssh-ed25519", "SHA256:iqcSXQmVpgOevsS12wsNZ6d4RaZxTPiRMsEPXASFYjc", "my key"},
    };
    for (auto const& c : cases) {
        INFO(c.name);
        auto const key = parse_public_key(c.line);
        REQUIRE(key.has_value());
        CHECK(key->type == c.type);
        CHECK(key->fingerprint == c.fingerprint);
        CHECK(key->comment == c.comment);
        CHECK(key_fingerprint(key->blob) == c.fingerprint);
        CHECK(key->user.empty());
        CHECK_FALSE(key->from_file);
    }
}

TEST_CASE("what is not such a key is none")
{
    struct {
        char const* name;
        std::string line;
    } const cases[] = {
        {"nothing", ""},
        {"blanks", "   "},
        {"only a type", "ssh-ed25519"},
        {"the wrong type", "ssh-rsa " + ed25519},
        {"rsa that is too small", "ssh-rsa " + rsa1024},
        {"a curve that login does not accept", "ecdsa-sha2-nistp384 " + p384},
        {"an unknown type", "ssh-dss AAAAB3NzaC1kc3M="},
        {"no base64", "ssh-ed25519 AAAA!"},
        {"cut off", "ssh-ed25519 " + ed25519.substr(0, 40)},
        {"a key of 31 bytes", "ssh-ed25519 " + ed25519_blob(31)},
        {"a key of 33 bytes", "ssh-ed25519 " + ed25519_blob(33)},
        {"something behind the key", "ssh-ed25519 " + ed25519_blob(32, "more")},
        {"options before it", "restrict ssh-ed25519 " + ed25519},
        {"a private key", "-----BEGIN OPENSSH PRIVATE KEY-----"},
        {"far too long", "ssh-rsa " + std::string(20'000, 'A')},
    };
    for (auto const& c : cases) {
        INFO(c.name);
        CHECK_FALSE(parse_public_key(c.line).has_value());
    }
    CHECK(parse_public_key("ssh-ed25519 " + ed25519_blob(32)).has_value());
}
