// Durable consumers: attaching, deliveries, acknowledgements, saved positions.

#include <algorithm>

#include "router/core/core.hpp"
#include "router/store/row_bytes.hpp"

namespace kedge {

namespace {

constexpr std::size_t refetch_rows = 16;
constexpr std::uint64_t save_after_ms = 100;
constexpr std::uint64_t save_again_ms = 1000;
constexpr std::string_view every_subject = ">";

std::string_view index_pattern(consumer const& c)
{
    return c.config().filter.empty() ? every_subject : std::string_view{c.config().filter};
}

}  // namespace

// --- Attaching -------------------------------------------------------------------------------------------------------

void core::consume(link& l, op::consume&& what, std::size_t bytes, instant now, actions& out)
{
    auto const refuse = [&](error_code code, std::string text) {
        answer_error(l, what.id, {code, std::move(text)}, out);
        credit(l, bytes);
    };
    auto const s = std::find_if(streams_.begin(), streams_.end(),
                                [&](auto const& entry) { return entry.second->name() == what.stream; });
    if (s == streams_.end())
        return refuse(error_code::unknown_stream, "there is no stream " + what.stream);
    auto& of = *s->second;
    if (&of == inbox_)
        return refuse(error_code::denied, "mail is read by those it is for: say hello with inbox");
    auto const in_range = [&](std::optional<std::uint64_t> value, std::uint64_t min, std::uint64_t max, std::string_view name) {
        if (!value || (*value >= min && *value <= max))
            return true;
        refuse(error_code::bad_request,
               std::string{name} + " must be from " + std::to_string(min) + " to " + std::to_string(max));
        return false;
    };
    if (!in_range(what.window, 1, config_.limits.consumer_window, "window") ||
        !in_range(what.ack_wait_ms, config_.limits.ack_wait_ms_min, config_.limits.ack_wait_ms_max, "ack_wait_ms") ||
        !in_range(what.max_deliver, 0, 1'000'000, "max_deliver"))
        return;
    auto const known = consumers_by_name_.find({of.state.id, what.consumer});
    auto const filter = what.filter                            ? *what.filter
                        : known != consumers_by_name_.end() ? known->second->config().filter
                                                            : std::string{};
    if (known != consumers_by_name_.end() && known->second->config().owner != l.who->user)
        return refuse(error_code::denied, "consumer " + what.consumer + " of " + what.stream + " belongs to another user");
    if (!filter.empty() && std::none_of(of.state.config.subjects.begin(), of.state.config.subjects.end(),
                                        [&](auto const& pattern) { return intersects(pattern, filter); }))
        return refuse(error_code::bad_request, "the filter '" + filter + "' matches no subject of stream " + what.stream);
    for (auto const& pattern : filter.empty() ? of.state.config.subjects : std::vector<std::string>{filter})
        if (auto const decision = l.access->may_subscribe(pattern); !decision.allowed)
            return refuse(error_code::denied, decision.why);
    if (known != consumers_by_name_.end()) {
        attach(l, *known->second, what, now, out);
        credit(l, bytes);
        return;
    }

    for (auto& [request, creating] : creations_)
        if (creating.stream == of.state.id && creating.name == what.consumer) {
            if (creating.owner != l.who->user)
                return refuse(error_code::denied, "consumer " + what.consumer + " of " + what.stream + " belongs to another user");
            ++l.unanswered;
            l.creating.push_back(what.consumer);
            creating.waiters.push_back({l.id, std::move(what), bytes});
            return;
        }
    auto& count = user_consumers_[l.who->user];
    auto const creating = static_cast<std::uint64_t>(std::count_if(
        creations_.begin(), creations_.end(), [&](auto const& entry) { return entry.second.owner == l.who->user; }));
    if (count + creating >= config_.limits.user_consumers)
        return refuse(error_code::quota, "user " + l.who->user + " has " + std::to_string(count) + " consumers already");
    store_request::create_consumer create;
    create.request = next_token();
    create.config = {of.state.id, what.consumer, l.who->user, filter, what.ack_wait_ms.value_or(30'000), what.max_deliver.value_or(0)};
    create.start = what.start;
    ++l.unanswered;
    auto& entry = creations_[create.request];
    entry.stream = of.state.id;
    entry.name = what.consumer;
    entry.owner = l.who->user;
    l.creating.push_back(what.consumer);
    entry.waiters.push_back({l.id, std::move(what), bytes});
    out.requests.push_back(std::move(create));
}

void core::attach(link& l, consumer& c, op::consume const& what, instant now, actions& out)
{
    auto const& fixed = c.config();
    std::string_view other;
    if (what.filter && *what.filter != fixed.filter)
        other = "filter";
    else if (what.ack_wait_ms && *what.ack_wait_ms != fixed.ack_wait_ms)
        other = "ack_wait_ms";
    else if (what.max_deliver && *what.max_deliver != fixed.max_deliver)
        other = "max_deliver";
    if (!other.empty()) {
        answer_error(l, what.id,
                     {error_code::exists, "consumer " + fixed.name + " exists with another " + std::string{other}}, out);
        return;
    }
    auto const* const before = c.attached_to(l);
    attach(l, c, what.window.value_or(before ? before->window : window_unless_told), now);
    answer_ok(l, what.id, out);
}

void core::attach(link& l, consumer& c, std::uint64_t window, instant now)
{
    if (!c.active()) {
        auto& s = *streams_.at(c.config().stream);
        s.active.add(index_pattern(c), &c);
        ++s.attached;
    }
    c.attach(l, window);
    c.expire(now);
    changed_.insert(c.id());
}

void core::consumer_created(store_event::consumer_created&& e, instant now, actions& out)
{
    auto const at = creations_.find(e.request);
    if (at == creations_.end())
        return;
    auto const made = std::move(at->second);
    creations_.erase(at);
    auto const id = e.consumer.id;
    auto added = std::make_unique<consumer>(id, std::move(e.consumer.config), e.consumer.position, e.consumer.dead, now);
    auto& c = *added;
    if (c.is_inbox())
        mail_.add_inbox(c.config().owner, &c.done);
    else
        ++user_consumers_[c.config().owner];
    consumers_by_name_.emplace(std::pair{c.config().stream, c.config().name}, &c);
    consumers_.emplace(id, std::move(added));
    counts_.consumers.set(consumers_.size());
    if (c.is_inbox() && !nodes_.contains(c.config().name)) {  // removed meanwhile
        out.requests.push_back(store_request::remove_consumer{next_token(), id});
        return remove_consumer(c, "its node was removed", now, out);
    }
    for (auto const& w : made.waiters)
        if (auto* const l = find(w.link)) {
            if (c.is_inbox()) {
                inbox_ready(*l, c, w.what.id, now, out);
                continue;
            }
            if (!l->closed && !l->finishing)
                attach(*l, c, w.what, now, out);
            else
                answer_ok(*l, w.what.id, out);
            credit(*l, w.credit);
            answered(*l);
            go_on(*l, w.what.consumer, now, out);
        }
}

bool core::names_one_of(std::vector<std::string> const& consumers, op::any const& operation)
{
    return std::visit(
        [&](auto const& what) {
            if constexpr (requires { what.consumer; })
                return std::find(consumers.begin(), consumers.end(), what.consumer) != consumers.end();
            else
                return false;
        },
        operation);
}

void core::go_on(link& l, std::string const& name, instant now, actions& out)
{
    l.creating.erase(std::find(l.creating.begin(), l.creating.end(), name));
    release_held(l, now, out);
}

void core::detach(link& l, op::detach&& what, instant now, actions& out)
{
    auto const found = consumer_at(l, what.consumer, what.stream);
    if (!found) {
        answer_error(l, what.id, found.error(), out);
        return;
    }
    if (auto* const a = (*found)->attached_to(l))
        release(**found, *a, std::nullopt, now, out);
    answer_ok(l, what.id, out);
}

void core::release(consumer& c, attachment& a, std::optional<std::uint64_t> written, instant now, actions&)
{
    auto& l = *a.at;
    std::pair<std::string, consumer_id> const entry{c.shown_name(), c.id()};
    if (std::find(l.former.begin(), l.former.end(), entry) == l.former.end() && l.former.size() < config_.limits.user_consumers)
        l.former.push_back(entry);
    c.release(a, written, now);
    if (!c.active()) {
        auto& s = *streams_.at(c.config().stream);
        s.active.remove(index_pattern(c), &c);
        if (--s.attached == 0)
            s.newest.clear();
        if (std::exchange(c.live, false))
            c.look_from(std::max(c.next(), s.state.last + 1));
        c.fetched.clear();
        c.fetched_to = 0;
        c.refetched.clear();
    }
    changed_.insert(c.id());
}

result<consumer*> core::consumer_at(link& l, std::string const& name, std::string const& stream_name)
{
    consumer* found = nullptr;
    for (auto const* const a : l.attachments) {
        auto const& config = a->of->config();
        if (a->of->shown_name() != name || (!stream_name.empty() && streams_.at(config.stream)->name() != stream_name))
            continue;
        if (found)
            return failure{error_code::bad_request, "consumer " + name + " is attached in two streams: say which stream"};
        found = a->of;
    }
    if (found)
        return found;
    for (auto const& [former, id] : l.former) {
        auto const c = consumers_.find(id);
        if (former == name && c != consumers_.end() &&
            (stream_name.empty() || streams_.at(c->second->config().stream)->name() == stream_name))
            return c->second.get();
    }
    return failure{error_code::unknown_consumer, "no consumer " + name + " is attached to this link"};
}

// --- What clients say of deliveries ----------------------------------------------------------------------------------

void core::ack(link& l, op::ack&& what, std::size_t bytes, instant, actions& out)
{
    auto const found = consumer_at(l, what.consumer, what.stream);
    if (!found) {
        answer_error(l, what.id, found.error(), out);
        credit(l, bytes);
        return;
    }
    auto& c = **found;
    std::size_t done = 0;
    if (what.upto) {
        auto* const a = c.attached_to(l);
        auto const covered = a ? c.ack_up_to(*a, what.upto) : std::nullopt;
        done = covered.value_or(0);
        counts_.acks_ignored.add_alone(covered ? 0 : 1);
    }
    for (auto const seq : what.seqs) {
        bool const pending = c.ack(l, seq);
        done += pending;
        counts_.acks_ignored.add_alone(!pending);
    }
    counts_.acks.add_alone(done);
    changed_.insert(c.id());
    if (what.id.empty()) {
        credit(l, bytes);
        return;
    }
    if (!c.dirty && c.saving == token::none) {
        answer_ok(l, what.id, out);
        credit(l, bytes);
        return;
    }
    ++l.unanswered;
    (c.dirty ? c.wait_for_save : c.wait_for_saving).push_back({l.id, std::move(what.id), bytes});
}

void core::nak(link& l, op::nak&& what, instant now, actions& out)
{
    auto const found = consumer_at(l, what.consumer, what.stream);
    if (!found)
        return answer_error(l, what.id, found.error(), out);
    if (what.delay_ms > config_.limits.nak_delay_ms_max)
        return answer_error(l, what.id,
                            {error_code::bad_request, "delay_ms must be at most " + std::to_string(config_.limits.nak_delay_ms_max)}, out);
    if (!(*found)->nak(l, what.seq, what.delay_ms, now))
        counts_.acks_ignored.add_alone();
    changed_.insert((*found)->id());
    answer_ok(l, what.id, out);
}

void core::working(link& l, op::working&& what, instant now, actions& out)
{
    auto const found = consumer_at(l, what.consumer, what.stream);
    if (!found)
        return answer_error(l, what.id, found.error(), out);
    if (!(*found)->working(l, what.seq, now))
        counts_.acks_ignored.add_alone();
    answer_ok(l, what.id, out);
}

void core::term(link& l, op::term&& what, instant, actions& out)
{
    auto const found = consumer_at(l, what.consumer, what.stream);
    if (!found)
        return answer_error(l, what.id, found.error(), out);
    if (!(*found)->term(l, what.seq, std::move(what.reason)))
        counts_.acks_ignored.add_alone();
    changed_.insert((*found)->id());
    answer_ok(l, what.id, out);
}

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
    for (auto const& [name, n] : nodes_)
        std::erase_if(n->last, [&](auto const& p) { return p.stream == id; });
    ++generation_;
    streams_.erase(id);
    counts_.streams.set(streams_.size());
}

}  // namespace kedge
