// Links: opening, hello, plain subscriptions, ping, who, and how a link ends.

#include "router/core/core.hpp"

#include "router/admin/admin.hpp"

namespace kedge {

void core::open(link_id id, link_event::opened&& e, instant now, actions& out)
{
    auto added = std::make_unique<link>();
    added->id = id;
    added->session = e.session;
    added->who = std::move(e.who);
    added->access = profile(*added->who);
    added->form = e.form;
    added->greeted = e.greet && !e.internal;
    added->internal = e.internal;
    added->since_ms = now.wall_ms;
    added->heard_ms = now.steady_ms;
    added->sender = shared_bytes::copy_of(e.internal ? added->who->user : added->who->user + "/~" + added->who->session);
    auto& l = *links_.emplace(id, std::move(added)).first->second;
    l.budget = &budget_of(l.who->user);
    ++l.budget->holders;
    if (l.greeted) {
        notice::welcome hi;
        hi.server = config_.server_name;
        hi.session = l.who->session;
        hi.user = l.who->user;
        hi.role = l.who->role;
        hi.servers = config_.servers;
        hi.max_body = config_.limits.body_bytes;
        hi.dedupe_ms = config_.limits.dedupe_ms;
        hi.dedupe_ids = config_.limits.dedupe_ids;
        send(l, hi, out);
    }
    if (draining_)
        end_when_answered(l, error_code::draining, "the server stops");
}

void core::handle(link& l, op::any&& operation, std::size_t bytes, instant now, actions& out)
{
    if (l.closed || (l.finishing && l.finish_code == error_code::quit)) {
        credit(l, bytes);
        return;
    }
    auto const first = !std::exchange(l.spoke, true);
    take_from_rate(l, operation, bytes);
    // Those that may have to wait for the store give their credit back when they are answered.
    if (auto* const what = std::get_if<op::publish>(&operation)) {
        publish(l, std::move(*what), bytes, now, out);
        return;
    }
    if (auto* const what = std::get_if<op::ack>(&operation)) {
        ack(l, std::move(*what), bytes, now, out);
        return;
    }
    if (auto* const what = std::get_if<op::post>(&operation)) {
        post(l, std::move(*what), bytes, now, out);
        return;
    }
    if (auto* const what = std::get_if<op::consume>(&operation)) {
        consume(l, std::move(*what), bytes, now, out);
        return;
    }
    if (auto* const what = std::get_if<op::ping>(&operation)) {
        ping(l, std::move(*what), bytes, out);
        return;
    }
    if (auto* const what = std::get_if<op::malformed>(&operation)) {
        malformed(l, std::move(*what), bytes, now, out);
        return;
    }
    credit(l, bytes);
    if (auto* const what = std::get_if<op::hello>(&operation)) {
        if (!first)
            answer_error(l, what->id, {error_code::bad_request, "hello must be the first operation on a link, and said once"}, out);
        else
            hello(l, std::move(*what), now, out);
    } else if (auto* const s = std::get_if<op::subscribe>(&operation)) {
        subscribe(l, std::move(*s), out);
    } else if (auto* const u = std::get_if<op::unsubscribe>(&operation)) {
        unsubscribe(l, std::move(*u), out);
    } else if (auto* const d = std::get_if<op::detach>(&operation)) {
        detach(l, std::move(*d), now, out);
    } else if (auto* const n = std::get_if<op::nak>(&operation)) {
        nak(l, std::move(*n), now, out);
    } else if (auto* const w = std::get_if<op::working>(&operation)) {
        working(l, std::move(*w), now, out);
    } else if (auto* const t = std::get_if<op::term>(&operation)) {
        term(l, std::move(*t), now, out);
    } else if (auto const* const q = std::get_if<op::who>(&operation)) {
        who(l, *q, out);
    } else if (std::holds_alternative<op::quit>(operation)) {
        input_ended(l, now, out);
    } else if (auto* const c = std::get_if<op::call>(&operation)) {
        call(l, std::move(*c), now, out);
    } else if (auto const* const r = std::get_if<op::reply>(&operation)) {
        reply(l, *r, now, out);
    } else if (auto* const sv = std::get_if<op::serve>(&operation)) {
        serve(l, std::move(*sv), now, out);
    } else if (auto const* const us = std::get_if<op::unserve>(&operation)) {
        unserve(l, *us, now, out);
    } else if (auto const* const al = std::get_if<op::alias>(&operation)) {
        alias(l, *al, now, out);
    } else if (auto const* const li = std::get_if<op::list>(&operation)) {
        list(l, *li, now, out);
    }
}

void core::hello(link& l, op::hello&& what, instant now, actions& out)
{
    if (what.inbox && what.node.empty())
        return answer_error(l, what.id, {error_code::bad_request, "inbox needs a node"}, out);
    if (what.inbox)
        if (auto decision = l.access->may_subscribe(inbox_of(l.who->user)); !decision.allowed)
            return answer_error(l, what.id, {error_code::denied, std::move(decision.why)}, out);
    l.keepalive = what.keepalive;
    if (!what.node.empty() && !take_node(l, what, now, out))
        return;
    if (what.inbox)
        open_inbox(l, std::move(what), now, out);
    else
        welcome(l, what.id, now, out);
}

bool core::take_node(link& l, op::hello const& what, instant now, actions& out)
{
    auto const name = l.who->user + "/" + what.node;
    auto at = nodes_.find(name);
    if (at == nodes_.end()) {
        auto const count = user_nodes_[l.who->user];
        if (count >= config_.limits.user_nodes) {
            node* idlest = nullptr;
            for (auto const& [key, n] : nodes_)
                if (n->user == l.who->user && !n->at && n->flights == 0 && (!idlest || n->seen_ms < idlest->seen_ms))
                    idlest = n.get();
            if (!idlest || idlest->seen_ms + config_.limits.node_idle_ms > now.wall_ms) {
                answer_error(l, what.id,
                             {error_code::quota, "user " + l.who->user + " has " + std::to_string(count) + " nodes already"}, out);
                return false;
            }
            remove_node(*idlest, "retired", now, out);
        }
        ++user_nodes_[l.who->user];
        auto added = std::make_unique<node>();
        added->name = name;
        added->user = l.who->user;
        at = nodes_.emplace(name, std::move(added)).first;
        counts_.nodes.set(nodes_.size());
    }
    auto& n = *at->second;
    if (n.at)
        end(*n.at, error_code::replaced, "a later link has taken the node " + name, "replaced", now, out);
    n.at = &l;
    n.seen_ms = now.wall_ms;
    l.node = &n;
    l.sender = shared_bytes::copy_of(name);
    out.requests.push_back(store_request::put_node{name, now.wall_ms});
    return true;
}

void core::welcome(link& l, std::string const& id, instant now, actions& out)
{
    auto const node = l.node ? l.node->name.substr(l.who->user.size() + 1) : std::string{};
    notice::welcome hi;
    hi.id = id;
    hi.server = config_.server_name;
    hi.session = l.who->session;
    hi.user = l.who->user;
    hi.node = node;
    hi.role = l.who->role;
    hi.servers = config_.servers;
    hi.max_body = config_.limits.body_bytes;
    hi.dedupe_ms = config_.limits.dedupe_ms;
    hi.dedupe_ids = config_.limits.dedupe_ids;
    hi.has_last = true;
    if (l.node)
        for (auto const& p : l.node->last)
            if (auto const s = streams_.find(p.stream); s != streams_.end() && p.stored.n)
                hi.last.emplace(s->second->name(), p.stored.n);
    send(l, hi, out);
    if (l.node) {
        l.joined = true;
        event("$sys.node.join", {{"user", l.who->user}, {"node", node}}, now, out);
    }
}

void core::subscribe(link& l, op::subscribe&& what, actions& out)
{
    link::subscription wanted{std::move(what.pattern), std::move(what.group)};
    if (std::find(l.subscriptions.begin(), l.subscriptions.end(), wanted) != l.subscriptions.end()) {
        answer_ok(l, what.id, out);
        return;
    }
    if (l.subscriptions.size() >= config_.limits.link_subscriptions && !l.internal) {
        answer_error(l, what.id,
                     {error_code::quota, "the link has " + std::to_string(l.subscriptions.size()) + " subscriptions already"}, out);
        return;
    }
    if (auto const decision = l.access->may_subscribe(wanted.pattern); !decision.allowed) {
        answer_error(l, what.id, {error_code::denied, decision.why}, out);
        return;
    }
    subscriber_group* group = nullptr;
    if (!wanted.group.empty()) {
        auto& known = groups_[wanted.group];
        if (!known) {
            known = std::make_unique<subscriber_group>();
            known->name = wanted.group;
        }
        group = known.get();
        ++group->members;
    }
    subscribers_.add(wanted.pattern, {&l, group});
    l.subscriptions.push_back(std::move(wanted));
    ++generation_;
    counts_.subscriptions.set(subscribers_.size());
    answer_ok(l, what.id, out);
}

void core::drop_subscription(link& l, link::subscription const& s)
{
    subscriber_group* group = nullptr;
    if (!s.group.empty())
        group = groups_.find(s.group)->second.get();
    subscribers_.remove(s.pattern, {&l, group});
    if (group && --group->members == 0)
        groups_.erase(groups_.find(s.group));
    ++generation_;
    counts_.subscriptions.set(subscribers_.size());
}

void core::unsubscribe(link& l, op::unsubscribe&& what, actions& out)
{
    link::subscription const given{std::move(what.pattern), std::move(what.group)};
    if (std::erase(l.subscriptions, given))
        drop_subscription(l, given);
    answer_ok(l, what.id, out);
}

void core::ping(link& l, op::ping&& what, std::size_t bytes, actions& out)
{
    // A pong lets the client publish again on streams that failed: it must come after every answer of those that are still
    // on their way, or a retry could be overtaken.
    ++l.unanswered;
    l.pongs.push_back({std::move(what.id), bytes});
    answer_pongs(l, out);
}

void core::answer_pongs(link& l, actions& out)
{
    while (!l.pongs.empty()) {
        for (auto const& a : l.answers)
            if (a.stuck && !a.slots.empty())
                return;
        for (auto& a : l.answers)
            a.stuck.reset();
        auto const pong = std::move(l.pongs.front());
        l.pongs.pop_front();
        send(l, notice::pong{pong.id}, out);
        credit(l, pong.credit);
        answered(l);
    }
}

void core::who(link& l, op::who const& what, actions& out)
{
    send(l, notice::reply{what.id, "$sys", admin_->who(l, what.what).dump()}, out);
}

// --- The end of a link -----------------------------------------------------------------------------------------------

void core::answered(link& l)
{
    --l.unanswered;
    if (may_end(l))
        ending_.push_back(l.id);
}

void core::input_ended(link& l, instant now, actions& out)
{
    if (l.closed)
        return;
    stop_serving(l, now, out);
    if (l.finishing)
        return;
    // Nothing can be acknowledged any more: others may have it at once.
    while (!l.attachments.empty())
        release(*l.attachments.back()->of, *l.attachments.back(), std::nullopt, now, out);
    end_when_answered(l, error_code::quit, "goodbye");
}

void core::end_when_answered(link& l, error_code code, std::string message)
{
    l.finishing = true;
    l.finish_code = code;
    l.finish_message = std::move(message);
    if (may_end(l))
        ending_.push_back(l.id);
}

void core::end(link& l, error_code code, std::string message, std::string_view leave_reason, instant now, actions& out)
{
    if (l.closed)
        return;
    if (l.greeted)
        send(l, notice::bye{code, std::move(message)}, out);
    out.outputs.push_back({l.id, link_output::close{code == error_code::quit ? 0 : 1}});
    l.closed = true;
    // What was not seen to leave does not count as a try: the peer may be gone.
    let_go(l, leave_reason, l.written, now, out);
}

void core::let_go(link& l, std::string_view leave_reason, std::optional<std::uint64_t> written, instant now, actions& out)
{
    for (auto const& s : l.subscriptions)
        drop_subscription(l, s);
    l.subscriptions.clear();
    while (!l.attachments.empty())
        release(*l.attachments.back()->of, *l.attachments.back(), written, now, out);
    stop_serving(l, now, out);
    forget_calls(l);
    if (auto* const n = std::exchange(l.node, nullptr)) {
        n->at = nullptr;
        n->seen_ms = now.wall_ms;
        out.requests.push_back(store_request::put_node{n->name, now.wall_ms});
        if (std::exchange(l.joined, false))
            left(*n, leave_reason, now, out);
        if (auto const* const user = directory_->find_user(n->user); user && user->removed)
            remove_nodes_of(n->user, now, out);
    }
}

void core::closed(link_id id, std::uint64_t written, instant now, actions& out)
{
    auto const at = links_.find(id);
    auto& l = *at->second;
    if (!l.closed) {
        l.closed = true;
        let_go(l, "closed", written, now, out);
    }
    admin_->forget(id);
    let_go(*l.budget);
    auto const who = l.who;
    links_.erase(at);
    // Rules compiled for users that are gone would add up.
    if (auto const p = profiles_.find({who->user, who->role, who->key}); p != profiles_.end() && p->second.use_count() == 1)
        profiles_.erase(p);
}

void core::written(link& l, std::uint64_t bytes)
{
    if (!l.internal)
        l.written += bytes;
    for (auto const* const a : l.attachments)
        changed_.insert(a->of->id());
}

}  // namespace kedge
