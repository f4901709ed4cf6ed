#pragma once
/// A stored message as `stream peek` and `stream export` tell it: one JSON object, on one line. Internal to router/command.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "router/protocol/error.hpp"

namespace kedge {

struct stored_line {
    std::string stream;         ///< empty = not told
    std::uint64_t seq = 0;      ///< 0 = not told
    std::uint64_t time_ms = 0;  ///< likewise
    std::string subject;
    std::string reply_to;
    std::string headers;  ///< compact JSON object text; empty = none
    std::string body;
};

/// A sentence if it is not such a message. What else the object holds is nobody's business.
result<stored_line> read_stored(nlohmann::json const&);
result<stored_line> read_stored(std::string_view line);

}  // namespace kedge
