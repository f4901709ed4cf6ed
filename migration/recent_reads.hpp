#pragma once
/// Own publishes that were read back when nobody waited for them: their appends were given up, or another process's. Until the core has
/// heard of the row it may hand out the same publish again, which must not become a second one.

#include <cstdint>
#include <deque>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "router/store/store.hpp"

namespace kedge::migration {

/// Of a node's publish: by sender, id and number; what is sent again has the same.
std::uint64_t key_of(std::string_view sender, std::string_view id, std::uint64_t n);

/// A value; times are wall clock, milliseconds.
class recent_reads {
public:
    void add(std::string_view sender, std::string_view id, std::uint64_t n, std::uint64_t now_ms);
    /// Whether it is one of these.
    bool holds(store_request::append const&) const;
    void forget_old(std::uint64_t now_ms);
    bool empty() const noexcept { return keys_.empty(); }

    static constexpr std::size_t keys_max = 100'000;
    static constexpr std::uint64_t kept_ms = 60'000;  ///< the core hears of it at once, even if it is busy

private:
    std::unordered_set<std::uint64_t> keys_;
    std::deque<std::pair<std::uint64_t, std::uint64_t>> order_;  // when, and which; oldest first
};

/// How an append ends that is one of these.
failure just_stored();

}  // namespace kedge::migration
