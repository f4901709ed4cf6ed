#include "migration/recent_reads.hpp"

#include <xxhash.h>

namespace kedge::migration {

std::uint64_t key_of(std::string_view sender, std::string_view id, std::uint64_t n)
{
    auto const hash = XXH3_64bits_withSeed(sender.data(), sender.size(), n);
    return XXH3_64bits_withSeed(id.data(), id.size(), hash);
}

void recent_reads::add(std::string_view sender, std::string_view id, std::uint64_t n, std::uint64_t now_ms)
{
    forget_old(now_ms);
    if (auto const key = key_of(sender, id, n); keys_.size() < keys_max && keys_.insert(key).second)
        order_.emplace_back(now_ms, key);
}

bool recent_reads::holds(store_request::append const& what) const
{
    return !keys_.empty() && what.named && keys_.contains(key_of(what.sender->view(), what.message->id(), what.n));
}

void recent_reads::forget_old(std::uint64_t now_ms)
{
    while (!order_.empty() && order_.front().first + kept_ms <= now_ms) {
        keys_.erase(order_.front().second);
        order_.pop_front();
    }
}

failure just_stored() { return {error_code::unavailable, "it has just been stored: send it again with the same id"}; }

}  // namespace kedge::migration
