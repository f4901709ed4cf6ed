#pragma once
/// A stream's copy in JetStream, as the store sees it: where each row stands there, how far the copy was read back, and what
/// the migration wants remembered. The store knows nothing of states or of NATS.
///
/// A *place* is a message's sequence number in the JetStream stream, from 1. A row is *placed* when its place is known, that
/// is: when it was read back, or was imported. Every row from `start` up that is not placed waits to be copied.

#include <cstdint>
#include <string>
#include <vector>

#include "router/protocol/bytes.hpp"
#include "router/protocol/error.hpp"
#include "router/protocol/ids.hpp"
#include "router/protocol/message.hpp"

namespace kedge {

struct row;

using jet_place = std::uint64_t;
/// 40 bits are used, as of a seq.
inline constexpr jet_place jet_place_max = (jet_place{1} << 40) - 1;

/// One a mirrored stream. Rows that arrive, are placed or are deleted keep the counts true, in the same transaction.
struct mirror_state {
    stream_id stream{};
    message_seq start = 1;        ///< rows below are not part of the copy
    jet_place checkpoint = 0;     ///< every message up to here was looked at
    std::uint64_t stamp = 0;      ///< of the message at the checkpoint; 0 = there was none
    std::uint64_t generation = 0; ///< raised when JetStream was found to have gone back
    message_seq floor = 0;        ///< every row of [start, floor] is placed; the first that waits is above
    std::uint64_t waiting_rows = 0;   ///< not placed
    std::uint64_t waiting_bytes = 0;  ///< of these, as `row_bytes` counts
    /// Retention leaves rows alone that wait, and those that have not been placed for `limits::mirror_sync_ms` yet.
    bool keep = false;
    std::string journal;          ///< the migration's own; synced with the transaction that it came with
    std::string lanes;            ///< the importer's own; written with the checkpoint
};

namespace store_request {

/// Makes the record or changes it: `start` and `checkpoint`, `stamp`, `generation`, `lanes` only when it is made (a start then counts
/// the rows from `start` up as waiting); `keep` and `journal` always. Answered by `done`.
struct put_mirror {
    token request{};
    mirror_state mirror;
};
/// Forgets the copy: the record at once, places in slices. Answered by `done`.
struct remove_mirror {
    token request{};
    stream_id stream{};
};

/// What was read back from JetStream, with the new checkpoint: one transaction. Rows that come of it are told by `rows_arrived`
/// (with `origin`, `digest`, `n`), then `imported` answers. Nothing is carried out if a `copy_of` names a row above the stream's last:
/// then the database has gone back, and `imported::lacking` says which. An item whose place is known already is passed over, so
/// that the same request twice does no harm.
struct import_messages {
    struct item {
        jet_place place = 0;
        std::uint64_t stamp = 0;   ///< see migration/: what this message was, and when
        /// Not 0: a copy of this row. If the row is not placed it takes the place; if retention has taken the row nothing happens;
        /// if it is placed already (somebody sent the copy again) the item is inserted as the message that it holds.
        /// With no message beside it the place may be below the checkpoint: the stream's limits took the copy before it could be read.
        message_seq copy_of = 0;
        /// The row to insert; null = nothing to insert (looked at only). The row's time is max(last_ms, time_ms).
        message_ptr message;
        bytes_ptr sender;
        std::uint64_t time_ms = 0;
        bool named = false;        ///< as in `append`: the sender is a `user/node`; its id is remembered and its `n` raised
        std::uint64_t n = 0;
        std::uint64_t previous_n = 0;
        std::uint64_t digest = 0;  ///< of what has an id or an `n`
        token origin{};            ///< of the append that this is; `none` for others
        /// The stream's limits took the message before it could be read: its place may be below the checkpoint.
        bool taken = false;
    };
    token request{};
    stream_id stream{};
    std::vector<item> items;       ///< by rising place
    jet_place checkpoint = 0;      ///< not below the last item's place
    std::uint64_t stamp = 0;
    std::string lanes;
    /// Nobody waits for it, and it only notes places: what is lost with a crash is read again. It may ride with the next batch.
    bool may_wait = false;
};

/// Rows from `from` up that wait to be copied: at most `rows_max` and about `bytes_max` (at least one). Answered by `rows_read`; one
/// read looks at a bounded part of the stream.
struct read_waiting {
    token request{};
    stream_id stream{};
    message_seq from = 1;
    std::size_t rows_max = 1024;
    std::size_t bytes_max = 1024 * 1024;
};

/// Placed rows whose place is in [from, to], by rising place. Answered by `placed_read`.
struct read_placed {
    token request{};
    stream_id stream{};
    jet_place from = 1;
    jet_place to = jet_place_max;
    std::size_t rows_max = 1024;
    std::size_t bytes_max = 1024 * 1024;
    bool downwards = false;  ///< from `to` down instead
};

/// JetStream lost what was above `above`: the rows that had places there wait again. At most `rows_max` a request, from the highest
/// place down; the one that finds no more sets the checkpoint to (`above`, `stamp`), raises the generation, and keeps `lanes`.
/// Answered by `taken_back`.
struct take_back {
    token request{};
    stream_id stream{};
    jet_place above = 0;
    std::uint64_t stamp = 0;
    std::size_t rows_max = 10'000;
    std::string lanes;
};

/// The bridges for plain subjects, as the migration writes them; all of them each time. Answered by `done`.
struct put_bridges {
    token request{};
    std::string bridges;
};

}  // namespace store_request

namespace store_event {

struct imported {
    enum class outcome : unsigned char {
        placed,    ///< a row of ours has its place now
        inserted,  ///< a new row
        known,     ///< the place was known
        passed     ///< nothing to do
    };
    token request{};
    stream_id stream{};
    std::vector<outcome> outcomes;  ///< one an item; empty if `lacking`
    message_seq lacking = 0;        ///< a row that the copy has and the log has not
    mirror_state now;               ///< afterwards; without journal and lanes
};
struct placed_row {
    jet_place place = 0;
    std::uint64_t stamp = 0;
    message_seq seq = 0;
    message_ptr message;     ///< null: retention has taken the row
    bytes_ptr sender;
    std::uint64_t time_ms = 0;
};
struct placed_read {
    token request{};
    std::vector<placed_row> rows;
    bool end = false;
};
struct taken_back {
    token request{};
    std::uint64_t rows = 0;
    bool end = false;
    mirror_state now;
};

}  // namespace store_event

}  // namespace kedge
