#pragma once
/// Syntax of the names of the wire contract (PROTOCOL.md, "Names"), and UTF-8.

#include <cstddef>
#include <string_view>

namespace kedge {

/// `[a-z0-9][a-z0-9_-]{0,31}`: users and nodes.
bool valid_user(std::string_view) noexcept;
bool valid_node(std::string_view) noexcept;
/// `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`: streams, consumers, services, methods, lists.
bool valid_name(std::string_view) noexcept;
/// 1 to 64 bytes of UTF-8.
bool valid_operation_id(std::string_view) noexcept;
/// `[A-Za-z0-9-]{1,64}`, not beginning with `Nats-` or `Kedge-` (in any case).
bool valid_header_name(std::string_view) noexcept;
/// 1 to 1024 bytes of UTF-8 without control characters or outer spaces.
bool valid_header_value(std::string_view) noexcept;
inline constexpr std::size_t headers_max = 32;

bool valid_utf8(std::string_view) noexcept;
/// In valid UTF-8: U+0000 to U+001F, U+007F to U+009F.
bool has_control_characters(std::string_view) noexcept;

}  // namespace kedge
