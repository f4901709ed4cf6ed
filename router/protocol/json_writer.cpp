#include "router/protocol/json_writer.hpp"

#include <array>
#include <charconv>

namespace kedge {
namespace {

/// How many bytes a byte takes in a JSON string: 1, 2 (`\n`) or 6 (`\u001f`).
constexpr std::array<unsigned char, 256> make_sizes()
{
    std::array<unsigned char, 256> sizes{};
    for (unsigned c = 0; c < 256; ++c)
        sizes[c] = c < 0x20 ? 6 : 1;
    for (char const c : {'"', '\\', '\b', '\f', '\n', '\r', '\t'})
        sizes[static_cast<unsigned char>(c)] = 2;
    return sizes;
}
constexpr auto sizes = make_sizes();

constexpr std::uint64_t every_byte(std::uint8_t value) { return 0x0101010101010101u * value; }

/// High bit set in some byte, if a byte of `chunk` is zero; the usual carry trick.
constexpr std::uint64_t zero_bytes(std::uint64_t chunk) { return (chunk - every_byte(1)) & ~chunk & every_byte(0x80); }

/// Whether any of eight bytes wants escaping.
bool wants_escaping(std::uint64_t chunk) noexcept
{
    auto const control = (chunk - every_byte(0x20)) & ~chunk & every_byte(0x80);
    return (control | zero_bytes(chunk ^ every_byte('"')) | zero_bytes(chunk ^ every_byte('\\'))) != 0;
}

std::uint64_t eight_bytes(char const* at) noexcept
{
    std::uint64_t chunk;
    std::memcpy(&chunk, at, sizeof chunk);
    return chunk;
}

char* escape(char c, char* out) noexcept
{
    if (sizes[static_cast<unsigned char>(c)] == 1) {
        *out++ = c;
        return out;
    }
    *out++ = '\\';
    switch (c) {
    case '\b': *out++ = 'b'; return out;
    case '\f': *out++ = 'f'; return out;
    case '\n': *out++ = 'n'; return out;
    case '\r': *out++ = 'r'; return out;
    case '\t': *out++ = 't'; return out;
    case '"':
    case '\\': *out++ = c; return out;
    default: break;
    }
    std::memcpy(out, "u00", 3);
    out[3] = c < 0x10 ? '0' : '1';
    out[4] = "0123456789abcdef"[c & 15];
    return out + 5;
}

}  // namespace

std::size_t json_escaped_size(std::string_view text) noexcept
{
    std::size_t size = 0;
    auto const* at = text.data();
    auto const* const end = at + text.size();
    for (; end - at >= 8; at += 8) {
        if (!wants_escaping(eight_bytes(at))) {
            size += 8;
            continue;
        }
        for (auto const* c = at; c != at + 8; ++c)
            size += sizes[static_cast<unsigned char>(*c)];
    }
    for (; at != end; ++at)
        size += sizes[static_cast<unsigned char>(*at)];
    return size;
}

char* json_escape(std::string_view text, char* out) noexcept
{
    auto const* at = text.data();
    auto const* const end = at + text.size();
    while (end - at >= 8) {
        if (auto const chunk = eight_bytes(at); !wants_escaping(chunk)) {
            std::memcpy(out, &chunk, sizeof chunk);
            at += 8;
            out += 8;
            continue;
        }
        for (auto const* const stop = at + 8; at != stop; ++at)
            out = escape(*at, out);
    }
    for (; at != end; ++at)
        out = escape(*at, out);
    return out;
}

void json_writer::number(std::uint64_t value) noexcept { at_ = std::to_chars(at_, at_ + number_size, value).ptr; }

void json_writer::grow(std::size_t bytes)
{
    auto const used = static_cast<std::size_t>(at_ - begin_);
    auto const capacity = 2 * used + bytes + sizeof here_;
    auto bigger = std::make_unique_for_overwrite<char[]>(capacity);
    std::memcpy(bigger.get(), begin_, used);
    heap_ = std::move(bigger);
    begin_ = heap_.get();
    at_ = begin_ + used;
    end_ = begin_ + capacity;
}

}  // namespace kedge
