#pragma once
/// What the importer must remember beside its checkpoint, as text in `mirror_state::lanes`: which rows are of which history of the
/// database, and which publishes of ours were read back already. Pure; owned by a replica.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "router/protocol/ids.hpp"
#include "router/store/mirror.hpp"

namespace kedge::migration {

/// The databases that the log's rows were born in: one, and one more each time a backup was restored.
class incarnation_list {
public:
    /// The database is `now`, and its rows begin with `first` if it is another one than before. Whether it is.
    bool begin(std::string_view now, message_seq first);
    std::string const& of(message_seq) const;
    /// Whether the log of `incarnation` has the row, or had it. `last` = the newest row.
    bool holds(std::string_view incarnation, message_seq, message_seq last) const noexcept;

    struct entry {
        std::string incarnation;
        message_seq first = 1;
    };
    std::vector<entry> entries;  ///< rising `first`

    static constexpr std::size_t entries_max = 256;
};

/// Own publishes of one process under one authority epoch are numbered from 1. Each number counts once: whoever sends a message of
/// ours again publishes a message of their own. So does who sends one of a lane that is known no more: what it says of its time, which
/// nobody but us can have written, is not newer than what was read of such a lane.
class lane_list {
public:
    enum class reading : unsigned char {
        fresh,
        late,   ///< one with a higher number was read before it
        again   ///< this one was read before
    };
    /// `time_ms`: when it was published. `own`: the lane of this process, which is never forgotten.
    reading read(std::uint64_t lane, std::uint64_t counter, std::uint64_t time_ms, std::uint64_t own);

    struct entry {
        std::uint64_t lane = 0;
        std::uint64_t highest = 0;
        std::vector<std::pair<std::uint64_t, std::uint64_t>> holes;  ///< from, to: below `highest` and not read; rising
        std::uint64_t newest_ms = 0;
    };
    std::vector<entry> entries;      ///< in the order in which they were first read; the one with the oldest `newest_ms` goes
    std::uint64_t forgotten_ms = 0;  ///< the highest `newest_ms` of those that went

    static constexpr std::size_t entries_max = 16;
    static constexpr std::size_t holes_max = 256;  ///< of one lane; the oldest are taken for read
};

/// What was read of the JetStream stream before it went back: up to a message's place, nothing that is newer than that message. Such
/// messages are looked at, and never become rows again: those may be gone from the log meanwhile.
class read_history {
public:
    void read(jet_place place, std::uint64_t time_ns) { last = {place, time_ns}; }
    /// It has gone back to `above`.
    void went_back(jet_place above);
    bool holds(jet_place, std::uint64_t time_ns) const noexcept;

    struct mark {
        jet_place place = 0;
        std::uint64_t time_ns = 0;
    };
    mark last;                ///< the message that was read last
    std::vector<mark> marks;  ///< as it was each time

    static constexpr std::size_t marks_max = 8;
};

struct lane_book {
    incarnation_list incarnations;
    lane_list lanes;
    read_history history;

    static lane_book parse(std::string_view);  ///< throws if it is not what `text` writes; empty = nothing known
    std::string text() const;
};

}  // namespace kedge::migration
