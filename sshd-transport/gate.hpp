#pragma once
/// What stands before authentication: who may connect now, and what a source pays for bad behaviour. Pure policy: no
/// socket, no clock, no random numbers of its own, so that a table can test it. The figures follow OpenSSH's MaxStartups
/// and PerSourcePenalties.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "router/protocol/limits.hpp"

namespace kedge {

/// Why a connection was refused or ended before it was a session; the index into `metrics::refused`.
enum class refusal : unsigned char {
    // At the door.
    sessions,         ///< the server is full
    unauthenticated,  ///< as many log in as may at once
    early_drop,       ///< random early drop on the way there
    address,          ///< as many log in from this address as may at once
    penalised,        ///< the source pays for what it did
    // While logging in.
    grace,          ///< did not log in in time
    tries,          ///< too many keys that were not accepted
    flood,          ///< too many bytes or packets
    protocol,       ///< no sound SSH
    left,           ///< went away without logging in
    unknown_user,   ///< a login of a user whom nobody knows
    key,            ///< a login with a key that is unknown, expired, removed or not for this address
    user_sessions,  ///< as many sessions of this user as may be
    banned,         ///< a user, key or address that an operator keeps out
};
inline constexpr unsigned refusal_count = static_cast<unsigned>(refusal::banned) + 1;

/// The word in metrics and the log, e.g. "early_drop".
std::string_view to_string(refusal) noexcept;
/// What an offence costs its source; 0 = nothing. Penalties add up.
std::uint64_t penalty_ms(refusal) noexcept;
/// A source is refused from here on, until its penalty has run out.
inline constexpr std::uint64_t penalty_threshold_ms = 15'000;

/// What is counted together: an IPv4 address, or the /64 of an IPv6 address. Mapped IPv4 counts as IPv4; text that is no
/// address is its own source.
std::string source_of(std::string_view address);

/// Not thread-safe; `door` owns one behind its lock. Times are milliseconds of a clock that never goes back.
class gate {
public:
    gate(limits const&, std::vector<std::string> exempt);
    void set_limits(limits const&);

    /// A connection from `address`. Nothing = it may log in, and counts as unauthenticated until `settled`.
    /// `random` is uniform below 100. Exempt addresses meet only the limit over all.
    std::optional<refusal> arrive(std::string_view address, std::uint64_t now_ms, unsigned random);
    /// The connection logged in or is gone.
    void settled(std::string_view address);
    /// Adds what the offence costs to the source's penalty, unless the address is exempt.
    void penalise(std::string_view address, refusal offence, std::uint64_t now_ms);

    bool exempt(std::string_view address) const;
    std::size_t unauthenticated() const noexcept { return unauthenticated_; }
    /// Sources in the table (some may have run out).
    std::size_t penalised_sources() const noexcept { return penalties_.size(); }

private:
    struct penalty {
        std::uint64_t until_ms = 0;
        bool refused = false;  ///< the threshold was passed; refused until it has run out
    };
    void forget_expired(std::uint64_t now_ms);

    std::vector<std::string> const exempt_;
    limits limits_;
    std::size_t unauthenticated_ = 0;
    std::unordered_map<std::string, std::size_t> by_source_;  ///< unauthenticated; only those above 0
    std::unordered_map<std::string, penalty> penalties_;
    std::set<std::pair<std::uint64_t, std::string>> by_end_;  ///< the same sources, the first to run out first
};

}  // namespace kedge
