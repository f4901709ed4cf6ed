// The pump: rows that wait are published, in the order of the log.

#include <algorithm>
#include <cstddef>
#include <utility>

#include "migration/replica_impl.hpp"
#include "migration/server_codes.hpp"
#include "router/store/row_bytes.hpp"

namespace kedge::migration {

namespace {

constexpr std::size_t fetch_rows = 2048;
constexpr std::size_t fetch_bytes = 2 * 1024 * 1024;
constexpr std::size_t fetch_below = 1024;  // rows left of the last read
constexpr std::size_t answers_open_factor = 4;  // windows of what was read back and is not acknowledged

/// The first that has not a lower `key`; `list` is sorted by it.
template <class List, class Key, class Member>
auto lower_by(List& list, Key key, Member member)
{
    return std::ranges::lower_bound(list, key, {}, member);
}

std::size_t bytes_of(row const& r) { return row_bytes(*r.message); }

}  // namespace

bool replica::impl::room() const noexcept
{
    return pump.unread + own.wire < bounds.pump_messages && pump.unread_bytes + own.wire_bytes < bounds.pump_bytes
        && unanswered < answers_open_factor * bounds.pump_messages;
}

/// What waits in the log goes first, then publishes that wait for JetStream.
void replica::impl::pump_rows(instant, effects& out)
{
    auto const before = out.backend.size();
    while (at == replica_phase::live && room()) {
        if (pump.chunk.size() < fetch_below && pump.fetch_from < pump.ring_from && pump.fetching == token::none && retry_ms == 0)
            fetch(out);
        if (!pump.chunk.empty()) {
            auto const next = std::move(pump.chunk.front());
            pump.chunk.pop_front();
            send(next, out);
            continue;
        }
        if (pump.fetch_from < pump.ring_from)
            break;  // the store has not answered
        if (!pump.ring.empty()) {
            auto const next = std::move(pump.ring.front());
            pump.ring.pop_front();
            pump.ring_bytes -= bytes_of(next);
            if (next.seq >= pump.fetch_from) {
                pump.fetch_from = next.seq + 1;
                send(next, out);
            }
            continue;
        }
        if (!send_own(out))
            break;
    }
    if (out.backend.size() != before)
        out.reached.push_back("pump.sent");
}

void replica::impl::send(row const& r, effects& out)
{
    if (pump.landed.erase(r.seq) != 0)
        return;
    auto const attempt = tries.attempts.find(r.seq);
    auto m = wire.copy(book.incarnations.of(r.seq), r, attempt == tries.attempts.end() ? 0 : attempt->second);
    if (too_large(m, payload_max))
        return break_down(breakage::refused, "message " + std::to_string(r.seq) + " of " + who.name + " is larger than the NATS server takes ("
                                                 + std::to_string(payload_max) + " bytes, headers included)", out);
    pump_state::sent_row sent;
    sent.seq = r.seq;
    sent.ticket = numbers.next();
    sent.time_ms = r.time_ms;
    sent.bytes = bytes_of(r);
    sent.behind = in.received;
    out.backend.push_back(backend_command::publish{sent.ticket, connection, std::move(m)});
    ++pump.unread;
    pump.unread_bytes += sent.bytes;
    ++unanswered;
    pump.sent.push_back(sent);
}

void replica::impl::fetch(effects& out)
{
    pump.fetching = numbers.next_token();
    out.store.push_back(store_request::read_waiting{pump.fetching, who.stream, pump.fetch_from, fetch_rows, fetch_bytes});
}

void replica::impl::fetched(store_event::rows_read&& e, effects&)
{
    pump.fetching = token::none;
    for (auto& r : e.rows)
        if (r.seq >= pump.fetch_from)
            pump.chunk.push_back(std::move(r));
    pump.fetch_from = std::max(pump.fetch_from, e.next);
    last = std::max(last, pump.chunk.empty() ? 0 : pump.chunk.back().seq);
}

void replica::impl::committed(std::vector<store_event::rows_arrived::arrival> const& rows, instant now, effects& out)
{
    for (auto const& arrival : rows) {
        auto const& r = arrival.stored;
        last = std::max(last, r.seq);
        if (arrival.origin == token::none)
            continue;  // imported, so it has its place
        if (in.at_store) {
            auto& origins = in.at_store->origins;
            auto const is_it = [&](auto const& o) { return o.append.request == arrival.origin; };
            auto const from = origins.begin() + static_cast<std::ptrdiff_t>(in.at_store->arrived);
            auto const found = std::find_if(from, origins.end(), is_it);
            if (found != origins.end()) {
                in.at_store->arrived = static_cast<std::size_t>(found - origins.begin()) + 1;
                continue;
            }
        }
        if (!own.unknown.rows.empty() && arrival.named)
            if (auto const again = own.unknown.rows.find(key_of(r.sender->view(), r.message->id(), arrival.n)); again != own.unknown.rows.end())
                again->second = r.seq;
        ++stored.waiting_rows;
        stored.waiting_bytes += bytes_of(r);
        if (shown.waiting_since_ms == 0)
            shown.waiting_since_ms = r.time_ms;
        if (at != replica_phase::live && at != replica_phase::draining)
            continue;  // it is read from the store when the link is live
        pump.ring.push_back(r);
        pump.ring_bytes += bytes_of(r);
        while (pump.ring_bytes > bounds.ring_bytes && pump.ring.size() > 1) {
            pump.ring_bytes -= bytes_of(pump.ring.front());
            pump.ring.pop_front();
            pump.ring_from = pump.ring.front().seq;
        }
    }
    granted_bytes = std::min(granted_bytes, stored.waiting_bytes);
    if (running && stored.waiting_bytes > bounds.backlog_bytes + granted_bytes)
        return break_down(breakage::backlog, "more than " + std::to_string(bounds.backlog_bytes) + " bytes of " + who.name
                                                 + " wait to be copied to NATS", out);
    pump_rows(now, out);
}

/// The copy of a row was read back. Whether it was sent on this link and not read before.
bool replica::impl::take(message_seq seq)
{
    tries.attempts.erase(seq);
    auto const sent = lower_by(pump.sent, seq, &pump_state::sent_row::seq);
    if (sent != pump.sent.end() && sent->seq == seq) {
        if (std::exchange(sent->read, true))
            return false;
        --pump.unread;
        pump.unread_bytes -= sent->bytes;
        tries.rounds = 0;
        shown.refused_why.clear();
        pop_sent();
        return true;
    }
    if (auto const at_chunk = lower_by(pump.chunk, seq, &row::seq); at_chunk != pump.chunk.end() && at_chunk->seq == seq) {
        pump.chunk.erase(at_chunk);
    } else if (auto const at_ring = lower_by(pump.ring, seq, &row::seq); at_ring != pump.ring.end() && at_ring->seq == seq) {
        pump.ring_bytes -= bytes_of(*at_ring);
        pump.ring.erase(at_ring);
    } else if (at == replica_phase::live && (pump.fetching != token::none || seq >= pump.fetch_from)) {
        pump.landed.insert(seq);
    }
    return false;
}

void replica::impl::pop_sent()
{
    while (!pump.sent.empty() && pump.sent.front().read && pump.sent.front().answered)
        pump.sent.pop_front();
}

bool replica::impl::row_answered(std::uint64_t ticket, backend_event::acked const* ack, backend_event::refused const* no, instant now,
                                 effects& out)
{
    auto const sent = lower_by(pump.sent, ticket, &pump_state::sent_row::ticket);
    if (sent == pump.sent.end() || sent->ticket != ticket || sent->answered)
        return false;
    sent->answered = true;
    --unanswered;
    if (ack != nullptr && !ack->duplicate && ack->place <= sent->behind) {
        doubt(now, out);  // it stands where another one was read
    } else if (ack != nullptr) {
        sent->place = ack->place;
        sent->duplicate = ack->duplicate;
        shown.duplicates += ack->duplicate;
        shown.jet_last = std::max(shown.jet_last, ack->place);
        auto const missing = !sent->read && ack->place <= in.built;
        pop_sent();
        auto const used = missing && find_missing(in.built);
        if (!in.gone.empty())
            build(now, out);
        if (used)
            drain(now, out);
    } else {
        auto const read = sent->read;
        if (no->answered) {
            ++shown.refusals;
            shown.refused_why = no->why;
            if (!passes(no->code) && !read && (tries.refused_seq == 0 || sent->seq < tries.refused_seq))
                tries.refused_seq = sent->seq;
        }
        doubtful = doubtful || (!read && nobody_knows(*no));
        pop_sent();
        if (!read)
            drain(now, out);
    }
    if (at == replica_phase::draining && unanswered == 0)
        drained(now, out);
    pump_rows(now, out);
    return true;
}

/// Of what was acknowledged at places up to `up_to`, all of which the importer has seen: what was not among it. Whether some of it has to
/// be sent again.
bool replica::impl::find_missing(jet_place up_to)
{
    auto used = false;
    for (auto& r : pump.sent) {
        if (r.read || r.place == 0 || r.place > up_to)
            continue;
        if (r.duplicate) {
            ++tries.attempts[r.seq];  // another message has our id
            r.place = 0;
            used = true;
            continue;
        }
        in.gone.push_back({r.place, r.seq, std::nullopt});
        r.read = true;
        --pump.unread;
        pump.unread_bytes -= r.bytes;
    }
    for (auto& e : own.sent) {
        if (e.settled || e.place == 0 || e.place > up_to)
            continue;
        if (e.duplicate) {
            ++e.attempt;
            e.place = 0;
            used = true;
            continue;
        }
        in.gone.push_back({e.place, 0, e.what});
        settle(e);
    }
    pop_sent();
    pop_own();
    return used;
}

}  // namespace kedge::migration
