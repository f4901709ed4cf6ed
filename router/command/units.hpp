#pragma once
/// Durations, sizes and times as people write and read them. Pure functions, any thread.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kedge {

/// "7d", "5m", "500ms", "1h30m" -> milliseconds. Units: ms s m h d w, whole numbers. "0" needs no unit. Nothing if it is
/// not a duration or does not fit.
std::optional<std::uint64_t> parse_duration_ms(std::string_view) noexcept;

/// "1G", "64M", "4096", "16KiB" -> bytes; steps of 1024. Units: K M G T, each with or without "B" or "iB".
std::optional<std::uint64_t> parse_size(std::string_view) noexcept;

/// Digits only, the whole text, fits.
std::optional<std::uint64_t> parse_count(std::string_view) noexcept;

/// RFC 3339 in UTC ("2026-11-21T08:00:00Z", also "2026-11-21" and without seconds) -> milliseconds since 1970.
std::optional<std::uint64_t> parse_time_ms(std::string_view) noexcept;

/// Exact where it is short, else its two largest units: "500ms", "7d", "1h 30m".
std::string format_duration_ms(std::uint64_t ms);
/// "0 B", "999 B", "1.5 MiB".
std::string format_size(std::uint64_t bytes);
/// "2026-11-21 08:00:00" (UTC); "-" for 0.
std::string format_time_ms(std::uint64_t ms);

}  // namespace kedge
