#pragma once
/// Base64 as RFC 4648 §4 has it: standard alphabet, padded, no line breaks.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace kedge {

constexpr std::size_t base64_size(std::size_t bytes) noexcept { return (bytes + 2) / 3 * 4; }

/// Writes exactly `base64_size(bytes.size())` characters to `out`; returns their end.
char* base64_encode(std::string_view bytes, char* out) noexcept;

/// Strict: nothing for a wrong length, alphabet or padding, or for bits set beyond the last byte.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace kedge
