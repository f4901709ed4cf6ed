#include "router/core/consumer.hpp"

#include <algorithm>

#include "router/protocol/subject.hpp"
#include "router/store/row_bytes.hpp"

namespace kedge {

consumer::consumer(consumer_id id, consumer_config config, cursor const& position, std::uint64_t dead_letters, instant now)
    : done{position.done_messages, position.done_bytes}, dead{dead_letters}, id_{id}, config_{std::move(config)},
      is_inbox_{config_.name.find('/') != std::string::npos}, next_{position.next}
{
    for (auto const& p : position.pending) {
        if (config_.max_deliver && p.tries >= config_.max_deliver) {
            deaths_.push_back({p.seq, p.tries, "max_deliver"});
            continue;
        }
        hold h;
        h.tries = p.tries;
        if (p.due_ms > now.wall_ms) {
            h.due_ms = now.steady_ms + (p.due_ms - now.wall_ms);
            delayed_.emplace(h.due_ms, p.seq);
        } else {
            ready_.insert(p.seq);
        }
        held_.emplace(p.seq, h);
    }
}

bool consumer::wants(row const& r) const
{
    if (r.recipients)
        return is_inbox_ && addressed_to(r.recipients->view(), config_.owner, config_.name) == addressed::this_node;
    return config_.filter.empty() || matches(config_.filter, r.message->subject());
}

void consumer::skip(row const& r)
{
    if (!is_inbox_ || !r.recipients || addressed_to(r.recipients->view(), config_.owner, config_.name) != addressed::other_nodes)
        return;
    ++done.messages;
    done.bytes += row_bytes(*r.message);
}

attachment& consumer::attach(link& at, std::uint64_t window)
{
    if (auto* const known = attached_to(at)) {
        known->window = window;
        return *known;
    }
    auto& added = attachments_.emplace_back(std::make_unique<attachment>());
    added->at = &at;
    added->of = this;
    added->window = window;
    at.attachments.push_back(added.get());
    return *added;
}

attachment* consumer::attached_to(link const& at) const
{
    for (auto const& a : attachments_)
        if (a->at == &at)
            return a.get();
    return nullptr;
}

void consumer::release(attachment& from, std::optional<std::uint64_t> written, instant now)
{
    for (auto const& d : from.order) {
        auto const at = held_.find(d.seq);
        if (at == held_.end() || at->second.serial != d.serial || at->second.at != &from)
            continue;
        auto& h = at->second;
        if (written && h.end > *written)
            --h.tries;
        if (config_.max_deliver && h.tries >= config_.max_deliver)
            die(at, "max_deliver");
        else
            put_back(d.seq, h, written ? after_backoff(h, now) : 0);  // a link that lives has just given it to others
    }
    std::erase(from.at->attachments, &from);
    std::erase_if(attachments_, [&](auto const& a) { return a.get() == &from; });
    dirty = true;
}

attachment* consumer::next_with_room(std::uint64_t unsent_max)
{
    for (std::size_t i = 0; i < attachments_.size(); ++i) {
        turn_ = (turn_ + 1) % attachments_.size();
        auto& a = *attachments_[turn_];
        if (a.outstanding < a.window && a.at->unsent() < unsent_max && !a.at->closed && !a.at->finishing)
            return &a;
    }
    return nullptr;
}

std::vector<message_seq> consumer::to_redeliver(std::size_t most) const
{
    std::vector<message_seq> seqs;
    for (auto const seq : ready_) {
        if (seqs.size() == most)
            break;
        seqs.push_back(seq);
    }
    return seqs;
}

void consumer::gone(message_seq seq)
{
    if (auto const at = held_.find(seq); at != held_.end())
        finish(at);
}

std::uint32_t consumer::tries(message_seq seq) const
{
    auto const at = held_.find(seq);
    return at == held_.end() ? 0 : at->second.tries;
}

std::uint32_t consumer::delivered(attachment& to, message_seq seq, std::uint64_t end, instant now, std::uint64_t bytes)
{
    auto& h = held_[seq];
    if (h.tries > 0 || !ready_.empty())
        ready_.erase(seq);
    ++h.tries;
    h.at = &to;
    h.last = to.at->id;
    h.serial = ++serial_;
    h.end = end;
    h.bytes = bytes;
    h.due_ms = 0;
    h.nakd = false;
    ++to.outstanding;
    trim(to);
    to.order.push_back({seq, h.serial});
    start_wait(seq, h, now);
    next_ = std::max(next_, seq + 1);
    if (h.tries > 1)
        dirty = true;
    return h.tries;
}

void consumer::trim(attachment& a)
{
    auto const is_void = [&](auto const& d) {
        auto const at = held_.find(d.seq);
        return at == held_.end() || at->second.serial != d.serial;
    };
    while (!a.order.empty() && is_void(a.order.front()))
        a.order.pop_front();
    if (a.order.size() >= a.order_trim) {
        std::erase_if(a.order, is_void);
        a.order_trim = 2 * a.order.size() + 64;
    }
}

void consumer::start_wait(message_seq seq, hold& h, instant now)
{
    h.wait = ++serial_;
    trim_waits();
    wait const w{now.steady_ms + config_.ack_wait_ms, seq, h.wait};
    // By rising time, also after an operator has made the wait shorter.
    waits_.insert(std::upper_bound(waits_.begin(), waits_.end(), w.until_ms, [](auto at, auto const& other) { return at < other.until_ms; }), w);
}

void consumer::trim_waits()
{
    auto const is_void = [&](wait const& w) {
        auto const at = held_.find(w.seq);
        return at == held_.end() || at->second.wait != w.serial;
    };
    while (!waits_.empty() && is_void(waits_.front()))
        waits_.pop_front();
    if (waits_.size() > 2 * held_.size() + 64)
        std::erase_if(waits_, is_void);
}

bool consumer::held_by(hold const& h, link const& by) const
{
    return h.last == by.id && (h.at == nullptr || h.at->at == &by);
}

void consumer::finish(holds::iterator at)
{
    auto& h = at->second;
    if (h.at)
        --h.at->outstanding;
    else if (h.due_ms)
        delayed_.erase({h.due_ms, at->first});
    else
        ready_.erase(at->first);
    if (is_inbox_) {
        ++done.messages;
        done.bytes += h.bytes;
    }
    held_.erase(at);
    dirty = true;
}

void consumer::put_back(message_seq seq, hold& h, std::uint64_t due_ms)
{
    if (h.at)
        --h.at->outstanding;
    h.at = nullptr;
    h.due_ms = due_ms;
    if (due_ms)
        delayed_.emplace(due_ms, seq);
    else
        ready_.insert(seq);
    dirty = true;
}

std::uint64_t consumer::after_backoff(hold const& h, instant now) const
{
    if (config_.backoff_ms.empty() || h.tries == 0)
        return 0;
    auto const wait = config_.backoff_ms[std::min<std::size_t>(h.tries, config_.backoff_ms.size()) - 1];
    return wait ? now.steady_ms + wait : 0;
}

bool consumer::ack(link const& by, message_seq seq)
{
    auto const at = held_.find(seq);
    if (at == held_.end() || !held_by(at->second, by))
        return false;
    finish(at);
    return true;
}

std::optional<std::size_t> consumer::ack_up_to(attachment& a, message_seq seq)
{
    // What is still held has its place by serial; only what was acknowledged already must be looked for.
    auto end = a.order.end();
    if (auto const at = held_.find(seq); at != held_.end() && held_by(at->second, *a.at)) {
        end = std::upper_bound(a.order.begin(), a.order.end(), at->second.serial,
                               [](std::uint64_t serial, auto const& d) { return serial < d.serial; });
        if (end == a.order.begin() || std::prev(end)->serial != at->second.serial)
            return std::nullopt;  // delivered before this link detached and came back
    } else {
        auto const last = std::find_if(a.order.rbegin(), a.order.rend(), [&](auto const& d) { return d.seq == seq; });
        if (last == a.order.rend())
            return std::nullopt;
        end = last.base();
    }
    std::size_t done = 0;
    for (auto d = a.order.begin(); d != end; ++d) {
        auto const at = held_.find(d->seq);
        if (at == held_.end() || at->second.serial != d->serial || at->second.nakd)
            continue;
        finish(at);
        ++done;
    }
    a.order.erase(a.order.begin(), end);
    return done;
}

bool consumer::nak(link const& by, message_seq seq, std::uint64_t delay_ms, instant now)
{
    auto const at = held_.find(seq);
    if (at == held_.end() || at->second.at == nullptr || at->second.at->at != &by)
        return false;
    if (config_.max_deliver && at->second.tries >= config_.max_deliver) {
        die(at, "max_deliver");
        return true;
    }
    at->second.nakd = true;
    put_back(seq, at->second, delay_ms ? now.steady_ms + delay_ms : after_backoff(at->second, now));
    return true;
}

bool consumer::working(link const& by, message_seq seq, instant now)
{
    auto const at = held_.find(seq);
    if (at == held_.end() || at->second.at == nullptr || at->second.at->at != &by)
        return false;
    start_wait(seq, at->second, now);  // its place in the order of delivery stays
    return true;
}

bool consumer::term(link const& by, message_seq seq, std::string reason)
{
    auto const at = held_.find(seq);
    if (at == held_.end() || !held_by(at->second, by))
        return false;
    die(at, reason.empty() ? "term" : std::move(reason));
    return true;
}

void consumer::die(holds::iterator at, std::string reason)
{
    deaths_.push_back({at->first, at->second.tries, std::move(reason)});
    finish(at);
}

void consumer::expire(instant now)
{
    while (!waits_.empty()) {
        auto const w = waits_.front();
        auto const at = held_.find(w.seq);
        bool const valid = at != held_.end() && at->second.wait == w.serial && at->second.at != nullptr;
        if (valid && w.until_ms > now.steady_ms)
            break;
        waits_.pop_front();
        if (!valid)
            continue;
        if (config_.max_deliver && at->second.tries >= config_.max_deliver)
            die(at, "max_deliver");
        else
            put_back(w.seq, at->second, after_backoff(at->second, now));
    }
    while (!delayed_.empty() && delayed_.begin()->first <= now.steady_ms) {
        auto const seq = delayed_.begin()->second;
        delayed_.erase(delayed_.begin());
        held_.find(seq)->second.due_ms = 0;
        ready_.insert(seq);
    }
}

std::optional<std::uint64_t> consumer::due_ms() const
{
    std::optional<std::uint64_t> due;
    if (!waits_.empty())
        due = waits_.front().until_ms;
    if (!delayed_.empty())
        due = std::min(due.value_or(delayed_.begin()->first), delayed_.begin()->first);
    return due;
}

cursor consumer::position(instant now) const
{
    cursor result;
    result.next = next_;
    result.done_messages = done.messages;
    result.done_bytes = done.bytes;
    result.pending.reserve(held_.size() + reviving.size());
    for (auto const seq : reviving)
        if (!held_.contains(seq))
            result.pending.push_back({seq, 0, 0});
    for (auto const& [seq, h] : held_) {
        auto const delay = h.due_ms > now.steady_ms ? h.due_ms - now.steady_ms : 0;
        result.pending.push_back({seq, h.tries, delay ? now.wall_ms + delay : 0});
    }
    std::sort(result.pending.begin(), result.pending.end(), [](auto const& a, auto const& b) { return a.seq < b.seq; });
    return result;
}

std::vector<store_request::save_cursor::death> consumer::take_deaths() { return std::exchange(deaths_, {}); }

void consumer::restore_deaths(std::vector<store_request::save_cursor::death> deaths)
{
    deaths_.insert(deaths_.begin(), std::make_move_iterator(deaths.begin()), std::make_move_iterator(deaths.end()));
}

void consumer::revive(std::vector<message_seq> const& seqs)
{
    for (auto const seq : seqs)
        if (held_.emplace(seq, hold{}).second) {
            ready_.insert(seq);
            done.messages -= is_inbox_ && done.messages > 0;
        }
    dirty = true;
}

}  // namespace kedge
