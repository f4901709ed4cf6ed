#include "clients/lib/sansio/backoff.hpp"

#include <algorithm>

namespace kedge::client_lib {

backoff::backoff(std::size_t servers, std::chrono::milliseconds wait_min, std::chrono::milliseconds wait_max,
                 std::uint64_t seed)
    : servers_{std::max<std::size_t>(servers, 1)}, wait_min_{wait_min}, wait_max_{std::max(wait_min, wait_max)}, random_{seed}
{
}

std::chrono::milliseconds backoff::failed()
{
    ++failures_;
    server_ = (server_ + 1) % servers_;
    // Within a round the next server is tried at once, or nearly.
    if (failures_ % servers_ != 0)
        return drawn(wait_min_);
    auto const round = std::min<std::size_t>(failures_ / servers_ - 1, 20);
    return drawn(std::min(wait_max_, wait_min_ * (std::int64_t{1} << round)));
}

std::chrono::milliseconds backoff::lost()
{
    failures_ = 0;
    return drawn(wait_min_);
}

std::chrono::milliseconds backoff::drawn(std::chrono::milliseconds most)
{
    std::uniform_int_distribution<std::int64_t> wait{most.count() / 2, most.count()};
    return std::chrono::milliseconds{wait(random_)};
}

}  // namespace kedge::client_lib
