#pragma once
/// Publishes with an id, remembered for the idempotency window: table `ids`. A journal, not an index over ids: random keys
/// would cost more the more there are, and the window is looked up in memory.
///
/// One row a commit, appended with it; the oldest go when their time is over. When more than twice what the windows may hold
/// has gathered, a pass in slices rewrites the journal without the entries that their sender has outrun.

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "router/protocol/limits.hpp"
#include "router/store/sqlite/database.hpp"
#include "router/store/store.hpp"

namespace kedge::sqlite {

class id_journal {
public:
    struct record {
        std::string_view sender;
        stream_id stream{};  ///< none: forget the sender's older entries
        message_seq seq = 0;
        std::uint64_t digest = 0;
        std::uint64_t time_ms = 0;
        std::string_view id;
    };
    /// The records of one blob, which they point into, oldest first. Throws std::runtime_error if it is damaged.
    static std::vector<record> unpack(std::string_view bytes);

    id_journal(database&, limits const&);

    /// Counts what there is: at start, and after a transaction that did not commit (which also ends a pass under way).
    void load();
    /// The windows as of `now_ms`, oldest first. `known` says whether a stream still exists.
    std::vector<remembered_id> window(std::uint64_t now_ms, std::function<bool(stream_id)> const& known);

    /// Gathers an entry for `save`.
    void remember(record const& entry) { gathered_.add(entry); }
    /// All that was remembered of the sender up to here is void.
    void forget_sender(std::string_view name);
    /// Appends what was gathered, once a transaction.
    void save();

    /// One slice: drops what is too old, or a step of the pass. Returns whether more is to be done at once. Writes nothing
    /// when there is nothing to do; `idle` tells beforehand.
    bool maintain(std::uint64_t now_ms);
    bool idle(std::uint64_t now_ms) const;

    std::uint64_t entries() const noexcept { return entries_; }

private:
    /// Puts records into a blob; senders are written once and named by number after that.
    class writer {
    public:
        void add(record const&);
        void clear();
        std::string const& bytes() const { return bytes_; }
        std::uint64_t entries() const { return entries_; }
        std::uint64_t newest_ms() const { return newest_ms_; }

    private:
        std::string bytes_;
        std::unordered_map<std::string, std::uint64_t> senders_;
        std::string last_sender_;
        std::uint64_t last_number_ = 0;
        std::uint64_t entries_ = 0;
        std::uint64_t newest_ms_ = 0;
        std::uint64_t time_ms_ = 0;
    };
    /// A blob and its records, newest last; they point into `bytes`.
    struct batch {
        std::int64_t number = 0;
        std::string bytes;
        std::vector<record> records;
    };
    /// The next batches below `below`, newest first, of about `slice_entries` entries.
    std::vector<batch> older(std::int64_t below);

    bool drop_expired(std::uint64_t now_ms);
    bool count_step(std::uint64_t now_ms);
    bool rewrite_step(std::uint64_t now_ms);
    void end_pass();
    std::uint64_t pass_due() const;

    database& on_;
    limits const& limits_;
    statement select_;
    statement insert_;
    statement replace_;
    statement delete_;
    statement oldest_;
    statement totals_;

    writer gathered_;
    std::uint64_t entries_ = 0;
    std::uint64_t oldest_ms_ = 0;  ///< `newest_ms` of the oldest batch; 0 = unknown or none

    /// The pass: counts the senders' entries from the newest down, then goes down again and rewrites.
    enum class pass : unsigned char { none, counting, rewriting } pass_ = pass::none;
    std::uint64_t left_by_pass_ = 0;
    std::int64_t pass_top_ = 0;    ///< batches from here up came after the pass began
    std::int64_t pass_below_ = 0;  ///< where it goes on
    struct sender_use {
        std::size_t place = 0;     ///< in `allowed_`, by last use
        bool forgotten = false;
    };
    std::unordered_map<std::string, sender_use> senders_;
    std::deque<std::uint64_t> allowed_;  ///< entries that each sender may keep
};

}  // namespace kedge::sqlite
