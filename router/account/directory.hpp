#pragma once
/// Users and their keys: an immutable snapshot that transports look into when a key is offered.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kedge {

/// The roles of the first form of rules.
inline constexpr std::string_view role_operator = "operator";
inline constexpr std::string_view role_user = "user";
inline constexpr std::string_view role_bot = "bot";
bool valid_role(std::string_view) noexcept;

/// One key of one user. From the store, or from HOME/authorized_keys.
struct account_key {
    std::string user;
    std::string type;         ///< "ssh-ed25519", …
    std::string blob;         ///< the key as RFC 4253 §6.6 encodes it, raw bytes
    std::string fingerprint;  ///< "SHA256:" and base64 without padding, of `blob`
    std::string comment;
    std::string role;                   ///< empty = the user's
    std::vector<std::string> from;      ///< CIDRs; empty = anywhere
    std::uint64_t expires_ms = 0;       ///< since 1970; 0 = never
    std::uint64_t added_ms = 0;
    bool from_file = false;             ///< of HOME/authorized_keys

    friend bool operator==(account_key const&, account_key const&) = default;
};

struct account_user {
    std::string name;
    std::string role;
    bool removed = false;  ///< stays out until `user add`, whatever authorized_keys says
    bool from_file = false;
    std::uint64_t added_ms = 0;
    std::map<std::string, std::uint64_t> own_limits = {};  ///< by the limit's name, one of `user_limit_names()`

    friend bool operator==(account_user const&, account_user const&) = default;
};

/// Keeps somebody out for a time. Exactly one of user, key and address is set.
struct account_ban {
    std::uint64_t id = 0;  ///< given by the store, from 1
    std::string user;
    std::string key;       ///< fingerprint, "SHA256:…"
    std::string address;   ///< CIDR
    std::uint64_t until_ms = 0;  ///< since 1970; 0 = for good
    std::string reason;
    std::string by;        ///< the operator
    std::uint64_t added_ms = 0;

    friend bool operator==(account_ban const&, account_ban const&) = default;
};

/// "SHA256:…" of a key blob, as OpenSSH prints it.
std::string key_fingerprint(std::string_view blob);

/// Parses "TYPE BASE64 [COMMENT]"; nothing if it is not a public key of that type. Any thread.
std::optional<account_key> parse_public_key(std::string_view line);

class account_directory {
public:
    account_directory(std::vector<account_user> users, std::vector<account_key> keys, std::vector<account_ban> bans = {});

    enum class verdict : unsigned char { admitted, unknown_user, unknown_key, expired, wrong_address, removed, banned };
    struct decision {
        verdict why = verdict::unknown_key;
        std::string role;               ///< when admitted
        std::uint64_t expires_ms = 0;   ///< when admitted; 0 = never
        std::string fingerprint;        ///< when the key is known
    };
    /// Whether this key may log in as `user` from `address` (text, IPv4 or IPv6) at `now_ms`. A key may belong to several
    /// users and stand in several lines: any line that admits is enough.
    decision admit(std::string_view user, std::string_view blob, std::string_view address, std::uint64_t now_ms) const;

    std::vector<account_user> const& users() const noexcept { return users_; }
    std::vector<account_key> const& keys() const noexcept { return keys_; }
    std::vector<account_ban> const& bans() const noexcept { return bans_; }
    account_user const* find_user(std::string_view name) const noexcept;

private:
    std::vector<account_user> users_;
    std::vector<account_key> keys_;
    std::vector<account_ban> bans_;
    std::unordered_map<std::string, std::size_t> by_name_;
    std::unordered_multimap<std::string, std::size_t> by_blob_;
};

using directory_ptr = std::shared_ptr<account_directory const>;

/// True if the text address lies in the CIDR ("10.0.0.0/8", "2001:db8::/32", a bare address). Mapped IPv4 counts as IPv4.
bool address_in(std::string_view address, std::string_view cidr) noexcept;
/// "10.0.0.0/8", "2001:db8::/32" or a bare address, without a zone. Host bits may be set.
bool valid_cidr(std::string_view text) noexcept;

}  // namespace kedge
