#include "tests/sim/consumer_model.hpp"

#include <algorithm>

#include "router/protocol/subject.hpp"

namespace kedge::sim {

consumer_model::consumer_model(consumer_state const& s, ledger const& l, instant now) : config_{s.config}, ledger_{l}
{
    restarted(s, now);
}

bool consumer_model::wants(row const& r) const
{
    return config_.filter.empty() || matches(config_.filter, r.message->subject());
}

void consumer_model::fail(message_seq seq, std::string const& what) const
{
    throw violation{"consumer " + config_.name + " of stream " + std::to_string(static_cast<std::uint32_t>(config_.stream))
                    + ", seq " + std::to_string(seq) + ": " + what};
}

void consumer_model::attached(link_id link, std::uint64_t window) { links_[link].window = window; }

void consumer_model::let_go_of(hold& h)
{
    if (h.at != link_id{})
        if (auto const at = links_.find(h.at); at != links_.end())
            --at->second.outstanding;
    h.at = {};
}

void consumer_model::done(holds::iterator at)
{
    let_go_of(at->second);
    done_.insert(at->first);
    held_.erase(at);
}

void consumer_model::dead(holds::iterator at) { done(at); }

void consumer_model::put_back(holds::iterator at, std::uint64_t batch)
{
    auto& h = at->second;
    let_go_of(h);
    h.ready_since = batch;
    if (is_dead(h)) {
        dead(at);
    } else if (may_be_dead(h)) {
        maybe_dead_.insert(at->first);
    }
}

void consumer_model::released(link_id link, std::optional<std::uint64_t> written, std::uint64_t batch)
{
    for (auto at = held_.begin(); at != held_.end();) {
        auto const here = at++;
        auto& h = here->second;
        if (h.at != link)
            continue;
        if (!written)
            h.tries_least -= h.tries_least > 0;
        else if (h.end > *written) {
            h.tries_least -= h.tries_least > 0;
            h.tries_most -= h.tries_most > 0;
        }
        put_back(here, batch);
    }
    links_.erase(link);
}

void consumer_model::look_for_skipped(message_seq from, message_seq to, char const* what) const
{
    auto const& rows = log().rows;
    for (auto seq = from; seq < to && seq <= rows.size(); ++seq)
        if (!trimmed(seq) && wants(rows[seq - 1]))
            fail(seq, what);
}

void consumer_model::delivered(link_id link, notice::msg const& m, std::uint64_t end, instant now, std::uint64_t batch)
{
    auto const seq = m.seq;
    auto const& rows = log().rows;
    if (seq == 0 || seq > rows.size())
        fail(seq, "delivered, but not committed");
    auto const& r = rows[seq - 1];
    if (m.subject != r.message->subject() || m.body != r.message->body() || m.headers != r.message->headers()
        || m.pub_id != r.message->id() || m.from != r.sender->view() || m.time_ms != r.time_ms)
        fail(seq, "delivered with other contents than were stored");
    if (!wants(r))
        fail(seq, "delivered, but its filter does not match");
    auto const to = links_.find(link);
    if (to == links_.end())
        fail(seq, "delivered to a link that is not attached");

    auto at = held_.find(seq);
    for (auto const& [other, h] : held_) {
        bool const must_go_first = h.at == link_id{} && h.not_before_ms == 0 && h.ready_since < batch && !may_be_dead(h)
            && !trimmed(other) && (other < seq || at == held_.end());
        if (must_go_first && other != seq)
            fail(seq, "delivered before " + std::to_string(other) + ", which is to be redelivered");
    }
    if (at == held_.end()) {
        if (done_.contains(seq))
            fail(seq, "delivered again after it was done");
        if (seq < next_)
            fail(seq, "delivered, but it lies below the position and was not pending");
        look_for_skipped(next_, seq, "skipped by a newer delivery");
        next_ = seq + 1;
        at = held_.emplace(seq, hold{}).first;
    } else {
        auto& h = at->second;
        if (h.at != link_id{}) {
            if (now.steady_ms < h.deadline_ms)
                fail(seq, "delivered again while another delivery is within its ack wait");
            let_go_of(h);
        }
        if (now.steady_ms < h.not_before_ms)
            fail(seq, "delivered again before its delay has passed");
        maybe_dead_.erase(seq);
    }
    auto& h = at->second;
    if (m.tries < h.tries_least + 1 || m.tries > h.tries_most + 1)
        fail(seq, "delivered with tries " + std::to_string(m.tries) + ", expected " + std::to_string(h.tries_least + 1) + " to "
                 + std::to_string(h.tries_most + 1));
    if (config_.max_deliver && m.tries > config_.max_deliver)
        fail(seq, "delivered more often than max_deliver");
    if (to->second.outstanding >= to->second.window)
        fail(seq, "delivered beyond the link's window of " + std::to_string(to->second.window));
    h = {m.tries, m.tries, link, link, ++serial_, end, now.steady_ms + config_.ack_wait_ms, 0, 0, false};
    ++to->second.outstanding;
    to->second.order.emplace_back(seq, serial_);
}

std::vector<message_seq> consumer_model::ack(link_id link, message_seq seq)
{
    auto const at = held_.find(seq);
    if (at == held_.end() || at->second.last != link)
        return {};
    done(at);
    return {seq};
}

std::vector<message_seq> consumer_model::ack_up_to(link_id link, message_seq seq)
{
    std::vector<message_seq> acknowledged;
    auto const to = links_.find(link);
    if (to == links_.end())
        return acknowledged;
    auto& order = to->second.order;
    auto const last = std::find_if(order.rbegin(), order.rend(), [&](auto const& d) { return d.first == seq; });
    if (last == order.rend())
        return acknowledged;
    auto const end = last.base();
    for (auto d = order.begin(); d != end; ++d) {
        auto const at = held_.find(d->first);
        if (at == held_.end() || at->second.serial != d->second || at->second.nakd)
            continue;
        done(at);
        acknowledged.push_back(d->first);
    }
    return acknowledged;
}

void consumer_model::nak(link_id link, message_seq seq, std::uint64_t delay_ms, instant now, std::uint64_t batch)
{
    auto const at = held_.find(seq);
    if (at == held_.end() || at->second.at != link)
        return;
    at->second.nakd = true;
    at->second.not_before_ms = delay_ms ? now.steady_ms + delay_ms : 0;
    put_back(at, batch);
}

void consumer_model::working(link_id link, message_seq seq, instant now)
{
    auto const at = held_.find(seq);
    if (at != held_.end() && at->second.at == link)
        at->second.deadline_ms = now.steady_ms + config_.ack_wait_ms;
}

void consumer_model::term(link_id link, message_seq seq)
{
    auto const at = held_.find(seq);
    if (at != held_.end() && at->second.last == link)
        dead(at);
}

void consumer_model::ticked(instant now, std::uint64_t batch)
{
    for (auto at = held_.begin(); at != held_.end();) {
        auto const here = at++;
        auto& h = here->second;
        if (h.at != link_id{} && h.deadline_ms <= now.steady_ms) {
            put_back(here, batch);
        } else if (h.at == link_id{} && h.not_before_ms != 0 && h.not_before_ms <= now.steady_ms) {
            h.not_before_ms = 0;
            h.ready_since = batch;
        }
    }
}

void consumer_model::committed(std::vector<message_seq> const& seqs) { committed_.insert(seqs.begin(), seqs.end()); }

void consumer_model::restarted(consumer_state const& s, instant now)
{
    std::set<message_seq> pending;
    for (auto const& p : s.position.pending)
        pending.insert(p.seq);
    for (auto const seq : committed_)
        if (seq >= s.position.next || pending.contains(seq))
            fail(seq, "its ack was answered by ok, but the stored position does not hold it");
    // Rows below the position that are not pending count as done: each must have been.
    for (message_seq seq = 1; seq < s.position.next && seq <= log().rows.size(); ++seq)
        if (serial_ != 0 && seq < next_ && !pending.contains(seq) && !done_.contains(seq) && !maybe_dead_.contains(seq)
            && !trimmed(seq) && held_.contains(seq))
            fail(seq, "the stored position counts it as done, but nobody acknowledged it");
    if (serial_ != 0)
        look_for_skipped(next_, s.position.next, "the stored position lies beyond it, but it was never delivered");

    links_.clear();
    held_.clear();
    maybe_dead_.clear();
    for (auto const& p : s.position.pending) {
        hold h;
        h.tries_least = h.tries_most = p.tries;
        if (p.due_ms > now.wall_ms)
            h.not_before_ms = now.steady_ms + (p.due_ms - now.wall_ms);
        if (!is_dead(h))
            held_.emplace(p.seq, h);
    }
    next_ = s.position.next;
    done_.erase(done_.lower_bound(next_), done_.end());
    for (auto const seq : pending)
        done_.erase(seq);
    if (serial_ == 0)
        serial_ = 1;
}

void consumer_model::check_trimmed(message_seq first) const
{
    for (auto const& [seq, h] : held_)
        if (seq < first && !may_be_dead(h))
            fail(seq, "retention by interest took it, but it is not done");
    look_for_skipped(next_, first, "retention by interest took it, but it was not delivered");
}

void consumer_model::check_drained() const
{
    for (auto const& [seq, h] : held_)
        if (!trimmed(seq) && !may_be_dead(h))
            fail(seq, "was never acknowledged, though somebody was there to do it to the end");
    look_for_skipped(next_, log().rows.size() + 1, "was never delivered, though somebody was there to take it to the end");
}

}  // namespace kedge::sim
