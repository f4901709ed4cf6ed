// A replica as others see it: what it is told, its timers, and what it shows.

#include <algorithm>
#include <utility>

#include <sodium.h>

#include "migration/replica_impl.hpp"

namespace kedge::migration {

std::string_view to_string(breakage what) noexcept
{
    switch (what) {
    case breakage::none: return "none";
    case breakage::log_rewound: return "log rewound";
    case breakage::foreign_owner: return "foreign owner";
    case breakage::stream_gone: return "stream gone";
    case breakage::backlog: return "backlog";
    case breakage::refused: return "refused";
    }
    return "none";
}

replica::impl::impl(replica_identity id, mirror_state state, message_seq newest, settings const& s, number_source& n)
    : who{std::move(id)}, bounds{s}, numbers{n}, wire{who.secret, who.name, who.stream, who.body_bytes_max, who.header_bytes_max},
      nats_sender{shared_bytes::copy_of(native_sender)}, stored{std::move(state)}, last{newest}, book{lane_book::parse(stored.lanes)}
{
    book_unwritten = book.incarnations.begin(who.incarnation, last + 1);
    stored.journal.clear();
    in.built = in.received = stored.checkpoint;
    show();
}

void replica::impl::tick(instant now, effects& out)
{
    auto const oldest = own.oldest_ms();
    if (oldest != ~std::uint64_t{0} && oldest + bounds.hold_ms <= now.steady_ms)
        lose_all({error_code::unavailable, connection == 0 ? "there is no link to NATS: it may have been stored; send it again with the same id"
                                                           : "NATS did not store it in time: it may have been stored; send it again with the same id"},
                 now, out);
    if (in.retry_ms != 0 && in.retry_ms <= now.steady_ms)
        submit(out);
    if (retry_ms != 0 && retry_ms <= now.steady_ms) {
        retry_ms = 0;
        if (at == replica_phase::asking)
            begin(now, out);
        else
            pump_rows(now, out);
    }
    if (at == replica_phase::draining && unanswered == 0)
        drained(now, out);  // a new lane expects no answers for the one before
    if (in.reader && connection != 0 && poll == token::none && poll_ms <= now.steady_ms) {
        poll = numbers.next_token();
        poll_received = in.received;
        out.backend.push_back(backend_command::stream_info{poll, who.jet});
    }
}

std::optional<std::uint64_t> replica::impl::due_ms() const
{
    auto due = ~std::uint64_t{0};
    auto const by = [&](std::uint64_t ms) { due = std::min(due, ms); };
    if (auto const oldest = own.oldest_ms(); oldest != ~std::uint64_t{0})
        by(oldest + bounds.hold_ms);
    if (in.retry_ms != 0)
        by(in.retry_ms);
    if (retry_ms != 0)
        by(retry_ms);
    if (at == replica_phase::draining && unanswered == 0)
        by(0);
    if (in.reader && connection != 0 && poll == token::none)
        by(poll_ms);
    return due == ~std::uint64_t{0} ? std::nullopt : std::optional{due};
}

void replica::impl::show()
{
    auto const at_store = in.at_store ? in.at_store->messages : 0;
    shown.synchronous = (at == replica_phase::live || at == replica_phase::draining) && !poll_failed && !doubtful;
    // What the store counted may be of before the newest rows came.
    shown.waiting_rows = std::max<std::uint64_t>(stored.waiting_rows, pump.unread + pump.chunk.size() + pump.ring.size());
    shown.waiting_bytes = std::max<std::uint64_t>(stored.waiting_bytes, pump.unread_bytes + pump.ring_bytes);
    if (shown.waiting_rows == 0) {
        shown.waiting_since_ms = 0;
    } else if (at == replica_phase::live) {
        // From where it was found last: acknowledgements may lag behind, and this is asked at each of them.
        auto first = std::ranges::lower_bound(pump.sent, pump.unread_from, {}, &pump_state::sent_row::seq);
        while (first != pump.sent.end() && first->read)
            ++first;
        if (!pump.sent.empty())
            pump.unread_from = first != pump.sent.end() ? first->seq : pump.sent.back().seq + 1;
        if (first != pump.sent.end()) {
            shown.waiting_since_ms = first->time_ms;
        } else if (!pump.chunk.empty()) {
            shown.waiting_since_ms = pump.chunk.front().time_ms;
        } else if (!pump.ring.empty() && pump.fetch_from >= pump.ring_from) {
            shown.waiting_since_ms = pump.ring.front().time_ms;
        }
    }
    shown.floor = stored.floor;
    shown.last = last;
    shown.checkpoint = stored.checkpoint;
    shown.jet_last = std::max(shown.jet_last, in.received);
    shown.generation = stored.generation;
    auto const counted = in.behind + in.inbox.size() + at_store;
    auto const seen = in.reader ? std::max(in.received, in.quiet) : stored.checkpoint;
    shown.unread = std::max(counted, shown.jet_last > seen && !(nothing_there && shown.jet_last == barrier) ? shown.jet_last - seen : 0);
    shown.in_flight = pump.unread + own.wire;
    shown.queued = own.queue.size();
    shown.queued_bytes = own.queue_bytes;
    auto const oldest = own.oldest_ms();
    shown.unsettled_since_ms = oldest == ~std::uint64_t{0} ? 0 : oldest;
}

replica::replica(replica_identity who, mirror_state state, message_seq last, settings const& bounds, number_source& numbers)
{
    if (who.process == 0)
        randombytes_buf(&who.process, sizeof who.process);
    impl_ = std::make_unique<impl>(std::move(who), std::move(state), last, bounds, numbers);
}

replica::~replica() = default;

void replica::loaded(instant, effects& out)
{
    if (impl_->book_unwritten && !impl_->in.at_store)
        impl_->write_book(out);
}

void replica::run(instant now, effects& out)
{
    auto& s = *impl_;
    if (s.running || s.shown.broken != breakage::none)
        return;
    s.running = true;
    s.created_ns = 0;  // it is the owner of this that has seen to it that the stream is the right one
    if (s.stored.waiting_rows != 0 && s.shown.waiting_since_ms == 0 && s.probe == token::none) {
        s.probe = s.numbers.next_token();
        out.store.push_back(store_request::read_waiting{s.probe, s.who.stream, s.stored.floor + 1, 1, 1});
    }
    s.begin(now, out);
    s.show();
}

void replica::stop(instant, effects& out)
{
    impl_->running = false;
    impl_->halt(out);
    impl_->show();
}

bool replica::running() const noexcept { return impl_->running; }

void replica::link_up(backend_event::link_up const& e, instant now, effects& out)
{
    auto& s = *impl_;
    if (s.connection != 0)
        s.halt(out);
    s.connection = e.connection;
    s.created_ns = 0;
    s.payload_max = e.max_payload;
    s.shown.linked = true;
    s.shown.since_ms = now.wall_ms;
    s.shown.link_why.clear();
    s.begin(now, out);
    s.show();
}

void replica::link_down(std::string why, instant now, effects& out)
{
    auto& s = *impl_;
    s.connection = 0;
    s.shown.linked = false;
    s.shown.since_ms = now.wall_ms;
    s.shown.link_why = std::move(why);
    s.halt(out);
    s.show();
}

bool replica::on_backend(backend_event::any& event, instant now, effects& out)
{
    auto const mine = impl_->on_backend(event, now, out);
    if (mine)
        impl_->show();
    return mine;
}

bool replica::on_store(store_event::any const& event, instant now, effects& out)
{
    auto const mine = impl_->on_store(event, now, out);
    if (mine)
        impl_->show();
    return mine;
}

void replica::committed(std::vector<store_event::rows_arrived::arrival> const& rows, instant now, effects& out)
{
    impl_->committed(rows, now, out);
    impl_->show();
}

void replica::trimmed(store_event::stream_trimmed const& e)
{
    auto& s = *impl_;
    // At most what is left can wait; the next import says it exactly.
    s.stored.waiting_rows = std::min(s.stored.waiting_rows, e.messages);
    s.stored.waiting_bytes = std::min(s.stored.waiting_bytes, e.bytes);
    s.show();
}

void replica::tick(instant now, effects& out)
{
    impl_->tick(now, out);
    impl_->show();
}

std::optional<std::uint64_t> replica::due_ms() const { return impl_->due_ms(); }

void replica::set_authority(authority side, std::uint64_t epoch)
{
    auto& s = *impl_;
    if (s.side == side && s.authority_epoch == epoch && s.own.lane != 0)
        return;
    s.side = side;
    s.authority_epoch = epoch;
    s.new_lane();
}

void replica::publish(std::vector<store_request::append> what, instant now, effects& out)
{
    impl_->publish(std::move(what), now, out);
    impl_->show();
}

std::size_t replica::unsettled() const noexcept { return impl_->unsettled(); }

recent_reads const& replica::just_read() const noexcept { return impl_->own.recent; }

void replica::abandon(std::string why, instant now, effects& out)
{
    impl_->lose_all({error_code::unavailable, std::move(why)}, now, out);
    impl_->own.given_up = 0;
    impl_->show();
}

void replica::patient(bool on) { impl_->patient = on; }

void replica::adopt(bool on) { impl_->adopting = on; }

void replica::grant(std::uint64_t bytes) { impl_->granted_bytes = bytes; }

void replica::set_limits(limits const& l)
{
    auto& s = *impl_;
    s.who.body_bytes_max = l.body_bytes;
    s.who.header_bytes_max = l.header_bytes;
    s.wire = identity{s.who.secret, s.who.name, s.who.stream, s.who.body_bytes_max, s.who.header_bytes_max};
}

void replica::mend()
{
    auto& s = *impl_;
    s.shown.broken = breakage::none;
    s.shown.broken_why.clear();
    s.tries.rounds = s.tries.refused_rounds = 0;
}

replica::facts const& replica::now() const noexcept { return impl_->shown; }

}  // namespace kedge::migration
