#pragma once
/// The newest rows of a stream in memory, so that consumers that keep up never ask the store. Bounded in bytes; router thread.

#include <deque>

#include "router/store/store.hpp"

namespace kedge {

class tail {
public:
    /// Rows arrive by rising seq; a gap (another process wrote) starts the tail anew.
    void push(row const& r, std::size_t bytes_max)
    {
        if (!rows_.empty() && rows_.back().seq + 1 != r.seq)
            clear();
        rows_.push_back(r);
        bytes_ += r.message->cost();
        while (bytes_ > bytes_max && rows_.size() > 1) {
            bytes_ -= rows_.front().message->cost();
            rows_.pop_front();
        }
    }
    void clear()
    {
        rows_.clear();
        bytes_ = 0;
    }
    /// Nothing if the row is not here.
    row const* find(message_seq seq) const
    {
        if (rows_.empty() || seq < rows_.front().seq || seq > rows_.back().seq)
            return nullptr;
        return &rows_[seq - rows_.front().seq];
    }
    std::size_t bytes() const noexcept { return bytes_; }

private:
    std::deque<row> rows_;
    std::size_t bytes_ = 0;
};

}  // namespace kedge
