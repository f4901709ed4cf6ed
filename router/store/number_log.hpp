#pragma once
/// Which numbered publishes (`n`) of one node are stored in one stream. Where the log is the sequencer they are stored in their order
/// and one number says it all. JetStream may refuse one and take the next: what is stored behind one that is missing is known by itself
/// until that one has come, or its node has given it up. Pure; used by the core and by both stores.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "router/protocol/ids.hpp"

namespace kedge {

/// A number with the one that its node sent before it: of an append, or of an append that failed for good.
struct chained_number {
    std::uint64_t n = 0;
    std::uint64_t previous = 0;  ///< 0 = none
    message_seq seq = 0;         ///< 0 = not stored, and will not be sent again
    std::uint64_t digest = 0;    ///< of the message; 0 = not known

    friend bool operator==(chained_number const&, chained_number const&) = default;
};

struct number_log {
    /// Beyond it what is early is not remembered: sent again it is stored twice.
    static constexpr std::size_t early_max = 16'384;

    std::uint64_t n = 0;                ///< all up to here that the node sent and did not give up are stored
    message_seq seq = 0;                ///< of n
    std::vector<chained_number> early;  ///< above n, rising: what is missing comes before each of these

    /// Whether `n` has risen. In any order; the same once more does no harm.
    bool add(chained_number const& what)
    {
        if (what.n <= n)
            return false;
        if (early.empty() && what.previous <= n && what.seq != 0) {
            n = what.n;
            seq = what.seq;
            return true;
        }
        auto const at = std::ranges::lower_bound(early, what.n, {}, &chained_number::n);
        if (at != early.end() && at->n == what.n)
            *at = what;
        else if (what.previous > n && early.size() >= early_max)
            return false;
        else
            early.insert(at, what);
        auto const before = n;
        auto reached = n;
        for (auto const& e : early)
            if (e.previous <= reached) {
                reached = e.n;
                if (e.seq != 0) {
                    n = e.n;
                    seq = e.seq;
                }
            }
        std::erase_if(early, [&](auto const& e) { return e.n <= n; });
        return n != before;
    }

    /// Stored above `n`; null = it is not.
    chained_number const* find_early(std::uint64_t number) const
    {
        auto const at = std::ranges::lower_bound(early, number, {}, &chained_number::n);
        return at != early.end() && at->n == number && at->seq != 0 ? &*at : nullptr;
    }

    friend bool operator==(number_log const&, number_log const&) = default;
};

}  // namespace kedge
