// Publishes that JetStream orders: sent in their order, settled when they are read back.

#include <algorithm>
#include <utility>

#include <sodium.h>

#include "migration/percent.hpp"
#include "migration/replica_impl.hpp"
#include "migration/server_codes.hpp"

namespace kedge::migration {

namespace {

using publish_entry = publish_state::entry;

bool is_same_publish(publish_entry const& e, std::string_view sender, std::string_view id, std::uint64_t n)
{
    return e.what.named && e.what.n == n && e.what.sender->view() == sender && (n != 0 || e.what.message->id() == id);
}

}  // namespace

/// Numbers begin anew under each authority epoch. What was open, which is nothing at a switch, is sent again under the new one.
void replica::impl::new_lane()
{
    for (auto e = own.sent.rbegin(); e != own.sent.rend(); ++e) {
        unanswered -= !e->answered;
        if (e->settled)
            continue;
        e->on_wire = e->duplicate = false;
        e->answered = true;
        own.queue_bytes += e->bytes;
        own.queue.push_front(std::move(*e));
    }
    own.sent.clear();
    own.first_counter = 1;
    own.resend = own.open = own.wire = own.wire_bytes = 0;

    unsigned char bytes[crypto_generichash_BYTES_MIN];
    std::uint64_t const parts[] = {who.process, authority_epoch, static_cast<std::uint64_t>(who.stream)};
    crypto_generichash(bytes, sizeof bytes, reinterpret_cast<unsigned char const*>(parts), sizeof parts,
                       reinterpret_cast<unsigned char const*>(who.secret.data()), who.secret.size());
    own.lane = 0;
    for (std::size_t i = 0; i < sizeof own.lane; ++i)
        own.lane = own.lane << 8 | bytes[i];
}

void replica::impl::publish(std::vector<store_request::append>&& what, instant now, effects& out)
{
    own.recent.forget_old(now.wall_ms);
    std::optional<std::uint64_t> lost_epoch;  // what was pipelined behind a loss falls with it
    auto const lose_from_here = [&](store_request::append const& append, failure why) {
        lost_epoch = append.epoch;
        lose(append, std::move(why), out);
    };
    for (auto& append : what) {
        auto const bytes = append.message->cost();
        if (lost_epoch && append.epoch <= *lost_epoch) {
            lose(append, {error_code::unavailable, "a publish before it was not stored"}, out);
            continue;
        }
        if (own.recent.holds(append)) {
            lose_from_here(append, just_stored());
            continue;
        }
        if (own.queue_bytes + bytes > bounds.hold_bytes && own.queue_bytes != 0) {
            lose_from_here(append, {error_code::unavailable, "too much waits for NATS"});
            continue;
        }
        publish_entry e;
        e.what = std::move(append);
        e.since_ms = now.steady_ms;
        e.bytes = bytes;
        own.queue_bytes += bytes;
        own.queue.push_back(std::move(e));
    }
    pump_rows(now, out);
}

/// The next one; false: there is none.
bool replica::impl::send_own(effects& out)
{
    if (own.cautious && own.wire != 0)
        return false;
    while (own.resend < own.sent.size()) {
        auto& e = own.sent[own.resend];
        auto const counter = own.first_counter + own.resend++;
        if (!e.settled) {
            transmit(e, counter, out);
            return true;
        }
        e.ticket = own.last_ticket;  // so that they rise along `sent`
    }
    if (own.queue.empty())
        return false;
    own.sent.push_back(std::move(own.queue.front()));
    own.queue.pop_front();
    own.queue_bytes -= own.sent.back().bytes;
    ++own.open;
    own.resend = own.sent.size();
    transmit(own.sent.back(), own.first_counter + own.sent.size() - 1, out);
    return true;
}

void replica::impl::transmit(publish_entry& e, std::uint64_t counter, effects& out)
{
    auto m = wire.own(who.incarnation, authority_epoch, own.lane, counter, e.what, e.attempt);
    if (too_large(m, payload_max)) {
        lose(e.what, {error_code::too_large, "the message is larger than the NATS server takes"}, out);
        e.ticket = own.last_ticket;
        return settle(e);
    }
    e.ticket = own.last_ticket = numbers.next();
    e.on_wire = true;
    e.maybe_before = std::exchange(e.maybe, true);
    e.answered = e.duplicate = false;
    e.place = 0;
    e.behind = in.received;
    ++own.wire;
    own.wire_bytes += e.bytes;
    ++unanswered;
    out.backend.push_back(backend_command::publish{e.ticket, connection, std::move(m)});
}

/// Nothing more is to come of it; `pop_own` is the caller's.
void replica::impl::settle(publish_entry& e)
{
    e.settled = true;
    --own.open;
    if (e.on_wire) {
        --own.wire;
        own.wire_bytes -= e.bytes;
    }
}

void replica::impl::pop_own()
{
    while (!own.sent.empty() && own.sent.front().settled && own.sent.front().answered) {
        own.sent.pop_front();
        ++own.first_counter;
        own.resend -= own.resend != 0;
    }
}

publish_entry* replica::impl::entry_of(std::uint64_t lane, std::uint64_t counter)
{
    if (lane != own.lane || counter < own.first_counter || counter - own.first_counter >= own.sent.size())
        return nullptr;
    return &own.sent[counter - own.first_counter];
}

bool replica::impl::own_answered(std::uint64_t ticket, backend_event::acked const* ack, backend_event::refused const* no, instant now,
                                 effects& out)
{
    auto const end = own.sent.begin() + static_cast<std::ptrdiff_t>(own.resend);
    auto const found = std::lower_bound(own.sent.begin(), end, ticket, [](publish_entry const& e, std::uint64_t t) { return e.ticket < t; });
    if (found == end || found->ticket != ticket || found->answered)
        return false;
    auto& e = *found;
    e.answered = true;
    --unanswered;
    if (ack != nullptr && !ack->duplicate && ack->place <= e.behind) {
        pop_own();
        doubt(now, out);  // it stands where another one was read
    } else if (ack != nullptr) {
        e.place = ack->place;
        e.duplicate = ack->duplicate;
        shown.duplicates += ack->duplicate;
        shown.jet_last = std::max(shown.jet_last, ack->place);
        auto const missing = !e.settled && ack->place <= in.built;
        pop_own();
        auto const used = missing && find_missing(in.built);
        if (!in.gone.empty())
            build(now, out);
        own.cautious = false;
        if (used)
            drain(now, out);
    } else {
        if (!no->sent || no->answered)
            e.maybe = e.maybe_before;
        doubtful = doubtful || (!e.settled && nobody_knows(*no));
        bool const open = refused(e, *no, now, out);  // `e` may be gone now
        pop_own();
        if (open)
            drain(now, out);
    }
    if (at == replica_phase::draining && unanswered == 0)
        drained(now, out);
    if (in.awaits != 0)
        build(now, out);
    pump_rows(now, out);
    return true;
}

/// A message that the server does not take for what it is ends with an error. Of any other refusal the publisher hears only if nothing
/// that was sent behind it can have been accepted: what is open is sent again, one at a time, and if that is refused, all of it ends.
/// Whether it is still open.
bool replica::impl::refused(publish_entry& e, backend_event::refused const& no, instant now, effects& out)
{
    if (!no.answered)
        return !e.settled;
    ++shown.refusals;
    shown.refused_why = no.why;
    if (e.settled) {
        ++shown.reordered;  // given up before: when it is sent again it is behind what was accepted after it
        return false;
    }
    if (passes(no.code) && !is_full(no.code))
        return true;
    if (is_for_good(no.code)) {
        lose(e.what, {error_code::too_large, "NATS refuses the message: " + no.why}, out);
        settle(e);
    } else if (!std::exchange(own.cautious, true) || own.wire > 1) {
        return true;
    } else {
        lose_all({is_full(no.code) ? error_code::store_full : error_code::quota, "NATS refuses messages: " + no.why}, now, out);
    }
    return false;
}

/// An own publish was read back which is not one of those that are open under its number. If it is one that was given up and is
/// being sent again, that one ends here.
std::optional<store_request::append> replica::impl::claim(sighting const& seen, message const& m, std::uint64_t digest, instant now, effects& out)
{
    auto const sender = percent_decode(seen.from).value_or(std::string{});
    if (!is_node(sender) || (seen.n == 0 && m.id().empty()))
        return std::nullopt;
    auto const take = [&](publish_entry& e) -> std::optional<store_request::append> {
        if (e.what.digest == digest)
            return e.what;
        lose(e.what, {error_code::exists, "the id " + std::string{m.id()} + " was used for another message"}, out);
        return std::nullopt;
    };
    for (auto& e : own.sent)
        if (!e.settled && is_same_publish(e, sender, m.id(), seen.n)) {
            auto taken = take(e);
            settle(e);
            pop_own();
            return taken;
        }
    for (auto e = own.queue.begin(); e != own.queue.end(); ++e)
        if (is_same_publish(*e, sender, m.id(), seen.n)) {
            auto taken = take(*e);
            own.queue_bytes -= e->bytes;
            own.queue.erase(e);
            return taken;
        }
    own.recent.add(sender, m.id(), seen.n, now.wall_ms);
    return std::nullopt;
}

void replica::impl::lose(store_request::append const& what, failure why, effects& out)
{
    out.lost.push_back({what.request, what.stream, what.epoch, std::move(why)});
}

void replica::impl::lose_all(failure const& why, instant now, effects& out)
{
    for (auto& e : own.sent)
        if (!e.settled) {
            bool const unknown = e.maybe && outcome_unknown(why.code);
            own.given_up += unknown;
            if (unknown && e.what.named && (e.what.n != 0 || !e.what.message->id().empty()))
                own.unknown.add(key_of(e.what.sender->view(), e.what.message->id(), e.what.n));
            lose(e.what, why, out);
            settle(e);
        }
    for (auto const& e : own.queue)
        lose(e.what, why, out);
    own.queue.clear();
    own.queue_bytes = 0;
    pop_own();
    if (own.given_up != 0)
        drain(now, out);  // what becomes of them is known when the end of the stream has been read
}

std::size_t replica::impl::unsettled() const noexcept
{
    auto const gone = std::ranges::count_if(in.gone, [](auto const& g) { return g.own.has_value(); });
    return own.open + own.queue.size() + own.given_up + static_cast<std::size_t>(gone) + (in.at_store ? in.at_store->origins.size() : 0);
}

}  // namespace kedge::migration
