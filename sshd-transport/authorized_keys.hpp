#pragma once
/// HOME/authorized_keys: the operator's root of trust, in OpenSSH's format (sshd(8), "AUTHORIZED_KEYS FILE FORMAT") with the
/// options `user="…"` (needed), `role="…"`, `from="CIDR,…"`, `expiry-time="YYYYMMDD[HHMM[SS]][Z]"` and `restrict`.
///
/// A line that says anything else is refused as a whole and reported: what is not understood must not widen who may log in.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "router/account/directory.hpp"

namespace kedge {

struct authorized_keys_error {
    std::size_t line = 0;  ///< from 1
    std::string message;

    friend bool operator==(authorized_keys_error const&, authorized_keys_error const&) = default;
};

struct authorized_keys {
    std::vector<account_key> keys;            ///< in the order of the file, `from_file` set
    std::vector<account_user> users;          ///< each user once; role empty: the keys' or the store's counts
    std::vector<authorized_keys_error> refused;
};

inline constexpr std::size_t authorized_keys_bytes_max = 16 * 1024 * 1024;
inline constexpr std::size_t authorized_keys_line_max = 8192;

/// Parses the text of the file. Any bytes are allowed as input. `expiry-time` without Z is local time (TZ), as in OpenSSH.
authorized_keys parse_authorized_keys(std::string_view text);

}  // namespace kedge
