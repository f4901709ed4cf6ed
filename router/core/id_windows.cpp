#include "router/core/id_windows.hpp"

namespace kedge {

id_windows::window* id_windows::use(std::string_view node)
{
    auto const at = by_node_.find(node);
    if (at == by_node_.end())
        return nullptr;
    if (std::next(at->second) != windows_.end())
        windows_.splice(windows_.end(), windows_, at->second);
    return &*at->second;
}

void id_windows::drop_oldest(window& w)
{
    auto const& oldest = w.records.front();
    // The same id may have been stored again after it had left the window: then the map holds the newer record.
    if (auto const at = w.ids.find(oldest.id); at != w.ids.end() && at->second == &oldest)
        w.ids.erase(at);
    w.records.pop_front();
    --total_;
}

id_windows::entry const* id_windows::find(std::string_view node, std::string_view id, std::uint64_t now_ms)
{
    auto* const w = use(node);
    if (!w)
        return nullptr;
    auto const at = w->ids.find(id);
    if (at == w->ids.end() || at->second->time_ms + bounds_.age_ms < now_ms)
        return nullptr;
    return &at->second->what;
}

void id_windows::add(std::string_view node, std::string_view id, entry what, std::uint64_t now_ms)
{
    auto* w = use(node);
    if (!w) {
        windows_.push_back(window{std::string{node}, {}, {}});
        w = &windows_.back();
        by_node_.emplace(w->node, std::prev(windows_.end()));
    }
    auto const& added = w->records.emplace_back(record{std::string{id}, now_ms, what});
    // The key views the record's own id: an older record with the same id must not keep lending its text.
    w->ids.erase(added.id);
    w->ids.emplace(added.id, &added);
    ++total_;
    while (w->records.size() > bounds_.ids_node || w->records.front().time_ms + bounds_.age_ms < now_ms)
        drop_oldest(*w);
    while (total_ > bounds_.ids_total) {
        auto& least = windows_.front();
        if (&least == w) {
            drop_oldest(*w);
            continue;
        }
        total_ -= least.records.size();
        by_node_.erase(least.node);
        windows_.pop_front();
    }
}

void id_windows::forget(std::string_view node)
{
    auto const at = by_node_.find(node);
    if (at == by_node_.end())
        return;
    auto const w = at->second;
    total_ -= w->records.size();
    by_node_.erase(at);
    windows_.erase(w);
}

void id_windows::expire(std::uint64_t now_ms, std::size_t most)
{
    for (auto w = windows_.begin(); w != windows_.end() && most > 0;) {
        while (!w->records.empty() && w->records.front().time_ms + bounds_.age_ms < now_ms && most > 0) {
            drop_oldest(*w);
            --most;
        }
        if (!w->records.empty()) {
            ++w;
            continue;
        }
        by_node_.erase(w->node);
        w = windows_.erase(w);
    }
}

}  // namespace kedge
