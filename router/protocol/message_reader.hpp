#pragma once
/// The parts that every message has: headers and body. Internal to router/protocol.

#include <string_view>

#include "router/protocol/field_reader.hpp"
#include "router/protocol/message.hpp"
#include "router/protocol/operation_reader.hpp"

namespace kedge {

/// Checked already.
struct message_names {
    std::string_view id;
    std::string_view subject;
    std::string_view reply_to;
};

failure body_too_large(operation_limits const&);

/// Null if `in` has a problem, which may be one that was found here.
message_ptr read_message(field_reader& in, message_names const&, body_source const&, operation_limits const&);

}  // namespace kedge
