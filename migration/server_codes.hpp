#pragma once
/// What JetStream's error codes (nats-server, server/errors.json) mean to a publish of ours.

#include <algorithm>
#include <array>
#include <cstddef>

#include "migration/backend.hpp"

namespace kedge::migration {

/// The server cannot take anything now: full, or without its stream's leader. The same may be accepted later.
inline bool passes(int code) noexcept
{
    constexpr std::array later{503, 10002, 10005, 10008, 10009, 10023, 10028, 10039, 10047, 10074, 10077, 10122};
    return std::ranges::find(later, code) != later.end();
}

/// It has no room, as a client is told.
inline bool is_full(int code) noexcept
{
    constexpr std::array full{10002, 10023, 10028, 10047, 10077, 10122};
    return std::ranges::find(full, code) != full.end();
}

/// It refuses this message for what it is: it is too large.
inline bool is_for_good(int code) noexcept { return code == 10054 || code == 10097; }

/// Nobody answered for the stream: its server may be away, though the link to ours stands, and be another one when it is back.
inline bool nobody_knows(backend_event::refused const& no) noexcept { return no.sent && (!no.answered || no.code == 503); }

inline constexpr int no_such_message = 10037;

/// Larger than the server takes, on the wire.
inline bool too_large(bus_message const& m, std::size_t payload_max) noexcept
{
    constexpr std::size_t frame = 16;  // "NATS/1.0" and the line ends around the headers
    return payload_max != 0 && m.bytes() - m.subject.size() - m.reply.size() + frame > payload_max;
}

}  // namespace kedge::migration
