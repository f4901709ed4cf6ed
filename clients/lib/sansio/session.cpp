#include "clients/lib/sansio/session.hpp"

#include <algorithm>
#include <iterator>

#include "clients/lib/sansio/session_detail.hpp"
#include "router/protocol/encoding.hpp"

namespace kedge::client_lib {
namespace {

/// What an entry costs beside its body, for the bound in bytes.
constexpr std::size_t entry_cost = 256;
constexpr std::size_t ack_seqs_max = 1024;
/// A server may raise its `max_body`; what a client takes is bounded all the same.
constexpr std::size_t frame_bytes_max = 64 * 1024 * 1024;

bool same_subscription(op::subscribe const& a, std::string const& pattern, std::string const& group)
{
    return a.pattern == pattern && a.group == group;
}

}  // namespace

session::session(session_options o) : options_{std::move(o)}, random_{options_.seed}
{
    if (options_.inbox && options_.once)
        ledgers_.try_emplace({std::string{inbox_stream}, std::string{inbox_consumer}});
}

std::string session::next_id() { return std::string{our_ids} + std::to_string(++ids_); }

bool session::wants_more() const noexcept
{
    return state_ != state::ended && !quitting_ && (queue_.size() + pending_) * 2 <= options_.operations_max &&
           bytes_ * 2 <= options_.bytes_max;
}

std::uint64_t session::last_stored(std::string const& stream) const
{
    auto const found = last_n_.find(stream);
    return found == last_n_.end() ? 0 : found->second;
}

std::size_t session::numbered_under_way(std::string const& stream) const
{
    auto const found = numbered_.find(stream);
    return found == numbered_.end() ? 0 : found->second;
}

std::vector<notice::any> session::take_notices() { return std::exchange(notices_, {}); }

result<void> session::submit(op::any what)
{
    if (state_ == state::ended || quitting_)
        return failure{error_code::unavailable, "the session has ended"};
    if (std::holds_alternative<op::hello>(what) || std::holds_alternative<op::malformed>(what))
        return failure{error_code::bad_request, "the session says hello by itself"};
    auto id = id_of(what);
    if (id.starts_with(our_ids))
        return failure{error_code::bad_request, "ids that begin with " + std::string{our_ids} + " are the session's"};
    if (!id.empty() && by_id_.contains(id))
        return failure{error_code::exists, "an operation with the id " + id + " is under way"};
    if (queue_.size() + pending_ >= options_.operations_max || bytes_ >= options_.bytes_max)
        return failure{error_code::quota, "the client's queue is full"};

    entry e;
    e.id = id;
    bool const ready = state_ == state::ready;
    if (std::holds_alternative<op::quit>(what)) {
        quitting_ = true;
    } else if (stands(what)) {
        stand(what, id);
        if (!ready)
            return {};  // said when the link is there
    } else if (falls(what)) {
        fall(what);
        if (!ready) {
            if (!id.empty())
                tell(notice::ok{id, {}, 0, false, {}});
            return {};
        }
    } else if (auto* ack = std::get_if<op::ack>(&what)) {
        // Without a link there is nothing to say: what comes again is known to be finished.
        if (!take_ack(*ack) || (!ready && id.empty()))
            return {};
        if (id.empty() && !queue_.empty() && queue_.back().ours)
            if (auto* last = std::get_if<op::ack>(&queue_.back().what);
                last != nullptr && last->upto == 0 && ack->upto == 0 && last->consumer == ack->consumer &&
                last->stream == ack->stream && last->seqs.size() + ack->seqs.size() <= ack_seqs_max) {
                last->seqs.insert(last->seqs.end(), ack->seqs.begin(), ack->seqs.end());
                auto const awaited = awaited_of(*ack);
                queue_.back().confirms.insert(queue_.back().confirms.end(), awaited.begin(), awaited.end());
                return {};
            }
        e.confirms = awaited_of(*ack);
    } else if (auto* nak = std::get_if<op::nak>(&what)) {
        if (auto* l = ledger_of(nak->stream, nak->consumer))
            l->release(nak->seq);
        if (!ready && id.empty())
            return {};
    } else if (auto* term = std::get_if<op::term>(&what)) {
        if (auto* l = ledger_of(term->stream, term->consumer))
            l->finish(term->seq, outcome::dead);
        if (!ready && id.empty())
            return {};
    } else if (std::holds_alternative<op::working>(what) && !ready && id.empty()) {
        return {};
    } else if (std::holds_alternative<op::reply>(what) && !ready) {
        return {};
    }
    // Answers to these matter to the session even if the program does not ask for them.
    if (id.empty())
        std::visit(overloaded{[&](op::subscribe& o) { e.id = o.id = next_id(); },
                              [&](op::consume& o) { e.id = o.id = next_id(); },
                              [&](op::serve& o) { e.id = o.id = next_id(); },
                              [&](op::ack& o) { e.id = o.id = next_id(); }, [](auto&) {}},
                   what);
    e.ours = id.empty() && !e.id.empty();
    e.what = std::move(what);
    enqueue(std::move(e));
    return {};
}

result<void> session::submit_numbered(std::string stream, op::publish what)
{
    if (state_ == state::ended || quitting_)
        return failure{error_code::unavailable, "the session has ended"};
    if (options_.node.empty() || stream.empty() || !what.message || !what.message->id().empty())
        return failure{error_code::bad_request, "a numbered publish needs a node and a stream, and has no id"};
    if (queue_.size() + pending_ >= options_.operations_max || bytes_ >= options_.bytes_max)
        return failure{error_code::quota, "the client's queue is full"};
    entry e;
    e.stream = std::move(stream);
    e.what = std::move(what);
    enqueue(std::move(e));
    return {};
}

void session::enqueue(entry e)
{
    e.cost = entry_cost;
    std::visit(
        [&e](auto const& o) {
            if constexpr (requires { o.message->cost(); })
                e.cost += o.message->cost();
        },
        e.what);
    bytes_ += e.cost;
    if (e.numbered())
        ++numbered_[e.stream];
    if (!e.id.empty())
        by_id_[e.id] = not_sent;
    queue_.push_back(std::move(e));
}

std::vector<session::standing>::iterator session::find_standing(op::any const& what)
{
    return std::find_if(standing_.begin(), standing_.end(), [&](standing const& s) {
        auto const* sub = std::get_if<op::subscribe>(&s.what);
        auto const* consume = std::get_if<op::consume>(&s.what);
        auto const* serve = std::get_if<op::serve>(&s.what);
        return std::visit(
            overloaded{[&](op::subscribe const& o) { return sub != nullptr && same_subscription(*sub, o.pattern, o.group); },
                       [&](op::unsubscribe const& o) { return sub != nullptr && same_subscription(*sub, o.pattern, o.group); },
                       [&](op::consume const& o) {
                           return consume != nullptr && consume->consumer == o.consumer && consume->stream == o.stream;
                       },
                       [&](op::detach const& o) {
                           return consume != nullptr && consume->consumer == o.consumer &&
                                  (o.stream.empty() || consume->stream == o.stream);
                       },
                       [&](op::serve const& o) { return serve != nullptr && serve->service == o.service; },
                       [&](op::unserve const& o) { return serve != nullptr && serve->service == o.service; },
                       [](auto const&) { return false; }},
            what);
    });
}

void session::stand(op::any const& what, std::string const& id)
{
    if (auto const* c = std::get_if<op::consume>(&what); c != nullptr && options_.once)
        ledgers_.try_emplace({c->stream, c->consumer});
    auto found = find_standing(what);
    if (found == standing_.end())
        found = standing_.insert(found, {what, {}});
    found->what = what;
    if (id.empty() || state_ == state::ready) {
        if (state_ == state::ready && found->id.empty())
            found->id = id;
        return;
    }
    // Said twice before there was a link: one answer will come, and it is for the last.
    if (!found->id.empty()) {
        by_id_.erase(found->id);
        tell(notice::ok{found->id, {}, 0, false, {}});
    }
    found->id = id;
    by_id_[id] = not_sent;
}

void session::fall(op::any const& what)
{
    auto const found = find_standing(what);
    if (found == standing_.end())
        return;
    if (auto const* c = std::get_if<op::consume>(&found->what))
        ledgers_.erase({c->stream, c->consumer});
    if (!found->id.empty() && state_ != state::ready) {
        by_id_.erase(found->id);
        tell(notice::ok{found->id, {}, 0, false, {}});
    }
    standing_.erase(found);
}

ledger* session::ledger_of(std::string const& stream, std::string const& consumer)
{
    if (!stream.empty()) {
        auto const found = ledgers_.find({stream, consumer});
        return found == ledgers_.end() ? nullptr : &found->second;
    }
    for (auto& [key, l] : ledgers_)
        if (key.second == consumer)
            return &l;
    return nullptr;
}

std::vector<message_seq> session::awaited_of(op::ack const& ack)
{
    auto const* const l = ledger_of(ack.stream, ack.consumer);
    return l != nullptr ? l->awaited(ack.seqs) : std::vector<message_seq>{};
}

/// False if there is nothing to say to the server.
bool session::take_ack(op::ack& ack)
{
    auto* const l = ledger_of(ack.stream, ack.consumer);
    if (l == nullptr)
        return true;
    if (ack.upto != 0) {
        // On another link the server would not know what `upto` covers; the seqs say it on any.
        auto covered = l->held_upto(ack.upto);
        if (covered.size() > ack_seqs_max || (covered.empty() && !ack.id.empty())) {
            for (auto const seq : covered)
                l->finish(seq, outcome::done);
            return true;
        }
        ack.seqs = std::move(covered);
        ack.upto = 0;
    }
    for (auto const seq : ack.seqs)
        l->finish(seq, outcome::done);
    return !ack.seqs.empty();
}

void session::abandon(std::string const& id)
{
    auto const is_it = [&](entry const& e) { return e.id == id && !e.ours; };
    if (auto* const e = find(id); e != nullptr && is_it(*e)) {
        settle(*e);
        return;
    }
    auto const found = std::find_if(queue_.begin(), queue_.end(), is_it);
    if (found == queue_.end())
        return;
    forget(*found);
    queue_.erase(found);
}

// --- the link ---

void session::link_up(std::uint64_t now_ms)
{
    if (state_ == state::ended)
        return;
    state_ = state::greeting;
    decoder_.emplace(encoding::frames, frame_bytes_max);
    received_ms_ = sent_ms_ = now_ms;
    silence_ping_ = false;
    control_.clear();
    op::hello hello;
    hello.id = hello_id;
    hello.node = options_.node;
    hello.client = options_.client;
    hello.inbox = options_.inbox;
    hello.keepalive = true;
    encode(op::any{std::move(hello)}, encoding::frames, control_);
}

void session::forget(entry const& e)
{
    if (!e.id.empty())
        by_id_.erase(e.id);
    if (e.numbered())
        --numbered_[e.stream];
    bytes_ -= e.cost;
}

void session::tell_lost(entry const& e, failure why)
{
    if (!e.ours && e.answered())
        tell(notice::error{e.id, why.code, std::move(why.message), {}});
}

/// Whether something unanswered or unsent is to be sent on the next link; if not, the program is told what became of it.
bool session::keep(entry& e, bool was_sent)
{
    failure const lost{error_code::unavailable,
                       "the connection was lost before the answer came; without a node it is not sent again"};
    auto const once = [&] {
        if (!was_sent || e.numbered() || e.refused || !options_.node.empty())
            return true;
        tell_lost(e, lost);
        return false;
    };
    return std::visit(
        overloaded{[&](op::publish const&) { return once(); }, [&](op::post const&) { return once(); },
                   [&](op::call const&) {
                       if (was_sent)
                           tell_lost(e, {error_code::unavailable, "the connection was lost before the answer came"});
                       return !was_sent;
                   },
                   [](op::ping const&) { return true; }, [](op::who const&) { return true; },
                   [](op::quit const&) { return true; },
                   [&](op::ack const&) {
                       // What the program does not wait for is said again when the message comes again.
                       e.confirms.clear();
                       return !e.ours && !e.id.empty();
                   },
                   [&](op::unsubscribe const&) {
                       if (!e.id.empty())
                           tell(notice::ok{e.id, {}, 0, false, {}});
                       return false;
                   },
                   [&](op::detach const&) {
                       if (!e.id.empty())
                           tell(notice::ok{e.id, {}, 0, false, {}});
                       return false;
                   },
                   [&](op::unserve const&) {
                       if (!e.id.empty())
                           tell(notice::ok{e.id, {}, 0, false, {}});
                       return false;
                   },
                   [&](auto const&) {
                       if (was_sent || !e.id.empty())
                           tell_lost(e, {error_code::unavailable, "the connection was lost before the answer came"});
                       return false;
                   }},
        e.what);
}

void session::link_down(std::uint64_t)
{
    if (state_ == state::ended)
        return;
    state_ = state::waiting;
    decoder_.reset();
    control_.clear();
    for (auto& [key, l] : ledgers_)
        l.link_down();
    std::deque<entry> kept;
    auto const take = [&](std::deque<entry>& from, bool was_sent) {
        for (auto& e : from) {
            if (e.done)
                continue;
            // Standing ones are said again from their own list; their ids stay in use until they are answered.
            if (stands(e.what)) {
                bytes_ -= e.cost;
                if (e.ours)
                    by_id_.erase(e.id);
                else
                    by_id_[e.id] = not_sent;
                continue;
            }
            if (!keep(e, was_sent)) {
                forget(e);
                continue;
            }
            e.refused = false;
            if (!e.id.empty())
                by_id_[e.id] = not_sent;
            kept.push_back(std::move(e));
        }
        from.clear();
    };
    sent_base_ += sent_.size();
    take(sent_, true);
    take(queue_, false);
    queue_ = std::move(kept);
    pending_ = publishing_ = 0;
    recovery_.active = false;
}

void session::fill(std::string& out, std::size_t bytes_max, std::uint64_t now_ms)
{
    if (state_ != state::greeting && state_ != state::ready)
        return;
    recover(now_ms);
    auto const before = out.size();
    out += std::exchange(control_, {});
    while (state_ == state::ready && !queue_.empty() && out.size() < bytes_max) {
        auto& e = queue_.front();
        // What comes behind a publish that must wait waits too: operations keep their order.
        // A ping lifts what an earlier publish's failure has barred: none may follow it before its pong, by when the failure is known.
        if (e.is_publish() && (recovery_.active || silence_ping_))
            break;
        if (auto* const publish = std::get_if<op::publish>(&e.what); e.numbered() && publish->n == 0)
            publish->n = ++next_n_[e.stream];
        encode(e.what, encoding::frames, out);
        if (e.answered()) {
            if (!e.id.empty())
                by_id_[e.id] = sent_base_ + sent_.size();
            ++pending_;
            publishing_ += e.is_publish() ? 1 : 0;
            sent_.push_back(std::move(e));
        } else {
            bytes_ -= e.cost;
        }
        queue_.pop_front();
    }
    if (out.size() != before)
        sent_ms_ = now_ms;
}

result<void> session::tick(std::uint64_t now_ms)
{
    if (state_ != state::greeting && state_ != state::ready)
        return {};
    recover(now_ms);
    auto const silent_ms = now_ms - std::min(received_ms_, now_ms);
    if (silent_ms >= 2 * options_.silence_ms)
        return failure{error_code::unavailable, "nothing was heard from the server"};
    // The server too wants to hear from an idle client: `hello` asked for `keepalive`.
    if (state_ == state::ready && !silence_ping_ &&
        (silent_ms >= options_.silence_ms || now_ms - std::min(sent_ms_, now_ms) >= options_.silence_ms)) {
        silence_ping_ = true;
        encode(op::any{op::ping{std::string{alive_id}}}, encoding::frames, control_);
    }
    return {};
}

}  // namespace kedge::client_lib
