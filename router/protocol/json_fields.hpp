#pragma once
/// A JSON object's fields, by the names that the contract knows. Internal to router/protocol: names the JSON parser.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <simdjson.h>

#include "router/protocol/error.hpp"

namespace kedge {

/// One for each field of any operation or notice, named as on the wire (`drop` is "delete").
enum class field : unsigned char {
    op, id, subject, n, reply_to, headers, data, data64,
    node, client, inbox, keepalive, group, to, stream, consumer, filter, start, window, ack_wait_ms, max_deliver, seq, upto,
    delay_ms, reason, service, method, timeout_ms, version, methods, description, call, error, add, remove, list, drop,
    what,
    protocol, server, session, user, role, servers, max_body, dedupe, last, dup, instance, from, time_ms, pub_id, tries,
    left_ms, draining, text, code, message, unknown,
    ms, ids,
};
inline constexpr std::size_t field_count = static_cast<std::size_t>(field::ids) + 1;

std::string_view name_of(field) noexcept;

/// Values are views into the parser of this thread.
class json_fields {
public:
    /// A field that is `null` counts as absent.
    bool has(field f) const noexcept { return (present_ >> static_cast<unsigned>(f) & 1) != 0; }
    /// Only if `has(f)`.
    simdjson::dom::element at(field f) const noexcept { return values_[static_cast<std::size_t>(f)]; }

    /// Forgets what was held and takes the known fields of `object`; `bad_request` if one is there twice.
    result<void> assign(simdjson::dom::object object);

private:
    static_assert(field_count <= 64);
    std::uint64_t present_ = 0;
    std::array<simdjson::dom::element, field_count> values_;
};

/// Parses `text`, behind which `json_padding` bytes are readable. Valid until the next call on this thread. `bad_request`
/// if it is not one JSON object in UTF-8.
result<json_fields const*> parse_fields(std::string_view text);

}  // namespace kedge
