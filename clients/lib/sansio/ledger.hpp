#pragma once
/// What one consumer has delivered to this program and what became of it, so that a redelivery after a lost link is not
/// shown twice (PROTOCOL.md, "Exactly once in effect").

#include <cstddef>
#include <deque>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "router/protocol/ids.hpp"

namespace kedge::client_lib {

/// How the program finished a message.
enum class outcome : unsigned char { done, dead };

/// One thread. Bounded: what is held by the server's window, what is finished by `finished_max`.
class ledger {
public:
    static constexpr std::size_t finished_max = 65'536;

    enum class advice : unsigned char {
        show,    ///< new to the program
        ignore,  ///< the program still has it in hand
        repeat   ///< the program has finished it: say so again
    };
    advice delivered(message_seq);
    /// Of a message for which `delivered` said `repeat`.
    outcome finished_as(message_seq) const;

    /// The program has finished it; remembered until `confirmed`, for until then it may come again.
    void finish(message_seq, outcome);
    /// The program gives it back: the next delivery is shown.
    void release(message_seq);
    /// Of these, what the server has delivered on this link and waits for: only an ack of those is sure to count (one of a
    /// message that was not delivered yet, after the server's own restart, is ignored).
    std::vector<message_seq> awaited(std::span<message_seq const>) const;
    /// The server has committed that these, which it awaited, are finished: they will not come again.
    void confirmed(std::span<message_seq const>);
    /// Nothing is delivered on the next link yet.
    void link_down() { here_.clear(); }

    /// What `upto` covers: everything in hand up to the last delivery of that seq, in the order of delivery.
    std::vector<message_seq> held_upto(message_seq) const;

    std::size_t held() const noexcept { return held_.size(); }
    std::size_t finished() const noexcept { return finished_.size(); }

private:
    void drop(message_seq);

    std::deque<message_seq> held_;  // in the order of delivery
    std::unordered_set<message_seq> here_;  // delivered on this link, neither confirmed nor given back
    message_seq highest_ = 0;       // ever delivered
    std::unordered_map<message_seq, outcome> finished_;
    std::deque<message_seq> finished_order_;  // for the bound; may name what is no longer in `finished_`
};

}  // namespace kedge::client_lib
