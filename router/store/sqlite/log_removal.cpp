/// How rows leave the log: from the front, out of the middle, or with their whole stream.

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "router/store/post.hpp"
#include "router/store/sqlite/log_table.hpp"
#include "router/store/sqlite/varint.hpp"

namespace kedge::sqlite {

namespace {

constexpr std::int64_t removed_slice_rows = 1000;

}  // namespace

void log_table::count_out(stream_entry& entry, message_seq seq, std::uint64_t bytes, name_id sender)
{
    auto& state = entry.state;
    if (entry.mirror != nullptr)
        mirrors_.leaves(*entry.mirror, seq, bytes);
    state.bytes -= std::min(state.bytes, bytes);
    --state.messages;
    auto const held = senders_.text(sender);
    if (auto const owner = usage_owner(state.config, held->view()); !owner.empty())
        usage_.take(owner, bytes);
}

void log_table::remove_front(stream_entry& entry, message_seq from)
{
    auto const& state = entry.state;
    delete_.run(row_key(state.id, from), row_key(state.id, state.first - 1));
    if (entry.mirror != nullptr) {
        mirrors_.left(*entry.mirror, from, state.first - 1);
        mirror_table::left_up_to(*entry.mirror, state.first - 1);
    }
    entry.oldest_ms.reset();
    if (entry.newest < state.first)
        entry.newest = 0;
    if (segment_of(from) != segment_of(state.first))
        delete_postings_.run(segment_key(state.id, segment_of(from)), segment_key(state.id, segment_of(state.first)));
}

std::uint64_t log_table::remove(stream_entry& entry, std::vector<message_seq> const& seqs)
{
    auto& state = entry.state;
    if (entry.open_segment.empty())
        load_open_segment(entry);
    std::uint64_t gone = 0;
    std::vector<std::pair<name_id, message_seq>> indexed;
    for (auto const seq : seqs) {
        {
            auto rows = facts_.query(row_key(state.id, seq));
            if (!rows.next())
                continue;
            if (auto const recipients = rows.bytes(1); recipients.empty())
                indexed.emplace_back(static_cast<name_id>(rows.integer(0)), seq);
            else
                for (auto const inbox : recipients_.inboxes(state.id, recipients))
                    indexed.emplace_back(inbox, seq);
            count_out(entry, seq, rows.number(2) + row_bytes_fixed, static_cast<name_id>(rows.integer(3)));
        }
        delete_.run(row_key(state.id, seq), row_key(state.id, seq));
        if (entry.mirror != nullptr)
            mirrors_.left(*entry.mirror, seq, seq);
        ++gone;
    }
    if (gone == 0)
        return 0;
    unindex(entry, indexed);
    if (seqs.front() <= state.first) {
        auto const from = state.first;
        auto rows = at_or_after_.query(row_key(state.id, from), row_key(state.id, state.last));
        state.first = rows.next() ? seq_of(rows.integer(0)) : state.last + 1;
        entry.oldest_ms.reset();
    }
    if (seqs.back() >= entry.newest) {
        auto rows = newest_.query(row_key(state.id, state.first), row_key(state.id, state.last));
        entry.newest = rows.next() ? seq_of(rows.integer(0)) : 0;
    }
    return gone;
}

void log_table::unindex(stream_entry& entry, std::vector<std::pair<name_id, message_seq>>& gone)
{
    auto const open = segment_of(entry.state.last + 1);
    // Rows of one subject in one segment share a posting.
    std::ranges::sort(gone, {}, [](auto const& g) { return std::pair{segment_of(g.second), g}; });
    for (auto at = gone.begin(); at != gone.end();) {
        auto const subject = at->first;
        auto const segment = segment_of(at->second);
        std::vector<unsigned> offsets;
        for (; at != gone.end() && at->first == subject && segment_of(at->second) == segment; ++at)
            offsets.push_back(offset_in_segment(at->second));
        auto const is_gone = [&](unsigned offset) { return std::ranges::binary_search(offsets, offset); };
        if (segment == open) {
            if (auto const posts = entry.open_posts.find(subject); posts != entry.open_posts.end())
                std::erase_if(posts->second, is_gone);
            else
                for (auto const offset : offsets)
                    entry.open_segment[offset] = 0;
            continue;
        }
        auto const key = segment_key(entry.state.id, segment);
        std::string left;
        {
            auto rows = one_posting_.query(key, subject);
            if (!rows.next())
                continue;
            unsigned offset = 0;
            unsigned before = 0;
            for (blob_reader reader{rows.bytes(0)}; !reader.empty();) {
                offset += static_cast<unsigned>(reader.varint());
                if (is_gone(offset))
                    continue;
                put_varint(left, offset - before);
                before = offset;
            }
        }
        if (left.empty())
            delete_posting_.run(key, subject);
        else
            change_posting_.run(blob{left}, key, subject);
    }
}

std::uint64_t log_table::drop_older_of_subjects(stream_entry& entry, trim_slice& slice)
{
    if (slice.used_up() || !has_uncounted(entry))
        return 0;
    auto const& state = entry.state;
    auto const end = may_go_up_to(entry);
    auto next = std::max(entry.counted + 1, state.first);
    std::map<name_id, std::vector<message_seq>> met;
    {
        auto rows = open_.query(row_key(state.id, next), row_key(state.id, end));
        while (true) {
            if (!rows.next()) {
                next = end + 1;
                break;
            }
            next = seq_of(rows.integer(0));
            if (slice.used_up())
                break;
            slice.take(0);
            if (auto const subject = static_cast<name_id>(rows.integer(1)); subject != 0)
                met[subject].push_back(next);
        }
    }
    entry.counted = next - 1;
    std::vector<message_seq> surplus;
    for (auto const& [subject, rows] : met)
        newest_of_subjects_.add(subject, entry.count_round, state.config.max_msgs_per_subject, rows, surplus);
    std::ranges::sort(surplus);
    return remove(entry, surplus);
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
    std::int64_t last = 0;
    {
        auto rows = some_sizes_.query(row_key(stream, 0), row_key(stream, message_seq_max), removed_slice_rows);
        while (rows.next()) {
            last = rows.integer(0);
            auto const sender = senders_.text(static_cast<name_id>(rows.integer(3)));
            if (auto const owner = usage_owner({}, sender->view()); rows.integer(1) != 0 && !owner.empty())
                usage_.take(owner, rows.number(2) + row_bytes_fixed);
        }
    }
    if (last != 0) {
        delete_.run(row_key(stream, 0), last);
        return true;
    }
    auto const last_segment = segment_of(message_seq_max);
    delete_some_postings_.run(segment_key(stream, 0), segment_key(stream, last_segment), removed_slice_rows);
    if (on_.changes() != 0)
        return true;
    auto const dropped = subjects_.drop_all(stream, removed_slice_rows) + senders_.drop_all(stream, removed_slice_rows);
    if (dropped != 0)
        forget();  // a number may be given again
    return dropped != 0;
}

}  // namespace kedge::sqlite
