// Durable consumers: attaching to them, and what clients say of deliveries.

#include <algorithm>

#include "router/core/core.hpp"

namespace kedge {

namespace {

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

}  // namespace kedge
