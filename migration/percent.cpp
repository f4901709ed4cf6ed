#include "migration/percent.hpp"

#include <string_view>

namespace kedge::migration {

namespace {

constexpr std::string_view upper_hex = "0123456789ABCDEF";

bool stays(char c, percent how) noexcept
{
    if (how == percent::spare)
        return c > 0x20 && c < 0x7f && c != '%';
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

}  // namespace

std::string percent_encode(std::string_view text, percent how)
{
    std::string out;
    out.reserve(text.size());
    for (auto const c : text) {
        if (stays(c, how)) {
            out += c;
        } else {
            auto const byte = static_cast<unsigned char>(c);
            out += '%';
            out += upper_hex[byte >> 4];
            out += upper_hex[byte & 15];
        }
    }
    return out;
}

std::optional<std::string> percent_decode(std::string_view text)
{
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '%') {
            if (!stays(text[at], percent::spare))
                return std::nullopt;
            out += text[at];
            continue;
        }
        if (text.size() - at < 3)
            return std::nullopt;
        auto const high = upper_hex.find(text[at + 1]);
        auto const low = upper_hex.find(text[at + 2]);
        if (high == std::string_view::npos || low == std::string_view::npos)
            return std::nullopt;
        out += static_cast<char>(high << 4 | low);
        at += 2;
    }
    return out;
}

}  // namespace kedge::migration
