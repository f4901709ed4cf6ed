#pragma once
/// Lines out of bytes (PROTOCOL.md, "Lines"); knows nothing of what a line says.

#include <cstddef>
#include <optional>
#include <string_view>

#include "router/protocol/input_buffer.hpp"

namespace kedge {

struct line {
    bool too_long = false;  ///< dropped to its LF; there is no text
    std::string_view text;  ///< without its end; followed by `json_padding` readable bytes
    std::size_t bytes = 0;  ///< that it took of the input
};

class line_reader {
public:
    explicit line_reader(std::size_t line_bytes_max) : line_bytes_max_{line_bytes_max} {}

    void feed(std::string_view input);
    void finish() noexcept { finished_ = true; }
    /// Blank lines are passed over. Valid until the next call of any member.
    std::optional<line> next();
    bool empty() const noexcept { return input_.size() == taken_ && dropped_ == 0; }
    std::size_t held() const noexcept { return input_.size() - taken_; }

private:
    std::optional<line> read();

    std::size_t line_bytes_max_;
    input_buffer input_;
    std::size_t taken_ = 0;    ///< bytes of the line given out last, still in `input_`
    std::size_t searched_ = 0; ///< bytes at the front that are known to hold no LF
    std::size_t dropped_ = 0;  ///< bytes of an overlong line that are gone already
    bool finished_ = false;
};

}  // namespace kedge
