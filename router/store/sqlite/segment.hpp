#pragma once
/// How a stream and a seq make one key, and how the log is cut into segments for the subject index.

#include <cstdint>

#include "router/protocol/ids.hpp"

namespace kedge::sqlite {

/// The row id of the log: one clustered key for all streams (architecture.md, "Store").
constexpr std::int64_t row_key(stream_id stream, message_seq seq)
{
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(stream) << 40 | seq);
}
constexpr message_seq seq_of(std::int64_t key)
{
    return static_cast<std::uint64_t>(key) & message_seq_max;
}
inline constexpr std::uint64_t stream_id_max = (std::uint64_t{1} << 23) - 1;

/// So many seqs are indexed at a time. The subject index of a segment is written once, when its last row is: so the index
/// grows at its end like the log, where an index over single rows would touch a page per subject and commit.
inline constexpr unsigned segment_bits = 12;
inline constexpr std::uint64_t segment_rows = std::uint64_t{1} << segment_bits;

constexpr std::uint64_t segment_of(message_seq seq) { return seq >> segment_bits; }
constexpr unsigned offset_in_segment(message_seq seq) { return static_cast<unsigned>(seq & (segment_rows - 1)); }
constexpr message_seq first_of_segment(std::uint64_t segment) { return segment << segment_bits; }
constexpr std::int64_t segment_key(stream_id stream, std::uint64_t segment)
{
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(stream) << (40 - segment_bits) | segment);
}

}  // namespace kedge::sqlite
