// Mail: posts, inboxes, aliases and lists, and how long a node is known.

#include <algorithm>

#include "router/admin/admin.hpp"
#include "router/core/core.hpp"
#include "router/store/post.hpp"
#include "router/store/row_bytes.hpp"

namespace kedge {

namespace {

constexpr std::size_t full_users_named = 10;
/// After a start, nodes have so long to come back before any is retired: they may have been kept away by the stop itself.
constexpr std::uint64_t retire_after_start_ms = 600'000;
/// An inbox to which nothing comes is saved all the same when the log has gone so far: it would hold back retention.
constexpr message_seq position_lag_max = 4096;

}  // namespace

std::string core::inbox_of(std::string_view user) { return std::string{inbox_prefix}.append(user); }

bool core::is_user(std::string_view name) const
{
    auto const* const known = directory_->find_user(name);
    return known && !known->removed;
}

// --- Posts -----------------------------------------------------------------------------------------------------------

void core::post(link& l, op::post&& what, std::size_t bytes, instant now, actions& out)
{
    if (!inbox_)
        return refuse_publish(l, nullptr, what.message->id(), {error_code::unavailable, "the store has no inboxes"}, bytes, out);
    for (auto const& name : what.to)
        if (!valid_recipient(name))
            return refuse_publish(l, inbox_, what.message->id(),
                                  {error_code::bad_request, "'" + name + "' is no recipient: USER, USER/NODE, ~ALIAS or @LIST"}, bytes, out);
    publish_durable(l, *inbox_, {std::move(what.message), 0}, bytes, now, out, &what.to);
}

address_book::expansion core::address(link const& l, std::vector<std::string> const& to, message const& m) const
{
    address_book::people const people{
        [&](std::string_view user) { return is_user(user); },
        [&](std::string_view node) { return consumers_by_name_.contains({inbox_->state.id, std::string{node}}); },
        [&](std::string_view name) { return l.access->may_post(name); }};
    auto found = book_.expand(to, {l.who->user, l.access->is_operator()}, config_.limits.list_nesting, people);
    if (found.why)
        return found;
    auto const full = mail_.full(found.recipients, row_bytes(m), full_users_named, [&](std::string_view name) {
        mail_sum bound{config_.limits.mail_messages, config_.limits.mail_bytes};
        auto const* const user = directory_->find_user(name);
        if (user && !user->own_limits.empty())
            bound = {limit_of(user, config_.limits, "mail_messages"), limit_of(user, config_.limits, "mail_bytes")};
        return bound;
    });
    if (!full.empty()) {
        std::string names;
        for (auto const& name : full)
            names += (names.empty() ? "" : ", ") + name;
        found.why = failure{error_code::quota, "no room for more mail: " + names + (full.size() == full_users_named ? " (or more)" : "")};
    }
    return found;
}

void core::mail_arrived(stream& s, row const& r, instant now, actions& out)
{
    counts_.posts.add_alone();
    auto const bytes = row_bytes(*r.message);
    for (auto const user : users_of(r.recipients->view())) {
        mail_.arrived(user, bytes);
        auto const subject = inbox_of(user);
        // Not by the cache of routes: every user's inbox would stand in it, and hardly any is watched.
        bool watched = false;
        subscribers_.match(subject, [&](subscriber const&) { watched = true; });
        if (watched)
            deliver_plain(route_for(subject), view_of(s, r, subject), out);
        if (s.attached)
            s.active.match(subject, [&](consumer* c) { offer(*c, r, now, out); });
    }
}

mail_sum core::waiting_for(consumer const& c) const
{
    auto const total = mail_.total(c.config().owner);
    return {total.messages - std::min(total.messages, c.done.messages), total.bytes - std::min(total.bytes, c.done.bytes)};
}

// --- Inboxes ---------------------------------------------------------------------------------------------------------

void core::open_inbox(link& l, op::hello&& what, instant now, actions& out)
{
    ++l.unanswered;
    auto const& name = l.node->name;
    if (!inbox_)
        return inbox_refused(l, what.id, {error_code::unavailable, "the store has no inboxes"}, now, out);
    if (auto const known = consumers_by_name_.find({inbox_->state.id, name}); known != consumers_by_name_.end())
        return inbox_ready(l, *known->second, what.id, now, out);
    l.under_way = true;
    op::consume waits;
    waits.id = std::move(what.id);
    for (auto& [request, creating] : creations_)
        if (creating.stream == inbox_->state.id && creating.name == name) {
            creating.waiters.push_back({l.id, std::move(waits), 0});
            return;
        }
    remove_again(out);
    store_request::create_consumer create;
    create.request = next_token();
    create.config.stream = inbox_->state.id;
    create.config.name = name;
    create.config.owner = l.who->user;
    create.config.filter = inbox_of(l.who->user);
    auto& entry = creations_[create.request];
    entry.stream = inbox_->state.id;
    entry.name = name;
    entry.owner = l.who->user;
    entry.waiters.push_back({l.id, std::move(waits), 0});
    out.requests.push_back(std::move(create));
}

void core::inbox_ready(link& l, consumer& c, std::string const& id, instant now, actions& out)
{
    if (!l.closed) {
        if (!l.finishing)
            attach(l, c, window_unless_told, now);
        welcome(l, id, now, out);
    }
    answered(l);
    go_on(l);
}

void core::inbox_refused(link& l, std::string const& id, failure why, instant, actions& out)
{
    answer_error(l, id, std::move(why), out);
    // That hello named nobody: it may be said again.
    if (auto* const n = std::exchange(l.node, nullptr))
        n->at = nullptr;
    l.sender = shared_bytes::copy_of(l.who->user + "/~" + l.who->session);
    l.spoke = false;
    answered(l);
    go_on(l);
}

void core::go_on(link& l)
{
    if (!std::exchange(l.under_way, false) || l.stalled)
        return;
    l.stalled = true;  // released with those whose outbox was full
    stalled_.push_back(l.id);
}

// --- Aliases and lists -----------------------------------------------------------------------------------------------

void core::change_book(book_change what, instant now, actions& out)
{
    book_waiting_.push_back(std::move(what));
    next_book(now, out);
}

void core::next_book(instant now, actions& out)
{
    while (!book_running_ && !book_waiting_.empty() && !admin_->changes_accounts()) {
        auto what = std::move(book_waiting_.front());
        book_waiting_.pop_front();
        auto const* const by = find(what.by);
        if (!by || by->closed) {
            what.answer({{}, failure{error_code::unavailable, "the caller has gone"}, {}}, out);
            continue;
        }
        auto plan = what.decide(*by);
        if (plan.why || plan.changes.empty()) {
            what.answer(std::move(plan), out);
            continue;
        }
        // Who is only in authorized_keys becomes a user of the store as well: aliases hang on those.
        for (auto const& change : std::vector{plan.changes})
            if (auto const* const put = std::get_if<account_change::put_alias>(&change))
                if (auto const* const user = directory_->find_user(put->what.user); user && user->from_file) {
                    plan.changes.insert(plan.changes.begin(),
                                        account_change::put_user{{user->name, user->role, false, false, now.wall_ms, user->own_limits}});
                    break;
                }
        auto const request = next_token();
        out.accounts.push_back({request, plan.changes});
        book_running_ = book_running{request, std::move(plan), std::move(what)};
    }
}

void core::book_changed(account_result const& e, instant now, actions& out)
{
    auto done = std::move(*book_running_);
    book_running_.reset();
    bool users = false;
    for (std::size_t i = 0; i < e.carried_out && i < done.plan.changes.size(); ++i) {
        admin_->apply(done.plan.changes[i], e.id);
        users = users || std::holds_alternative<account_change::put_user>(done.plan.changes[i]);
    }
    if (users)
        publish_directory(out);
    done.plan.why = e.why;
    done.what.answer(std::move(done.plan), out);
    next_book(now, out);
}

address_book::plan core::decide_list(link const& by, address_book::list_change const& change) const
{
    return book_.change_list({by.who->user, by.access->is_operator()}, change, config_.limits,
                             [this](std::string_view user) { return is_user(user); },
                             [&] { return by.access->may_create("list." + change.name); });
}

void core::alias(link& l, op::alias const& what, instant now, actions& out)
{
    ++l.unanswered;
    l.under_way = true;
    change_book({l.id,
                 [this, add = what.add, remove = what.remove](link const& by) {
                     return book_.change_aliases({by.who->user, false}, by.who->user, add, remove, config_.limits);
                 },
                 [this, id = what.id, to = l.id](address_book::plan&& plan, actions& o) {
                     auto* const link = find(to);
                     if (!link)
                         return;
                     if (plan.why)
                         answer_error(*link, id, std::move(*plan.why), o);
                     else
                         answer_ok(*link, id, o);
                     answered(*link);
                     go_on(*link);
                 }},
                now, out);
}

void core::list(link& l, op::list const& what, instant now, actions& out)
{
    address_book::list_change change;
    change.name = what.name;
    change.add = what.add;
    change.remove = what.remove;
    if (what.drop && (!change.add.empty() || !change.remove.empty()))
        return answer_error(l, what.id, {error_code::bad_request, "delete stands alone, without add and remove"}, out);
    if (what.drop)
        change.what = address_book::list_change::kind::drop;
    ++l.unanswered;
    l.under_way = true;
    change_book({l.id, [this, change = std::move(change)](link const& by) { return decide_list(by, change); },
                 [this, id = what.id, to = l.id](address_book::plan&& plan, actions& o) {
                     auto* const link = find(to);
                     if (!link)
                         return;
                     if (plan.why)
                         answer_error(*link, id, std::move(*plan.why), o, std::move(plan.unknown));
                     else
                         answer_ok(*link, id, o);
                     answered(*link);
                     go_on(*link);
                 }},
                now, out);
}

// --- Nodes -----------------------------------------------------------------------------------------------------------

void core::left(node const& n, std::string_view reason, instant now, actions& out)
{
    event("$sys.node.leave", {{"user", n.user}, {"node", n.name.substr(n.user.size() + 1)}, {"reason", reason}}, now, out);
}

token core::remove_node(node& n, std::string_view reason, instant now, actions& out)
{
    auto const name = n.name;
    if (inbox_)
        if (auto const at = consumers_by_name_.find({inbox_->state.id, name}); at != consumers_by_name_.end()) {
            auto const removal = next_token();
            remove_for_good(removal, store_request::remove_consumer{removal, at->second->id()}, out);
            remove_consumer(*at->second, "its node was removed", now, out);
        }
    auto const request = next_token();
    remove_for_good(request, store_request::remove_node{request, name}, out);
    window_.forget(name);
    std::erase_if(stored_, [&](auto const& told) { return told.first == &n; });
    left(n, reason, now, out);
    if (auto const count = user_nodes_.find(n.user); --count->second == 0)
        user_nodes_.erase(count);
    nodes_.erase(name);
    counts_.nodes.set(nodes_.size());
    return request;
}

void core::remove_for_good(token request, store_request::any what, actions& out)
{
    removals_.emplace(request, what);
    out.requests.push_back(std::move(what));
}

void core::removal_answered(token request, std::optional<failure> const& why)
{
    auto const at = removals_.find(request);
    if (at == removals_.end())
        return;
    if (why && store_event::is_trouble(why->code))
        removals_again_.push_back(std::move(at->second));
    removals_.erase(at);
}

void core::remove_again(actions& out)
{
    for (auto& what : std::exchange(removals_again_, {})) {
        auto const request = next_token();
        if (auto* const node = std::get_if<store_request::remove_node>(&what)) {
            if (nodes_.contains(node->name))
                continue;  // it is back, and what it has is its own
            node->request = request;
        } else if (auto* const inbox = std::get_if<store_request::remove_consumer>(&what)) {
            inbox->request = request;
        }
        remove_for_good(request, std::move(what), out);
    }
}

void core::remove_nodes_of(std::string user, instant now, actions& out)
{
    std::vector<node*> gone;
    for (auto const& [name, n] : nodes_)
        if (n->user == user && !n->at && n->flights == 0)
            gone.push_back(n.get());
    for (auto* const n : gone)
        remove_node(*n, "removed", now, out);
    if (user_nodes_.contains(user))
        retire_due_ms_ = 0;
}

void core::retire_nodes(instant now, actions& out)
{
    auto const idle_ms = config_.limits.node_idle_ms;
    bool const may_retire = now.steady_ms >= started_.steady_ms + std::min(idle_ms, retire_after_start_ms);
    auto next_ms = now.wall_ms + std::max<std::uint64_t>(idle_ms / 4, 1000);
    if (!may_retire)
        next_ms = now.wall_ms + 1000;
    std::vector<node*> gone;
    for (auto const& [name, n] : nodes_) {
        if (n->at) {
            // A crash is not to make it look as if it had been away since its hello.
            if (n->seen_ms + idle_ms / 4 <= now.wall_ms) {
                n->seen_ms = now.wall_ms;
                out.requests.push_back(store_request::put_node{name, now.wall_ms});
            }
        } else if (n->flights) {
            next_ms = now.wall_ms + 1000;
        } else if (auto const* const user = directory_->find_user(n->user);
                   (user && user->removed) || (may_retire && n->seen_ms + idle_ms <= now.wall_ms)) {
            gone.push_back(n.get());
        } else if (may_retire) {
            next_ms = std::min(next_ms, n->seen_ms + idle_ms);
        }
    }
    for (auto* const n : gone) {
        auto const* const user = directory_->find_user(n->user);
        counts_.nodes_retired.add_alone();
        remove_node(*n, user && user->removed ? "removed" : "retired", now, out);
    }
    retire_due_ms_ = now.steady_ms + (next_ms - std::min(next_ms, now.wall_ms));
    for (auto const& [id, c] : consumers_)
        if (c->is_inbox() && c->live && c->next() + position_lag_max < inbox_->state.last) {
            c->dirty = true;
            changed_.insert(id);
        }
}

}  // namespace kedge
