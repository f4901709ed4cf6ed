#include "router/protocol/unit_writer.hpp"

#include <cassert>
#include <charconv>
#include <cstdint>
#include <cstring>

#include "router/protocol/base64.hpp"
#include "router/protocol/json_writer.hpp"
#include "router/protocol/names.hpp"

namespace kedge {
namespace {

constexpr std::size_t frame_prefix = 8;  // length, header size
constexpr std::string_view text_key = R"(,"data":")";
constexpr std::string_view base64_key = R"(,"data64":")";

char* put(std::string_view text, char* out) noexcept
{
    if (!text.empty())
        std::memcpy(out, text.data(), text.size());
    return out + text.size();
}

}  // namespace

unit_writer::unit_writer(std::string_view header, std::optional<std::string_view> body, encoding form) noexcept
    : header_{header}, body_{body}, form_{form}
{
    if (form == encoding::frames) {
        assert(header.size() < frame_header_max);
        size_ = frame_prefix + header.size() + 1 + body.value_or("").size();
        return;
    }
    size_ = header.size() + 2;  // brace, LF
    if (!body)
        return;
    auto const text_size = json_escaped_size(*body);
    auto const base64_chars = base64_size(body->size());
    base64_ = text_size > base64_chars || !valid_utf8(*body);
    size_ += base64_ ? base64_key.size() + base64_chars + 1 : text_key.size() + text_size + 1;
}

void unit_writer::write(char* out) const noexcept
{
    switch (form_) {
    case encoding::frames: return write_frame(out);
    case encoding::lines: return write_line(out);
    }
}

void unit_writer::write_frame(char* out) const noexcept
{
    auto const length = static_cast<std::uint32_t>(size_ - 4);
    for (int shift = 24; shift >= 0; shift -= 8)
        *out++ = static_cast<char>(length >> shift & 0xff);
    std::memset(out, ' ', 4);
    std::to_chars(out, out + 4, header_.size() + 1, 16);
    out = put(header_, out + 4);
    *out++ = '}';
    put(body_.value_or(""), out);
}

void unit_writer::write_line(char* out) const noexcept
{
    out = put(header_, out);
    if (body_) {
        out = put(base64_ ? base64_key : text_key, out);
        out = base64_ ? base64_encode(*body_, out) : json_escape(*body_, out);
        *out++ = '"';
    }
    *out++ = '}';
    *out = '\n';
}

}  // namespace kedge
