#include "router/store/dedupe_window.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace kedge {

std::vector<remembered_id> dedupe_window(std::vector<remembered_id> newest_first, limits const& bounds, std::uint64_t now_ms)
{
    auto const alive = [&](remembered_id const& entry) { return entry.time_ms + bounds.dedupe_ms > now_ms; };

    // Senders in the order of their last use, which is the order in which newest-first meets them.
    std::unordered_map<std::string_view, std::size_t> place;
    std::vector<std::uint64_t> keep;
    for (auto const& entry : newest_first) {
        if (!alive(entry))
            continue;
        auto const [at, fresh] = place.try_emplace(entry.sender, keep.size());
        if (fresh)
            keep.push_back(0);
        if (keep[at->second] < bounds.dedupe_ids)
            ++keep[at->second];
    }
    auto room = bounds.dedupe_ids_total;
    for (auto& count : keep) {
        count = std::min(count, room);
        room -= count;
    }

    std::vector<std::size_t> kept;
    for (std::size_t i = 0; i < newest_first.size(); ++i) {
        if (!alive(newest_first[i]))
            continue;
        auto& left = keep[place.find(newest_first[i].sender)->second];
        if (left != 0) {
            --left;
            kept.push_back(i);
        }
    }
    place.clear();  // its keys lie in what is moved now
    std::vector<remembered_id> oldest_first;
    oldest_first.reserve(kept.size());
    for (auto i = kept.rbegin(); i != kept.rend(); ++i)
        oldest_first.push_back(std::move(newest_first[*i]));
    return oldest_first;
}

}  // namespace kedge
