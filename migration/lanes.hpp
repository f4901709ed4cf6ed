#pragma once
/// What the importer must remember beside its checkpoint, as text in `mirror_state::lanes`: which rows are of which history of the
/// database, and which publishes of ours were read back already. Pure; owned by a replica.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "router/protocol/ids.hpp"

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
/// ours again publishes a message of their own.
class lane_list {
public:
    enum class reading : unsigned char {
        fresh,
        late,   ///< one with a higher number was read before it
        again   ///< this one was read before
    };
    reading read(std::uint64_t lane, std::uint64_t counter);

    struct entry {
        std::uint64_t lane = 0;
        std::uint64_t highest = 0;
        std::vector<std::pair<std::uint64_t, std::uint64_t>> holes;  ///< from, to: below `highest` and not read; rising
    };
    std::vector<entry> entries;  ///< in the order in which they were first read; the oldest go

    static constexpr std::size_t entries_max = 16;
    static constexpr std::size_t holes_max = 256;  ///< of one lane; the oldest are taken for read
};

struct lane_book {
    incarnation_list incarnations;
    lane_list lanes;

    static lane_book parse(std::string_view);  ///< throws if it is not what `text` writes; empty = nothing known
    std::string text() const;
};

}  // namespace kedge::migration
