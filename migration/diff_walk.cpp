#include "migration/diff_walk.hpp"

#include <algorithm>

namespace kedge::migration {

namespace {

constexpr std::size_t rows_a_read = 1024;
constexpr std::size_t bytes_a_read = 1024 * 1024;
constexpr std::size_t window = 2048;
constexpr std::size_t window_bytes = 4 * 1024 * 1024;
constexpr double burst_ms = 100;           // what may be looked at in so long, at once
constexpr std::size_t suspects_max = 256;  // verified together
constexpr jet_place order_overlap = 4096;

std::string number(std::uint64_t n) { return std::to_string(n); }

}  // namespace

diff_run::impl::impl(replica_identity who, range r, settings const& s, number_source& n)
    : id{std::move(who)}, words{id.secret, id.name, id.stream, id.body_bytes_max, id.header_bytes_max}, asked{r}, bounds{s}, numbers{n}, middle_taken{r.middle_taken}
{
}

void diff_run::impl::go_on(instant now, effects& out)
{
    if (again_ms && now.steady_ms < *again_ms)
        return;
    again_ms.reset();
    for (;;) {
        switch (in) {
        case phase::idle:
        case phase::finished:
        case phase::failed: return;
        case phase::locating:
            if (!located) {
                ask_where_they_begin(out);
                if (!know_where_they_begin())
                    return;
                locate();
            }
            rows_seen = (at > begin + order_overlap ? at - order_overlap : begin) - 1;
            in = phase::ordering;
            break;
        case phase::ordering:
            if (!read_for_order(out))
                return;
            messages_seen = at - 1;
            filled_ms = rated_ms = now.steady_ms;
            rated_at = at;
            budget = 1;
            in = phase::walking;
            break;
        case phase::walking:
            if (!walk(now, out))
                return;
            break;
        case phase::verifying:
            ask_where_they_begin(out);
            if (!know_where_they_begin())
                return;
            verify();
            in = phase::walking;
            break;
        }
    }
}

// ---- where to begin

void diff_run::impl::ask_where_they_begin(effects& out)
{
    if (linked && !jet && jet_asked == token::none) {
        jet_asked = numbers.next_token();
        out.backend.emplace_back(backend_command::stream_info{jet_asked, id.jet});
    }
    if (!lowest_place && lowest_place_asked == token::none) {
        lowest_place_asked = numbers.next_token();
        out.store.emplace_back(store_request::read_placed{lowest_place_asked, id.stream, 1, jet_place_max, 1, 1, false});
    }
    if (!first_row && first_row_asked == token::none) {
        first_row_asked = numbers.next_token();
        out.store.emplace_back(store_request::read{first_row_asked, id.stream, 1, {}, 1, 1});
    }
}

void diff_run::impl::forget_where_they_begin()
{
    jet.reset();
    lowest_place.reset();
    first_row.reset();
}

void diff_run::impl::locate()
{
    end = std::min(asked.checkpoint, rewound_to.value_or(asked.checkpoint));
    begin = std::max({jet->first, *lowest_place, jet_place{1}});
    if (asked.tail != 0 && end >= asked.tail)
        begin = std::max(begin, end - asked.tail + 1);
    begin = std::min(begin, end + 1);
    at = settled_at = begin;
    located = true;
    forget_where_they_begin();
}

bool diff_run::impl::read_for_order(effects& out)
{
    if (rows_asked != token::none)
        return false;
    if (rows_seen + 1 >= at)
        return true;
    rows_asked = numbers.next_token();
    out.store.emplace_back(store_request::read_placed{rows_asked, id.stream, rows_seen + 1, at - 1, rows_a_read, bytes_a_read, false});
    return false;
}

// ---- the walk

// False: something is waited for.
bool diff_run::impl::walk(instant now, effects& out)
{
    refill(now);
    while (at <= end && budget >= 1 && suspects.size() < suspects_max && look_at_next()) {
    }
    at_ms = now.wall_ms;
    if (done_messages != 0 && reader)
        out.backend.emplace_back(backend_command::consumed{*reader, std::exchange(done_messages, 0), std::exchange(done_bytes, 0)});
    if (at > end) {
        std::vector<diff_finding> rest;
        displaced.passed(jet_place_max, rest);
        suspect_displaced(std::move(rest));
    }
    if (std::ranges::any_of(suspects, [](suspect const& s) { return s.why != suspect::doubt::none; })) {
        in = phase::verifying;
        return true;
    }
    bool const full = suspects.size() >= suspects_max;
    verify();
    if (at > end) {
        in = phase::finished;
        end_reader(out);
        return true;
    }
    ask_for_more(now, out);
    return full;  // what stopped it was not that something is missing
}

void diff_run::impl::refill(instant now)
{
    auto const a_ms = static_cast<double>(bounds.diff_messages_second) / 1000;
    budget = std::min(budget + a_ms * static_cast<double>(now.steady_ms - filled_ms), std::max(1.0, a_ms * burst_ms));
    filled_ms = now.steady_ms;
    if (now.steady_ms - rated_ms >= 1000) {
        rate = static_cast<double>(at - rated_at) * 1000 / static_cast<double>(now.steady_ms - rated_ms);
        rated_ms = now.steady_ms;
        rated_at = at;
    }
}

// False: it is not known yet what stands at the next place.
bool diff_run::impl::look_at_next()
{
    while (!messages.empty() && messages.front().place < at)
        drop_message();
    // The lowest place that each side may have something at.
    auto const message_at = messages.empty() ? std::max(messages_seen + 1, at) : messages.front().place;
    auto const row_at = rows.empty() ? std::max(rows_seen + 1, at) : rows.front().place;
    auto const next = std::min(message_at, row_at);
    if (next > end) {
        at = end + 1;
        return true;
    }
    bool const has_message = !messages.empty() && message_at == next, has_row = !rows.empty() && row_at == next;
    if ((!has_message && message_at == next) || (!has_row && row_at == next))
        return false;
    budget -= 1;
    if (has_message && has_row)
        hold_against(messages.front(), rows.front());
    else if (has_message)
        lone_message(messages.front());
    else
        lone_row(rows.front());
    if (has_message)
        drop_message();
    if (has_row)
        rows.pop_front();
    at = next + 1;
    if (at % 256 == 0) {
        std::vector<diff_finding> certain;
        displaced.passed(at, certain);
        suspect_displaced(std::move(certain));
    }
    return true;
}

void diff_run::impl::drop_message()
{
    ++done_messages;
    done_bytes += messages.front().bytes();
    messages.pop_front();
}

seen_message diff_run::impl::look(bus_message const& m) const
{
    auto const s = words.look(m);
    if (s.what != sighting::kind::native)
        return {words.ours(m, s), std::string{s.from}, false, s.what == sighting::kind::copy ? s.seq : 0};
    auto made = words.native(m);
    auto* const held = std::get_if<message_ptr>(&made);
    return {held != nullptr ? std::move(*held) : nullptr, std::string{native_sender}, true, 0};
}

void diff_run::impl::hold_against(bus_message const& there, store_event::placed_row const& row)
{
    auto const seen = look(there);
    auto const here = "row " + number(row.seq);
    if (!row.message) {
        if (!middle_taken && seen.message)
            suspects.push_back({{defect::extra, seen.native, row.seq, row.place,
                                 "JetStream has " + here + " at place " + number(row.place) + ", the log has lost it"},
                                suspect::doubt::log_may_have_dropped});
        return;
    }
    ++compared;
    auto const sender = row.sender->view();
    bool const native = sender == native_sender;
    auto const differs = seen.message ? compare(seen, row) : difference{defect::body, "everything: the message cannot be imported"};
    if (differs) {
        diff_finding found{differs->kind, native, row.seq, row.place,
                           here + " and the message at place " + number(row.place) + " differ in " + differs->what};
        if (seen.message) {
            std::vector<diff_finding> certain;
            displaced.add(std::move(found), seen, row, certain);
            suspect_displaced(std::move(certain));
        } else {
            suspects.push_back({std::move(found)});
        }
        return;
    }
    // Native rows that were restored stand behind newer ones of the same sender: their order is not promised.
    if (native && !seen.native)
        return;
    if (auto const higher = order.look(sender, row.seq); higher != 0)
        suspects.push_back({{defect::order, native, row.seq, row.place,
                             here + " of " + std::string{sender} + " stands at place " + number(row.place) + ", behind the same sender's row "
                                 + number(higher)}});
}

void diff_run::impl::lone_message(bus_message const& there)
{
    auto const seen = look(there);
    if (middle_taken || !seen.message)  // parked: status shows it
        return;
    suspects.push_back({{defect::extra, seen.native, seen.copy_of, there.place,
                         "JetStream has a message at place " + number(there.place) + " on " + std::string{seen.message->subject()}
                             + " that the log has not"},
                        suspect::doubt::log_may_have_dropped});
}

void diff_run::impl::lone_row(store_event::placed_row const& row)
{
    if (middle_taken || !row.message)
        return;
    suspects.push_back({{defect::missing, row.sender->view() == native_sender, row.seq, row.place,
                         "row " + number(row.seq) + " stood in JetStream at place " + number(row.place) + ", where there is nothing now"},
                        suspect::doubt::jet_may_have_dropped});
}

void diff_run::impl::suspect_displaced(std::vector<diff_finding> certain)
{
    for (auto& f : certain)
        suspects.push_back({std::move(f)});
}

// Retention goes on meanwhile, on both sides, always from the oldest. In the log that is the lowest seq: no copy of a row below the first
// can be missed; what was born in JetStream got its seq in the order of the places, so that nothing below the lowest place can.
void diff_run::impl::verify()
{
    middle_taken = middle_taken || (jet && jet->config.max_msgs_per_subject != 0);
    for (auto& s : suspects) {
        bool explained = false;
        switch (s.why) {
        case suspect::doubt::none: break;
        case suspect::doubt::jet_may_have_dropped: explained = middle_taken || s.what.place < jet->first; break;
        case suspect::doubt::log_may_have_dropped:
            explained = middle_taken || s.what.place < *lowest_place || (s.what.seq != 0 && s.what.seq < *first_row);
            break;
        }
        if (!explained)
            report.add(std::move(s.what));
    }
    suspects.clear();
    forget_where_they_begin();
    settle();
}

void diff_run::impl::settle()
{
    settled_at = at;
    settled_compared = compared;
}

// What is not certain yet counts as what it looks like.
diff_report diff_run::impl::certain_and_likely() const
{
    auto made = report;
    auto open = displaced;
    std::vector<diff_finding> rest;
    open.passed(jet_place_max, rest);
    for (auto& f : rest)
        made.add(std::move(f));
    return made;
}

// ---- what is asked of the two sides

void diff_run::impl::ask_for_more(instant now, effects& out)
{
    if (messages_seen >= end) {
        end_reader(out);
    } else if (!reader && linked) {
        reader = reader_id{numbers.next()};
        heard_ms = now.steady_ms;
        out.backend.emplace_back(backend_command::read{*reader, id.jet, messages_seen + 1, window, window_bytes});
    }
    if (rows.empty() && rows_seen < end && rows_asked == token::none) {
        rows_asked = numbers.next_token();
        out.store.emplace_back(store_request::read_placed{rows_asked, id.stream, rows_seen + 1, end, rows_a_read, bytes_a_read, false});
    }
    probe(now, out);
}

void diff_run::impl::end_reader(effects& out)
{
    if (reader)
        out.backend.emplace_back(backend_command::stop_reading{*reader});
    reader.reset();
    done_messages = done_bytes = 0;
}

bool diff_run::impl::waits_for_message() const
{
    return in == phase::walking && linked && reader && messages.empty() && messages_seen < end && probe_asked == token::none
        && rows_asked == token::none;
}

// The last messages of the stream may have been deleted: nothing would ever come that ends the waiting for them.
void diff_run::impl::probe(instant now, effects& out)
{
    if (!waits_for_message() || now.steady_ms - heard_ms < stalled_ms)
        return;
    probed = rows.empty() ? end : rows.front().place;
    probe_asked = numbers.next_token();
    out.backend.emplace_back(backend_command::get_message{probe_asked, id.jet, probed});
}

}  // namespace kedge::migration
