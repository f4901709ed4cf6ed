#pragma once
/// What waits to be written to one stream of a channel. One thread. Whoever appends keeps the bound, by `bytes()`.

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "router/protocol/bytes.hpp"

namespace kedge {

class outbox {
public:
    void append(bytes_ptr block)
    {
        if (!block || block->size() == 0) return;
        bytes_ += block->size();
        blocks_.push_back(std::move(block));
    }
    void append(std::string_view text)
    {
        if (!text.empty()) append(shared_bytes::copy_of(text));
    }

    bool empty() const noexcept { return bytes_ == 0; }
    std::size_t bytes() const noexcept { return bytes_; }

    /// The next bytes, at most `max`, in one piece: many small blocks are gathered in `scratch`, a large one is shown where
    /// it lies. Valid until the outbox or `scratch` changes.
    std::string_view next(std::size_t max, std::string& scratch) const
    {
        if (bytes_ == 0) return {};
        auto const first = blocks_[head_]->view().substr(offset_);
        if (first.size() >= max || first.size() == bytes_) return first.substr(0, max);
        scratch.assign(first);
        for (auto at = head_ + 1; at < blocks_.size() && scratch.size() < max; ++at)
            scratch.append(blocks_[at]->view().substr(0, max - scratch.size()));
        return scratch;
    }

    void consume(std::size_t count)
    {
        bytes_ -= count;
        while (count > 0) {
            auto const left = blocks_[head_]->size() - offset_;
            if (count < left) {
                offset_ += count;
                return;
            }
            count -= left;
            offset_ = 0;
            blocks_[head_++].reset();
        }
        // Amortised: the front is cut off when it is at least half of what is there; an empty outbox keeps no memory.
        if (head_ == blocks_.size()) {
            if (blocks_.capacity() > kept_blocks) blocks_ = {};
            blocks_.clear();
            head_ = 0;
        } else if (head_ * 2 >= blocks_.size()) {
            blocks_.erase(blocks_.begin(), blocks_.begin() + static_cast<std::ptrdiff_t>(head_));
            head_ = 0;
        }
    }

    void clear()
    {
        blocks_.clear();
        head_ = offset_ = bytes_ = 0;
    }

private:
    static constexpr std::size_t kept_blocks = 64;

    std::vector<bytes_ptr> blocks_;
    std::size_t head_ = 0;    ///< the first block that is not written whole
    std::size_t offset_ = 0;  ///< what of it is written
    std::size_t bytes_ = 0;
};

}  // namespace kedge
