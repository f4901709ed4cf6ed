#pragma once
/// The streams: table `stream`, and in memory what every append and read needs of them.

#include <array>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "router/store/sqlite/database.hpp"
#include "router/store/sqlite/name_table.hpp"
#include "router/store/sqlite/segment.hpp"
#include "router/store/store.hpp"

namespace kedge::sqlite {

struct mirror_entry;  // mirror_table.hpp

struct stream_entry {
    stream_state state;
    std::uint64_t oseq = 0;  ///< highest given to a row that was born here
    message_seq newest = 0;  ///< highest seq that is there; 0 = none is
    /// Rows up to here are in the lists that `max_msgs_per_subject` needs (newest_rows.hpp), made in this round.
    message_seq counted = 0;
    std::uint64_t count_round = 0;
    /// Subjects of the rows of the newest, unfinished segment, by offset; 0 = no such row. Read from the log when needed.
    std::vector<name_id> open_segment;
    /// Of posts in that segment: rising offsets of each inbox's rows.
    std::unordered_map<name_id, std::vector<std::uint16_t>> open_posts;
    std::optional<std::uint64_t> oldest_ms;  ///< time of the row `first`, once it was asked for
    std::uint64_t names_checked = 0;         ///< first segment when unused names were last dropped
    bool changed = false;                    ///< in this transaction
    mirror_entry* mirror = nullptr;          ///< if the stream has one
};

class stream_table {
public:
    explicit stream_table(database&);

    /// Reads all streams: at start, and after a transaction that did not commit.
    void load();
    stream_entry* find(stream_id);
    stream_entry* find(std::string_view name);
    std::map<stream_id, stream_entry>& all() noexcept { return all_; }

    stream_entry& create(stream_config const&);
    void edit(stream_entry&, stream_config const&);
    /// The row and the entry; what the log holds of it is garbage then.
    void remove(stream_id);
    /// Marks the entry to be written by `save`, once a transaction.
    void changed(stream_entry&);
    void save();

private:
    database& on_;
    statement select_;
    statement insert_;
    statement edit_;
    statement remove_;
    statement save_;
    std::map<stream_id, stream_entry> all_;
    std::vector<stream_id> changed_;
};

}  // namespace kedge::sqlite
