#include "router/store/sqlite/check_rows.hpp"

#include <algorithm>
#include <stdexcept>

#include "router/store/post.hpp"
#include "router/store/row_bytes.hpp"
#include "router/store/sqlite/varint.hpp"

namespace kedge::sqlite {

namespace {

std::string of(std::uint64_t found, std::uint64_t said)
{
    return std::to_string(found) + ", not " + std::to_string(said);
}

}  // namespace

check_rows::check_rows(database& on, check_findings& findings)
    : on_{on}, findings_{findings}, subjects_{on, "subject"}, recipients_{subjects_},
      postings_{on, "SELECT subject, offsets FROM posting WHERE segment = ?"}
{
}

void check_rows::run()
{
    load_streams();
    {
        statement all{on_, "SELECT log.id, log.subject, log.time_ms, log.recipients, subject.stream, subject.used, sender.stream,"
                           " sender.used, sender.text, coalesce(length(CAST(message_id AS BLOB)), 0)"
                           " + coalesce(length(CAST(reply_to AS BLOB)), 0) + coalesce(length(CAST(headers AS BLOB)), 0) + length(body)"
                           " FROM log LEFT JOIN subject ON subject.id = log.subject LEFT JOIN sender ON sender.id = log.sender"
                           " ORDER BY log.id"};
        auto rows = all.query();
        while (rows.next())
            look_at(rows);
    }
    end_segment();
    look_for_stray_index();
    compare_streams();
    compare_usage();
    compare_mail();
}

void check_rows::load_streams()
{
    statement known{on_, "SELECT id, name, first, last, newest, messages, bytes, last_ms FROM stream"};
    auto rows = known.query();
    while (rows.next()) {
        auto& s = streams_[stream_id{static_cast<std::uint32_t>(rows.integer(0))}];
        s.name = rows.string(1);
        s.first = rows.number(2);
        s.last = rows.number(3);
        s.newest = rows.number(4);
        s.messages = rows.number(5);
        s.bytes = rows.number(6);
        s.last_ms = rows.number(7);
        if (s.first == 0 || s.first > s.last + 1 || s.last > message_seq_max)
            findings_.add("stream " + s.name + " has no sensible bounds: " + std::to_string(s.first) + " to " + std::to_string(s.last));
    }
    statement removed{on_, "SELECT id FROM garbage WHERE kind = 0"};
    auto gone = removed.query();
    while (gone.next())
        streams_[stream_id{static_cast<std::uint32_t>(gone.integer(0))}].garbage = true;
}

void check_rows::odd(counted& in, message_seq seq, char const* what)
{
    if (++in.odd_rows <= 10)
        findings_.add("row " + std::to_string(seq) + " of stream " + in.name + " " + what);
}

void check_rows::look_at(statement::rows& row)
{
    ++rows_;
    auto const key = row.integer(0);
    stream_id const stream{static_cast<std::uint32_t>(key >> 40)};
    auto const seq = seq_of(key);
    auto const segment = segment_of(seq);
    if (stream != stream_ || segment != segment_) {
        end_segment();
        stream_ = stream;
        segment_ = segment;
    }
    auto const at = streams_.find(stream);
    if (at == streams_.end()) {
        ++strays_[stream];
        return;
    }
    auto& in = at->second;
    auto const bytes = row.number(9) + row_bytes_fixed;
    bool const post = !row.bytes(3).empty();
    if (!post && in.name != inbox_stream)
        if (auto const owner = usage_owner({}, row.bytes(8)); !owner.empty()) {
            auto& used = usage_[std::string{owner}];
            ++used.messages;
            used.bytes += bytes;
        }
    if (in.garbage)
        return;
    if (seq < in.first || seq > in.last)
        odd(in, seq, "lies outside of the stream");
    if (row.number(2) < in.found_ms)
        odd(in, seq, "is older than the one before");
    in.found_ms = std::max(in.found_ms, row.number(2));
    if (in.found_messages == 0)
        in.found_first = seq;
    ++in.found_messages;
    in.found_bytes += bytes;
    in.found_newest = seq;
    auto const this_stream = static_cast<std::int64_t>(static_cast<std::uint32_t>(stream));
    if (row.integer(6) != this_stream)
        odd(in, seq, "has no sender");
    else if (segment >= row.number(7) + name_table::touch_segments)
        odd(in, seq, "has a sender that counts as unused");
    if (post)
        return look_at_post(in, stream, seq, row.bytes(3), bytes);
    if (row.integer(4) != this_stream)
        odd(in, seq, "has no subject");
    else if (segment >= row.number(5) + name_table::touch_segments)
        odd(in, seq, "has a subject that counts as unused");
    index_[static_cast<name_id>(row.integer(1))].push_back(offset_in_segment(seq));
}

void check_rows::look_at_post(counted& in, stream_id stream, message_seq seq, std::string_view recipients, std::uint64_t bytes)
try {
    for (auto const user : users_of(recipients_.text(recipients)->view())) {
        auto& got = mail_[std::string{user}];
        ++got.messages;
        got.bytes += bytes;
    }
    for (auto const inbox : recipients_.inboxes(stream, recipients))
        index_[inbox].push_back(offset_in_segment(seq));
} catch (error const&) {
    throw;
} catch (std::runtime_error const&) {
    odd(in, seq, "has recipients that are not known");
}

void check_rows::end_segment()
{
    auto rows = std::exchange(index_, {});
    auto const at = streams_.find(stream_);
    if (at != streams_.end() && !at->second.garbage && segment_ < segment_of(at->second.last + 1)) {
        compare_index(at->second, stream_, segment_, rows);
        indexed_.insert(segment_key(stream_, segment_));
    }
}

/// Offsets of rows that retention took from the front stay until their segment goes as a whole.
void check_rows::compare_index(counted const& in, stream_id stream, std::uint64_t segment, index& rows)
{
    auto const base = first_of_segment(segment);
    bool same = true;
    auto found = postings_.query(segment_key(stream, segment));
    while (same && found.next()) {
        std::vector<unsigned> offsets;
        unsigned offset = 0;
        try {
            for (blob_reader reader{found.bytes(1)}; !reader.empty();) {
                offset += static_cast<unsigned>(reader.varint());
                if (base + offset >= in.first)
                    offsets.push_back(offset);
            }
        } catch (std::runtime_error const&) {
            same = false;
        }
        auto const at = rows.find(static_cast<name_id>(found.integer(0)));
        same = same && (at == rows.end() ? offsets.empty() : at->second == offsets);
        if (at != rows.end())
            rows.erase(at);
    }
    if (!same || !rows.empty())
        findings_.add("the index of stream " + in.name + " does not fit its rows from " + std::to_string(std::max(base, in.first)) + " to "
                      + std::to_string(base + segment_rows - 1));
}

/// Of segments in which there is no row.
void check_rows::look_for_stray_index()
{
    statement segments{on_, "SELECT DISTINCT segment FROM posting"};
    auto all = segments.query();
    while (all.next()) {
        auto const key = all.integer(0);
        if (indexed_.contains(key))
            continue;
        stream_id const stream{static_cast<std::uint32_t>(key >> (40 - segment_bits))};
        auto const at = streams_.find(stream);
        if (at == streams_.end()) {
            findings_.add("there is an index of a stream that is not known (number " + std::to_string(static_cast<std::uint32_t>(stream)) + ")");
            continue;
        }
        auto const segment = static_cast<std::uint64_t>(key) & ((std::uint64_t{1} << (40 - segment_bits)) - 1);
        index none;
        if (at->second.garbage)
            continue;
        if (segment >= segment_of(at->second.last + 1))
            findings_.add("the index of stream " + at->second.name + " goes beyond its rows");
        else
            compare_index(at->second, stream, segment, none);
    }
}

void check_rows::compare_streams()
{
    for (auto const& [id, rows] : strays_)
        findings_.add(std::to_string(rows) + " rows belong to a stream that is not known (number "
                      + std::to_string(static_cast<std::uint32_t>(id)) + ")");
    for (auto const& [id, s] : streams_) {
        if (s.garbage)
            continue;
        auto const wrong = [&, &name = s.name](char const* what, std::uint64_t found, std::uint64_t said) {
            if (found != said)
                findings_.add("stream " + name + " has " + what + " " + of(found, said));
        };
        wrong("messages:", s.found_messages, s.messages);
        wrong("bytes:", s.found_bytes, s.bytes);
        wrong("its oldest row at", s.found_messages == 0 ? s.last + 1 : s.found_first, s.first);
        wrong("its newest row at", s.found_newest, s.newest);
        if (s.found_ms > s.last_ms)
            findings_.add("stream " + s.name + " has rows that are newer than it says");
        if (s.odd_rows > 10)
            findings_.add("stream " + s.name + " has " + std::to_string(s.odd_rows - 10) + " more faults in its rows");
    }
}

void check_rows::compare_usage()
{
    statement said{on_, "SELECT user, messages, bytes FROM usage"};
    auto rows = said.query();
    while (rows.next()) {
        auto const at = usage_.find(rows.bytes(0));
        auto const found = at == usage_.end() ? total{} : at->second;
        if (found.messages != rows.number(1) || found.bytes != rows.number(2))
            findings_.add("stored of " + rows.string(0) + " are messages " + of(found.messages, rows.number(1)) + ", and bytes "
                          + of(found.bytes, rows.number(2)));
        if (at != usage_.end())
            usage_.erase(at);
    }
    for (auto const& [user, found] : usage_)
        findings_.add("what is stored of " + user + " is not counted: " + std::to_string(found.messages) + " messages");
}

/// All that a user ever got: at least what is there.
void check_rows::compare_mail()
{
    statement said{on_, "SELECT messages, bytes FROM mailbox WHERE user = ?"};
    for (auto const& [user, found] : mail_) {
        auto rows = said.query(std::string_view{user});
        bool const known = rows.next();
        if (!known || rows.number(0) < found.messages || rows.number(1) < found.bytes)
            findings_.add("the mail of " + user + " is counted as " + (known ? std::to_string(rows.number(0)) : "0")
                          + " messages, and more are there: " + std::to_string(found.messages));
    }
}

}  // namespace kedge::sqlite
