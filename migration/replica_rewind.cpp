// Whether JetStream still has what was read from it; and if it has gone back, the way to the last message that both have.

#include <algorithm>
#include <utility>

#include "migration/replica_impl.hpp"

namespace kedge::migration {

namespace {

constexpr unsigned missing_max = 16;  // rows that have places and are gone from there, in one half of a probe

}  // namespace

/// `seen` = the message that was compared, and is the same.
void replica::impl::start_reader(std::optional<search_state::message> seen, effects& out)
{
    at = replica_phase::passing;
    in.built = in.received = stored.checkpoint;
    in.behind = 0;
    in.quiet = 0;
    in.known_place = seen ? seen->place : 0;
    in.known_stamp = seen ? seen->stamp : 0;
    in.skip_to = stored.checkpoint;
    in.reader = reader_id{numbers.next()};
    out.backend.push_back(
        backend_command::read{*in.reader, who.jet, seen ? seen->place : stored.checkpoint + 1, static_cast<std::size_t>(bounds.read_messages),
                              static_cast<std::size_t>(bounds.read_bytes)});
}

void replica::impl::compare(effects& out)
{
    at = replica_phase::comparing;
    search.high = stored.checkpoint;
    fetch_message({stored.checkpoint, stored.stamp, 0, nullptr, nullptr, 0}, out);
}

void replica::impl::fetch_message(store_event::placed_row const& what, effects& out)
{
    search.place = what.place;
    search.stamp = what.stamp;
    search.seq = what.seq;
    asked = numbers.next_token();
    out.backend.push_back(backend_command::get_message{asked, who.jet, what.place});
}

/// It has not gone back. But if the message at the checkpoint is missing it may have done so since it was asked how far it goes.
void replica::impl::compared(std::optional<search_state::message> same, instant now, effects& out)
{
    auto const missing = search.first_missing.place != 0;
    start_reader(same, out);
    if (missing)
        ask(now, out);
    else
        look_whether_passed(now, out);
}

/// The next row that has a place: the highest one, or, above the middle, the lowest.
void replica::impl::ask_placed(jet_place from, jet_place to, effects& out)
{
    asked = numbers.next_token();
    out.store.push_back(store_request::read_placed{asked, who.stream, from, to, 1, 1, !search.upper});
}

void replica::impl::got_message(backend_event::answered const& e, instant now, effects& out)
{
    asked = token::none;
    auto const* const found = std::get_if<bus_message>(&e.what);
    auto const* const why = std::get_if<backend_event::problem>(&e.what);
    if (found == nullptr && (why == nullptr || !why->missing)) {
        if (why != nullptr)
            shown.refused_why = why->why;
        return ask_again(sync_again_ms, now);
    }
    if (search.neighbour)
        return got_neighbour(found, now, out);
    if (found != nullptr)
        return differs(stamp_of(*found) != search.stamp, now, out);
    if (search.first_missing.place == 0)
        search.first_missing = {search.place, search.stamp};
    if (++search.missing == missing_max)
        return half_looked_at(now, out);
    if (search.upper)
        search.neighbour = {search.place + 1, search.high - 1};
    else
        search.neighbour = {search.low + 1, search.place - 1};
    find_neighbour(now, out);
}

void replica::impl::differs(bool other, instant now, effects& out)
{
    if (at == replica_phase::comparing && !other)
        return compared(search_state::message{search.place, search.stamp}, now, out);
    at = replica_phase::searching;
    if (other) {
        search.high = search.place;
        search.high_seen = true;
    } else {
        search.low = search.place;
        search.low_stamp = search.stamp;
        search.low_seq = search.seq;
        search.low_seen = true;
    }
    next_probe(now, out);
}

/// Limits of the JetStream stream have taken a message: the nearest one that they left tells as much. The server tells the first one from a
/// place on; the last one up to a place is searched for, from near to far and then by halves.
void replica::impl::find_neighbour(instant now, effects& out)
{
    auto& leap = *search.neighbour;
    if (leap.from > leap.to) {
        auto const found = leap.found;
        search.neighbour.reset();
        if (!found)
            return half_looked_at(now, out);
        auto const place = search.seen->what.place;
        return search.upper ? ask_placed(place, search.high - 1, out) : ask_placed(search.low + 1, place, out);
    }
    auto const places = leap.to - leap.from + 1;
    if (search.upper)
        leap.asked_from = leap.from;
    else if (!leap.found)
        leap.asked_from = leap.to + 1 - std::min(std::exchange(leap.step, leap.step * 2), places);
    else
        leap.asked_from = leap.from + places / 2;
    asked = numbers.next_token();
    out.backend.push_back(backend_command::get_message{asked, who.jet, leap.asked_from, true});
}

void replica::impl::got_neighbour(bus_message const* found, instant now, effects& out)
{
    auto& leap = *search.neighbour;
    if (found != nullptr && found->place <= leap.to) {
        leap.found = true;
        search.seen = {{found->place, stamp_of(*found)}, found->time_ns};
        leap.from = search.upper ? leap.to + 1 : found->place + 1;
    } else if (search.upper) {
        leap.from = leap.to + 1;
    } else {
        leap.to = leap.asked_from - 1;
    }
    find_neighbour(now, out);
}

void replica::impl::got_placed(store_event::placed_read const& e, instant now, effects& out)
{
    auto const* const placed = e.rows.empty() ? nullptr : &e.rows.front();
    if (auto const seen = std::exchange(search.seen, std::nullopt)) {
        search.place = seen->what.place;
        if (placed != nullptr && placed->place == search.place) {
            search.stamp = placed->stamp;
            search.seq = placed->seq;
            return differs(placed->stamp != seen->what.stamp, now, out);
        }
        // What the log has no row of was passed, or its row is gone; but it was read once only if it is not newer than what was read last.
        if (seen->time_ns > book.history.last.time_ns)
            return differs(true, now, out);
    }
    if (placed == nullptr)
        return half_looked_at(now, out);
    fetch_message(*placed, out);
}

/// Nothing is left in it of which both sides know.
void replica::impl::half_looked_at(instant now, effects& out)
{
    search.missing = 0;
    if (at == replica_phase::comparing)  // nothing contradicts
        return compared(std::nullopt, now, out);
    if (!search.upper && search.middle + 1 < search.high) {
        search.upper = true;
        return ask_placed(search.middle + 1, search.high - 1, out);
    }
    // Between what is the same and what is another all is gone: the rows that the log still has are put back. At the end of the stream it
    // was limits that took what is gone, and that cannot be put back.
    if (search.high_seen || search.first_missing.place == 0)
        return take_back(out);
    search.low = search.first_missing.place;
    search.low_stamp = search.first_missing.stamp;
    search.low_seen = false;
    next_probe(now, out);
}

void replica::impl::next_probe(instant, effects& out)
{
    if (search.high <= search.low + 1)
        return take_back(out);
    search.middle = search.low + (search.high - search.low) / 2;
    search.upper = false;
    search.first_missing = {};
    search.missing = 0;
    ask_placed(search.low + 1, search.middle, out);
}

void replica::impl::take_back(effects& out)
{
    at = replica_phase::taking_back;
    book.history.went_back(search.low);
    taking = numbers.next_token();
    store_request::take_back request;
    request.request = taking;
    request.stream = who.stream;
    request.above = search.low;
    request.stamp = search.low_stamp;
    request.lanes = book.text();
    out.store.push_back(std::move(request));
    out.reached.push_back("takeback.asked");
}

void replica::impl::taken_back(store_event::taken_back const& e, instant now, effects& out)
{
    auto lanes = std::move(stored.lanes);
    stored = e.now;
    stored.lanes = std::move(lanes);
    shown.taken_back += e.rows;
    if (e.end)
        out.reached.push_back("takeback.done");
    if (at == replica_phase::settling)
        return begin(now, out);
    if (at != replica_phase::taking_back)
        return;  // there is no link
    if (!e.end)
        return take_back(out);
    highest_copied = search.low_seq;  // what is put back in its order is not late
    start_reader(search.low_seen ? std::optional{search_state::message{search.low, search.low_stamp}} : std::nullopt, out);
    look_whether_passed(now, out);
}

}  // namespace kedge::migration
