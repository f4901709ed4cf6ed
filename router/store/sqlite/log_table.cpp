#include "router/store/sqlite/log_table.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "router/protocol/subject.hpp"
#include "router/store/row_bytes.hpp"
#include "router/store/sqlite/varint.hpp"

namespace kedge::sqlite {

namespace {

constexpr std::int64_t slice_rows = 1000;
constexpr std::size_t look_cost_max = 16'384;    // index entries and open rows that one read looks at
constexpr std::size_t text_cost = 15;            // a subject that is not cached costs so many of these more
constexpr std::size_t exact_subjects_max = 16;   // so many are looked up one by one in each segment
constexpr std::size_t resolve_max = 256;         // stored subjects that a read tries before it gives up to list them

constexpr char const* row_columns =
    "SELECT id, subject, sender, time_ms, message_id, reply_to, headers, body FROM log WHERE id ";

}  // namespace

class log_table::filter {
public:
    filter(log_table& of, stream_id stream, std::string_view pattern) : of_{of}, pattern_{pattern}
    {
        auto const wild = pattern.find_first_of("*>");
        if (wild == pattern.npos) {
            exact_ = true;
            if (auto const id = of.subjects_.find(stream, pattern); id != 0)
                list_.push_back(id);
            return;
        }
        // Subjects that begin like the pattern, if there are few. The end of the range: the prefix with its last byte raised,
        // which exists because a token before a wildcard ends with '.' (or the prefix is empty and there is no end).
        std::string const prefix{pattern.substr(0, wild)};
        auto end = prefix;
        if (end.empty())
            end.assign(1, '\xff');
        else
            ++end.back();
        std::size_t tried = 0;
        auto rows = of.subjects_like_.query(static_cast<std::uint32_t>(stream), std::string_view{prefix},
                                            std::string_view{end}, resolve_max + 1);
        while (rows.next()) {
            if (++tried > resolve_max) {
                list_.clear();
                return;
            }
            auto const id = static_cast<name_id>(rows.integer(0));
            auto const fits = matches(pattern, rows.bytes(1));
            known_.emplace(id, fits);
            if (fits)
                list_.push_back(id);
        }
        exact_ = true;
    }

