#include "router/store/sqlite/sqlite_store_impl.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <stdexcept>

namespace kedge {

namespace {

using sqlite::tier;
constexpr std::array tiers{tier::everything, tier::without_appends, tier::reads};

bool is_read(store_request::any const& request)
{
    return std::holds_alternative<store_request::read>(request) || std::holds_alternative<store_request::read_seqs>(request)
        || std::holds_alternative<store_request::list_dead>(request) || std::holds_alternative<store_request::read_waiting>(request)
        || std::holds_alternative<store_request::read_placed>(request);
}

/// What brings rows: goes first when there is no room.
bool brings_rows(store_request::any const& request)
{
    return std::holds_alternative<store_request::append>(request) || std::holds_alternative<store_request::import_messages>(request);
}

bool belongs(store_request::any const& request, tier to)
{
    switch (to) {
    case tier::everything: return true;
    case tier::without_appends: return !brings_rows(request);
    case tier::reads: return is_read(request);
    }
    return false;
}

}  // namespace

failure sqlite::failure_of(std::exception const& thrown)
{
    if (auto const* const of_sqlite = dynamic_cast<sqlite::error const*>(&thrown); of_sqlite != nullptr && of_sqlite->full())
        return store_failure::full();
    return {error_code::internal, std::string{"the database failed: "} + thrown.what()};
}

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
    found.secret = impl_->on->text("SELECT value FROM meta WHERE key = 'secret'");
    for (auto const& [id, entry] : all.streams.all()) {
        // Bounded in time: the newest pages are those that a failing disk or a torn copy leaves behind.
        all.log.check_newest(entry);
        found.streams.push_back(entry.state);
    }
    found.consumers = all.consumers.states();
    found.nodes = all.nodes.states();
    found.mirrors = all.mirrors.states();
    found.bridges = impl_->on->text("SELECT value FROM meta WHERE key = 'bridges'");
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
    return sqlite::failure_of(thrown);
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
            } else if constexpr (requires { r.request; }) {
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
                    } else if (std::holds_alternative<store_request::remove_consumer>(request)
                               || std::holds_alternative<store_request::remove_mirror>(request)) {
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

void sqlite_store::set_limits(limits const& configured) { impl_->bounds = configured; }

}  // namespace kedge
