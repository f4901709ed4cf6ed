#pragma once
/// The errors of the wire contract (PROTOCOL.md, "Errors"): code, wire word and default sentence in one table.

#include <string>
#include <string_view>
#include <optional>

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

namespace kedge {

enum class error_code : unsigned char {
    bad_frame,
    bad_request,
    unknown_op,
    too_large,
    denied,
    unknown_recipient,
    unknown_stream,
    unknown_consumer,
    unknown_list,
    not_owner,
    exists,
    no_responders,
    unavailable,
    timeout,
    quota,
    slow_consumer,
    replaced,
    draining,
    revoked,
    store_full,
    internal,
    // Only in `bye`:
    quit,
    idle,
};
inline constexpr unsigned error_code_count = static_cast<unsigned>(error_code::idle) + 1;

/// The word on the wire, e.g. "bad_request".
std::string_view wire_word(error_code) noexcept;
/// A default sentence for a person; whoever raises the error says more where it can.
std::string_view sentence(error_code) noexcept;
/// The reverse of `wire_word`; nothing for a word that is not ours.
std::optional<error_code> parse_error_code(std::string_view word) noexcept;
/// Whether the error ends the link (it is followed by `bye`).
bool ends_link(error_code) noexcept;
/// For an error to a publish: whether the message may have been stored all the same (`unavailable`, `internal`).
bool outcome_unknown(error_code) noexcept;
/// For an error to a publish: whether the link's further publishes on that stream get it too, until a ping.
bool sticks_to_stream(error_code) noexcept;

/// An error with its sentence: what validation and the core return.
struct failure {
    error_code code = error_code::internal;
    std::string message;  ///< a sentence for a person, names what was wrong

    friend bool operator==(failure const&, failure const&) = default;
};

/// Needed by `boost::system::result<T, failure>`: what `.value()` throws when nobody looked.
[[noreturn]] void throw_exception_from_error(failure const&, boost::source_location const&);

template <class T>
using result = boost::system::result<T, failure>;

}  // namespace kedge