    bool takes(name_id id)
    {
        auto const [at, fresh] = known_.try_emplace(id, false);
        if (!fresh)
            return at->second;
        if (exact_)
            return at->second = std::ranges::find(list_, id) != list_.end();
        return at->second = matches(pattern_, of_.subjects_.text(id)->view());
    }
    bool takes_nothing() const { return exact_ && list_.empty(); }
    /// The subjects, if they are few and all known; else null.
    std::vector<name_id> const* few() const { return exact_ && list_.size() <= exact_subjects_max ? &list_ : nullptr; }

private:
    log_table& of_;
    std::string_view pattern_;
    bool exact_ = false;
    std::vector<name_id> list_;
    std::unordered_map<name_id, bool> known_;
};

log_table::log_table(database& on)
    : on_{on},
      subjects_{on, "subject"},
      senders_{on, "sender"},
      insert_{on, "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"},
      range_{on, {row_columns, "BETWEEN ? AND ? ORDER BY id"}},
      one_{on, {row_columns, "= ?"}},
      time_{on, "SELECT time_ms FROM log WHERE id = ?"},
      newest_{on, "SELECT id FROM log WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1"},
      sizes_{on, "SELECT time_ms, coalesce(length(CAST(message_id AS BLOB)), 0) + coalesce(length(CAST(reply_to AS BLOB)), 0)"
                 " + coalesce(length(CAST(headers AS BLOB)), 0) + length(body)"
                 " FROM log WHERE id BETWEEN ? AND ? ORDER BY id"},
      delete_{on, "DELETE FROM log WHERE id BETWEEN ? AND ?"},
      open_{on, "SELECT id, subject FROM log WHERE id BETWEEN ? AND ?"},
      delete_some_{on, "DELETE FROM log WHERE id IN (SELECT id FROM log WHERE id BETWEEN ? AND ? LIMIT ?)"},
      insert_posting_{on, "INSERT INTO posting VALUES (?, ?, ?)"},
      one_posting_{on, "SELECT offsets FROM posting WHERE segment = ? AND subject = ?"},
      postings_{on, "SELECT subject, offsets FROM posting WHERE segment = ?"},
      delete_postings_{on, "DELETE FROM posting WHERE segment >= ? AND segment < ?"},
      delete_some_postings_{on, "DELETE FROM posting WHERE (segment, subject) IN"
                                " (SELECT segment, subject FROM posting WHERE segment BETWEEN ? AND ? LIMIT ?)"},
      subjects_like_{on, "SELECT id, text FROM subject WHERE stream = ? AND text >= ? AND text < ? LIMIT ?"}
{
}

row log_table::append(stream_entry& entry, store_request::append const& request)
{
    auto& state = entry.state;
    if (entry.open_segment.empty())
        load_open_segment(entry);
    auto const seq = state.last + 1;
    auto const segment = segment_of(seq);
    auto const& m = *request.message;
    row stored{seq, std::max(state.last_ms, request.time_ms), request.sender, request.message};

    if (last_sender_ != request.sender.get() || last_sender_stream_ != state.id || last_sender_segment_ != segment) {
        last_sender_id_ = senders_.intern(state.id, request.sender->view(), segment);
        last_sender_held_ = request.sender;
        last_sender_ = request.sender.get();
        last_sender_stream_ = state.id;
        last_sender_segment_ = segment;
    }
    auto const subject = subjects_.intern(state.id, m.subject(), segment);
    insert_.run(row_key(state.id, seq), subject, last_sender_id_, stored.time_ms, entry.oseq + 1, text_or_null{m.id()},
                text_or_null{m.reply_to()}, text_or_null{m.headers()}, blob{m.body()});

    ++entry.oseq;
    if (state.messages == 0)
        entry.oldest_ms = stored.time_ms;
    state.last = seq;
    state.last_ms = stored.time_ms;
    ++state.messages;
    state.bytes += row_bytes(m);
    auto const offset = offset_in_segment(seq);
    entry.open_segment[offset] = subject;
    if (offset == segment_rows - 1) {
        write_postings(entry, segment);
        std::ranges::fill(entry.open_segment, 0);
    }
    return stored;
}

void log_table::load_open_segment(stream_entry& entry)
{
    auto const& state = entry.state;
    entry.open_segment.assign(segment_rows, 0);
    auto const from = std::max(state.first, first_of_segment(segment_of(state.last + 1)));
    auto rows = open_.query(row_key(state.id, from), row_key(state.id, state.last));
    while (rows.next())
        entry.open_segment[offset_in_segment(seq_of(rows.integer(0)))] = static_cast<name_id>(rows.integer(1));
}

void log_table::write_postings(stream_entry& entry, std::uint64_t segment)
{
    std::vector<std::pair<name_id, unsigned>> sorted;
    sorted.reserve(segment_rows);
    for (unsigned offset = 0; offset < segment_rows; ++offset)
        if (entry.open_segment[offset] != 0)
            sorted.emplace_back(entry.open_segment[offset], offset);
    std::ranges::sort(sorted);
    std::string offsets;
    for (std::size_t i = 0; i < sorted.size();) {
        auto const subject = sorted[i].first;
        offsets.clear();
        unsigned before = 0;
        for (; i < sorted.size() && sorted[i].first == subject; ++i) {
            put_varint(offsets, sorted[i].second - before);
            before = sorted[i].second;
        }
        insert_posting_.run(segment_key(entry.state.id, segment), subject, blob{offsets});
    }
}

row log_table::take(statement::rows& rows)
{
    // Copies: the texts lie in caches that the next look-up may empty.
    auto const subject = subjects_.text(static_cast<name_id>(rows.integer(1)));
    auto const sender = senders_.text(static_cast<name_id>(rows.integer(2)));
    return {seq_of(rows.integer(0)), rows.number(3), sender,
            message::make({subject->view(), rows.bytes(4), rows.bytes(5), rows.bytes(6), rows.bytes(7)})};
}

row log_table::fetch(stream_entry const& entry, message_seq seq)
{
    if (seq < entry.state.first || seq > entry.state.last)
        return {};
    auto rows = one_.query(row_key(entry.state.id, seq));
    return rows.next() ? take(rows) : row{};
}

void log_table::read(stream_entry& entry, store_request::read const& request, store_event::rows_read& answer)
{
    auto const& state = entry.state;
    auto const rows_max = std::max<std::size_t>(request.rows_max, 1);
    std::size_t bytes = 0;
    auto& next = answer.next;
    next = std::max(request.from, state.first);
    auto const add = [&](row found) {
        bytes += row_bytes(*found.message);
        next = found.seq + 1;
        answer.rows.push_back(std::move(found));
        return answer.rows.size() < rows_max && bytes < request.bytes_max;
    };

    if (request.filter.empty()) {
        auto rows = range_.query(row_key(state.id, next), row_key(state.id, state.last));
        while (next <= state.last && rows.next())
            if (!add(take(rows)))
                break;
        answer.end = next > state.last;
        return;
    }

    filter wanted{*this, state.id, request.filter};
    if (wanted.takes_nothing())
        next = std::max(next, state.last + 1);
    std::size_t cost = 0;
    std::vector<message_seq> found;
    while (next <= state.last && cost < look_cost_max) {
        auto const segment = segment_of(next);
        found.clear();
        auto const texts_before = subjects_.texts_read();
        cost += candidates(entry, segment, wanted, next, found);
        cost += text_cost * (subjects_.texts_read() - texts_before);
        bool room = true;
        for (auto const seq : found) {
            auto taken = fetch(entry, seq);
            if (taken.message == nullptr)
                throw std::runtime_error{"the database is damaged: a row of the subject index is missing"};
            room = add(std::move(taken));
            if (!room)
                break;
        }
        if (!room)
            break;
        next = std::min(first_of_segment(segment + 1), state.last + 1);
    }
    answer.end = next > state.last;
}

std::size_t log_table::candidates(stream_entry& entry, std::uint64_t segment, filter& wanted, message_seq from,
                                  std::vector<message_seq>& found)
{
    auto const base = first_of_segment(segment);
    auto const unpack = [&](std::string_view offsets) {
        blob_reader reader{offsets};
        for (message_seq seq = base; !reader.empty();) {
            seq += reader.varint();
            if (seq >= from)
                found.push_back(seq);
        }
    };

    if (segment == segment_of(entry.state.last + 1)) {  // not indexed yet
        if (entry.open_segment.empty())
            load_open_segment(entry);
        for (auto seq = from; seq <= entry.state.last; ++seq)
            if (wanted.takes(entry.open_segment[offset_in_segment(seq)]))
                found.push_back(seq);
        return static_cast<std::size_t>(entry.state.last + 1 - from);
    }
    auto const key = segment_key(entry.state.id, segment);
    if (auto const* const few = wanted.few()) {
        for (auto const subject : *few) {
            auto rows = one_posting_.query(key, subject);
            if (rows.next())
                unpack(rows.bytes(0));
        }
        if (few->size() > 1)
            std::ranges::sort(found);
        return 4 * few->size();  // a descent costs about as much as four steps along
    }
    std::size_t looked = 1;
    {
        auto rows = postings_.query(key);
        for (; rows.next(); ++looked)
            if (wanted.takes(static_cast<name_id>(rows.integer(0))))
                unpack(rows.bytes(1));
    }
    std::ranges::sort(found);
    return looked;
}

std::uint64_t log_table::time_of(stream_entry const& entry, message_seq seq)
{
    auto rows = time_.query(row_key(entry.state.id, seq));
    if (!rows.next())
        throw std::runtime_error{"the database is damaged: a row is missing"};
    return rows.number(0);
}

message_seq log_table::first_at(stream_entry const& entry, std::uint64_t time_ms)
{
    // Times never fall along a stream, and a log has no holes: look by halves.
    auto low = entry.state.first;
    auto high = entry.state.last + 1;
    while (low < high) {
        auto const middle = low + (high - low) / 2;
        if (time_of(entry, middle) < time_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void log_table::remove_front(stream_entry& entry, message_seq from)
{
    auto const& state = entry.state;
    delete_.run(row_key(state.id, from), row_key(state.id, state.first - 1));
    entry.oldest_ms.reset();
    if (segment_of(from) != segment_of(state.first))
        delete_postings_.run(segment_key(state.id, segment_of(from)), segment_key(state.id, segment_of(state.first)));
}

void log_table::drop_names(stream_entry& entry, trim_slice& slice)
{
    if (slice.used_up() || !has_unused_names(entry))
        return;
    auto const segment = segment_of(entry.state.first);
    auto const limit = static_cast<std::int64_t>(trim_slice::rows_max);
    auto const dropped = subjects_.drop_unused(entry.state.id, segment, limit)
                       + senders_.drop_unused(entry.state.id, segment, limit);
    if (dropped != 0)
        forget();
    slice.take(0, static_cast<std::uint64_t>(dropped));
    if (!slice.used_up())
        entry.names_checked = segment;
}

bool log_table::remove_slice(stream_id stream)
{
    delete_some_.run(row_key(stream, 0), row_key(stream, message_seq_max), slice_rows);
    if (on_.changes() != 0)
        return true;
    auto const last_segment = segment_of(message_seq_max);
    delete_some_postings_.run(segment_key(stream, 0), segment_key(stream, last_segment), slice_rows);
    if (on_.changes() != 0)
        return true;
    return subjects_.drop_all(stream, slice_rows) + senders_.drop_all(stream, slice_rows) != 0;
}

void log_table::check_newest(stream_entry const& entry)
{
    auto const& state = entry.state;
    auto rows = newest_.query(row_key(state.id, 0), row_key(state.id, message_seq_max));
    auto const found = rows.next() ? seq_of(rows.integer(0)) : 0;
    if (found != (state.messages == 0 ? 0 : state.last))
        throw std::runtime_error{"the database is damaged: the log of stream " + state.config.name + " does not end at "
                                 + std::to_string(state.last)};
    if (state.messages != 0)
        time_of(entry, state.first);
}

void log_table::forget()
{
    subjects_.forget();
    senders_.forget();
    last_sender_ = nullptr;
    last_sender_held_.reset();
}

}  // namespace kedge::sqlite
