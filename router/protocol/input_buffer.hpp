#pragma once
/// Bytes that came in and are not consumed yet.

#include <cstddef>
#include <memory>
#include <string_view>

namespace kedge {

/// Bytes that may be read (not used) behind every text that goes to the JSON parser, which loads whole vectors.
inline constexpr std::size_t json_padding = 64;

/// A byte queue in one block. Each byte is copied in once; it moves only when the block is full, to
/// its front or to a block of twice the size, so the cost stays linear whatever the split of the input. `json_padding` bytes
/// behind the content are always readable.
class input_buffer {
public:
    void append(std::string_view input);
    /// Valid until the next `append` or `release`.
    std::string_view view() const noexcept { return {block_.get() + begin_, end_ - begin_}; }
    std::size_t size() const noexcept { return end_ - begin_; }
    void consume(std::size_t bytes) noexcept { begin_ += bytes; }
    /// Gives the memory back if nothing is held: an idle link costs nothing.
    void release() noexcept;

private:
    std::unique_ptr<char[]> block_;
    std::size_t capacity_ = 0;  // without the padding
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace kedge
