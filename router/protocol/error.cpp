#include "router/protocol/error.hpp"

#include <array>
#include <cstddef>
#include <stdexcept>

#include <boost/throw_exception.hpp>

namespace kedge {
namespace {

struct row {
    error_code code;
    std::string_view word;
    std::string_view sentence;
    bool ends_link = false;
    bool outcome_unknown = false;
    bool sticks = false;
};

constexpr bool ends = true;
constexpr bool unknown = true;
constexpr bool sticks = true;

/// In the order of the enum, so that the code is the index.
constexpr std::array<row, error_code_count> rows{{
    {error_code::bad_frame, "bad_frame", "The framing is broken.", ends},
    {error_code::bad_request, "bad_request", "The request is not well formed."},
    {error_code::unknown_op, "unknown_op", "There is no such operation here."},
    {error_code::too_large, "too_large", "The message is too large."},
    {error_code::denied, "denied", "The rules do not allow this."},
    {error_code::unknown_recipient, "unknown_recipient", "There is no such recipient."},
    {error_code::unknown_stream, "unknown_stream", "There is no such stream."},
    {error_code::unknown_consumer, "unknown_consumer", "There is no such consumer."},
    {error_code::unknown_list, "unknown_list", "There is no such list."},
    {error_code::not_owner, "not_owner", "Only its owner may do this."},
    {error_code::exists, "exists", "It exists already, with other values."},
    {error_code::no_responders, "no_responders", "Nobody serves this."},
    {error_code::unavailable, "unavailable", "The outcome is not known; send it again with the same id.", !ends, unknown, sticks},
    {error_code::timeout, "timeout", "No answer came in time."},
    {error_code::quota, "quota", "A limit is reached.", !ends, !unknown, sticks},
    {error_code::slow_consumer, "slow_consumer", "This link does not read what it subscribed to.", ends},
    {error_code::replaced, "replaced", "A later link took over this node.", ends},
    {error_code::draining, "draining", "The server is shutting down.", !ends, !unknown, sticks},
    {error_code::revoked, "revoked", "This key or user is no longer admitted.", ends},
    {error_code::store_full, "store_full", "The store has no room.", !ends, !unknown, sticks},
    {error_code::internal, "internal", "The server failed; the outcome is not known.", !ends, unknown, sticks},
    {error_code::quit, "quit", "Goodbye.", ends},
    {error_code::idle, "idle", "Nothing was heard from the client for too long.", ends},
}};

constexpr bool in_order()
{
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (static_cast<std::size_t>(rows[i].code) != i)
            return false;
    return true;
}
static_assert(in_order());

constexpr row const& row_of(error_code code) noexcept { return rows[static_cast<std::size_t>(code)]; }

}  // namespace

std::string_view wire_word(error_code code) noexcept { return row_of(code).word; }
std::string_view sentence(error_code code) noexcept { return row_of(code).sentence; }
bool ends_link(error_code code) noexcept { return row_of(code).ends_link; }
bool outcome_unknown(error_code code) noexcept { return row_of(code).outcome_unknown; }
bool sticks_to_stream(error_code code) noexcept { return row_of(code).sticks; }

std::optional<error_code> parse_error_code(std::string_view word) noexcept
{
    for (auto const& r : rows)
        if (r.word == word)
            return r.code;
    return std::nullopt;
}

void throw_exception_from_error(failure const& why, boost::source_location const& where)
{
    boost::throw_exception(std::runtime_error{std::string{wire_word(why.code)} + ": " + why.message}, where);
}

}  // namespace kedge
