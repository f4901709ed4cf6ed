#include "router/store/sqlite/log_table.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "router/protocol/subject.hpp"
#include "router/store/post.hpp"
#include "router/store/row_bytes.hpp"
#include "router/store/sqlite/varint.hpp"

namespace kedge::sqlite {

namespace {

constexpr std::size_t look_cost_max = 16'384;    // index entries and open rows that one read looks at
constexpr std::size_t found_max = 1000;          // rows that one slice of a purge takes: some milliseconds
constexpr std::size_t text_cost = 15;            // a subject that is not cached costs so many of these more
constexpr std::size_t exact_subjects_max = 16;   // so many are looked up one by one in each segment
constexpr std::size_t resolve_max = 256;         // stored subjects that a read tries before it gives up to list them

/// A post stands under several subjects, and a filter may take more than one of them.
void sort_once(std::vector<message_seq>& seqs)
{
    std::ranges::sort(seqs);
    auto const rest = std::ranges::unique(seqs);
    seqs.erase(rest.begin(), rest.end());
}

constexpr char const* row_columns =
    "SELECT id, subject, sender, time_ms, message_id, reply_to, headers, body, recipients FROM log WHERE id ";

/// As `row_bytes` counts it, without its fixed part.
constexpr char const* row_size =
    "coalesce(length(CAST(message_id AS BLOB)), 0) + coalesce(length(CAST(reply_to AS BLOB)), 0)"
    " + coalesce(length(CAST(headers AS BLOB)), 0) + length(body)";

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

log_table::log_table(database& on, user_totals& usage, mirror_table& mirrors)
    : on_{on},
      usage_{usage},
      mirrors_{mirrors},
      subjects_{on, "subject"},
      senders_{on, "sender"},
      recipients_{subjects_},
      newest_of_subjects_{on},
      insert_{on, "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"},
      range_{on, {row_columns, "BETWEEN ? AND ? ORDER BY id"}},
      one_{on, {row_columns, "= ?"}},
      time_{on, "SELECT time_ms FROM log WHERE id = ?"},
      newest_{on, "SELECT id FROM log WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1"},
      sizes_{on, {"SELECT id, time_ms, ", row_size, ", sender FROM log WHERE id BETWEEN ? AND ? ORDER BY id"}},
      one_size_{on, {"SELECT ", row_size, " FROM log WHERE id = ?"}},
      totals_{on, {"SELECT count(*), coalesce(sum(", row_size, "), 0) FROM log WHERE id BETWEEN ? AND ?"}},
      delete_{on, "DELETE FROM log WHERE id BETWEEN ? AND ?"},
      open_{on, "SELECT id, subject, recipients FROM log WHERE id BETWEEN ? AND ? ORDER BY id"},
      facts_{on, {"SELECT subject, recipients, ", row_size, ", sender FROM log WHERE id = ?"}},
      at_or_after_{on, "SELECT id, time_ms FROM log WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1"},
      some_sizes_{on, {"SELECT id, recipients IS NULL, ", row_size,
                       ", sender FROM log WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"}},
      insert_posting_{on, "INSERT INTO posting VALUES (?, ?, ?)"},
      change_posting_{on, "UPDATE posting SET offsets = ? WHERE segment = ? AND subject = ?"},
      delete_posting_{on, "DELETE FROM posting WHERE segment = ? AND subject = ?"},
      one_posting_{on, "SELECT offsets FROM posting WHERE segment = ? AND subject = ?"},
      postings_{on, "SELECT subject, offsets FROM posting WHERE segment = ?"},
      delete_postings_{on, "DELETE FROM posting WHERE segment >= ? AND segment < ?"},
      delete_some_postings_{on, "DELETE FROM posting WHERE (segment, subject) IN"
                                " (SELECT segment, subject FROM posting WHERE segment BETWEEN ? AND ? LIMIT ?)"},
      subjects_like_{on, "SELECT id, text FROM subject WHERE stream = ? AND text >= ? AND text < ? LIMIT ?"}
{
}

row log_table::append(stream_entry& entry, new_row const& request)
{
    auto& state = entry.state;
    if (entry.open_segment.empty())
        load_open_segment(entry);
    auto const seq = state.last + 1;
    auto const segment = segment_of(seq);
    auto const offset = offset_in_segment(seq);
    auto const& m = *request.message;
    row stored{seq, std::max(state.last_ms, request.time_ms), request.sender, request.message, request.recipients};

    if (last_sender_ != request.sender.get() || last_sender_stream_ != state.id || last_sender_segment_ != segment) {
        last_sender_id_ = senders_.intern(state.id, request.sender->view(), segment);
        last_sender_held_ = request.sender;
        last_sender_ = request.sender.get();
        last_sender_stream_ = state.id;
        last_sender_segment_ = segment;
    }
    name_id subject = 0;  // of a post
    std::string recipients;
    if (request.recipients == nullptr) {
        subject = subjects_.intern(state.id, m.subject(), segment);
        entry.open_segment[offset] = subject;
    } else {
        auto numbers = recipients_.intern(state.id, request.recipients->view(), segment);
        recipients = std::move(numbers.packed);
        for (auto const inbox : numbers.inboxes)
            entry.open_posts[inbox].push_back(static_cast<std::uint16_t>(offset));
    }
    insert_.run(row_key(state.id, seq), subject, last_sender_id_, stored.time_ms, number_or_null{request.born ? entry.oseq + 1 : 0}, text_or_null{m.id()},
                text_or_null{m.reply_to()}, text_or_null{m.headers()}, blob{m.body()}, blob_or_null{recipients});

    if (request.born)
        ++entry.oseq;
    if (state.messages == 0) {
        entry.oldest_ms = stored.time_ms;
        state.first = seq;
    }
    auto const bytes = row_bytes(m);
    state.last = seq;
    state.last_ms = stored.time_ms;
    ++state.messages;
    state.bytes += bytes;
    entry.newest = seq;
    if (auto const owner = usage_owner(state.config, request.sender->view()); !owner.empty())
        usage_.add(owner, bytes);
    if (offset == segment_rows - 1) {
        write_postings(entry, segment);
        std::ranges::fill(entry.open_segment, 0);
        entry.open_posts.clear();
    }
    return stored;
}

void log_table::load_open_segment(stream_entry& entry)
{
    auto const& state = entry.state;
    entry.open_segment.assign(segment_rows, 0);
    entry.open_posts.clear();
    auto const from = std::max(state.first, first_of_segment(segment_of(state.last + 1)));
    auto rows = open_.query(row_key(state.id, from), row_key(state.id, state.last));
    while (rows.next()) {
        auto const offset = offset_in_segment(seq_of(rows.integer(0)));
        entry.open_segment[offset] = static_cast<name_id>(rows.integer(1));
        if (auto const recipients = rows.bytes(2); !recipients.empty())
            for (auto const inbox : recipients_.inboxes(state.id, recipients))
                entry.open_posts[inbox].push_back(static_cast<std::uint16_t>(offset));
    }
}

void log_table::write_postings(stream_entry& entry, std::uint64_t segment)
{
    std::vector<std::pair<name_id, unsigned>> sorted;
    sorted.reserve(segment_rows);
    for (unsigned offset = 0; offset < segment_rows; ++offset)
        if (entry.open_segment[offset] != 0)
            sorted.emplace_back(entry.open_segment[offset], offset);
    for (auto const& [inbox, rows] : entry.open_posts)
        for (auto const offset : rows)
            sorted.emplace_back(inbox, offset);
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
    auto const recipients = rows.bytes(8).empty() ? nullptr : recipients_.text(rows.bytes(8));
    auto const subject = recipients != nullptr ? nullptr : subjects_.text(static_cast<name_id>(rows.integer(1)));
    auto const sender = senders_.text(static_cast<name_id>(rows.integer(2)));
    return {seq_of(rows.integer(0)), rows.number(3), sender,
            message::make({subject == nullptr ? std::string_view{} : subject->view(), rows.bytes(4), rows.bytes(5), rows.bytes(6),
                           rows.bytes(7)}),
            recipients};
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
        bool room = true;
        while (room && next <= state.last && rows.next())
            room = add(take(rows));
        if (room)
            next = std::max(next, state.last + 1);
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
                continue;  // its index goes with a whole segment
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

message_seq log_table::find(stream_entry& entry, std::string_view pattern, message_seq from, message_seq up_to,
                            std::vector<message_seq>& found)
{
    filter wanted{*this, entry.state.id, pattern};
    auto next = std::max(from, entry.state.first);
    if (wanted.takes_nothing())
        next = std::max(next, up_to + 1);
    for (std::size_t cost = 0; next <= up_to && cost < look_cost_max;) {
        auto const segment = segment_of(next);
        std::vector<message_seq> here;
        cost += 1 + candidates(entry, segment, wanted, next, here);
        next = first_of_segment(segment + 1);
        for (auto const seq : here) {
            if (seq > up_to)
                break;
            if (found.size() == found_max)
                return seq;
            found.push_back(seq);
        }
    }
    return next;
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
        auto const posts = [&](std::vector<std::uint16_t> const& offsets) {
            for (auto at = std::ranges::lower_bound(offsets, offset_in_segment(from)); at != offsets.end(); ++at)
                found.push_back(base + *at);
        };
        if (!entry.open_posts.empty()) {
            auto const* const few = wanted.few();
            if (few == nullptr) {
                for (auto const& [inbox, offsets] : entry.open_posts)
                    if (wanted.takes(inbox))
                        posts(offsets);
            } else {
                for (auto const inbox : *few)
                    if (auto const at = entry.open_posts.find(inbox); at != entry.open_posts.end())
                        posts(at->second);
            }
        }
        for (auto seq = from; seq <= entry.state.last; ++seq)
            if (auto const subject = entry.open_segment[offset_in_segment(seq)]; subject != 0 && wanted.takes(subject))
                found.push_back(seq);
        sort_once(found);
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
            sort_once(found);
        return 4 * few->size();  // a descent costs about as much as four steps along
    }
    std::size_t looked = 1;
    {
        auto rows = postings_.query(key);
        for (; rows.next(); ++looked)
            if (wanted.takes(static_cast<name_id>(rows.integer(0))))
                unpack(rows.bytes(1));
    }
    sort_once(found);
    return looked;
}

void log_table::forget()
{
    subjects_.forget();
    senders_.forget();
    recipients_.forget();
    last_sender_ = nullptr;
    last_sender_held_.reset();
}

}  // namespace kedge::sqlite
