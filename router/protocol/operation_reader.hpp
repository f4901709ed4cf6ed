#pragma once
/// A header (or line) as an operation: every field checked for type and syntax.

#include <cstddef>
#include <optional>
#include <string_view>

#include "router/protocol/operation.hpp"

namespace kedge {

struct operation_limits {
    std::size_t body_bytes = 0;
    std::size_t header_bytes = 0;  ///< of a message's headers as they are delivered
    std::size_t ack_seqs = 0;
    std::size_t post_recipients = 0;
    std::size_t service_methods = 0;
};

/// Where the body is.
struct body_source {
    enum class kind : unsigned char {
        here,     ///< a frame's
        in_line,  ///< in `data` or `data64`
        dropped,  ///< it was too large: no operation comes of it
    } is = kind::here;
    std::string_view bytes;
};

/// `header` is followed by `json_padding` readable bytes. What is not an operation comes back as `op::malformed`.
op::any read_operation(std::string_view header, body_source const&, operation_limits const&);

}  // namespace kedge
