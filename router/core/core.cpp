#include "router/core/core.hpp"

#include <algorithm>

#include "router/admin/admin.hpp"

namespace kedge {

namespace {

id_windows::bounds window_bounds(limits const& l) { return {l.dedupe_ms, l.dedupe_ids, l.dedupe_ids_total}; }

}  // namespace

core::core(core_config config, store_contents stored, account_store::contents accounts, metrics& counts, instant now)
    : config_{std::move(config)},
      counts_{counts},
      now_{now},
      started_{now},
      window_{window_bounds(config_.limits)},
      sys_{shared_bytes::copy_of("$sys")},
      users_{std::move(accounts.users)},
      keys_{std::move(accounts.keys)},
      rules_{std::move(accounts.rules)},
      bans_{std::move(accounts.bans)},
      book_{std::move(accounts.aliases), std::move(accounts.lists)},
      admin_{std::make_unique<admin>(*this)}
{
    for (auto& state : stored.streams) {
        auto added = std::make_unique<stream>();
        added->state = std::move(state);
        for (auto const& pattern : added->state.config.subjects)
            stream_index_.add(pattern, added.get());
        if (added->name() == inbox_stream)
            inbox_ = added.get();
        auto const id = added->state.id;
        streams_.emplace(id, std::move(added));
    }
    for (auto& state : stored.consumers) {
        auto const id = state.id;
        auto const key = std::pair{state.config.stream, state.config.name};
        auto added = std::make_unique<consumer>(id, std::move(state.config), state.position, state.dead, now);
        if (added->is_inbox())
            mail_.add_inbox(added->config().owner, &added->done);
        else
            ++user_consumers_[added->config().owner];
        consumers_by_name_.emplace(key, added.get());
        if (added->has_deaths())
            changed_.insert(id);
        consumers_.emplace(id, std::move(added));
    }
    for (auto const& state : stored.mail)
        mail_.load(state);
    for (auto& state : stored.nodes) {
        auto added = std::make_unique<node>();
        added->name = state.name;
        added->user = state.name.substr(0, state.name.find('/'));
        added->seen_ms = state.seen_ms;
        for (auto const& h : state.last)
            added->last.push_back({.stream = h.stream, .submitted = h.numbers.n, .stored = h.numbers});
        ++user_nodes_[added->user];
        nodes_.emplace(std::move(state.name), std::move(added));
    }
    for (auto const& r : stored.ids)
        window_.add(r.sender, r.id, {r.stream, r.seq, r.digest}, r.time_ms);
    directory_ = std::make_shared<account_directory const>(users_, keys_, bans_);
    for (auto const& u : stored.usage)
        budget_of(u.user).stored = u;
    measure();
}

core::~core() = default;

void core::set_limits(limits const& l)
{
    config_.limits = l;
    window_.set_bounds(window_bounds(l));
    configure_budgets();
    retire_due_ms_ = 0;
}

std::string core::not_ready_because() const
{
    if (draining_)
        return "the server is draining";
    if (store_trouble_)
        return "the store fails: " + store_trouble_->message;
    return {};
}

link* core::find(link_id id)
{
    auto const at = links_.find(id);
    return at == links_.end() ? nullptr : at->second.get();
}

// --- Events ----------------------------------------------------------------------------------------------------------

void core::step(link_event::any e, instant now, actions& out)
{
    now_ = now;
    if (auto* const opened = std::get_if<link_event::opened>(&e.what)) {
        open(e.link, std::move(*opened), now, out);
        return;
    }
    auto* const l = find(e.link);
    if (!l)
        return;
    if (auto* const operation = std::get_if<link_event::operation>(&e.what)) {
        counts_.operations.add_alone();
        l->inflight += operation->bytes;
        l->heard_ms = now.steady_ms;
        if (may_go_on(*l))
            release_held(*l, now, out);
        if (l->held_end) {
            credit(*l, operation->bytes);  // said after the end
        } else if (!l->held.empty() && std::holds_alternative<op::quit>(operation->what)) {
            l->held_end = true;
            credit(*l, operation->bytes);
        } else if (must_wait(*l, operation->what)) {
            hold(*l, std::move(*operation));
        } else {
            handle(*l, std::move(operation->what), operation->bytes, now, out);
        }
    } else if (auto const* const bytes = std::get_if<link_event::written>(&e.what)) {
        written(*l, bytes->bytes);
        if (may_go_on(*l))
            release_held(*l, now, out);
    } else if (std::holds_alternative<link_event::input_ended>(e.what)) {
        if (!l->held.empty())
            l->held_end = true;
        else
            input_ended(*l, now, out);
    } else if (auto const* const gone = std::get_if<link_event::closed>(&e.what)) {
        closed(e.link, gone->written, now, out);
    } else if (auto* const request = std::get_if<link_event::admin_request>(&e.what)) {
        admin_->handle(*l, request->request, std::move(request->call), now, out);
    }
}

void core::step(store_event::any e, instant now, actions& out)
{
    now_ = now;
    if (auto* const rows = std::get_if<store_event::rows_arrived>(&e)) {
        rows_arrived(std::move(*rows), now, out);
    } else if (auto* const refused = std::get_if<store_event::append_failed>(&e)) {
        append_failed(std::move(*refused), now, out);
    } else if (auto* const read = std::get_if<store_event::rows_read>(&e); read && reads_.contains(read->request)) {
        rows_read(std::move(*read), now, out);
    } else if (auto* const created = std::get_if<store_event::consumer_created>(&e)) {
        consumer_created(std::move(*created), now, out);
    } else if (auto const* const usage = std::get_if<store_event::usage_changed>(&e)) {
        usage_changed(*usage);
    } else if (auto const* const trimmed = std::get_if<store_event::stream_trimmed>(&e)) {
        if (auto const at = streams_.find(trimmed->stream); at != streams_.end()) {
            auto& state = at->second->state;
            state.first = trimmed->first;
            state.messages = trimmed->messages;
            state.bytes = trimmed->bytes;
        }
    } else if (auto* const failed = std::get_if<store_event::failed>(&e)) {
        if (store_event::is_trouble(failed->why.code))
            store_trouble_ = failed->why;
        removal_answered(failed->request, failed->why);
        if (auto const creating = creations_.find(failed->request); creating != creations_.end()) {
            auto const waiting = std::move(creating->second);
            creations_.erase(creating);
            for (auto const& w : waiting.waiters)
                if (auto* const l = find(w.link); l && inbox_ && waiting.stream == inbox_->state.id) {
                    inbox_refused(*l, w.what.id, failed->why, now, out);
                } else if (l) {
                    answer_error(*l, w.what.id, failed->why, out);
                    credit(*l, w.credit);
                    answered(*l);
                    go_on(*l, w.what.consumer, now, out);
                }
        } else if (auto const reading = reads_.find(failed->request); reading != reads_.end()) {
            // Tried again when the consumer is next looked at; a second is long enough not to spin.
            if (auto const c = consumers_.find(reading->second); c != consumers_.end()) {
                c->second->fetching = false;
                c->second->asked.clear();
                arm(now.steady_ms + 1000, reading->second);
            }
            reads_.erase(reading);
        } else if (!saved(failed->request, failed->why, now, out)) {
            admin_->on_store(e, now, out);
        }
    } else if (auto const* const done = std::get_if<store_event::done>(&e)) {
        store_trouble_.reset();
        removal_answered(done->request, std::nullopt);
        if (!saved(done->request, std::nullopt, now, out))
            admin_->on_store(e, now, out);
    } else {
        admin_->on_store(e, now, out);
    }
}

void core::step(account_result e, instant now, actions& out)
{
    now_ = now;
    if (book_running_ && book_running_->request == e.request)
        book_changed(e, now, out);
    else
        admin_->on_accounts(e, now, out);
}

void core::arm(std::uint64_t at_ms, consumer_id id) { timers_.emplace(at_ms, id); }

void core::tick(instant now, actions& out)
{
    now_ = now;
    while (!timers_.empty() && timers_.top().first <= now.steady_ms) {
        auto const [at_ms, id] = timers_.top();
        timers_.pop();
        auto const c = consumers_.find(id);
        if (c == consumers_.end())
            continue;
        if (c->second->armed_ms <= at_ms)
            c->second->armed_ms = 0;
        c->second->expire(now);
        changed_.insert(id);
    }
    expire_calls(now, out);
    if (save_due_ms_ && save_due_ms_ <= now.steady_ms) {
        save_due_ms_ = 0;
        save_unsaved(now, out);
    }
    if (throttle_due_ms_ && throttle_due_ms_ <= now.steady_ms)
        release_throttled(now, out);
    if (now.steady_ms >= second_ms_) {
        second_ms_ = now.steady_ms + 1000;
        remove_again(out);
        if (now.steady_ms >= retire_due_ms_)
            retire_nodes(now, out);
        window_.expire(now.wall_ms, 100'000);
        measure();
        std::vector<link*> idle;
        for (auto const& [id, l] : links_)
            if (l->keepalive && !l->throttled && !l->closed && !l->finishing && l->heard_ms + config_.limits.idle_ms < now.steady_ms)
                idle.push_back(l.get());
        for (auto* const l : idle)
            end(*l, error_code::idle, "nothing was heard for " + std::to_string(config_.limits.idle_ms / 1000) + " s", "idle",
                now, out);
    }
}

void core::save_positions(instant now, actions& out)
{
    finish(now, out);
    for (auto const& [id, c] : consumers_)
        if (c->dirty || c->has_deaths()) {
            c->saving = token::none;  // the answer of a save under way will not be seen
            save(*c, now, out);
        }
}

void core::save_unsaved(instant now, actions& out)
{
    for (auto const id : std::exchange(unsaved_, {}))
        if (auto const c = consumers_.find(id); c != consumers_.end())
            save(*c->second, now, out);
}

std::optional<std::uint64_t> core::due_ms() const
{
    auto due = second_ms_;
    if (!timers_.empty())
        due = std::min(due, timers_.top().first);
    if (save_due_ms_)
        due = std::min(due, save_due_ms_);
    if (throttle_due_ms_)
        due = std::min(due, throttle_due_ms_);
    if (auto const call = calls_.due_ms())
        due = std::min(due, *call);
    return due;
}

void core::finish(instant now, actions& out)
{
    now_ = now;
    release_stalled(now, out);
    while (!slow_.empty())
        for (auto const id : std::exchange(slow_, {}))
            if (auto* const l = find(id); l && !l->closed) {
                counts_.slow_consumers.add_alone();
                failure const why{error_code::slow_consumer,
                                  "more than " + std::to_string(config_.limits.link_unsent_bytes) + " bytes wait to be read"};
                answer_error(*l, {}, why, out);
                end(*l, error_code::slow_consumer, why.message, "slow_consumer", now, out);
            }
    tell_stored(out);
    while (!changed_.empty())
        for (auto const id : std::exchange(changed_, {}))
            if (auto const c = consumers_.find(id); c != consumers_.end())
                after_change(*c->second, now, out);
    while (!ending_.empty())  // who ends may have been the last that another waited for
        for (auto const id : std::exchange(ending_, {}))
            if (auto* const l = find(id); l && !l->closed && may_end(*l))
                end(*l, l->finish_code, l->finish_message, wire_word(l->finish_code), now, out);
    while (!changed_.empty())  // what the ended links held goes to others in the same batch
        for (auto const id : std::exchange(changed_, {}))
            if (auto const c = consumers_.find(id); c != consumers_.end())
                after_change(*c->second, now, out);
    for (auto const id : std::exchange(credited_, {}))
        if (auto* const l = find(id)) {
            l->credit_listed = false;
            if (auto const bytes = std::exchange(l->credit, 0))
                out.outputs.push_back({id, link_output::credit{bytes}});
        }
    if (draining_ && !drained_told_ && links_.empty()) {
        drained_told_ = true;
        out.drained = true;
    }
}

void core::drain(instant now, actions& out)
{
    now_ = now;
    draining_ = true;
    for (auto const& [id, l] : links_)
        withdraw_all(*l, now, out);
    for (auto const& [id, l] : links_)
        if (!l->closed) {
            if (l->greeted)
                send(*l, notice::info{{}, true, "the server is about to stop"}, out);
            if (!l->finishing)
                end_when_answered(*l, error_code::draining, "the server stops");
        }
}

bool core::must_wait(link& l, op::any const& operation)
{
    if (l.closed || l.internal)
        return false;
    // A full outbox stops the reading: what is asked for by few bytes may be answered by many.
    if (!l.stalled && (l.unsent() >= config_.limits.link_unsent_bytes || l.unanswered >= config_.limits.link_unanswered)) {
        l.stalled = true;
        stalled_.push_back(l.id);
    }
    if (!l.throttled && over_rate(l, operation))
        throttle(l);
    return l.stalled || l.throttled || l.under_way || (!l.creating.empty() && names_one_of(l.creating, operation));
}

bool core::may_go_on(link const& l) const
{
    return l.stalled && (l.closed || (l.unsent() <= config_.limits.link_unsent_bytes / 2 &&
                                      l.unanswered <= config_.limits.link_unanswered / 2));
}

void core::release_stalled(instant now, actions& out)
{
    for (bool more = true; more;) {  // what is released may be answered at once, and let others go on
        more = false;
        for (auto const id : std::exchange(stalled_, {})) {
            auto* const l = find(id);
            if (!l || !l->stalled)
                continue;
            if (may_go_on(*l)) {
                release_held(*l, now, out);
                more = true;
            } else {
                stalled_.push_back(id);
            }
        }
    }
}

void core::hold(link& l, link_event::operation&& operation)
{
    l.held_bytes += operation.bytes;
    l.held.push_back(std::move(operation));
}

void core::release_held(link& l, instant now, actions& out)
{
    l.stalled = false;
    l.held_bytes = 0;
    for (auto& waited : std::exchange(l.held, {}))
        if (must_wait(l, waited.what))
            hold(l, std::move(waited));
        else
            handle(l, std::move(waited.what), waited.bytes, now, out);
    if (l.held.empty() && std::exchange(l.held_end, false))
        input_ended(l, now, out);
}

// --- Outputs ---------------------------------------------------------------------------------------------------------

void core::send(link& to, bytes_ptr bytes, actions& out)
{
    if (to.closed)
        return;
    if (!to.internal)
        to.handed += bytes->size();
    out.outputs.push_back({to.id, link_output::data{std::move(bytes)}});
}

void core::answer_ok(link& to, std::string const& id, actions& out)
{
    if (!id.empty())
        send(to, encode_ok(id, {}, 0, false, to.form), out);
}

bytes_ptr core::encode_error(link const& to, std::string_view id, failure const& why, stream const* s, std::uint64_t n,
                             std::vector<std::string> unknown) const
{
    counts_.errors[static_cast<std::size_t>(why.code)].add_alone();
    notice::error what{std::string{id}, why.code, why.message, std::move(unknown)};
    what.stream = s && n ? s->name() : std::string{};
    what.n = n;
    return encode(what, to.form);
}

void core::answer_error(link& to, std::string const& id, failure why, actions& out, std::vector<std::string> unknown)
{
    counts_.errors[static_cast<std::size_t>(why.code)].add_alone();
    send(to, notice::error{id, why.code, std::move(why.message), std::move(unknown)}, out);
}

void core::credit(link& l, std::size_t bytes)
{
    l.inflight -= bytes;
    l.credit += bytes;
    if (!l.credit_listed && l.credit) {
        l.credit_listed = true;
        credited_.push_back(l.id);
    }
}

void core::event(std::string_view subject, nlohmann::json const& body, instant now, actions& out)
{
    auto& to = route_for(subject);
    if (to.links.empty() && to.groups.empty())
        return;
    auto const text = body.dump();
    msg_view view;
    view.subject = subject;
    view.from = "$sys";
    view.time_ms = now.wall_ms;
    view.body = text;
    deliver_plain(to, view, out);
}

std::shared_ptr<access_profile const> core::profile(principal const& who)
{
    auto& known = profiles_[{who.user, who.role, who.key}];
    if (!known)
        known = std::make_shared<access_profile const>(who.user, who.role, rules_, who.key);
    return known;
}

}  // namespace kedge
