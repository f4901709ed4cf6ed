#include "router/protocol/base64.hpp"

#include <array>
#include <cstdint>

namespace kedge {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t no_digit = 0xff;

constexpr std::array<std::uint8_t, 256> make_values()
{
    std::array<std::uint8_t, 256> values{};
    values.fill(no_digit);
    for (std::size_t i = 0; i < alphabet.size(); ++i)
        values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
    return values;
}
constexpr auto values = make_values();

std::uint32_t octet(char c) noexcept { return static_cast<unsigned char>(c); }

}  // namespace

char* base64_encode(std::string_view bytes, char* out) noexcept
{
    std::size_t i = 0;
    for (; i + 3 <= bytes.size(); i += 3) {
        auto const group = octet(bytes[i]) << 16 | octet(bytes[i + 1]) << 8 | octet(bytes[i + 2]);
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = alphabet[group >> 6 & 63];
        *out++ = alphabet[group & 63];
    }
    if (auto const left = bytes.size() - i; left != 0) {
        auto const group = octet(bytes[i]) << 16 | (left == 2 ? octet(bytes[i + 1]) << 8 : 0);
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = left == 2 ? alphabet[group >> 6 & 63] : '=';
        *out++ = '=';
    }
    return out;
}

std::optional<std::string> base64_decode(std::string_view text)
{
    if (text.size() % 4 != 0)
        return std::nullopt;
    std::size_t padding = 0;
    while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=')
        ++padding;
    text.remove_suffix(padding);

    std::string bytes(text.size() * 3 / 4, '\0');
    std::size_t written = 0;
    std::uint32_t bits = 0;
    unsigned held = 0;  // bits in `bits` that are not written yet
    for (char const c : text) {
        auto const value = values[static_cast<unsigned char>(c)];
        if (value == no_digit)
            return std::nullopt;
        bits = (bits << 6 | value) & 0xfff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[written++] = static_cast<char>(bits >> held & 0xff);
        }
    }
    if ((bits & ((1u << held) - 1)) != 0)
        return std::nullopt;
    return bytes;
}

}  // namespace kedge
