#include "router/store/memory_store.hpp"

#include <algorithm>

#include "router/store/bounds.hpp"
#include "router/store/dedupe_window.hpp"
#include "router/store/memory_batch.hpp"
#include "router/store/post.hpp"
#include "router/store/row_bytes.hpp"

namespace kedge {

namespace {

constexpr std::size_t trim_rows_max = 1000;  // of one stream in one call of `maintain`

}  // namespace

memory_store::memory_store(limits const& bounds, std::string incarnation, std::string secret)
    : limits_{bounds}, incarnation_{std::move(incarnation)}, secret_{std::move(secret)}
{
}

void memory_store::fail(fault what, unsigned skip)
{
    fault_ = what;
    fault_in_ = skip;
}

void memory_store::crash()
{
    if (after_crash_)
        disk_ = std::move(*after_crash_);
    after_crash_.reset();
    gate_.clear();
    backups_due_.clear();
    purges_.clear();
    usage_due_.clear();
    marks_.clear();
    fault_ = fault::none;
}

bool memory_store::restore(std::string const& path, std::string incarnation)
{
    auto const at = backups_.find(path);
    if (at == backups_.end())
        return false;
    after_crash_ = at->second;
    crash();
    incarnation_ = std::move(incarnation);
    return true;
}

memory_store::fault memory_store::next_fault()
{
    if (fault_ == fault::none)
        return fault::none;
    if (fault_in_ != 0) {
        --fault_in_;
        return fault::none;
    }
    return std::exchange(fault_, fault::none);
}

store_contents memory_store::load(std::uint64_t now_ms)
{
    auto const inbox = std::ranges::find(disk_.streams, inbox_stream,
                                         [](auto const& s) -> auto const& { return s.second.state.config.name; });
    if (inbox == disk_.streams.end()) {
        auto const id = stream_id{++disk_.last_stream};
        disk_.streams[id].state = {id, inbox_config(limits_)};
    } else {
        inbox->second.state.config = inbox_config(limits_);
    }
    store_contents all;
    all.incarnation = incarnation_;
    all.secret = secret_;
    for (auto const& [id, s] : disk_.streams)
        all.streams.push_back(s.state);
    for (auto const& [id, c] : disk_.consumers) {
        all.consumers.push_back(c.state);
        all.consumers.back().dead = static_cast<std::uint64_t>(
            std::ranges::count_if(c.dead, [](auto const& entry) { return !entry.second.replayed; }));
    }
    for (auto const& [name, n] : disk_.nodes) {
        all.nodes.push_back({name, n.seen_ms, {}});
        for (auto const& [stream, numbers] : n.last)
            all.nodes.back().last.push_back({stream, numbers});
    }
    for (auto const& [user, mail] : disk_.mail)
        all.mail.push_back(mail);
    for (auto const& [user, usage] : disk_.usage)
        all.usage.push_back(usage);
    for (auto const& [id, m] : disk_.mirrors)
        all.mirrors.push_back(m.state);
    all.bridges = disk_.bridges;
    all.ids = dedupe_window({disk_.ids.rbegin(), disk_.ids.rend()}, limits_, now_ms);
    return all;
}

void memory_store::refuse(store_request::any const& request, failure const& why, batch_events& events)
{
    std::visit(
        [&](auto const& r) {
            using type = std::decay_t<decltype(r)>;
            if constexpr (std::is_same_v<type, store_request::append>) {
                if (!disk_.streams.contains(r.stream))
                    return events.append_failed(r, store_failure::unknown_stream());
                gate_.failed(r, why);
                events.append_failed(r, why);
            } else if constexpr (requires { r.request; }) {
                events.failed(r.request, why);
            }
        },
        request);
}

void memory_store::execute(std::vector<store_request::any> batch, std::vector<store_event::any>& out)
{
    auto const met = next_fault();
    if (met == fault::none) {
        batch_run run{*this, out};
        for (auto const& request : batch)
            std::visit(run, request);
        after_crash_.reset();
        ++commits_;
        return;
    }
    if (met == fault::stored) {
        auto const before = disk_;
        auto const due = backups_due_;
        auto const purges = purges_;
        std::vector<store_event::any> unheard;
        batch_run run{*this, unheard};
        for (auto const& request : batch)
            std::visit(run, request);
        after_crash_ = std::exchange(disk_, before);
        backups_due_ = due;
        purges_ = purges;
    }
    auto const why = met == fault::full ? store_failure::full() : failure{error_code::internal, "the disk failed"};
    batch_events events{out};
    batch_run run{*this, out};
    bool rest = false;
    for (auto const& request : batch) {
        if (met == fault::broken || std::holds_alternative<store_request::append>(request)
            || std::holds_alternative<store_request::import_messages>(request)) {
            refuse(request, why, events);
        } else {
            std::visit(run, request);
            rest = true;
        }
    }
    if (rest) {
        after_crash_.reset();
        ++commits_;
    }
}

message_seq memory_store::lowest_unfinished(stream const& of) const
{
    message_seq lowest = 0;
    for (auto const& [id, c] : disk_.consumers) {
        if (c.state.config.stream != of.state.id)
            continue;
        auto const& position = c.state.position;
        auto const mine = position.pending.empty() ? position.next : position.pending.front().seq;
        lowest = lowest == 0 ? mine : std::min(lowest, mine);
    }
    return lowest;  // 0: no consumer, so nobody is done with anything
}

row const* memory_store::find_row(stream const& in, message_seq seq)
{
    auto const at = std::ranges::lower_bound(in.rows, seq, {}, &row::seq);
    return at == in.rows.end() || at->seq != seq ? nullptr : &*at;
}

void memory_store::count_out(stream& of, row const& gone)
{
    auto const bytes = row_bytes(*gone.message);
    --of.state.messages;
    of.state.bytes -= bytes;
    if (auto* const copy = mirror_of(of.state.id))
        count_out(*copy, gone);
    auto const owner = usage_owner(of.state.config, gone.sender->view());
    if (auto const at = disk_.usage.find(owner); at != disk_.usage.end()) {
        usage_due_.insert(at->first);
        at->second.bytes -= bytes;
        if (--at->second.messages == 0)
            disk_.usage.erase(at);
    }
}

void memory_store::remove_rows(stream& of, std::function<bool(row const&)> const& gone)
{
    std::erase_if(of.rows, [&](row const& stored) {
        if (!gone(stored))
            return false;
        count_out(of, stored);
        return true;
    });
    of.state.first = of.rows.empty() ? of.state.last + 1 : of.rows.front().seq;
}

void memory_store::drop_older_of_subjects(stream& of, message_seq may_go)
{
    auto const most = of.state.config.max_msgs_per_subject;
    if (most == 0 || of.subjects_checked)
        return;
    std::map<std::string, std::uint64_t, std::less<>> too_many;  // of its own: the messages go meanwhile
    for (auto const& stored : of.rows)
        if (stored.seq <= may_go)
            ++too_many[std::string{stored.message->subject()}];
    for (auto& [subject, rows] : too_many)
        rows -= std::min(rows, most);
    remove_rows(of, [&](row const& stored) {  // the oldest come first
        if (stored.seq > may_go)
            return false;
        auto& rows = too_many.find(stored.message->subject())->second;
        return rows != 0 && rows-- != 0;
    });
    of.subjects_checked = may_go >= of.state.last;
}

bool memory_store::trim(stream& of, std::uint64_t now_ms, std::vector<store_event::any>& out)
{
    auto& state = of.state;
    auto const& bounds = state.config;
    auto const before = state.messages;
    auto const may_go = may_go_up_to(of, now_ms);
    drop_older_of_subjects(of, may_go);
    auto const done_below = bounds.keep == retention::interest ? lowest_unfinished(of) : 0;
    auto const goes = [&](row const& oldest) {
        return oldest.seq <= may_go
            && (overflows(state) || (bounds.max_age_ms != 0 && oldest.time_ms + bounds.max_age_ms <= now_ms) || oldest.seq < done_below);
    };
    std::size_t gone = 0;
    for (; gone < trim_rows_max && !of.rows.empty() && goes(of.rows.front()); ++gone) {
        count_out(of, of.rows.front());
        of.rows.pop_front();
    }
    if (state.messages == before)
        return false;
    state.first = of.rows.empty() ? state.last + 1 : of.rows.front().seq;
    after_crash_.reset();
    out.push_back(store_event::stream_trimmed{state.id, state.first, state.messages, state.bytes});
    return gone == trim_rows_max;
}

bool memory_store::purge_slice(std::vector<store_event::any>& out)
{
    if (purges_.empty())
        return false;
    auto& [request, taken] = purges_.front();
    std::size_t gone = 0;
    if (auto const at = disk_.streams.find(request.stream); at != disk_.streams.end()) {
        auto const& state = at->second.state;
        remove_rows(at->second, [&](row const& stored) {
            return gone < trim_rows_max && stored.seq <= request.up_to && takes(request.filter, stored) && ++gone != 0;
        });
        if (gone != 0) {
            after_crash_.reset();
            out.push_back(store_event::stream_trimmed{state.id, state.first, state.messages, state.bytes});
        }
    }
    taken += gone;
    if (gone < trim_rows_max) {
        out.push_back(store_event::purged{request.request, taken});
        purges_.pop_front();
    }
    return !purges_.empty();
}

void memory_store::tell_usage(std::vector<store_event::any>& out)
{
    if (usage_due_.empty())
        return;
    store_event::usage_changed changed;
    for (auto const& user : std::exchange(usage_due_, {})) {
        auto const at = disk_.usage.find(user);
        changed.users.push_back(at == disk_.usage.end() ? usage_state{user} : at->second);
    }
    out.push_back(std::move(changed));
}

bool memory_store::maintain(std::uint64_t now_ms, std::vector<store_event::any>& out)
{
    bool more = false;
    for (auto& [id, copy] : disk_.mirrors)
        raise_floor(copy, disk_.streams.at(id));
    for (auto& [id, s] : disk_.streams)
        more = trim(s, now_ms, out) || more;
    more = purge_slice(out) || more;
    tell_usage(out);
    if (disk_.ids.size() > 2 * limits_.dedupe_ids_total) {
        auto kept = dedupe_window({disk_.ids.rbegin(), disk_.ids.rend()}, limits_, now_ms);
        disk_.ids.assign(std::make_move_iterator(kept.begin()), std::make_move_iterator(kept.end()));
    }
    while (!disk_.ids.empty() && disk_.ids.front().time_ms + limits_.dedupe_ms <= now_ms)
        disk_.ids.pop_front();
    for (auto const& [request, path] : std::exchange(backups_due_, {})) {
        backups_.emplace(path, disk_);
        if (request != token::none)
            out.push_back(store_event::done{request});
    }
    return more;
}

}  // namespace kedge
