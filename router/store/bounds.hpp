#pragma once
/// A stream's bounds of count and bytes, decided once for every store.

#include <cstdint>

#include "router/protocol/limits.hpp"
#include "router/store/store.hpp"

namespace kedge {

/// The oldest row has to go, so that the newer ones have room.
inline bool overflows(stream_state const& s) noexcept
{
    return s.config.when_full == discard::oldest
        && ((s.config.max_msgs != 0 && s.messages > s.config.max_msgs) || (s.config.max_bytes != 0 && s.bytes > s.config.max_bytes));
}

/// A row of so many bytes (`row_bytes`) is to be refused with `quota`.
inline bool refuses(stream_state const& s, std::uint64_t bytes) noexcept
{
    return s.config.when_full == discard::newest
        && ((s.config.max_msgs != 0 && s.messages >= s.config.max_msgs)
            || (s.config.max_bytes != 0 && s.bytes + bytes > s.config.max_bytes));
}

/// What `load` sees to that `inbox_stream` is.
inline stream_config inbox_config(limits const& bounds)
{
    stream_config config;
    config.name = inbox_stream;
    config.max_age_ms = bounds.node_idle_ms;
    config.keep = retention::interest;
    return config;
}

}  // namespace kedge
