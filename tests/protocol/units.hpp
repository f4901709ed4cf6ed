#pragma once
/// Frames made by hand, so that tests do not ask the encoder what is right.

#include <cstdint>
#include <string>
#include <string_view>

namespace kedge {

inline std::string big_endian(std::uint32_t value)
{
    return {static_cast<char>(value >> 24), static_cast<char>(value >> 16 & 0xff), static_cast<char>(value >> 8 & 0xff),
            static_cast<char>(value & 0xff)};
}

/// `size_field` as it is to stand in the frame, e.g. "1f  ".
inline std::string frame_with(std::string_view size_field, std::string_view header, std::string_view body = {})
{
    auto const length = static_cast<std::uint32_t>(size_field.size() + header.size() + body.size());
    return big_endian(length) + std::string{size_field} + std::string{header} + std::string{body};
}

inline std::string frame_of(std::string_view header, std::string_view body = {})
{
    std::string digits;
    for (auto rest = header.size(); rest != 0 || digits.empty(); rest /= 16)
        digits.insert(digits.begin(), "0123456789abcdef"[rest % 16]);
    digits.resize(4, ' ');
    return frame_with(digits, header, body);
}

}  // namespace kedge
