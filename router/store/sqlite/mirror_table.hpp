#pragma once
/// Copies of streams in JetStream: tables `mirror`, `mirror_note` and `placed`.

#include <map>
#include <string>
#include <vector>

#include "router/protocol/limits.hpp"
#include "router/store/floor_marks.hpp"
#include "router/store/sqlite/database.hpp"
#include "router/store/sqlite/stream_table.hpp"
#include "router/store/store.hpp"

namespace kedge::sqlite {

/// What is kept in memory of a mirror: all but the places.
struct mirror_entry {
    std::uint64_t number = 0;                     ///< names its places; a mirror that is made anew has another
    mirror_state state;
    message_seq may_go_up_to = message_seq_max;   ///< retention spares what is above
    bool behind = false;                          ///< the floor may be raised further than it was
    bool changed = false;                         ///< in this transaction

    void arrived(message_seq seq, std::uint64_t bytes)
    {
        if (seq < state.start)
            return;
        if (state.waiting_rows == 0)
            state.floor = seq - 1;  // nothing waited
        ++state.waiting_rows;
        state.waiting_bytes += bytes;
        changed = true;
    }
};

class mirror_table {
public:
    mirror_table(database&, limits const&);

    /// Reads all mirrors and ties them to their streams: at start, and after a transaction that did not commit.
    void load(stream_table&);
    std::vector<mirror_state> states() const;

    /// Of a stream that has none. `waiting` is what waits: rows and bytes.
    struct count {
        std::uint64_t rows = 0;
        std::uint64_t bytes = 0;
    };
    void create(stream_entry&, mirror_state const&, count waiting);
    void edit(mirror_entry&, bool keep, std::string const& journal);
    /// The record; the places become garbage.
    void remove(stream_entry&);
    /// Deletes a slice of the places of a mirror that is no more. Returns whether something is left.
    bool remove_slice(std::int64_t number);
    /// Writes what changed, once a transaction.
    void save();

    /// The row, whose bytes are as `row_bytes` counts, is found at the place. `known`: the place is another row's already;
    /// `taken`: the row has another place.
    enum class met : unsigned char { placed, known, taken };
    met place(mirror_entry&, message_seq, std::uint64_t bytes, jet_place, std::uint64_t stamp);
    /// As `place`, of a row that is about to be stored as the stream's next. False: the place is known.
    bool place_next(mirror_entry&, message_seq, jet_place, std::uint64_t stamp);
    void move_checkpoint(mirror_entry&, jet_place, std::uint64_t stamp, std::string const& lanes);
    /// Raises the floor over what is placed or gone, as far as one slice may look. In memory: it is written when something else of
    /// the mirror is, so that housekeeping makes no reader's batch one that needs the disk.
    void raise_floor(mirror_entry&, message_seq last);

    /// The row leaves the log (before it is deleted).
    void leaves(mirror_entry&, message_seq, std::uint64_t bytes);
    /// All rows from `from` to `to` have left; their places follow.
    void left(mirror_entry&, message_seq from, message_seq to);
    /// All rows up to here have left.
    static void left_up_to(mirror_entry& of, message_seq to) { of.state.floor = std::max(of.state.floor, to); }

    /// Placed rows of [from, to], rising, until `look` wants no more.
    template <class Look>
    void each_placed(mirror_entry const& of, message_seq from, message_seq to, Look const& look)
    {
        auto rows = keys_.query(key(of, from), key(of, to));
        while (rows.next())
            if (!look(seq_of(rows.integer(0))))
                return;
    }
    struct found {
        jet_place place = 0;
        std::uint64_t stamp = 0;
        message_seq seq = 0;
    };
    /// Places in [from, to], at most `most`, from `from` up or from `to` down.
    std::vector<found> places(mirror_entry const&, jet_place from, jet_place to, std::size_t most, bool downwards);
    /// Forgets all places from `lowest` up. `lowest_row`: of all rows that had one.
    void take_back(mirror_entry&, jet_place lowest, message_seq lowest_row, count waiting);

    /// Notes how far each mirror's rows are placed as of now: what retention may take later.
    void note_floors(std::uint64_t now_ms);
    /// A mirror whose floor may be raised further without an import; null: none.
    mirror_entry* behind();

private:
    static std::int64_t key(mirror_entry const& of, std::uint64_t number)
    {
        return static_cast<std::int64_t>(of.number << 40 | number);
    }
    void put_note(mirror_entry const&, int kind, std::string const& text);
    bool knows(mirror_entry const&, jet_place);
    void spare(mirror_entry&);

    database& on_;
    limits const& limits_;
    statement select_;
    statement insert_;
    statement save_;
    statement remove_;
    statement note_;
    statement remove_notes_;
    statement garbage_;
    statement delete_some_;
    statement place_;
    statement knows_;
    statement seq_known_;
    statement keys_;
    statement next_row_;
    statement delete_rows_;
    statement delete_places_;
    statement upwards_;
    statement downwards_;
    std::map<stream_id, mirror_entry> all_;
    std::map<std::uint64_t, floor_marks> marks_;  ///< by number; they outlive a transaction that did not commit
};

}  // namespace kedge::sqlite
