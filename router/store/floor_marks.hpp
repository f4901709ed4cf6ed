#pragma once
/// Which rows of a mirrored stream retention may take: those that were placed `mirror_sync_ms` ago. JetStream may lose its newest
/// messages at a power cut, and then ours are the only copies.

#include <algorithm>
#include <cstdint>
#include <deque>

#include "router/protocol/ids.hpp"

namespace kedge {

/// A few of a mirror's floors with the time at which they were seen. In memory alone: after a start nothing may go for that long.
class floor_marks {
public:
    /// The floor as of now; by housekeeping, again and again. A clock that was put back begins the wait anew.
    void note(std::uint64_t now_ms, message_seq floor, std::uint64_t sync_ms)
    {
        if (!marks_.empty() && now_ms < marks_.back().time_ms)
            marks_.clear();
        if (marks_.empty() ? floor > up_to_ : floor > marks_.back().floor && now_ms >= marks_.back().time_ms + sync_ms / marks_max)
            marks_.push_back({now_ms, floor});
        for (; !marks_.empty() && marks_.front().time_ms + sync_ms <= now_ms; marks_.pop_front())
            up_to_ = marks_.front().floor;
    }
    /// Rows above wait again.
    void lower(message_seq floor)
    {
        up_to_ = std::min(up_to_, floor);
        for (auto& mark : marks_)
            mark.floor = std::min(mark.floor, floor);
    }
    /// Rows up to here may go.
    message_seq up_to() const noexcept { return up_to_; }

private:
    static constexpr std::uint64_t marks_max = 32;
    struct mark {
        std::uint64_t time_ms = 0;
        message_seq floor = 0;
    };
    std::deque<mark> marks_;
    message_seq up_to_ = 0;
};

}  // namespace kedge
