#pragma once
/// Subjects and patterns (PROTOCOL.md, "Names"): syntax, matching, cover and intersection. Pure functions, any thread.

#include <cstddef>
#include <string_view>

namespace kedge {

inline constexpr std::size_t subject_bytes_max = 255;
inline constexpr std::size_t subject_tokens_max = 16;

/// 1 to 16 tokens joined by '.', 255 bytes at most, UTF-8, no space, control character, '*' or '>'.
bool valid_subject(std::string_view) noexcept;
/// The same, but a token may be "*", and the last may be ">".
bool valid_pattern(std::string_view) noexcept;
/// The first token begins with '$' or '_', or is `inbox` or `svc`: not matched by a pattern that begins with a wildcard.
/// Works for patterns too (a pattern whose first token is literal and reserved).
bool is_reserved(std::string_view subject) noexcept;

/// Both arguments valid. A pattern that begins with a wildcard matches no reserved subject.
bool matches(std::string_view pattern, std::string_view subject) noexcept;
/// Every subject that `inner` matches is matched by `outer` (both patterns). The limits of a subject's length are not
/// looked at: for a pattern near them the answer may be `false` where no subject would tell the difference.
bool covers(std::string_view outer, std::string_view inner) noexcept;
/// Some subject is matched by both patterns (the limits of a subject's length apart, as above).
bool intersects(std::string_view a, std::string_view b) noexcept;

}  // namespace kedge
