// The importer: every message of the JetStream stream, in its order, becomes an item of a request to the store.

#include <algorithm>
#include <utility>

#include "migration/percent.hpp"
#include "migration/replica_impl.hpp"
#include "router/core/digest.hpp"

namespace kedge::migration {

namespace {

constexpr std::size_t parked_shown = 100;
constexpr std::uint64_t import_again_ms = 200;
constexpr std::size_t places_that_wait = 256;
constexpr std::size_t item_bytes = sizeof(store_request::import_messages::item);
/// Of a message that was taken before it was read: nothing has this stamp, for nothing is there.
constexpr std::uint64_t no_stamp = 1;

using import_kind = import_state::what;
using import_item = store_request::import_messages::item;

/// A publisher's clock may be ahead; retention goes by ours.
std::uint64_t stored_time(std::uint64_t born_ms, instant now) { return std::min(born_ms, now.wall_ms); }

std::string printable(std::string_view subject)
{
    constexpr std::size_t bytes_max = 300;
    return percent_encode(subject.substr(0, bytes_max));
}

}  // namespace

void replica::impl::received(backend_event::messages&& e, instant now, effects& out)
{
    for (auto& m : e.batch) {
        if (auto const known = std::exchange(in.known_place, 0); known != 0) {
            if (m.place != known || stamp_of(m) != in.known_stamp) {
                halt(out);
                return begin(now, out);
            }
            out.backend.push_back(backend_command::consumed{e.reader, 1, m.bytes()});
            continue;
        }
        if (m.place <= in.skip_to) {
            out.backend.push_back(backend_command::consumed{e.reader, 1, m.bytes()});
            continue;
        }
        in.skip_to = 0;
        if (m.place <= in.received) {  // it went back under us
            halt(out);
            return begin(now, out);
        }
        in.received = m.place;
        in.inbox.push_back(std::move(m));
    }
    in.heard += e.batch.size();
    in.behind = e.behind;
    build(now, out);
    look_whether_passed(now, out);
}

/// Whether what is missing before it may be publishes of ours that are not answered yet.
bool replica::impl::awaits_answers(bus_message const& m)
{
    if (m.place == in.built + 1) {
        in.awaits = 0;
        return false;
    }
    if (in.awaits != m.place) {
        in.awaits = m.place;
        in.awaits_ticket = own.last_ticket;  // what was sent later stands behind it
    }
    auto const open = std::ranges::any_of(own.sent, [&](auto const& e) {
        return e.on_wire && !e.settled && !e.answered && e.ticket <= in.awaits_ticket;
    });
    if (!open)
        in.awaits = 0;
    return open;
}

void replica::impl::build(instant now, effects& out)
{
    if (in.at_store || !in.reader || (in.inbox.empty() && in.gone.empty()))
        return;
    import_state::request r;
    r.ask.stream = who.stream;
    r.ask.checkpoint = stored.checkpoint;
    r.ask.stamp = stored.stamp;
    r.reader = in.reader;
    while (!in.inbox.empty() && r.ask.items.size() < bounds.import_messages && r.bytes < bounds.import_bytes) {
        auto const& m = in.inbox.front();
        if (awaits_answers(m))
            break;
        if (!add(m, r, now, out)) {
            if (r.ask.items.empty())
                return break_down(breakage::log_rewound, "the NATS stream " + who.jet + " has rows of " + who.name
                                                             + " which the database lacks: it is older than its copy", out);
            break;  // what comes before it is stored first
        }
        r.bytes += m.bytes();
        ++r.messages;
        in.built = m.place;
        r.ask.checkpoint = m.place;
        r.ask.stamp = r.ask.items.back().stamp;
        in.inbox.pop_front();
    }
    auto const used = find_missing(in.built);
    if (!r.ask.items.empty() || !in.gone.empty())
        submit(std::move(r), now, out);
    if (used)
        drain(now, out);
}

void replica::impl::submit(import_state::request&& r, instant now, effects& out)
{
    add_gone(r, now);
    // A note that is written by itself is in the way of whoever publishes. A long one is not kept: the pump waits for it.
    r.ask.may_wait = patient && at == replica_phase::live && r.ask.items.size() <= places_that_wait
                  && std::ranges::none_of(r.ask.items, [](auto const& it) { return it.message != nullptr; });
    r.ask.lanes = book.text();
    in.at_store = std::move(r);
    submit(out);
}

/// False: the log lacks what the message says.
bool replica::impl::add(bus_message const& m, import_state::request& r, instant now, effects& out)
{
    import_item it;
    it.place = m.place;
    it.stamp = stamp_of(m);
    auto kind = import_kind::copy;
    auto const seen = wire.look(m);
    auto const history = book.history.holds(m.place, m.time_ns);
    switch (seen.what) {
    case sighting::kind::copy:
        if (book.incarnations.holds(seen.incarnation, seen.seq, last)) {
            add_copy(m, seen, it, history, now);
            break;
        }
        if (!adopting)
            return false;
        kind = import_kind::native;
        it.message = wire.ours(m, seen);
        it.sender = shared_bytes::copy_of(percent_decode(seen.from).value_or(std::string{native_sender}));
        it.time_ms = stored_time(seen.time_ms, now);
        it.named = is_node(it.sender->view());
        it.digest = it.named && !it.message->id().empty() ? digest_of(*it.message) : 0;
        break;
    case sighting::kind::own:
        if (seen.authority_epoch > authority_epoch && !adopting)
            return false;
        switch (book.lanes.read(seen.lane, seen.counter, seen.time_ms, own.lane)) {
        case lane_list::reading::again:  // somebody else's, who copied it
            if (!history)
                kind = add_native(m, it, now, &r);
            break;
        case lane_list::reading::late:
            ++shown.reordered;
            [[fallthrough]];
        case lane_list::reading::fresh:
            kind = import_kind::own;
            add_own(m, seen, r, it, now, out);
            break;
        }
        break;
    case sighting::kind::native:
        if (!history)
            kind = add_native(m, it, now, &r);
        break;
    }
    book.history.read(m.place, m.time_ns);
    r.ask.items.push_back(std::move(it));
    r.kinds.push_back(kind);
    return true;
}

void replica::impl::add_copy(bus_message const& m, sighting const& seen, import_item& it, bool history, instant now)
{
    it.copy_of = seen.seq;
    if (seen.seq < highest_copied)
        ++shown.reordered;
    highest_copied = std::max(highest_copied, seen.seq);
    // Else it may be the copy of a row that has its place already, which somebody has sent again as a message of their own.
    if (!take(seen.seq) && !history)
        add_native(m, it, now, nullptr);
}

void replica::impl::add_own(bus_message const& m, sighting const& seen, import_state::request& r, import_item& it, instant now, effects& out)
{
    std::optional<store_request::append> origin;
    if (auto* const e = entry_of(seen.lane, seen.counter); e != nullptr && !e->settled) {
        origin = e->what;
        settle(*e);
        pop_own();
    }
    if (!origin) {
        it.message = wire.ours(m, seen);
        it.sender = shared_bytes::copy_of(percent_decode(seen.from).value_or(std::string{native_sender}));
        it.named = is_node(it.sender->view());
        it.n = seen.n;
        it.previous_n = seen.previous_n;
        it.digest = it.named && !it.message->id().empty() ? digest_of(*it.message) : 0;
        origin = claim(seen, *it.message, it.digest, now, out);
        if (it.n != 0)
            it.digest = digest_of(*it.message);
    }
    it.time_ms = stored_time(seen.time_ms, now);
    tries.rounds = 0;
    shown.refused_why.clear();
    if (!origin) {
        auto const again = it.named ? own.unknown.rows.find(key_of(it.sender->view(), it.message->id(), it.n)) : own.unknown.rows.end();
        if (again != own.unknown.rows.end() && again->second != 0) {
            auto const row = again->second;
            it.message.reset();
            auto const sent = std::ranges::lower_bound(pump.sent, row, {}, &pump_state::sent_row::seq);
            if (sent != pump.sent.end() && sent->seq == row)
                return;  // its copy is on its way
            it.copy_of = row;
            take(row);
        }
        return;
    }
    it.message = origin->message;
    it.sender = origin->sender;
    it.named = origin->named;
    it.n = origin->n;
    it.previous_n = origin->previous_n;
    it.digest = it.n != 0 ? digest_of(*it.message) : origin->digest;
    it.origin = origin->request;
    r.origins.push_back({r.ask.items.size(), std::move(*origin)});
}

/// `r`: where to note that it cannot be held; null = nothing is noted.
import_kind replica::impl::add_native(bus_message const& m, import_item& it, instant now, import_state::request* r)
{
    auto held = wire.native(m);
    if (auto* const message = std::get_if<message_ptr>(&held)) {
        it.message = std::move(*message);
        it.sender = nats_sender;
        it.time_ms = stored_time(m.time_ns / 1'000'000, now);
        return import_kind::native;
    }
    if (r != nullptr)
        r->parked.push_back({m.place, printable(m.subject), std::move(std::get<unrepresentable>(held).why)});
    return import_kind::parked;
}

/// What can no longer be read at the place where it was stored counts as read.
void replica::impl::add_gone(import_state::request& r, instant now)
{
    if (in.gone.empty())
        return;
    for (auto& g : in.gone) {
        import_item it;
        it.place = g.place;
        it.stamp = no_stamp;
        it.copy_of = g.copy_of;
        if (g.own) {
            it.taken = true;
            it.message = g.own->message;
            it.sender = g.own->sender;
            it.time_ms = stored_time(g.own->time_ms, now);
            it.named = g.own->named;
            it.n = g.own->n;
            it.previous_n = g.own->previous_n;
            it.digest = it.n != 0 ? digest_of(*it.message) : g.own->digest;
            it.origin = g.own->request;
            r.origins.push_back({r.ask.items.size(), std::move(*g.own)});
        }
        r.kinds.push_back(it.origin == token::none ? import_kind::copy : import_kind::own);
        r.ask.items.push_back(std::move(it));
    }
    in.gone.clear();
    // By place again, and what belongs to the items with them.
    std::vector<std::size_t> order(r.ask.items.size());
    for (std::size_t i = 0; i < order.size(); ++i)
        order[i] = i;
    std::ranges::sort(order, {}, [&](std::size_t i) { return r.ask.items[i].place; });
    decltype(r.ask.items) items;
    decltype(r.kinds) kinds;
    std::vector<std::size_t> now_at(order.size());
    for (auto const i : order) {
        now_at[i] = items.size();
        items.push_back(std::move(r.ask.items[i]));
        kinds.push_back(r.kinds[i]);
    }
    for (auto& o : r.origins)
        o.item = now_at[o.item];
    std::ranges::sort(r.origins, {}, &import_state::request::origin::item);
    r.ask.items = std::move(items);
    r.kinds = std::move(kinds);
    r.ask.checkpoint = std::max(r.ask.checkpoint, r.ask.items.back().place);
}

/// Nothing but what is remembered beside the checkpoint.
void replica::impl::write_book(effects& out)
{
    import_state::request r;
    r.ask.stream = who.stream;
    r.ask.checkpoint = stored.checkpoint;
    r.ask.stamp = stored.stamp;
    r.ask.lanes = book.text();
    in.at_store = std::move(r);
    submit(out);
}

void replica::impl::submit(effects& out)
{
    in.retry_ms = 0;
    in.at_store->ask.request = numbers.next_token();
    in.at_store->arrived = 0;
    out.store.push_back(in.at_store->ask);
    if (in.at_store->messages != 0)
        out.reached.push_back("import.asked");
}

void replica::impl::imported(store_event::imported const& e, instant now, effects& out)
{
    using outcome = store_event::imported::outcome;
    auto const r = std::move(*in.at_store);
    in.at_store.reset();
    if (e.lacking != 0) {
        for (auto const& o : r.origins)
            lose(o.append, {error_code::unavailable, "the database is older than its copy"}, out);
        book = lane_book::parse(stored.lanes);
        return break_down(breakage::log_rewound, "the NATS stream " + who.jet + " has row " + std::to_string(e.lacking) + " of " + who.name
                                                     + ", which the database lacks: it is older than its copy", out);
    }
    stored = e.now;
    stored.lanes = r.ask.lanes;
    book_unwritten = false;
    for (std::size_t i = 0; i < e.outcomes.size() && i < r.kinds.size(); ++i) {
        shown.copied += e.outcomes[i] == outcome::placed;
        if (e.outcomes[i] == outcome::inserted)
            ++(r.kinds[i] == import_kind::own ? shown.own_publishes : shown.imported);
        shown.parked += r.kinds[i] == import_kind::parked && e.outcomes[i] == outcome::passed;
    }
    for (auto const& o : r.origins)
        if (o.item >= e.outcomes.size() || e.outcomes[o.item] != outcome::inserted)
            lose(o.append, {error_code::internal, "it may have been stored; send it again with the same id"}, out);
    auto& parked = shown.last_parked;
    parked.insert(parked.end(), r.parked.begin(), r.parked.end());
    if (parked.size() > parked_shown)
        parked.erase(parked.begin(), parked.end() - parked_shown);
    if (r.messages != 0)
        out.reached.push_back("import.stored");
    if (r.reader && r.reader == in.reader)
        out.backend.push_back(backend_command::consumed{*r.reader, r.messages, r.bytes});
    if (at == replica_phase::settling)
        return begin(now, out);
    look_whether_passed(now, out);
    build(now, out);
    pump_rows(now, out);
}

void replica::impl::import_failed(failure const& why, instant now, effects& out)
{
    if (store_event::is_trouble(why.code)) {
        in.retry_ms = now.steady_ms + import_again_ms;
        return;
    }
    // The stream or its record is gone: nothing is left to import into.
    auto const r = std::move(*in.at_store);
    in.at_store.reset();
    for (auto const& o : r.origins)
        lose(o.append, {error_code::unavailable, why.message}, out);
    running = false;
    halt(out);
}

}  // namespace kedge::migration
