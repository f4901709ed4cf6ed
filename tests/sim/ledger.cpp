#include "tests/sim/ledger.hpp"

#include <algorithm>
#include <charconv>

#include "router/protocol/subject.hpp"

namespace kedge::sim {

namespace {

std::string where(stream_id stream, message_seq seq)
{
    return "stream " + std::to_string(static_cast<std::uint32_t>(stream)) + " seq " + std::to_string(seq);
}

bool same(message const& a, message const& b)
{
    return a.subject() == b.subject() && a.id() == b.id() && a.reply_to() == b.reply_to() && a.headers() == b.headers()
        && a.body() == b.body();
}

bool is_named(std::string_view sender) { return sender.find('~') == std::string_view::npos; }

}  // namespace

std::size_t ledger::make(message::parts parts, std::uint64_t n, std::string reliable, std::size_t padding, std::vector<std::string> to)
{
    std::string body = std::to_string(messages_.size()) + ':';
    body.append(padding, 'x');
    parts.body = body;
    if (!to.empty())
        posts_.emplace(parts.id, messages_.size());
    messages_.push_back({messages_.size(), message::make(parts), n, 0, 0, std::move(reliable), std::move(to)});
    return messages_.size() - 1;
}

made_message& ledger::of(std::string_view body)
{
    std::size_t number = 0;
    auto const [end, error] = std::from_chars(body.data(), body.data() + body.size(), number);
    if (error != std::errc{} || end == body.data() + body.size() || *end != ':' || number >= messages_.size())
        throw violation{"a body that nobody published: " + std::string{body.substr(0, 40)}};
    return messages_[number];
}

void ledger::stream_exists(stream_state const& s)
{
    auto& made = logs_[s.id];
    made.config = s.config;
    if (s.last != made.rows.size())
        throw violation{where(s.id, s.last) + ": the store's last seq, but " + std::to_string(made.rows.size())
                        + " rows were committed"};
    made.trimmed_to = std::max(made.trimmed_to, s.first);
}

ledger::log& ledger::log_of(std::string_view name)
{
    for (auto& [id, l] : logs_)
        if (l.config.name == name)
            return l;
    throw violation{"no stream has the name " + std::string{name}};
}

stream_id ledger::stream_for(std::string_view subject) const
{
    for (auto const& [id, l] : logs_)
        if (subject.empty() && l.config.name == inbox_stream)
            return id;
    for (auto const& [id, l] : logs_)
        for (auto const& pattern : l.config.subjects)
            if (matches(pattern, subject))
                return id;
    return {};
}

void ledger::committed(stream_id stream, row const& r)
{
    auto& l = logs_.at(stream);
    if (r.seq != l.rows.size() + 1)
        throw violation{where(stream, r.seq) + " committed after " + std::to_string(l.rows.size()) + ": not dense"};
    if (!l.rows.empty() && r.time_ms < l.rows.back().time_ms)
        throw violation{where(stream, r.seq) + ": its time is before that of the row below"};
    auto& m = of(r.message->body());
    if (!same(*m.message, *r.message))
        throw violation{where(stream, r.seq) + ": the row is not the message that was published"};
    if (m.open_sends == 0)
        throw violation{where(stream, r.seq) + ": message " + std::to_string(m.number) + " was stored, but every send of it"
                        " was refused or none was made"};
    if (stream_for(r.message->subject()) != stream)
        throw violation{where(stream, r.seq) + ": a subject of another stream"};

    std::string const sender{r.sender->view()};
    auto& known = senders_[{sender, stream}];
    if (is_named(sender) && !m.message->id().empty()) {
        auto const [at, fresh] = known.ids.try_emplace(std::string{m.message->id()}, r.seq);
        if (!fresh) {
            if (r.time_ms < l.rows[at->second - 1].time_ms + dedupe_ms_)
                throw violation{where(stream, r.seq) + ": id " + at->first + " of " + sender + " is stored twice, first at "
                                + std::to_string(at->second)};
            at->second = r.seq;
        }
    }
    if (m.n != 0) {
        if (m.n <= known.highest_n)
            throw violation{where(stream, r.seq) + ": n " + std::to_string(m.n) + " of " + sender + " after "
                            + std::to_string(known.highest_n)};
        known.highest_n = m.n;
    }
    if (!m.reliable.empty()) {
        auto const [last, first] = reliable_[m.reliable].try_emplace(stream, m.number);
        bool const window_over = m.stored_at != 0 && r.time_ms >= l.rows[m.stored_at - 1].time_ms + dedupe_ms_;
        // What names an alias, a list or a node may be refused for good, unheard, and be taken when it is tried again.
        bool const may_be_refused = std::any_of(m.to.begin(), m.to.end(), [](auto const& name) {
            return name == "nobody" || name.find_first_of("~@/") != std::string::npos;
        });
        bool const came_late = may_be_refused && last->second > m.number && m.stored_at == 0;
        if (!first && last->second >= m.number && !window_over && !came_late)
            throw violation{where(stream, r.seq) + ": " + m.reliable + " published message " + std::to_string(m.number)
                            + " before " + std::to_string(last->second) + ", but they are stored the other way round, or twice"};
        last->second = std::max(last->second, m.number);
    }
    if (m.stored_at == 0)
        m.stored_at = r.seq;
    l.rows.push_back(r);
}

void ledger::trimmed(stream_id stream, message_seq first)
{
    auto& l = logs_.at(stream);
    l.trimmed_to = std::max(l.trimmed_to, first);
}

void ledger::acknowledged(std::size_t number, std::string_view sender, bool named, notice::ok const& ok)
{
    auto const& m = messages_.at(number);
    auto const stream = stream_for(m.message->subject());
    if (stream == stream_id{}) {
        if (!ok.stream.empty() || ok.seq != 0 || ok.dup)
            throw violation{"`ok` of a plain publish names a stream"};
        return;
    }
    auto& l = logs_.at(stream);
    if (ok.stream != l.config.name || ok.seq == 0)
        throw violation{"`ok` of a durable publish without its stream and seq"};
    if (ok.seq > l.rows.size())
        throw violation{where(stream, ok.seq) + ": acknowledged, but not committed"};
    auto const& r = l.rows[ok.seq - 1];
    bool const same_content = r.message->subject() == m.message->subject() && r.message->id() == m.message->id()
        && r.message->headers() == m.message->headers() && r.message->body() == m.message->body();
    if (!same_content || r.sender->view() != sender)
        throw violation{where(stream, ok.seq) + ": acknowledged to " + std::string{sender} + " for message "
                        + std::to_string(number) + ", but that row is another"};
    if (ok.dup && !named)
        throw violation{where(stream, ok.seq) + ": `dup` for a link without a node"};
    if (!ok.dup && !first_oks_.emplace(stream, ok.seq).second)
        throw violation{where(stream, ok.seq) + ": acknowledged twice without `dup`"};
}

void ledger::refused(std::size_t number)
{
    auto& m = messages_.at(number);
    if (--m.open_sends == 0 && m.stored_at != 0)
        throw violation{"message " + std::to_string(number) + " is stored at " + std::to_string(m.stored_at)
                        + ", but its only send was answered by an error that says it is not"};
}

void ledger::acknowledged_post(std::string_view sender, notice::ok const& ok)
{
    auto const at = posts_.find(ok.id);
    if (at == posts_.end())
        throw violation{"`ok` " + ok.id + " names the inboxes' stream, but is no post's"};
    acknowledged(at->second, sender, is_named(sender), ok);
}

void ledger::refused_post(std::string const& id, error_code code)
{
    // An id with more than one send under way may be answered for any of them: the counts are the same.
    if (auto const at = posts_.find(id); at != posts_.end() && !outcome_unknown(code))
        refused(at->second);
}

void ledger::forget_node(std::string const& name)
{
    std::erase_if(senders_, [&](auto const& known) { return known.first.first == name; });
    reliable_.erase(name);
    reliable_.erase(name.substr(0, name.find('/')));
}

void ledger::purging(stream_id stream, std::string const& filter, message_seq up_to)
{
    auto& l = logs_.at(stream);
    for (auto const& r : l.rows)
        if ((up_to == 0 || r.seq <= up_to) && (filter.empty() || matches(filter, r.message->subject())))
            l.purged.insert(r.seq);
}

void ledger::stored(std::string_view sender, notice::stored const& told)
{
    auto& l = log_of(told.stream);
    auto const stream = stream_for(l.config.subjects.front());
    if (told.seq == 0 || told.seq > l.rows.size())
        throw violation{"`stored` names a seq that is not committed: " + std::to_string(told.seq)};
    auto const& r = l.rows[told.seq - 1];
    if (r.sender->view() != sender || of(r.message->body()).n != told.n)
        throw violation{where(stream, told.seq) + ": `stored` names it for n " + std::to_string(told.n) + " of "
                        + std::string{sender} + ", but that row is another"};
    auto& known = senders_[{std::string{sender}, stream}];
    known.told_n = std::max(known.told_n, told.n);
}

std::uint64_t ledger::highest_n(std::string_view sender, stream_id stream) const
{
    auto const at = senders_.find({std::string{sender}, stream});
    return at == senders_.end() ? 0 : at->second.highest_n;
}

std::uint64_t ledger::told_n(std::string_view sender, stream_id stream) const
{
    auto const at = senders_.find({std::string{sender}, stream});
    return at == senders_.end() ? 0 : at->second.told_n;
}

void ledger::check_all_reliable_stored() const
{
    for (auto const& m : messages_)
        if (!m.reliable.empty() && !m.given_up && m.open_sends != 0 && m.stored_at == 0)
            throw violation{"message " + std::to_string(m.number) + " of " + m.reliable + " is not stored, though its publisher "
                            "never gave up"};
}

}  // namespace kedge::sim
