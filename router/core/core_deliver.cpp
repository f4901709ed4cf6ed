// Durable consumers: deliveries, saved positions, and how consumers and streams end.

#include <algorithm>

#include "router/core/core.hpp"
#include "router/store/row_bytes.hpp"

namespace kedge {

namespace {

constexpr std::size_t refetch_rows = 16;
constexpr std::uint64_t save_after_ms = 100;
constexpr std::uint64_t save_again_ms = 1000;

}  // namespace

// --- Deliveries ------------------------------------------------------------------------------------------------------

void core::deliver(consumer& c, attachment& a, row const& r, instant now, actions& out)
{
    auto& l = *a.at;
    auto view = view_of(*streams_.at(c.config().stream), r, r.recipients ? std::string_view{c.config().filter} : r.message->subject());
    view.consumer = c.shown_name();
    view.tries = c.tries(r.seq) + 1;
    send(l, encode(view, l.form), out);
    c.delivered(a, r.seq, l.handed, now, row_bytes(*r.message));
    counts_.delivered.add_alone();
    counts_.redeliveries.add_alone(view.tries > 1);
}

bool core::paused(consumer const& c) const
{
    return c.config().paused || streams_.at(c.config().stream)->state.config.paused;
}

void core::offer(consumer& c, row const& r, instant now, actions& out)
{
    // A consumer that is behind finds the row by itself; one that has read ahead of this event has had it.
    if (!c.live)
        return;
    if (r.seq < c.next()) {
        if (c.is_inbox())
            changed_.insert(c.id());  // the sum of its user's mail has grown by what it is done with
        return;
    }
    if (r.recipients && !c.wants(r))
        return c.skip(r);
    if (!paused(c) && c.redeliver() == 0 && c.pending_count() < config_.limits.consumer_pending)
        if (auto* const a = c.next_with_room(config_.limits.link_unsent_bytes / 2)) {
            deliver(c, *a, r, now, out);
            if (c.armed_ms == 0)
                changed_.insert(c.id());
            return;
        }
    c.live = false;
    c.look_from(r.seq);
}

void core::pump(consumer& c, instant now, actions& out)
{
    if (c.fetching || !c.active() || paused(c))
        return;
    auto& s = *streams_.at(c.config().stream);
    auto const ask = [&](store_request::any request, token name) {
        c.fetching = true;
        reads_.emplace(name, c.id());
        out.requests.push_back(std::move(request));
    };
    for (;;) {
        auto const again = c.redeliver();
        if (!again && (c.live || c.pending_count() >= config_.limits.consumer_pending))
            return;
        auto* const a = c.next_with_room(config_.limits.link_unsent_bytes / 2);
        if (!a)
            return;
        if (again) {
            if (auto const* const kept = s.newest.find(again)) {
                deliver(c, *a, *kept, now, out);
            } else if (auto const read = c.refetched.find(again); read != c.refetched.end()) {
                deliver(c, *a, read->second, now, out);
                c.refetched.erase(read);
            } else {
                auto const name = next_token();
                c.refetched.clear();
                c.asked = c.to_redeliver(refetch_rows);
                return ask(store_request::read_seqs{name, s.state.id, c.id(), c.asked}, name);
            }
            continue;
        }
        if (!c.fetched.empty()) {
            auto const r = std::move(c.fetched.front());
            c.fetched.pop_front();
            if (r.recipients && !c.wants(r)) {
                c.skip(r);
                c.look_from(r.seq + 1);
                continue;
            }
            deliver(c, *a, r, now, out);
            continue;
        }
        if (c.next() < c.fetched_to)
            c.look_from(c.fetched_to);
        row const* kept = s.newest.find(c.next());
        for (; kept && !c.wants(*kept); kept = s.newest.find(c.next())) {
            c.skip(*kept);
            c.look_from(c.next() + 1);
        }
        if (kept) {
            deliver(c, *a, *kept, now, out);
        } else if (c.next() > s.state.last) {
            c.live = true;
        } else {
            auto const name = next_token();
            store_request::read read;
            read.request = name;
            read.stream = s.state.id;
            read.from = c.next();
            read.filter = c.config().filter;
            return ask(std::move(read), name);
        }
    }
}

void core::rows_read(store_event::rows_read&& e, instant, actions&)
{
    auto const at = reads_.find(e.request);
    if (at == reads_.end())
        return;
    auto const found = consumers_.find(at->second);
    reads_.erase(at);
    if (found == consumers_.end())
        return;
    auto& c = *found->second;
    c.fetching = false;
    changed_.insert(c.id());
    if (auto const asked = std::exchange(c.asked, {}); !asked.empty()) {
        for (auto& r : e.rows)
            c.refetched.emplace(r.seq, std::move(r));
        for (auto const seq : asked)
            if (!c.refetched.contains(seq))
                c.gone(seq);
        return;
    }
    if (!c.active())
        return;
    for (auto& r : e.rows)
        if (r.seq >= c.next())
            c.fetched.push_back(std::move(r));
    c.fetched_to = e.next;
}

// --- Positions -------------------------------------------------------------------------------------------------------

void core::after_change(consumer& c, instant now, actions& out)
{
    pump(c, now, out);
    if (c.is_inbox() && c.live && c.pending_count() == 0)
        c.done = mail_.total(c.config().owner);  // what retention took was never seen, and is done with too
    if (auto const due = c.due_ms(); due && (c.armed_ms == 0 || *due < c.armed_ms)) {
        c.armed_ms = *due;
        arm(*due, c.id());
    }
    if (!c.wait_for_save.empty() || c.has_deaths()) {
        save(c, now, out);
    } else if (c.dirty) {
        unsaved_.insert(c.id());
        if (!save_due_ms_)
            save_due_ms_ = now.steady_ms + save_after_ms;
    }
}

void core::save(consumer& c, instant now, actions& out)
{
    if (c.saving != token::none || (!c.dirty && !c.has_deaths() && c.wait_for_save.empty()))
        return;
    if (c.live)
        c.look_from(std::max(c.next(), streams_.at(c.config().stream)->state.last + 1));
    store_request::save_cursor request;
    request.request = c.saving = next_token();
    request.consumer = c.id();
    request.position = c.position(now);
    request.deaths = c.saving_deaths = c.take_deaths();
    request.now_ms = now.wall_ms;
    c.dirty = false;
    c.wait_for_saving.insert(c.wait_for_saving.end(), std::make_move_iterator(c.wait_for_save.begin()),
                             std::make_move_iterator(c.wait_for_save.end()));
    c.wait_for_save.clear();
    saves_.emplace(c.saving, c.id());
    out.requests.push_back(std::move(request));
}

bool core::saved(token request, std::optional<failure> const& why, instant now, actions& out)
{
    auto const at = saves_.find(request);
    if (at == saves_.end())
        return false;
    auto const found = consumers_.find(at->second);
    saves_.erase(at);
    if (found == consumers_.end())
        return true;
    auto& c = *found->second;
    c.saving = token::none;
    for (auto const& w : std::exchange(c.wait_for_saving, {}))
        if (auto* const l = find(w.link)) {
            if (why)
                answer_error(*l, w.id, *why, out);
            else
                answer_ok(*l, w.id, out);
            credit(*l, w.credit);
            answered(*l);
        }
    auto deaths = std::exchange(c.saving_deaths, {});
    if (why) {
        c.dirty = true;
        c.restore_deaths(std::move(deaths));
        unsaved_.insert(c.id());
        save_due_ms_ = now.steady_ms + save_again_ms;
        return true;
    }
    c.dead = std::min<std::uint64_t>(c.dead + deaths.size(), config_.limits.dead_letters);  // the store drops the oldest
    counts_.dead_letters.add_alone(deaths.size());
    for (auto const& d : deaths)
        event("$sys.dead",
              {{"stream", streams_.at(c.config().stream)->name()}, {"consumer", c.config().name}, {"seq", d.seq}, {"reason", d.reason}},
              now, out);
    changed_.insert(c.id());
    return true;
}

void core::remove_consumer(consumer& c, std::string_view why, instant now, actions& out)
{
    auto const id = c.id();
    auto const name = std::string{c.shown_name()};
    while (c.active()) {
        auto& a = *c.attachments().back();
        auto& l = *a.at;
        release(c, a, std::nullopt, now, out);
        answer_error(l, {}, {error_code::unknown_consumer, "consumer " + name + ": " + std::string{why}}, out);
    }
    for (auto* const waiting : {&c.wait_for_save, &c.wait_for_saving})
        for (auto const& w : *waiting)
            if (auto* const l = find(w.link)) {
                answer_error(*l, w.id, {error_code::unknown_consumer, "consumer " + name + ": " + std::string{why}}, out);
                credit(*l, w.credit);
                answered(*l);
            }
    if (c.is_inbox())
        mail_.remove_inbox(c.config().owner, &c.done);
    else
        --user_consumers_[c.config().owner];
    consumers_by_name_.erase({c.config().stream, c.config().name});
    changed_.erase(id);
    unsaved_.erase(id);
    consumers_.erase(id);
    counts_.consumers.set(consumers_.size());
}

void core::forget_rows(stream& s)
{
    s.newest.clear();
    for (auto const& [id, c] : consumers_)
        if (c->config().stream == s.state.id) {
            c->fetched.clear();
            c->fetched_to = 0;
            c->refetched.clear();
            changed_.insert(id);
        }
}

void core::remove_stream(stream& s, instant now, actions& out)
{
    auto const id = s.state.id;
    std::vector<consumer*> gone;
    for (auto const& [key, c] : consumers_)
        if (c->config().stream == id)
            gone.push_back(c.get());
    for (auto* const c : gone)
        remove_consumer(*c, "its stream was removed", now, out);
    for (auto const& pattern : s.state.config.subjects)
        stream_index_.remove(pattern, &s);
    for (auto& [request, f] : std::exchange(s.in_flight, {})) {
        store_queue_bytes_ -= f.cost();
        stored(f, false);
        if (f.node) {
            --f.node->flights;
            if (!f.message->id().empty())
                f.node->in_flight.erase(f.message->id());
        }
        failure const why{error_code::unknown_stream, "the stream " + s.name() + " was removed"};
        f.same.push_back({f.link, request});
        for (auto const& w : f.same)
            if (auto* const l = find(w.link))
                answer_slot(w.link, id, w.request, encode_error(*l, f.message->id(), why), out);
    }
    counts_.store_queue_bytes.set(store_queue_bytes_);
    if (has_migration_)
        out.removed.push_back(id);
    for (auto const& [name, n] : nodes_)
        std::erase_if(n->last, [&](auto const& p) { return p.stream == id; });
    ++generation_;
    streams_.erase(id);
    counts_.streams.set(streams_.size());
}

}  // namespace kedge
