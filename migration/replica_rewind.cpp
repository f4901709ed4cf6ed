// Whether JetStream still has what was read from it; and if it has gone back, the way to the last message that both have.

#include <algorithm>
#include <utility>

#include "migration/replica_impl.hpp"

namespace kedge::migration {

namespace {

constexpr unsigned missing_max = 16;  // messages asked for in vain around one place

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

/// Limits of the JetStream stream may have taken the message: one below it tells as much.
void replica::impl::look_below(effects& out)
{
    asked = numbers.next_token();
    out.store.push_back(store_request::read_placed{asked, who.stream, search.low + 1, search.place - 1, 1, 1, true});
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
    if (found == nullptr) {
        if (search.missing++ == 0) {
            search.first_place = search.place;
            search.first_stamp = search.stamp;
        }
        if (search.missing < missing_max)
            return look_below(out);
        return got_placed({}, now, out);
    }
    auto const same = stamp_of(*found) == search.stamp;
    search.missing = 0;
    if (at == replica_phase::comparing) {
        if (same) {
            start_reader(search_state::message{search.place, search.stamp}, out);
            return look_whether_passed(now, out);
        }
        at = replica_phase::searching;
        search.high = search.place;
        return next_probe(now, out);
    }
    if (same) {
        search.low = search.place;
        search.low_stamp = search.stamp;
        search.low_seq = search.seq;
        search.low_seen = true;
    } else {
        search.high = search.place;
    }
    next_probe(now, out);
}

void replica::impl::got_placed(store_event::placed_read const& e, instant now, effects& out)
{
    if (!e.rows.empty())
        return fetch_message(e.rows.front(), out);
    if (search.missing != 0) {
        search.missing = 0;
        if (at == replica_phase::comparing) {  // nothing contradicts
            start_reader(std::nullopt, out);
            return look_whether_passed(now, out);
        }
        search.low = search.first_place;  // what limits have taken cannot be put back
        search.low_stamp = search.first_stamp;
        search.low_seen = false;
        return next_probe(now, out);
    }
    if (!search.upper && search.middle + 1 < search.high) {
        search.upper = true;
        asked = numbers.next_token();
        out.store.push_back(store_request::read_placed{asked, who.stream, search.middle + 1, search.high - 1, 1, 1, false});
        return;
    }
    take_back(out);
}

void replica::impl::next_probe(instant, effects& out)
{
    if (search.high <= search.low + 1)
        return take_back(out);
    search.middle = search.low + (search.high - search.low) / 2;
    search.upper = false;
    asked = numbers.next_token();
    out.store.push_back(store_request::read_placed{asked, who.stream, search.low + 1, search.middle, 1, 1, true});
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
