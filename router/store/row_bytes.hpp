#pragma once
/// What a stored row counts as, against `max_bytes` and in `stream_state::bytes`: about its size on disk. Subject and sender
/// are interned, so their text is not part of it. The same in every store, or a stream would change its size when moved.

#include <cstdint>

#include "router/protocol/message.hpp"

namespace kedge {

inline constexpr std::uint64_t row_bytes_fixed = 32;

inline std::uint64_t row_bytes(message const& m) noexcept
{
    return row_bytes_fixed + m.id().size() + m.reply_to().size() + m.headers().size() + m.body().size();
}

}  // namespace kedge
