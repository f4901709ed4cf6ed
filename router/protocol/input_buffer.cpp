#include "router/protocol/input_buffer.hpp"

#include <algorithm>
#include <cstring>

namespace kedge {

void input_buffer::append(std::string_view input)
{
    if (input.empty())
        return;
    if (begin_ == end_)
        begin_ = end_ = 0;
    if (capacity_ - end_ < input.size()) {
        auto const held = size();
        // What moves to the front is paid for by as many bytes that were consumed.
        if (begin_ >= held && held + input.size() <= capacity_) {
            std::memmove(block_.get(), block_.get() + begin_, held);
        } else {
            auto const capacity = std::max(2 * capacity_, held + input.size());
            auto bigger = std::make_unique_for_overwrite<char[]>(capacity + json_padding);
            if (held != 0)
                std::memcpy(bigger.get(), block_.get() + begin_, held);
            block_ = std::move(bigger);
            capacity_ = capacity;
        }
        begin_ = 0;
        end_ = held;
    }
    std::memcpy(block_.get() + end_, input.data(), input.size());
    end_ += input.size();
}

void input_buffer::release() noexcept
{
    constexpr std::size_t worth_keeping = 1024;
    if (begin_ != end_ || capacity_ <= worth_keeping)
        return;
    block_.reset();
    capacity_ = begin_ = end_ = 0;
}

}  // namespace kedge
