#include <algorithm>
#include <iterator>

#include "router/store/bounds.hpp"
#include "router/store/sqlite/sqlite_store_impl.hpp"

namespace kedge {

namespace {

constexpr int checkpoint_pages = 4096;  // of write-ahead log: 16 MiB, 20 ms of writing at a usual disk

}  // namespace

bool sqlite_store::impl::see_to_inbox()
{
    auto const wanted = inbox_config(bounds);
    if (auto* const inbox = all.streams.find(inbox_stream); inbox == nullptr)
        all.streams.create(wanted);
    else if (inbox->state.config != wanted)
        all.streams.edit(*inbox, wanted);
    return false;
}

bool sqlite_store::impl::wants_trim(sqlite::stream_entry& entry, std::uint64_t now_ms)
{
    auto const& state = entry.state;
    auto const& config = state.config;
    if (state.messages == 0 || state.first > sqlite::log_table::may_go_up_to(entry))
        return false;
    if (overflows(state))
        return true;
    if (config.keep == retention::interest && all.consumers.lowest_unfinished(state.id) > state.first)
        return true;
    if (config.max_age_ms == 0)
        return false;
    if (!entry.oldest_ms)
        entry.oldest_ms = all.log.time_of(entry, state.first);
    return *entry.oldest_ms + config.max_age_ms <= now_ms;
}

void sqlite_store::impl::trim(sqlite::stream_entry& entry, std::uint64_t now_ms, sqlite::trim_slice& slice,
                              std::vector<store_event::any>& events)
{
    auto const& state = entry.state;
    auto const& config = state.config;
    // An interest stream without a consumer: 0, nobody is done with anything, and only the limits take rows.
    auto const done_below = config.keep == retention::interest ? all.consumers.lowest_unfinished(state.id) : 0;
    auto const may_go = sqlite::log_table::may_go_up_to(entry);
    auto const gone = all.log.trim(entry, slice, [&](message_seq seq, std::uint64_t time_ms) {
        return seq <= may_go
            && (overflows(state) || (config.max_age_ms != 0 && time_ms + config.max_age_ms <= now_ms) || seq < done_below);
    });
    if (gone != 0)
        trimmed(entry, events);
}

void sqlite_store::impl::trimmed(sqlite::stream_entry& entry, std::vector<store_event::any>& events)
{
    auto const& state = entry.state;
    all.streams.changed(entry);
    events.push_back(store_event::stream_trimmed{state.id, state.first, state.messages, state.bytes});
}

void sqlite_store::impl::tell_usage(std::vector<store_event::any>& events)
{
    store_event::usage_changed changed;
    for (auto& total : all.usage.save())
        changed.users.push_back({std::move(total.user), total.messages, total.bytes});
    if (!changed.users.empty())
        events.push_back(std::move(changed));
}

bool sqlite_store::impl::purge(std::vector<store_event::any>& out)
{
    if (later.purges.empty())
        return false;
    auto run = later.purges.front();  // a copy: what failed has not been done
    std::vector<store_event::any> events;
    in_transaction([&] {
        auto* const entry = all.streams.find(run.asked.stream);
        if (entry == nullptr) {
            run.next = run.asked.up_to + 1;  // removed meanwhile
            return false;
        }
        std::uint64_t gone = 0;
        if (run.asked.filter.empty()) {
            sqlite::trim_slice slice;
            gone = all.log.trim(*entry, slice, [&](message_seq seq, std::uint64_t) { return seq <= run.asked.up_to; });
            run.next = entry->state.first;
        } else {
            std::vector<message_seq> found;
            run.next = all.log.find(*entry, run.asked.filter, run.next, run.asked.up_to, found);
            gone = all.log.remove(*entry, found);
        }
        run.taken += gone;
        if (gone != 0)
            trimmed(*entry, events);
        all.streams.save();
        all.mirrors.save();
        tell_usage(events);
        return false;
    });
    if (run.next > run.asked.up_to) {
        if (run.asked.request != token::none)
            events.push_back(store_event::purged{run.asked.request, run.taken});
        later.purges.pop_front();
    } else {
        later.purges.front() = std::move(run);
    }
    std::ranges::move(events, std::back_inserter(out));
    return !later.purges.empty();
}

bool sqlite_store::impl::retain(std::uint64_t now_ms, std::vector<store_event::any>& out)
{
    auto& streams = all.streams.all();
    auto const wants = [&](auto& entry) {
        return wants_trim(entry.second, now_ms) || all.log.has_unused_names(entry.second) || all.log.has_uncounted(entry.second);
    };
    if (std::ranges::none_of(streams, wants))
        return false;
    // One slice and one commit, however many streams there are; the next slice goes on behind the last stream of this one.
    std::vector<store_event::any> events;
    auto const more = in_transaction([&] {
        sqlite::trim_slice slice;
        auto at = streams.upper_bound(trimmed_last);
        for (std::size_t i = 0; i < streams.size() && !slice.used_up(); ++i, ++at) {
            if (at == streams.end())
                at = streams.begin();
            if (all.log.has_uncounted(at->second)) {  // first: what goes here leaves room for others
                all.streams.changed(at->second);
                if (all.log.drop_older_of_subjects(at->second, slice) != 0)
                    trimmed(at->second, events);
            }
            if (!slice.used_up() && wants_trim(at->second, now_ms))
                trim(at->second, now_ms, slice, events);
            all.log.drop_names(at->second, slice);
            trimmed_last = at->first;
        }
        all.streams.save();
        all.mirrors.save();
        tell_usage(events);
        return slice.used_up();
    });
    std::ranges::move(events, std::back_inserter(out));
    return more;
}

bool sqlite_store::impl::collect_garbage()
{
    auto kind = sqlite::garbage_kind::stream_rows;
    std::int64_t id = 0;
    {
        auto rows = garbage.query();
        if (!rows.next()) {
            has_garbage = false;
            return false;
        }
        kind = static_cast<sqlite::garbage_kind>(rows.integer(0));
        id = rows.integer(1);
    }
    bool more = false;
    switch (kind) {
    case sqlite::garbage_kind::stream_rows: more = all.log.remove_slice(stream_id{static_cast<std::uint32_t>(id)}); break;
    case sqlite::garbage_kind::dead_letters: more = all.consumers.remove_slice(id); break;
    case sqlite::garbage_kind::places: more = all.mirrors.remove_slice(id); break;
    }
    if (!more)
        no_garbage.run(static_cast<int>(kind), id);
    return true;
}

/// Imports raise the floor of their stream; this is for what one could not pass in its slice, and for rows that went.
bool sqlite_store::impl::raise_floors()
{
    auto* const of = all.mirrors.behind();
    if (of == nullptr)
        return false;
    all.mirrors.raise_floor(*of, all.streams.find(of->state.stream)->state.last);
    return all.mirrors.behind() != nullptr;
}

bool sqlite_store::impl::housekeeping(std::uint64_t now_ms, std::vector<store_event::any>& out)
{
    bool more = raise_floors();
    all.mirrors.note_floors(now_ms);
    more = retain(now_ms, out) || more;
    more = purge(out) || more;
    if (has_garbage) {
        std::vector<store_event::any> events;
        more = in_transaction([&] {
            auto const left = collect_garbage();
            tell_usage(events);
            return left;
        }) || more;
        std::ranges::move(events, std::back_inserter(out));
    }
    if (!all.ids.idle(now_ms))
        more = in_transaction([&] { return all.ids.maintain(now_ms); }) || more;
    return more;
}

void sqlite_store::impl::checkpoint()
{
    if (log_pages < checkpoint_pages)
        return;
    int in_log = 0;
    int copied = 0;
    if (sqlite3_wal_checkpoint_v2(on->handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied) == SQLITE_OK
        && in_log == copied)
        log_pages = 0;  // the next commit begins the log anew
}

bool sqlite_store::impl::back_up(std::vector<store_event::any>& out)
{
    batch_events events{out};
    if (later.backup) {
        auto const request = *std::exchange(later.backup, std::nullopt);
        auto begun = sqlite::backup_run::begin(*on, request.path);
        if (!begun) {
            events.failed(request.request, begun.error());
            return false;
        }
        backup = std::move(*begun);
        backup_request = request.request;
        later.backup_running = true;
    }
    if (!backup)
        return false;
    auto const step = backup->step();
    if (step && !*step)
        return true;
    if (step)
        events.done(backup_request);
    else
        events.failed(backup_request, step.error());
    backup.reset();
    later.backup_running = false;
    return false;
}

bool sqlite_store::impl::check(std::vector<store_event::any>& out)
{
    batch_events events{out};
    if (later.check) {
        check_request = std::exchange(later.check, std::nullopt)->request;
        auto begun = sqlite::check_run::begin(*on, check_path);
        if (!begun) {
            events.failed(check_request, begun.error());
            return false;
        }
        checking = std::move(*begun);
        later.check_running = true;
    }
    if (!checking)
        return false;
    auto step = checking->step();
    if (step && !*step)
        return true;
    if (step)
        events.push(store_event::checked{check_request, (*step)->rows, std::move((*step)->findings)});
    else
        events.failed(check_request, step.error());
    checking.reset();
    later.check_running = false;
    return false;
}

bool sqlite_store::maintain(std::uint64_t now_ms, std::vector<store_event::any>& out)
{
    auto& self = *impl_;
    bool more = false;
    try {
        if (self.recovered())
            more = self.housekeeping(now_ms, out);
    } catch (std::exception const&) {
        self.recovered();  // the disk's failures are told to whoever publishes; housekeeping just tries again later
    }
    self.checkpoint();
    more = self.check(out) || more;
    return self.back_up(out) || more;
}

}  // namespace kedge
