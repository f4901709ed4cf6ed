#pragma once
/// Subjects and senders, stored once a stream and known by number ("interned").

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "router/protocol/bytes.hpp"
#include "router/protocol/ids.hpp"
#include "router/store/sqlite/database.hpp"

namespace kedge::sqlite {

using name_id = std::uint32_t;  ///< from 1; 0 is "none"

/// One of the tables `subject` and `sender`. A name remembers about which segment used it last, so that it can go when
/// retention has passed that; else a bus on which every session or job makes up a name would grow for ever.
///
/// The caches are bounded: when one is full it starts afresh. After a transaction that did not commit: `forget`.
class name_table {
public:
    /// `used` is written again only after so many segments, so that a busy name costs one write in 65,536 rows.
    static constexpr std::uint64_t touch_segments = 16;

    name_table(database&, std::string_view table);

    /// The number of the name for a row in `segment`; stores it if it is new.
    name_id intern(stream_id, std::string_view text, std::uint64_t segment);
    /// The number of a stored name, or 0.
    name_id find(stream_id, std::string_view text);
    /// The text of a stored name. Throws std::runtime_error if there is none: the database is damaged.
    bytes_ptr const& text(name_id);
    /// How often `text` had to ask the database: what a caller that bounds its work has to count.
    std::uint64_t texts_read() const noexcept { return texts_read_; }

    /// Deletes at most `limit` names that no row from `first_segment` up uses. Returns how many.
    std::int64_t drop_unused(stream_id, std::uint64_t first_segment, std::int64_t limit);
    std::int64_t drop_all(stream_id, std::int64_t limit);
    void forget();

private:
    struct known {
        name_id id = 0;
        std::uint64_t used = 0;
    };
    struct text_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
    };
    using by_text = std::unordered_map<std::string, known, text_hash, std::equal_to<>>;

    known* cached(stream_id, std::string_view text);
    void remember(stream_id, std::string_view text, known);

    database& on_;
    statement find_;
    statement insert_;
    statement touch_;
    statement text_;
    statement drop_unused_;
    statement drop_all_;
    std::map<stream_id, by_text> by_text_;
    std::size_t texts_ = 0;
    std::unordered_map<name_id, bytes_ptr> by_id_;
    std::uint64_t texts_read_ = 0;
};

}  // namespace kedge::sqlite
