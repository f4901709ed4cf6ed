#pragma once
/// The rows: table `log`, and `posting`, its index by subject.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "router/store/row_bytes.hpp"
#include "router/store/sqlite/database.hpp"
#include "router/store/sqlite/mirror_table.hpp"
#include "router/store/sqlite/name_table.hpp"
#include "router/store/sqlite/newest_rows.hpp"
#include "router/store/sqlite/recipient_names.hpp"
#include "router/store/sqlite/stream_table.hpp"
#include "router/store/sqlite/user_totals.hpp"
#include "router/store/store.hpp"

namespace kedge::sqlite {

/// How much one slice of retention may delete: a few milliseconds' worth.
class trim_slice {
public:
    bool used_up() const { return rows_ >= rows_max || bytes_ >= bytes_max; }
    void take(std::uint64_t bytes, std::uint64_t rows = 1)
    {
        rows_ += rows;
        bytes_ += bytes;
    }
    static constexpr std::uint64_t rows_max = 3000;  // 5 ms; at the 20 ms between slices under load, more than is published

private:
    static constexpr std::uint64_t bytes_max = 4 * 1024 * 1024;
    std::uint64_t rows_ = 0;
    std::uint64_t bytes_ = 0;
};

class log_table {
public:
    /// Each row that comes or goes is counted in `usage` (but posts), and each that goes in its stream's mirror.
    log_table(database&, user_totals& usage, mirror_table& mirrors);

    struct new_row {
        bytes_ptr const& sender;
        message_ptr const& message;
        bytes_ptr const& recipients;
        std::uint64_t time_ms = 0;
        bool born = true;  ///< here; else it came from JetStream
    };
    /// Stores the row as the stream's next; the stream's entry is changed but not saved.
    row append(stream_entry&, new_row const&);

    /// As `store_request::read` says. Looks at a bounded part of the log in one call, so that a filter that matches
    /// nothing does not hold up the thread: then there are few rows or none, and `end` is false.
    void read(stream_entry&, store_request::read const&, store_event::rows_read& answer);
    /// Null message: there is no such row.
    row fetch(stream_entry const&, message_seq);
    /// Rows of [from, to], rising, until `look` wants no more; false then.
    template <class Look>
    bool each(stream_entry const& entry, message_seq from, message_seq to, Look const& look)
    {
        auto rows = range_.query(row_key(entry.state.id, from), row_key(entry.state.id, to));
        while (rows.next())
            if (!look(take(rows)))
                return false;
        return true;
    }
    /// As `row_bytes` counts them; nothing: there is no such row.
    std::optional<std::uint64_t> bytes_of(stream_entry const&, message_seq);
    /// Rows from `from` up, and their bytes. Reads as many rows as there are on the shorter side of `from`.
    mirror_table::count count_from(stream_entry const&, message_seq from);
    /// The first seq whose row is not older than `time_ms`; `last + 1` if all are.
    message_seq first_at(stream_entry const&, std::uint64_t time_ms);
    std::uint64_t time_of(stream_entry const&, message_seq);

    /// Takes rows from the front while `goes(seq, time of the oldest)`, as far as the slice reaches. Returns how many.
    template <class Goes>
    std::uint64_t trim(stream_entry& entry, trim_slice& slice, Goes const& goes)
    {
        auto& state = entry.state;
        auto const from = state.first;
        std::uint64_t gone = 0;
        {
            auto rows = sizes_.query(row_key(state.id, from), row_key(state.id, state.last));
            for (state.first = state.last + 1; rows.next(); ++gone) {
                auto const seq = seq_of(rows.integer(0));
                if (slice.used_up() || !goes(seq, rows.number(1))) {
                    state.first = seq;
                    break;
                }
                auto const bytes = rows.number(2) + row_bytes_fixed;
                slice.take(bytes);
                count_out(entry, seq, bytes, static_cast<name_id>(rows.integer(3)));
            }
        }
        if (state.first != from)
            remove_front(entry, from);
        return gone;
    }
    /// Takes these rows, rising, wherever they are; one that is not there is passed over. Returns how many.
    std::uint64_t remove(stream_entry&, std::vector<message_seq> const&);
    /// Seqs from `from` to `up_to` under which the filter finds rows, as far as one slice may look; the first that was not looked at.
    message_seq find(stream_entry&, std::string_view filter, message_seq from, message_seq up_to, std::vector<message_seq>& found);
    /// Up to where retention may take rows at all.
    static message_seq may_go_up_to(stream_entry const& entry)
    {
        return entry.mirror == nullptr ? entry.state.last : std::min(entry.mirror->may_go_up_to, entry.state.last);
    }
    /// Whether there are rows that `max_msgs_per_subject` has not been held against; and doing so. Returns how many went. What is
    /// spared is not looked at yet, and so makes no older row go either.
    static bool has_uncounted(stream_entry const& entry)
    {
        return entry.state.config.max_msgs_per_subject != 0 && entry.counted < may_go_up_to(entry) && entry.state.messages != 0;
    }
    std::uint64_t drop_older_of_subjects(stream_entry&, trim_slice&);
    /// Deletes a slice of a stream that is no more: rows, index and names. Returns whether something is left.
    bool remove_slice(stream_id);
    /// Whether retention went on since the stream's unused names were last dropped; and dropping them.
    bool has_unused_names(stream_entry const& entry) const { return segment_of(entry.state.first) != entry.names_checked; }
    void drop_names(stream_entry&, trim_slice&);

    /// Throws std::runtime_error if the newest row is not where the stream says.
    void check_newest(stream_entry const&);
    /// After a transaction that did not commit.
    void forget();

private:
    /// What is known of a read's filter: which subjects it takes.
    class filter;

    row take(statement::rows&);
    void load_open_segment(stream_entry&);
    void write_postings(stream_entry&, std::uint64_t segment);
    void remove_front(stream_entry&, message_seq from);
    void count_out(stream_entry&, message_seq, std::uint64_t bytes, name_id sender);
    void unindex(stream_entry&, std::vector<std::pair<name_id, message_seq>>& gone);
    /// Appends the seqs in [from, end of the segment] that match to `found`, rising; returns what the look cost.
    std::size_t candidates(stream_entry&, std::uint64_t segment, filter&, message_seq from, std::vector<message_seq>& found);

    database& on_;
    user_totals& usage_;
    mirror_table& mirrors_;
    name_table subjects_;
    name_table senders_;
    recipient_names recipients_;
    newest_rows newest_of_subjects_;
    statement insert_;
    statement range_;
    statement one_;
    statement time_;
    statement newest_;
    statement sizes_;
    statement one_size_;
    statement totals_;
    statement delete_;
    statement open_;
    statement facts_;
    statement at_or_after_;
    statement some_sizes_;
    statement insert_posting_;
    statement change_posting_;
    statement delete_posting_;
    statement one_posting_;
    statement postings_;
    statement delete_postings_;
    statement delete_some_postings_;
    statement subjects_like_;
    // The last row's names, by identity: a pipelining publisher's batch repeats them.
    shared_bytes const* last_sender_ = nullptr;
    bytes_ptr last_sender_held_;
    name_id last_sender_id_ = 0;
    stream_id last_sender_stream_{};
    std::uint64_t last_sender_segment_ = 0;
};

}  // namespace kedge::sqlite
