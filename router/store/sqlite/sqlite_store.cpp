#include "router/store/sqlite/sqlite_store.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <utility>

#include "router/store/bounds.hpp"
#include "router/store/sqlite/account_table.hpp"
#include "router/store/sqlite/backup_run.hpp"
#include "router/store/sqlite/batch_run.hpp"
#include "router/store/sqlite/check_run.hpp"
#include "router/store/sqlite/schema.hpp"

namespace kedge {

namespace {

constexpr int checkpoint_pages = 4096;  // of write-ahead log: 16 MiB, 20 ms of writing at a usual disk

/// What of a batch is tried in one transaction. When a tier fails the next one follows: a full disk must not keep a reader
/// from reading, nor an operator from making room.
enum class tier : unsigned char { everything, without_appends, reads };
constexpr std::array tiers{tier::everything, tier::without_appends, tier::reads};

bool is_read(store_request::any const& request)
{
    return std::holds_alternative<store_request::read>(request) || std::holds_alternative<store_request::read_seqs>(request)
        || std::holds_alternative<store_request::list_dead>(request);
}

bool belongs(store_request::any const& request, tier to)
{
    switch (to) {
    case tier::everything: return true;
    case tier::without_appends: return !std::holds_alternative<store_request::append>(request);
    case tier::reads: return is_read(request);
    }
    return false;
}

failure why(std::exception const& thrown)
{
    if (auto const* const of_sqlite = dynamic_cast<sqlite::error const*>(&thrown); of_sqlite != nullptr && of_sqlite->full())
        return store_failure::full();
    return {error_code::internal, std::string{"the database failed: "} + thrown.what()};
}

}  // namespace

struct sqlite_store::impl {
    impl(std::string const& path, limits const& configured)
        : bounds{configured}, on{sqlite::open_database(path)}, all{*on, bounds}, accounts{*on, bounds},
          garbage{*on, "SELECT kind, id FROM garbage LIMIT 1"}, no_garbage{*on, "DELETE FROM garbage WHERE kind = ? AND id = ?"}, check_path{path + ".check"}
    {
        sqlite3_wal_hook(on->handle(), &impl::committed, this);
    }
    ~impl()
    {
        backup.reset();
        checking.reset();
        sqlite3_wal_checkpoint_v2(on->handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    }

    static int committed(void* self, sqlite3*, char const*, int pages) noexcept
    {
        static_cast<impl*>(self)->log_pages = pages;
        return SQLITE_OK;
    }

    /// Reads the memory's part again after a transaction that did not commit. False: the database cannot even be read.
    bool recovered() noexcept
    try {
        if (stale)
            all.load();
        stale = false;
        return true;
    } catch (std::exception const&) {
        return false;
    }

    std::optional<failure> attempt(std::vector<store_request::any> const& batch, tier what, std::vector<store_event::any>& events);
    void refuse(store_request::any const&, failure const&, batch_events&);
    template <class Work>
    bool in_transaction(Work const& work);
    void trim(sqlite::stream_entry&, std::uint64_t now_ms, sqlite::trim_slice&, std::vector<store_event::any>& events);
    void trimmed(sqlite::stream_entry&, std::vector<store_event::any>& events);
    void tell_usage(std::vector<store_event::any>& events);
    bool purge(std::vector<store_event::any>& out);
    bool retain(std::uint64_t now_ms, std::vector<store_event::any>& out);
    bool wants_trim(sqlite::stream_entry&, std::uint64_t now_ms);
    bool see_to_inbox();
    bool collect_garbage();
    bool housekeeping(std::uint64_t now_ms, std::vector<store_event::any>& out);
    void checkpoint();
    bool back_up(std::vector<store_event::any>& out);
    bool check(std::vector<store_event::any>& out);
    template <class Change>
    auto change_accounts(Change const& change) -> decltype(change());

    limits bounds;  ///< the tables keep to this one, by reference
    std::unique_ptr<sqlite::database> on;
    sqlite::tables all;
    sqlite::account_table accounts;
    sqlite::statement garbage;
    sqlite::statement no_garbage;
    epoch_gate gate;
    sqlite::batch_run::left_over later;
    std::unique_ptr<sqlite::backup_run> backup;
    token backup_request{};
    std::string const check_path;  ///< of the copy that a check reads
    std::unique_ptr<sqlite::check_run> checking;
    token check_request{};
    stream_id trimmed_last{};  ///< where the last slice of retention ended
    int log_pages = 0;       ///< in the write-ahead log after the last commit
    bool stale = false;      ///< the tables' memory may differ from the file
    bool has_garbage = true; ///< until found otherwise
};

sqlite_store::sqlite_store(std::string const& path, limits const& configured)
try : impl_{std::make_unique<impl>(path, configured)} {
} catch (sqlite::error const& failed) {
    throw std::runtime_error{path + " cannot be used: " + failed.what()};
}

sqlite_store::~sqlite_store() = default;

store_contents sqlite_store::load(std::uint64_t now_ms)
{
    auto& all = impl_->all;
    impl_->stale = true;
    all.load();
    impl_->stale = false;
    impl_->in_transaction([&] { return impl_->see_to_inbox(); });
    store_contents found;
    found.incarnation = impl_->on->text("SELECT value FROM meta WHERE key = 'incarnation'");
    for (auto const& [id, entry] : all.streams.all()) {
        // Bounded in time: the newest pages are those that a failing disk or a torn copy leaves behind.
        all.log.check_newest(entry);
        found.streams.push_back(entry.state);
    }
    found.consumers = all.consumers.states();
    found.nodes = all.nodes.states();
    for (auto const& total : all.mail.all())
        found.mail.push_back({total.user, total.messages, total.bytes});
    for (auto const& total : all.usage.all())
        found.usage.push_back({total.user, total.messages, total.bytes});
    found.ids = all.ids.window(now_ms, [&](stream_id id) { return all.streams.find(id) != nullptr; });
    return found;
}

std::optional<failure> sqlite_store::impl::attempt(std::vector<store_request::any> const& batch, tier what,
                                                   std::vector<store_event::any>& events)
try {
    if (!recovered())
        return failure{error_code::internal, "the database cannot be read"};
    stale = true;  // until the commit says otherwise
    auto const later_before = later;
    try {
        sqlite::transaction work{*on, what == tier::reads ? sqlite::transaction::kind::read : sqlite::transaction::kind::write};
        sqlite::batch_run run{*on, all, gate, later, events};
        for (auto const& request : batch)
            if (belongs(request, what))
                std::visit(run, request);
        run.finish();
        work.commit();
    } catch (...) {
        later = later_before;
        throw;
    }
    stale = false;
    return std::nullopt;
} catch (std::exception const& thrown) {
    recovered();
    return why(thrown);
}

void sqlite_store::impl::refuse(store_request::any const& request, failure const& because, batch_events& events)
{
    std::visit(
        [&](auto const& r) {
            using type = std::decay_t<decltype(r)>;
            if constexpr (std::is_same_v<type, store_request::append>) {
                if (!stale && all.streams.find(r.stream) == nullptr)
                    return events.append_failed(r, store_failure::unknown_stream());
                gate.failed(r, because);
                events.append_failed(r, because);
            } else if constexpr (!std::is_same_v<type, store_request::put_node>) {
                events.failed(r.request, because);
            }
        },
        request);
}

void sqlite_store::execute(std::vector<store_request::any> batch, std::vector<store_event::any>& out)
{
    std::vector<store_event::any> events;
    batch_events refused{out};
    auto const count = [&](tier of) { return std::ranges::count_if(batch, [&](auto const& r) { return belongs(r, of); }); };
    std::optional<failure> failed;
    for (std::size_t i = 0; i < tiers.size(); ++i) {
        // The same requests would only meet the same fate again.
        if (i == 0 || count(tiers[i]) != count(tiers[i - 1])) {
            if (count(tiers[i]) == 0)
                return;
            events.clear();
            failed = impl_->attempt(batch, tiers[i], events);
            if (!failed) {
                for (auto const& request : batch) {
                    if (auto const* const gone = std::get_if<store_request::remove_stream>(&request)) {
                        impl_->gate.forget(gone->stream);
                        impl_->has_garbage = true;
                    } else if (std::holds_alternative<store_request::remove_consumer>(request)) {
                        impl_->has_garbage = true;
                    }
                }
                std::ranges::move(events, std::back_inserter(out));
                return;
            }
        }
        for (auto const& request : batch)
            if (belongs(request, tiers[i]) && (i + 1 == tiers.size() || !belongs(request, tiers[i + 1])))
                impl_->refuse(request, *failed, refused);
    }
}

template <class Work>
bool sqlite_store::impl::in_transaction(Work const& work)
{
    stale = true;
    sqlite::transaction slice{*on, sqlite::transaction::kind::write};
    auto const more = work();
    slice.commit();
    stale = false;
    return more;
}

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
    if (state.messages == 0)
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
    auto const gone = all.log.trim(entry, slice, [&](message_seq seq, std::uint64_t time_ms) {
        return overflows(state) || (config.max_age_ms != 0 && time_ms + config.max_age_ms <= now_ms) || seq < done_below;
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
    }
    if (!more)
        no_garbage.run(static_cast<int>(kind), id);
    return true;
}

bool sqlite_store::impl::housekeeping(std::uint64_t now_ms, std::vector<store_event::any>& out)
{
    bool more = retain(now_ms, out);
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

void sqlite_store::set_limits(limits const& configured) { impl_->bounds = configured; }

template <class Change>
auto sqlite_store::impl::change_accounts(Change const& change) -> decltype(change())
try {
    sqlite::transaction work{*on, sqlite::transaction::kind::write};
    auto changed = change();
    if (changed)
        work.commit();
    return changed;
} catch (std::exception const& thrown) {
    return why(thrown);
}

account_store::contents sqlite_store::load_accounts()
{
    return impl_->accounts.load();
}

result<void> sqlite_store::put_user(account_user const& user)
{
    return impl_->change_accounts([&] { return impl_->accounts.put_user(user); });
}

result<void> sqlite_store::remove_user(std::string const& name)
{
    return impl_->change_accounts([&] { return impl_->accounts.remove_user(name); });
}

result<void> sqlite_store::put_key(account_key const& key)
{
    return impl_->change_accounts([&] { return impl_->accounts.put_key(key); });
}

result<void> sqlite_store::remove_key(std::string const& user, std::string const& fingerprint)
{
    return impl_->change_accounts([&] { return impl_->accounts.remove_key(user, fingerprint); });
}

result<std::uint64_t> sqlite_store::add_rule(rule const& added)
{
    return impl_->change_accounts([&] { return impl_->accounts.add_rule(added); });
}

result<void> sqlite_store::remove_rule(std::uint64_t id)
{
    return impl_->change_accounts([&] { return impl_->accounts.remove_rule(id); });
}

result<std::uint64_t> sqlite_store::add_ban(account_ban const& added)
{
    return impl_->change_accounts([&] { return impl_->accounts.add_ban(added); });
}

result<void> sqlite_store::remove_ban(std::uint64_t id)
{
    return impl_->change_accounts([&] { return impl_->accounts.remove_ban(id); });
}

result<void> sqlite_store::put_alias(account_alias const& added)
{
    return impl_->change_accounts([&] { return impl_->accounts.put_alias(added); });
}

result<void> sqlite_store::remove_alias(std::string const& alias)
{
    return impl_->change_accounts([&] { return impl_->accounts.remove_alias(alias); });
}

result<void> sqlite_store::put_list(account_list const& list)
{
    return impl_->change_accounts([&] { return impl_->accounts.put_list(list); });
}

result<void> sqlite_store::remove_list(std::string const& name)
{
    return impl_->change_accounts([&] { return impl_->accounts.remove_list(name); });
}

result<void> sqlite_store::add_audit(audit_entry const& added)
{
    return impl_->change_accounts([&] { return impl_->accounts.add_audit(added); });
}

std::vector<audit_entry> sqlite_store::read_audit(std::uint64_t before, std::size_t most)
try {
    return impl_->accounts.read_audit(before, most);
} catch (sqlite::error const&) {
    return {};  // a database that cannot be read is told by whatever writes next
}

}  // namespace kedge
