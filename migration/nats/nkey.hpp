#pragma once
/// nkeys: Ed25519 keys in base32, as NATS writes them (github.com/nats-io/nkeys). Pure but for the file; any thread.

#include <array>
#include <string>
#include <string_view>
#include <variant>

namespace kedge::migration {

struct nkey {
    std::string public_key;                   ///< "U…"
    std::array<unsigned char, 64> secret{};   ///< libsodium's form; wiped with the object
    ~nkey();
    nkey() = default;
    nkey(nkey const&) = default;
    nkey& operator=(nkey const&) = default;

    std::array<unsigned char, 64> sign(std::string_view) const;
};

/// A user's seed, "SU…". Else a sentence.
std::variant<nkey, std::string> parse_nkey_seed(std::string_view);

}  // namespace kedge::migration
