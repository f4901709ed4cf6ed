#include "tests/sim/observer.hpp"

#include <algorithm>

#include "router/protocol/subject.hpp"

namespace kedge::sim {

link_model const* observer::find(link_id id) const
{
    auto const at = links_.find(id);
    return at == links_.end() ? nullptr : &at->second;
}

link_model* observer::model(link_id id)
{
    auto const at = links_.find(id);
    return at == links_.end() ? nullptr : &at->second;
}

consumer_model* observer::consumer(std::string const& stream, std::string const& name)
{
    if (!stream.empty()) {
        auto const at = consumers_.find({stream, name});
        return at == consumers_.end() ? nullptr : &at->second;
    }
    for (auto& [key, c] : consumers_)
        if (key.second == name)
            return &c;
    return nullptr;
}

std::vector<std::pair<std::string, std::string>> observer::consumers() const
{
    std::vector<std::pair<std::string, std::string>> all;
    for (auto const& [key, c] : consumers_)
        all.push_back(key);
    return all;
}

std::string observer::owner_of(std::string const& stream, std::string const& name) const
{
    return consumers_.at({stream, name}).config().owner;
}

// --- The store -----------------------------------------------------------------------------------------------------------

void observer::committed(store_event::any const& e, instant now)
{
    if (auto const* const rows = std::get_if<store_event::rows_arrived>(&e)) {
        for (auto const& arrival : rows->rows) {
            journal_.add([&] {
                return "  store: commits " + std::to_string(static_cast<std::uint32_t>(rows->stream)) + ":"
                    + std::to_string(arrival.stored.seq) + " message "
                    + std::string{arrival.stored.message->body().substr(0, arrival.stored.message->body().find(':'))} + " of "
                    + std::string{arrival.stored.sender->view()};
            });
            messages.committed(rows->stream, arrival.stored);
        }
    } else if (auto const* const made = std::get_if<store_event::consumer_created>(&e)) {
        auto const& c = made->consumer;
        journal_.add([&] { return "  store: creates consumer " + c.config.name + " at " + std::to_string(c.position.next); });
        if (messages.log_of(c.config.stream).config.name == inbox_stream) {
            talk.inbox_made(c);
            return;
        }
        consumers_.emplace(std::pair{messages.log_of(c.config.stream).config.name, c.config.name},
                           consumer_model{c, messages, now});
    } else if (auto const* const trimmed = std::get_if<store_event::stream_trimmed>(&e)) {
        journal_.add([&] { return "  store: trims to " + std::to_string(trimmed->first); });
        auto& l = messages.log_of(trimmed->stream);
        if (!coarse_ && l.config.keep == retention::interest && l.config.max_age_ms + l.config.max_bytes + l.config.max_msgs == 0)
            for (auto const& [key, c] : consumers_)
                if (key.first == l.config.name)
                    c.check_trimmed(trimmed->first);
        if (talking_ && l.config.name == inbox_stream)
            talk.mail.trimmed(trimmed->first, now);
        // A purge may make holes at the beginning as well: what is not for it to take stays.
        messages.trimmed(trimmed->stream, trimmed->first);
    } else if (auto const* const failed = std::get_if<store_event::append_failed>(&e)) {
        journal_.add([&] { return "  store: refuses an append: " + std::string{wire_word(failed->why.code)}; });
    } else if (auto const* const refused = std::get_if<store_event::failed>(&e)) {
        journal_.add([&] { return "  store: fails a request: " + std::string{wire_word(refused->why.code)}; });
    }
}

void observer::requested(store_request::any const& what)
{
    if (auto const* const purge = std::get_if<store_request::purge>(&what))
        messages.purging(purge->stream, purge->filter, purge->up_to);
}

void observer::executed(store_request::any const& what)
{
    if (auto const* const consumer = std::get_if<store_request::remove_consumer>(&what))
        talk.mail.inbox_removed(consumer->consumer);
    else if (auto const* const node = std::get_if<store_request::remove_node>(&what))
        messages.forget_node(node->name);
}

void observer::loaded(store_contents const& contents, account_store::contents const& accounts, instant now)
{
    links_.clear();
    expected_.clear();
    emitted_.clear();
    expected_groups_.clear();
    emitted_groups_.clear();
    for (auto const& s : contents.streams) {
        messages.stream_exists(s);
        arrived_[s.id] = s.last;
    }
    if (talking_)
        talk.started(contents, accounts);
    for (auto const& c : contents.consumers) {
        if (messages.log_of(c.config.stream).config.name == inbox_stream)
            continue;
        std::pair const key{messages.log_of(c.config.stream).config.name, c.config.name};
        if (auto const known = consumers_.find(key); known != consumers_.end() && coarse_)
            continue;
        else if (known != consumers_.end())
            known->second.restarted(c, now);
        else
            consumers_.emplace(key, consumer_model{c, messages, now});
    }
    for (auto const& [key, c] : consumers_)
        if (std::none_of(contents.consumers.begin(), contents.consumers.end(), [&](auto const& s) {
                return s.config.name == key.second && messages.log_of(s.config.stream).config.name == key.first;
            }))
            throw violation{"consumer " + key.second + " was created, but is not there after a restart"};
}

// --- What the core is told -----------------------------------------------------------------------------------------------

void observer::before(link_event::any const& e, instant now)
{
    if (talking_)
        talk.before(e, now);
    if (auto const* const opened = std::get_if<link_event::opened>(&e.what)) {
        links_.emplace(std::piecewise_construct, std::forward_as_tuple(e.link),
                       std::forward_as_tuple(e.link, opened->who, opened->form)).first->second.greeted = opened->greet;
        return;
    }
    auto* const l = model(e.link);
    if (!l)
        return;
    if (auto const* const operation = std::get_if<link_event::operation>(&e.what)) {
        l->given += operation->bytes;
        if (auto const* const p = std::get_if<op::publish>(&operation->what))
            ++messages.of(p->message->body()).open_sends;
        if (l->ended || l->finishing || l->held_end || coarse_)
            return;
        if (!l->held.empty() && std::holds_alternative<op::quit>(operation->what))
            l->held_end = true;
        else if (l->must_wait(operation->what))
            l->held.push_back(operation->what);
        else
            take(*l, operation->what, now);
    } else if (auto const* const written = std::get_if<link_event::written>(&e.what)) {
        l->written += written->bytes;
    } else if (std::holds_alternative<link_event::input_ended>(e.what)) {
        if (coarse_)
            return;
        if (!l->held.empty())
            l->held_end = true;
        else
            take_end(*l);
    } else if (auto const* const closed = std::get_if<link_event::closed>(&e.what)) {
        let_go(*l, closed->written);
        l->ended = true;
        l->closed = true;
    }
}

void observer::take_end(link_model& l)
{
    l.finishing = true;
    for (auto& [key, c] : consumers_)
        c.released(l.id, std::nullopt, batch_);
}

void observer::take_held(link_model& l, instant now)
{
    for (auto& next : std::exchange(l.held, {}))
        if (l.must_wait(next))
            l.held.push_back(std::move(next));
        else
            take(l, next, now);
    if (l.held.empty() && std::exchange(l.held_end, false))
        take_end(l);
}

bool observer::may_publish(link_model const& l, std::string_view subject) const
{
    if (subject.starts_with("inbox."))
        return false;
    return !subject.starts_with("$sys.") || l.who->role == role_operator;
}

void observer::take(link_model& l, op::any const& what, instant now)
{
    if (std::holds_alternative<op::quit>(what)) {
        take_end(l);
        return;
    }
    auto const& a = l.ask(asked_of(l, what, now));
    if (a.what == asked::kind::publish && a.stream == stream_id{}) {
        auto const& m = *messages.at(a.number).message;
        if (may_publish(l, m.subject()) && a.n == 0)  // n counts in a stream
            expect(m.subject(), {a.number, 0, false, l.sender()}, l.id);
    }
}

asked observer::asked_of(link_model& l, op::any const& what, instant now)
{
    asked a;
    if (auto const* const h = std::get_if<op::hello>(&what)) {
        a.what = asked::kind::hello;
        a.id = h->id;
        a.name = h->node;
    } else if (auto const* const s = std::get_if<op::subscribe>(&what)) {
        a.what = asked::kind::subscribe;
        a.id = s->id;
        a.name = s->pattern;
        a.extra = s->group;
    } else if (auto const* const u = std::get_if<op::unsubscribe>(&what)) {
        a.what = asked::kind::unsubscribe;
        a.id = u->id;
        a.name = u->pattern;
        a.extra = u->group;
    } else if (auto const* const p = std::get_if<op::publish>(&what)) {
        auto const& m = messages.of(p->message->body());
        a.what = asked::kind::publish;
        a.id = p->message->id();
        a.number = m.number;
        a.n = p->n;
        a.stream = messages.stream_for(p->message->subject());
        a.may_wait = a.stream != stream_id{};
    } else if (auto const* const c = std::get_if<op::consume>(&what)) {
        a.what = asked::kind::consume;
        a.id = c->id;
        a.name = c->consumer;
        a.extra = c->stream;
        a.window = c->window.value_or(0);
        a.may_wait = true;
    } else if (auto const* const k = std::get_if<op::ack>(&what)) {
        a.what = asked::kind::ack;
        a.id = k->id;
        a.name = k->consumer;
        a.extra = k->stream;
        a.may_wait = true;
        if (auto* const to = consumer(k->stream, k->consumer)) {
            if (k->upto)
                a.seqs = to->ack_up_to(l.id, k->upto);
            for (auto const seq : k->seqs)
                for (auto const acknowledged : to->ack(l.id, seq))
                    a.seqs.push_back(acknowledged);
        }
    } else if (auto const* const n = std::get_if<op::nak>(&what)) {
        a.id = n->id;
        if (auto* const to = consumer(n->stream, n->consumer); to && n->delay_ms <= limits_.nak_delay_ms_max)
            to->nak(l.id, n->seq, n->delay_ms, now, batch_);
    } else if (auto const* const w = std::get_if<op::working>(&what)) {
        a.id = w->id;
        if (auto* const to = consumer(w->stream, w->consumer))
            to->working(l.id, w->seq, now);
    } else if (auto const* const t = std::get_if<op::term>(&what)) {
        a.id = t->id;
        a.may_wait = true;
        if (auto* const to = consumer(t->stream, t->consumer))
            to->term(l.id, t->seq);
    } else if (auto const* const d = std::get_if<op::detach>(&what)) {
        a.id = d->id;
        if (auto* const to = consumer(d->stream, d->consumer); to && to->is_attached(l.id))
            to->released(l.id, std::nullopt, batch_);
    } else if (auto const* const w = std::get_if<op::who>(&what)) {
        a.what = asked::kind::who;
        a.id = w->id;
    } else if (auto const* const p = std::get_if<op::ping>(&what)) {
        a.what = asked::kind::ping;
        a.id = p->id;
    } else if (auto const* const m = std::get_if<op::malformed>(&what)) {
        a.id = m->id;
        if (!m->subject.empty() && messages.stream_for(m->subject) != stream_id{})
            a.may_wait = true;
    } else if (auto const* const c = std::get_if<op::call>(&what)) {
        a.id = c->message->id();
    }
    return a;
}

void observer::after(link_event::any const& e)
{
    auto* const l = model(e.link);
    if (!l)
        return;
    if (std::holds_alternative<link_event::closed>(e.what))
        links_.erase(e.link);  // what the core would still say to it is for nobody
    else if (auto const* const late = l->waits_at_once(); late && !l->ended)
        throw violation{"link " + std::to_string(static_cast<std::uint64_t>(l->id)) + ": " + late->id
                        + " was not answered in its turn"};
}

void observer::after(store_event::any const& e)
{
    auto const* const rows = std::get_if<store_event::rows_arrived>(&e);
    if (!rows || coarse_)
        return;
    for (auto const& arrival : rows->rows) {
        arrived_[rows->stream] = arrival.stored.seq;
        expect(arrival.stored.message->subject(),
               {messages.of(arrival.stored.message->body()).number, arrival.stored.seq, false,
                std::string{arrival.stored.sender->view()}},
               {});
    }
}

void observer::ticked(instant now)
{
    talk.ticked();
    for (auto& [key, c] : consumers_)
        c.ticked(now, batch_);
}

void observer::expect(std::string_view subject, delivery what, link_id publisher)
{
    std::map<std::string, std::vector<link_id>> members;
    for (auto& [id, l] : links_) {
        if (l.ended)
            continue;
        if (l.subscribes(subject)) {
            expected_[id].push_back(what);
            expected_[id].back().own = id == publisher;
        }
        for (auto const& s : l.subscriptions)
            if (!s.group.empty() && matches(s.pattern, subject))
                members[s.group].push_back(id);
    }
    for (auto& [group, who] : members)
        expected_groups_.push_back({group, what, std::move(who)});
}

void observer::let_go(link_model& l, std::optional<std::uint64_t> written)
{
    l.subscriptions.clear();
    for (auto& [key, c] : consumers_)
        c.released(l.id, written, batch_);
}

}  // namespace kedge::sim
