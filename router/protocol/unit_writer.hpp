#pragma once
/// One header and one body as one frame or one line (PROTOCOL.md, "Encodings").

#include <cstddef>
#include <optional>
#include <string_view>

#include "router/protocol/encoding.hpp"

namespace kedge {

/// Longest header that a frame's four hex digits can tell.
inline constexpr std::size_t frame_header_max = 0xffff;

/// Use: construct, make room for `size()`, `write`. Keeps references to what it was given.
class unit_writer {
public:
    /// `header` is a JSON object without its closing brace; `body`, if there is one, travels even when it is empty. In
    /// frames the header, brace included, is at most `frame_header_max` long.
    unit_writer(std::string_view header, std::optional<std::string_view> body, encoding) noexcept;

    std::size_t size() const noexcept { return size_; }
    /// Writes exactly `size()` bytes.
    void write(char* out) const noexcept;

private:
    void write_frame(char* out) const noexcept;
    void write_line(char* out) const noexcept;

    std::string_view header_;
    std::optional<std::string_view> body_;
    encoding form_;
    bool base64_ = false;
    std::size_t size_ = 0;
};

}  // namespace kedge
