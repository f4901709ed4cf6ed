#pragma once
/// What one consumer has delivered to this program and what became of it, so that a redelivery after a lost link is not
/// shown twice (PROTOCOL.md, "Exactly once in effect").

#include <cstddef>
#include <deque>
#include <span>
#include <unordered_map>
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
    /// The server has committed that these were finished: they will not come again.
    void confirmed(std::span<message_seq const>);

    /// What `upto` covers: everything in hand up to the last delivery of that seq, in the order of delivery.
    std::vector<message_seq> held_upto(message_seq) const;

    std::size_t held() const noexcept { return held_.size(); }
    std::size_t finished() const noexcept { return finished_.size(); }

private:
    std::deque<message_seq> held_;  // in the order of delivery
    message_seq highest_ = 0;       // ever delivered
    std::unordered_map<message_seq, outcome> finished_;
    std::deque<message_seq> finished_order_;  // for the bound; may name what is no longer in `finished_`
};

}  // namespace kedge::client_lib
