#pragma once
/// Strong identifiers. None of them is ever shown to a peer as it is.

#include <cstdint>

namespace kedge {

/// One message channel. The high 16 bits name the transport thread that owns it, so that an output finds its way
/// without a table; the rest counts. Never used twice in a process.
enum class link_id : std::uint64_t {};

/// One SSH connection; high 16 bits as in `link_id`.
enum class session_id : std::uint64_t {};

/// A stream's number in the store: 1 to 2^23 - 1, never reused.
enum class stream_id : std::uint32_t {};

/// A consumer's number in the store, never reused.
enum class consumer_id : std::uint64_t {};

/// Pairs a request of the core with the events that answer it. Never used twice in a process; 0 is "none".
enum class token : std::uint64_t { none = 0 };

/// Position in a stream, from 1. 40 bits are used. A quantity: arithmetic is meant.
using message_seq = std::uint64_t;
inline constexpr message_seq message_seq_max = (std::uint64_t{1} << 40) - 1;

constexpr unsigned transport_of(link_id id) { return static_cast<unsigned>(static_cast<std::uint64_t>(id) >> 48); }
constexpr unsigned transport_of(session_id id) { return static_cast<unsigned>(static_cast<std::uint64_t>(id) >> 48); }

}  // namespace kedge
