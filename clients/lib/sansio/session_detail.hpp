#pragma once
/// What the two halves of `session` share. Internal.

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "router/protocol/operation.hpp"

namespace kedge::client_lib {

/// Ids of the session's own operations begin with this; a program's may not.
inline constexpr std::string_view our_ids = "kedge~";
inline constexpr std::string_view hello_id = "kedge~hello";
inline constexpr std::string_view retry_id = "kedge~retry";
inline constexpr std::string_view alive_id = "kedge~alive";

inline constexpr std::uint64_t not_sent = std::numeric_limits<std::uint64_t>::max();

/// The consumer that `hello` attaches to with `inbox`.
inline constexpr std::string_view inbox_stream = "INBOX";
inline constexpr std::string_view inbox_consumer = "inbox";

/// What is said again on each link, and what unsays it.
inline bool stands(op::any const& what)
{
    return std::holds_alternative<op::subscribe>(what) || std::holds_alternative<op::consume>(what) ||
           std::holds_alternative<op::serve>(what);
}
inline bool falls(op::any const& what)
{
    return std::holds_alternative<op::unsubscribe>(what) || std::holds_alternative<op::detach>(what) ||
           std::holds_alternative<op::unserve>(what);
}

inline std::string id_of(op::any const& what)
{
    return std::visit(
        [](auto const& o) -> std::string {
            using type = std::decay_t<decltype(o)>;
            if constexpr (std::is_same_v<type, op::publish> || std::is_same_v<type, op::post> ||
                          std::is_same_v<type, op::call>)
                return o.message ? std::string{o.message->id()} : std::string{};
            else if constexpr (std::is_same_v<type, op::quit> || std::is_same_v<type, op::reply>)
                return {};
            else
                return o.id;
        },
        what);
}

template <class... F>
struct overloaded : F... {
    using F::operator()...;
};

}  // namespace kedge::client_lib
