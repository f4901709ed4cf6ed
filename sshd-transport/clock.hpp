#pragma once
/// The two clocks of the transport, and tokens nobody can guess. Any thread.

#include <cstdint>
#include <string>

namespace kedge {

/// Milliseconds of a clock that never goes back.
std::uint64_t steady_ms() noexcept;
/// Milliseconds since 1970.
std::uint64_t wall_ms() noexcept;

/// 64 random bits of the operating system's.
std::uint64_t random_token();
/// As clients see it: 16 lower-case hexadecimal digits.
std::string token_text(std::uint64_t);

}  // namespace kedge
