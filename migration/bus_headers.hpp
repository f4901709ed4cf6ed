#pragma once
/// Headers on their way between a row, which has a JSON object, and a bus message, which has a list.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "migration/backend.hpp"
#include "migration/identity.hpp"
#include "router/protocol/message.hpp"

namespace kedge::migration {

/// Begins with `Nats-` or `Kedge-`, in any case: not a client's.
bool is_reserved_header(std::string_view name) noexcept;

/// All of a publish but what says whose it is: `Kedge-Row`, `Kedge-N`, `Nats-Msg-Id`.
void fill(bus_message& out, message const&, std::string_view sender, std::uint64_t time_ms);

/// As the codec writes them; empty if there are none.
std::variant<std::string, unrepresentable> native_headers(bus_message const&);
/// The reverse of `fill`.
std::string our_headers(bus_message const&, std::string_view odd);

}  // namespace kedge::migration
