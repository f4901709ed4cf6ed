#pragma once
/// What the service shows of all mirrors together.

#include <cstdint>
#include <vector>

#include <nlohmann/json.hpp>

#include "migration/mirror.hpp"
#include "router/metrics.hpp"

namespace kedge::migration {

/// Of the connection, as `migrate status` prints it.
nlohmann::json to_json(link_facts const&);

/// Sums and maxima for the metrics.
class mirror_totals {
public:
    void add(mirror const&, instant);
    /// Of a mirror that ends: what it counted stays counted.
    void add(mirror const&);
    void show(metrics&) const;

private:
    void count(replica::facts const&);

    std::uint64_t mirrors_ = 0, broken_ = 0;
    std::uint64_t held_ = 0, held_bytes_ = 0;
    std::uint64_t copied_ = 0, imported_ = 0, own_ = 0, refusals_ = 0, duplicates_ = 0, reordered_ = 0, parked_ = 0, taken_back_ = 0;
    std::vector<mirror_sample> each_;
};

}  // namespace kedge::migration
