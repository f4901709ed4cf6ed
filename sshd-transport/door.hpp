#pragma once
/// The gate and the counts of sessions, shared by the threads of the transport. Any thread; one lock, held for a moment at
/// the begin, the login and the end of a connection only.

#include <cstdint>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "router/metrics.hpp"
#include "router/protocol/limits.hpp"
#include "sshd-transport/gate.hpp"

namespace kedge {

class door {
public:
    /// `counters` outlives the door.
    door(limits const&, std::vector<std::string> exempt, metrics& counters);
    void set_limits(limits const&);

    /// A connection from `address`: true = it may log in, and `left` or `enter` must follow. A refusal is counted and logged.
    bool arrive(std::string_view address);
    /// It went without having logged in; `why` is counted, penalised and logged, unless the server itself ended it.
    void left(std::string_view address, std::optional<refusal> why);
    /// It logged in as `user`, and `exit` must follow; false = the user has as many sessions as may be, it still counts as
    /// not logged in, and `left` must follow.
    bool enter(std::string_view address, std::string_view user);
    void exit(std::string_view user);

    std::size_t penalised_sources() const;

private:
    /// Counts; says so in the log at most once a minute a source.
    void refuse(std::string_view address, refusal why, std::uint64_t now_ms);

    metrics& metrics_;
    mutable std::mutex mutex_;
    // Guarded by the mutex.
    gate gate_;
    std::uint64_t sessions_max_;
    std::uint64_t user_sessions_max_;
    std::size_t sessions_ = 0;  ///< with those that have not logged in
    std::unordered_map<std::string, std::size_t> by_user_;
    std::minstd_rand random_;
    struct logged {
        std::uint64_t at_ms = 0;
        std::uint64_t since = 0;  ///< refusals that were not logged
    };
    std::unordered_map<std::string, logged> logged_;
};

}  // namespace kedge
