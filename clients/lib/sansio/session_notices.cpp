/// The second half of `session`: what the server says.

#include <algorithm>

#include "clients/lib/sansio/session.hpp"
#include "clients/lib/sansio/session_detail.hpp"
#include "router/protocol/encoding.hpp"

namespace kedge::client_lib {
namespace {

constexpr std::uint64_t retry_wait_ms_min = 50;
constexpr std::uint64_t retry_wait_ms_max = 2'000;

}  // namespace

result<void> session::receive(std::string_view bytes, std::uint64_t now_ms)
{
    if (!decoder_)
        return {};
    received_ms_ = now_ms;
    decoder_->feed(bytes);
    while (auto next = decoder_->next()) {
        if (!*next)
            return std::move(*next).error();
        if (auto handled = on_notice(std::move(**next), now_ms); !handled)
            return handled;
        if (!decoder_)
            break;
    }
    return {};
}

result<void> session::on_notice(notice::any n, std::uint64_t now_ms)
{
    using done = result<void>;
    return std::visit(overloaded{[&](notice::welcome& w) { return on_welcome(std::move(w)); },
                                 [&](notice::ok& o) { return on_ok(std::move(o)); },
                                 [&](notice::error& e) { return on_error(std::move(e), now_ms); },
                                 [&](notice::bye& b) { return on_bye(std::move(b)); },
                                 [&](notice::pong& p) { on_pong(std::move(p)); return done{}; },
                                 [&](notice::reply& r) { on_reply(std::move(r)); return done{}; },
                                 [&](notice::stored& s) { on_stored(s); return done{}; },
                                 [&](notice::msg& m) { on_msg(std::move(m)); return done{}; },
                                 [&](notice::info& i) { tell(std::move(i)); return done{}; },
                                 [&](notice::call& c) { tell(std::move(c)); return done{}; },
                                 [](notice::unknown&) { return done{}; }},
                      n);
}

result<void> session::on_welcome(notice::welcome&& w)
{
    if (state_ != state::greeting || w.id != hello_id)
        return {};
    for (auto const& [stream, n] : w.last) {
        last_n_[stream] = std::max(last_n_[stream], n);
        next_n_[stream] = std::max(next_n_[stream], n);
    }
    auto const last = w.last;
    tell(std::move(w));
    state_ = state::ready;
    become_ready();
    // What was stored although its answer was lost.
    for (auto const& [stream, n] : last) {
        auto const covered = [&name = stream, up_to = n](entry const& e) {
            auto const* p = std::get_if<op::publish>(&e.what);
            return p != nullptr && e.stream == name && p->n != 0 && p->n <= up_to;
        };
        bool any = false;
        for (auto const& e : queue_)
            if (covered(e)) {
                any = true;
                forget(e);
            }
        if (!any)
            continue;
        queue_.erase(std::remove_if(queue_.begin(), queue_.end(), covered), queue_.end());
        tell(notice::stored{stream, n, 0});
    }
    return {};
}

void session::become_ready()
{
    std::deque<entry> first;
    for (auto const& s : standing_) {
        entry e;
        e.what = s.what;
        e.ours = s.id.empty();
        e.id = e.ours ? next_id() : s.id;
        std::visit(overloaded{[&](op::subscribe& o) { o.id = e.id; }, [&](op::consume& o) { o.id = e.id; },
                              [&](op::serve& o) { o.id = e.id; }, [](auto&) {}},
                   e.what);
        by_id_[e.id] = not_sent;
        first.push_back(std::move(e));
    }
    queue_.insert(queue_.begin(), std::make_move_iterator(first.begin()), std::make_move_iterator(first.end()));
}

session::entry* session::find(std::string const& id)
{
    auto const found = by_id_.find(id);
    if (found == by_id_.end() || found->second == not_sent)
        return nullptr;
    return &sent_[found->second - sent_base_];
}

void session::drop_done()
{
    while (!sent_.empty() && sent_.front().done) {
        sent_.pop_front();
        ++sent_base_;
    }
}

/// Ends an entry of `sent_`; the reference is gone afterwards.
void session::settle(entry& e)
{
    forget(e);
    if (e.is_publish() && !e.refused)
        --publishing_;
    --pending_;
    e.done = true;
    e.what = op::quit{};  // gives back the message's memory while older ones still wait
    drop_done();
}

result<void> session::on_ok(notice::ok&& ok)
{
    auto* const e = find(ok.id);
    if (e == nullptr)
        return {};
    bool const ours = e->ours;
    if (e->is_publish())
        recovery_.tries = recovery_.active ? recovery_.tries : 0;
    else if (auto const* ack = std::get_if<op::ack>(&e->what); ack != nullptr) {
        if (auto* l = ledger_of(ack->stream, ack->consumer))
            l->confirmed(e->confirms);
    } else if (auto const found = find_standing(e->what);
               found != standing_.end() && stands(e->what)) {
        found->id.clear();
    }
    settle(*e);
    if (!ours)
        tell(std::move(ok));
    return {};
}

void session::on_pong(notice::pong&& p)
{
    if (p.id == alive_id) {
        silence_ping_ = false;
    } else if (p.id == retry_id) {
        recovery_.pong_seen = recovery_.ping_sent;
    } else if (auto* e = find(p.id)) {
        settle(*e);
        tell(std::move(p));
    }
}

void session::on_reply(notice::reply&& r)
{
    if (auto* e = find(r.id)) {
        settle(*e);
        tell(std::move(r));
    }
}

void session::on_stored(notice::stored const& s)
{
    last_n_[s.stream] = std::max(last_n_[s.stream], s.n);
    for (std::size_t i = 0; i < sent_.size();) {
        auto& e = sent_[i];
        auto const* p = std::get_if<op::publish>(&e.what);
        if (e.done || p == nullptr || e.stream != s.stream) {
            ++i;
            continue;
        }
        if (p->n > s.n)
            break;  // numbers rise in the order of sending
        auto const before = sent_.size();
        settle(e);
        if (sent_.size() == before)
            ++i;
        else
            i = 0;
    }
    if (!recovery_.active)
        recovery_.tries = 0;
    tell(s);
}

void session::on_msg(notice::msg&& m)
{
    auto* const l = m.consumer.empty() ? nullptr : ledger_of(m.stream, m.consumer);
    if (l == nullptr) {
        tell(std::move(m));
        return;
    }
    switch (l->delivered(m.seq)) {
    case ledger::advice::show:
        tell(std::move(m));
        return;
    case ledger::advice::ignore:
        return;
    case ledger::advice::repeat:
        break;
    }
    entry e;
    e.ours = true;
    e.id = next_id();
    switch (l->finished_as(m.seq)) {
    case outcome::done: {
        op::ack ack;
        ack.id = e.id;
        ack.consumer = m.consumer;
        ack.stream = m.stream;
        ack.seqs = {m.seq};
        e.confirms = ack.seqs;
        e.what = std::move(ack);
        break;
    }
    case outcome::dead: {
        op::term term;
        term.id = e.id;
        term.consumer = m.consumer;
        term.stream = m.stream;
        term.seq = m.seq;
        e.what = std::move(term);
        break;
    }
    }
    enqueue(std::move(e));
}

bool session::retries(entry const& e, error_code code) const
{
    if (options_.retry_ms == 0 || !sticks_to_stream(code))
        return false;
    // "Unknown" may only be sent again where the server knows the id.
    return !outcome_unknown(code) || e.numbered() || !options_.node.empty();
}

void session::refuse(entry& e, failure why, std::uint64_t now_ms)
{
    if (e.refused)
        return;
    e.refused = true;
    e.why = std::move(why);
    if (e.refused_ms == 0)
        e.refused_ms = now_ms;
    --publishing_;
    begin_recovery(now_ms);
}

void session::begin_recovery(std::uint64_t now_ms)
{
    if (recovery_.active)
        return;
    auto const most = std::min(retry_wait_ms_max, retry_wait_ms_min << std::min(recovery_.tries, 10u));
    recovery_ = {true, false, false, now_ms + most / 2 + random_() % (most / 2 + 1), recovery_.tries + 1};
}

void session::recover(std::uint64_t now_ms)
{
    if (!recovery_.active || state_ != state::ready)
        return;
    if (!recovery_.ping_sent && now_ms >= recovery_.ping_at_ms) {
        recovery_.ping_sent = true;
        encode(op::any{op::ping{std::string{retry_id}}}, encoding::frames, control_);
    }
    if (!recovery_.pong_seen || publishing_ != 0)
        return;
    recovery_.active = false;
    std::deque<entry> again;
    std::optional<failure> numbered_failed;
    for (auto& e : sent_) {
        if (e.done || !e.refused)
            continue;
        --pending_;
        e.done = true;
        if (now_ms - e.refused_ms >= options_.retry_ms) {
            forget(e);
            if (e.numbered())
                numbered_failed = e.why;
            else
                tell_lost(e, e.why);
            continue;
        }
        auto& back = again.emplace_back(std::move(e));
        e.done = true;
        back.done = back.refused = false;
        if (!back.id.empty())
            by_id_[back.id] = not_sent;
    }
    drop_done();
    queue_.insert(queue_.begin(), std::make_move_iterator(again.begin()), std::make_move_iterator(again.end()));
    if (numbered_failed)
        fail_numbered(*numbered_failed);
}

/// The answer to numbered publishes has no id: one failure ends all that wait, so that none is stored behind a gap.
void session::fail_numbered(failure const& why)
{
    auto const is_numbered = [](entry const& e) { return e.numbered() && !e.done; };
    for (auto& e : queue_)
        if (is_numbered(e))
            forget(e);
    queue_.erase(std::remove_if(queue_.begin(), queue_.end(), is_numbered), queue_.end());
    for (auto& e : sent_) {
        if (!is_numbered(e))
            continue;
        forget(e);
        --pending_;
        publishing_ -= e.refused ? 0 : 1;
        e.done = true;
    }
    drop_done();
    tell(notice::error{{}, why.code, why.message, {}});
}

result<void> session::on_error(notice::error&& error, std::uint64_t now_ms)
{
    failure why{error.code, error.message};
    if (error.id == hello_id) {
        // What may pass is tried again on a new link; the rest is for the program to mend.
        if (sticks_to_stream(error.code))
            return why;
        end(why);
        return {};
    }
    auto* const e = find(error.id);
    if (e == nullptr) {
        if (ends_link(error.code) || !error.id.empty())
            return {};  // `bye` follows and says it again; or nobody waits for it any more
        bool const numbered =
            std::any_of(sent_.begin(), sent_.end(), [](entry const& s) { return s.numbered() && !s.done; });
        if (!numbered) {
            tell(std::move(error));
        } else if (options_.retry_ms != 0 && sticks_to_stream(error.code)) {
            for (auto& s : sent_)
                if (s.numbered() && !s.done)
                    refuse(s, why, now_ms);
        } else {
            fail_numbered(why);
        }
        return {};
    }
    // A mailbox that is full stays so until its owner reads. The first error is for that mailbox, whatever comes behind it
    // has the same one for another's sake, and gets on after a ping.
    bool const mailbox_full = e->is_post() && error.code == error_code::quota && options_.retry_ms != 0 && !recovery_.active;
    if (e->is_publish() && retries(*e, error.code) && !mailbox_full) {
        refuse(*e, std::move(why), now_ms);
        return {};
    }
    if (mailbox_full)
        begin_recovery(now_ms);
    if (auto const found = find_standing(e->what); found != standing_.end() && stands(e->what)) {
        // It stood on the link before: that it cannot stand now may pass.
        if (found->id.empty() && sticks_to_stream(error.code))
            return why;
        if (auto const* c = std::get_if<op::consume>(&found->what))
            ledgers_.erase({c->stream, c->consumer});
        standing_.erase(found);
    }
    if (e->ours)
        error.id.clear();
    settle(*e);
    tell(std::move(error));
    return {};
}

result<void> session::on_bye(notice::bye&& bye)
{
    failure why{bye.code, bye.message};
    if (bye.code == error_code::quit && quitting_) {
        end(std::nullopt);
        return {};
    }
    // To come back at once would take the name from whoever has it now, or be refused again.
    if (bye.code == error_code::replaced || bye.code == error_code::revoked) {
        end(why);
        tell(std::move(bye));
        return {};
    }
    return why;
}

void session::end(std::optional<failure> why)
{
    state_ = state::ended;
    decoder_.reset();
    failure const lost = why.value_or(failure{error_code::unavailable, "the session has ended"});
    for (auto const* list : {&sent_, &queue_})
        for (auto const& e : *list)
            if (!e.done && !std::holds_alternative<op::quit>(e.what))
                tell_lost(e, lost);
    for (auto const& s : standing_)
        if (!s.id.empty() && find(s.id) == nullptr)
            tell(notice::error{s.id, lost.code, lost.message, {}});
    ended_because_ = std::move(why);
    sent_.clear();
    queue_.clear();
    by_id_.clear();
    control_.clear();
    pending_ = publishing_ = bytes_ = 0;
    bool const any_numbered = !numbered_.empty();
    numbered_.clear();
    if (any_numbered)
        tell(notice::error{{}, lost.code, lost.message, {}});
}

}  // namespace kedge::client_lib
