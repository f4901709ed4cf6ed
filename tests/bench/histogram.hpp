#pragma once
/// Latencies in buckets whose width grows with the value (the idea of HdrHistogram): fixed memory, one increment to record,
/// and a relative error of at most 1/128 at any percentile, however long the tail.

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace kedge::bench {

/// Not thread-safe. Values are whatever the caller counts in; 0 to 2^40 - 1, above that they count as the greatest.
class histogram {
public:
    static constexpr std::uint64_t value_max = (std::uint64_t{1} << 40) - 1;

    void record(std::uint64_t value) noexcept
    {
        ++buckets_[index_of(std::min(value, value_max))];
        ++count_;
        max_ = std::max(max_, value);
        min_ = std::min(min_, value);
    }

    std::uint64_t count() const noexcept { return count_; }
    /// Exact, 0 if nothing was recorded.
    std::uint64_t max() const noexcept { return max_; }
    std::uint64_t min() const noexcept { return count_ == 0 ? 0 : min_; }

    /// The smallest value of which at least `percent` of 100 of the recorded ones are not above; at most 1/128 too high.
    std::uint64_t percentile(double percent) const noexcept
    {
        if (count_ == 0)
            return 0;
        double const wanted = std::clamp(percent, 0.0, 100.0) / 100.0 * static_cast<double>(count_);
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            seen += buckets_[i];
            if (seen != 0 && static_cast<double>(seen) >= wanted)
                return std::min(highest_in(i), max_);
        }
        return max_;
    }

    void merge(histogram const& other) noexcept
    {
        for (std::size_t i = 0; i < buckets_.size(); ++i)
            buckets_[i] += other.buckets_[i];
        count_ += other.count_;
        max_ = std::max(max_, other.max_);
        min_ = std::min(min_, other.min_);
    }

private:
    // Values below 256 have a bucket each; each further power of two is cut into 128.
    static constexpr unsigned exact_bits = 8;
    static constexpr unsigned per_power = 1u << (exact_bits - 1);
    static constexpr std::size_t bucket_count = (1u << exact_bits) + (40 - exact_bits) * per_power;

    static constexpr std::size_t index_of(std::uint64_t value) noexcept
    {
        if (value < (1u << exact_bits))
            return static_cast<std::size_t>(value);
        unsigned const power = static_cast<unsigned>(std::bit_width(value)) - exact_bits;  // 1 and up
        return (1u << exact_bits) + (power - 1) * per_power + static_cast<std::size_t>((value >> power) - per_power);
    }
    static constexpr std::uint64_t highest_in(std::size_t index) noexcept
    {
        if (index < (1u << exact_bits))
            return index;
        std::size_t const above = index - (1u << exact_bits);
        unsigned const power = static_cast<unsigned>(above / per_power) + 1;
        return ((std::uint64_t{above % per_power} + per_power + 1) << power) - 1;
    }

    std::array<std::uint64_t, bucket_count> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
    std::uint64_t min_ = ~std::uint64_t{0};
};

}  // namespace kedge::bench
