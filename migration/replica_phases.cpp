// Phases of a replica: from a link to live, and back.

#include <algorithm>
#include <utility>

#include "migration/replica_impl.hpp"
#include "migration/server_codes.hpp"

namespace kedge::migration {

namespace {

constexpr std::uint64_t poll_every_ms = 1000;
constexpr unsigned quiet_polls = 2;

}  // namespace

void replica::impl::begin(instant now, effects& out)
{
    if (!running || connection == 0 || shown.broken != breakage::none)
        return;
    if (!in.reader && (in.at_store || taking != token::none || book_unwritten)) {
        at = replica_phase::settling;
        if (!in.at_store && taking == token::none)
            write_book(out);
        return;
    }
    ask(now, out);
}

void replica::impl::ask_again(std::uint64_t wait_ms, instant now)
{
    at = replica_phase::asking;
    asked = token::none;
    retry_ms = now.steady_ms + wait_ms;
}

void replica::impl::ask(instant, effects& out)
{
    at = replica_phase::asking;
    retry_ms = 0;
    asked = numbers.next_token();
    out.backend.push_back(backend_command::stream_info{asked, who.jet});
}

/// Nothing is on its way any more; what was sent and not read back is unknown.
void replica::impl::halt(effects& out)
{
    if (in.reader)
        out.backend.push_back(backend_command::stop_reading{*in.reader});
    in.reader.reset();
    in.inbox.clear();
    in.behind = 0;
    in.received = in.built;
    in.awaits = in.known_place = 0;
    for (auto const& g : std::exchange(in.gone, {}))
        if (g.own)
            lose(*g.own, {error_code::unavailable, "NATS has stored it, and the link went before it was stored here: send it again with the same id"},
                 out);
    pump = {};
    for (auto& e : own.sent) {
        e.on_wire = e.duplicate = false;
        e.answered = true;
        e.place = 0;
    }
    own.wire = own.wire_bytes = 0;
    own.resend = 0;
    pop_own();
    unanswered = 0;
    asked = poll = looking = token::none;
    retry_ms = 0;
    poll_quiet = 0;
    poll_failed = doubtful = false;
    told_last = 0;
    at = replica_phase::idle;
}

void replica::impl::break_down(breakage what, std::string why, effects& out)
{
    if (shown.broken != breakage::none)
        return;
    shown.broken = what;
    shown.broken_why = std::move(why);
    running = false;
    halt(out);
}

void replica::impl::informed(backend_event::answered const& e, instant now, effects& out)
{
    asked = token::none;
    if (auto const* const why = std::get_if<backend_event::problem>(&e.what)) {
        if (why->missing)
            return break_down(breakage::stream_gone, "the JetStream stream " + who.jet + " is gone: " + why->why, out);
        shown.refused_why = why->why;
        doubtful = true;
        return ask_again(sync_again_ms, now);
    }
    auto const* const info = std::get_if<jet_info>(&e.what);
    if (info == nullptr)
        return ask_again(sync_again_ms, now);
    if (made_anew(*info, out))
        return;
    if (in.reader && (doubtful || info->last < std::max(in.received, told_last))) {
        halt(out);
        return begin(now, out);
    }
    doubtful = false;
    shown.jet_last = barrier = told_last = info->last;
    nothing_there = info->messages == 0;
    if (in.reader) {
        at = replica_phase::passing;
        return look_whether_passed(now, out);
    }
    search = {};
    search.low = std::min(info->first == 0 ? 0 : info->first - 1, info->last);
    if (stored.checkpoint > info->last) {
        search.high = info->last + 1;
        at = replica_phase::searching;
        return next_probe(now, out);
    }
    if (stored.checkpoint == 0 || stored.stamp == 0)
        start_reader(std::nullopt, out);
    else
        compare(out);
    look_whether_passed(now, out);
}

void replica::impl::look_whether_passed(instant now, effects& out)
{
    if (at != replica_phase::passing || in.at_store || in.known_place != 0)
        return;
    auto const passed = std::max({stored.checkpoint, in.quiet, nothing_there && in.inbox.empty() ? barrier : 0});
    if (passed >= barrier)
        go_live(now, out);
}

/// What a new stream of the name lacks is not for the replica to fill up. nats-server 2.9 gives a stream that was updated another time of
/// creation at its next start: it has its description still.
bool replica::impl::made_anew(jet_info const& info, effects& out)
{
    if (created_ns == 0) {
        created_ns = info.created_ns;
        description = info.config.description;
        return false;
    }
    if (info.created_ns == created_ns || (!description.empty() && info.config.description == description))
        return false;
    break_down(breakage::stream_gone, "the JetStream stream " + who.jet + " was deleted and made anew", out);
    return true;
}

/// It is compared again when nothing is under way.
void replica::impl::doubt(instant now, effects& out)
{
    doubtful = true;
    if (at == replica_phase::live)
        return drain(now, out);
    if (at == replica_phase::passing) {
        halt(out);
        begin(now, out);
    }
}

/// Once a second: how far the stream goes, and whether it is still that one.
void replica::impl::polled(backend_event::answered const& e, instant now, effects& out)
{
    poll = token::none;
    poll_ms = now.steady_ms + poll_every_ms;
    if (auto const* const why = std::get_if<backend_event::problem>(&e.what)) {
        if (why->missing)
            return break_down(breakage::stream_gone, "the JetStream stream " + who.jet + " is gone: " + why->why, out);
        poll_failed = true;  // its server may be another one than ours
        return;
    }
    auto const* const info = std::get_if<jet_info>(&e.what);
    if (info == nullptr)
        return;
    if (made_anew(*info, out))
        return;
    if (info->last < std::max(poll_received, std::exchange(told_last, info->last))) {  // it went back, and the link stands
        halt(out);
        return begin(now, out);
    }
    if (std::exchange(poll_failed, false))
        return doubt(now, out);
    shown.jet_last = std::max(info->last, in.received);
    // The last messages may have been deleted: then none comes that would say so. Nor does one if no reader can be made.
    auto const still = info->last == poll_last && in.heard == poll_heard && in.inbox.empty() && !in.at_store;
    poll_quiet = still ? poll_quiet + 1 : 0;
    poll_last = info->last;
    poll_heard = in.heard;
    // Servers count what limits take while it waits for its reader to what is behind; with a last message nothing is.
    if (still && info->last <= in.received)
        in.behind = 0;
    auto const waits = in.known_place != 0 || std::max(in.received, in.quiet) < info->last;
    if (poll_quiet >= quiet_polls && waits && looking == token::none) {
        looking = numbers.next_token();
        looking_up_to = info->last;
        out.backend.push_back(backend_command::get_message{looking, who.jet, in.known_place != 0 ? in.known_place : in.received + 1, true});
    }
}

/// Whether anything is left behind what was read.
void replica::impl::looked(backend_event::answered const& e, instant now, effects& out)
{
    looking = token::none;
    poll_quiet = 0;
    if (in.heard != poll_heard)
        return;
    auto const* const why = std::get_if<backend_event::problem>(&e.what);
    if (why == nullptr || why->code != no_such_message)
        return;
    if (in.known_place != 0) {  // limits have taken it
        halt(out);
        return begin(now, out);
    }
    in.quiet = std::max(in.quiet, looking_up_to);
    in.behind = 0;
    look_whether_passed(now, out);
}

void replica::impl::go_live(instant now, effects& out)
{
    find_missing(std::max(barrier, in.built));
    if (!in.gone.empty())
        return build(now, out);  // and again when it is stored
    at = replica_phase::live;
    own.given_up = 0;
    pump = {};
    pump.fetch_from = stored.floor + 1;
    pump.ring_from = last + 1;
    for (auto& e : own.sent)
        e.on_wire = e.maybe = false;  // what was stored has been read
    own.wire = own.wire_bytes = 0;
    own.resend = 0;
    pump_rows(now, out);
}

void replica::impl::drain(instant now, effects& out)
{
    if (at != replica_phase::live)
        return;
    at = replica_phase::draining;
    if (unanswered == 0)
        drained(now, out);
}

void replica::impl::drained(instant now, effects& out)
{
    constexpr unsigned refused_rounds_max = 5;
    constexpr std::uint64_t wait_ms_max = 5000;
    auto const refused = std::exchange(tries.refused_seq, 0);
    tries.refused_rounds = refused == 0 ? 0 : refused == tries.refused_before ? tries.refused_rounds + 1 : 1;
    tries.refused_before = refused;
    if (tries.refused_rounds >= refused_rounds_max)
        return break_down(breakage::refused, "NATS refuses message " + std::to_string(refused) + " of " + who.name
                                                 + " again and again: " + shown.refused_why, out);
    auto const wait = tries.rounds == 0 ? 0 : std::min<std::uint64_t>(50ull << std::min(tries.rounds, 7u), wait_ms_max);
    ++tries.rounds;
    if (doubtful)
        halt(out);
    if (wait == 0)
        begin(now, out);
    else
        ask_again(wait, now);
}

bool replica::impl::on_backend(backend_event::any& event, instant now, effects& out)
{
    if (auto const* const e = std::get_if<backend_event::acked>(&event))
        return row_answered(e->ticket, e, nullptr, now, out) || own_answered(e->ticket, e, nullptr, now, out);
    if (auto const* const e = std::get_if<backend_event::refused>(&event))
        return row_answered(e->ticket, nullptr, e, now, out) || own_answered(e->ticket, nullptr, e, now, out);
    if (auto* const e = std::get_if<backend_event::messages>(&event)) {
        if (in.reader != e->reader)
            return false;
        received(std::move(*e), now, out);
        return true;
    }
    if (auto const* const e = std::get_if<backend_event::reader_ended>(&event)) {
        if (in.reader != e->reader)
            return false;
        if (e->gone) {
            break_down(breakage::stream_gone, "the JetStream stream " + who.jet + " is gone: " + e->why, out);
        } else {
            in.reader.reset();
            halt(out);
            shown.refused_why = e->why;
            ask_again(sync_again_ms, now);
        }
        return true;
    }
    if (auto const* const e = std::get_if<backend_event::answered>(&event)) {
        if (e->request == token::none)
            return false;
        if (e->request == poll) {
            polled(*e, now, out);
            return true;
        }
        if (e->request == looking) {
            looked(*e, now, out);
            return true;
        }
        if (e->request != asked)
            return false;
        if (at == replica_phase::asking)
            informed(*e, now, out);
        else
            got_message(*e, now, out);
        return true;
    }
    return false;
}

bool replica::impl::on_store(store_event::any const& event, instant now, effects& out)
{
    auto const is = [](token mine, token theirs) { return mine != token::none && mine == theirs; };
    if (auto const* const e = std::get_if<store_event::imported>(&event)) {
        if (!in.at_store || !is(in.at_store->ask.request, e->request))
            return false;
        imported(*e, now, out);
        return true;
    }
    if (auto const* const e = std::get_if<store_event::rows_read>(&event)) {
        if (is(probe, e->request)) {
            probe = token::none;
            if (!e->rows.empty() && shown.waiting_since_ms == 0)
                shown.waiting_since_ms = e->rows.front().time_ms;
            return true;
        }
        if (!is(pump.fetching, e->request))
            return false;
        auto copy = *e;
        fetched(std::move(copy), out);
        pump_rows(now, out);
        return true;
    }
    if (auto const* const e = std::get_if<store_event::placed_read>(&event)) {
        if (!is(asked, e->request))
            return false;
        asked = token::none;
        got_placed(*e, now, out);
        return true;
    }
    if (auto const* const e = std::get_if<store_event::taken_back>(&event)) {
        if (!is(taking, e->request))
            return false;
        taking = token::none;
        taken_back(*e, now, out);
        return true;
    }
    if (auto const* const e = std::get_if<store_event::failed>(&event)) {
        if (in.at_store && is(in.at_store->ask.request, e->request)) {
            import_failed(e->why, now, out);
        } else if (is(pump.fetching, e->request)) {
            pump.fetching = token::none;
            retry_ms = now.steady_ms + sync_again_ms;  // live: fetches again
        } else if (is(probe, e->request)) {
            probe = token::none;
        } else if (is(taking, e->request)) {
            taking = token::none;
            if (at == replica_phase::taking_back)
                ask_again(sync_again_ms, now);
            else if (at == replica_phase::settling)
                begin(now, out);
        } else if (is(asked, e->request)) {
            ask_again(sync_again_ms, now);
        } else {
            return false;
        }
        return true;
    }
    return false;
}

}  // namespace kedge::migration
