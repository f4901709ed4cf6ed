#pragma once
/// Randomness that is the same on every machine: the standard's distributions are not.

#include <cstddef>
#include <cstdint>

namespace kedge::sim {

/// splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
class random_source {
public:
    explicit random_source(std::uint64_t seed) noexcept : state_{seed} {}

    std::uint64_t next() noexcept
    {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
    }
    /// 0 to `n` - 1; 0 for 0.
    std::uint64_t below(std::uint64_t n) noexcept { return n == 0 ? 0 : next() % n; }
    /// `least` to `most`, both possible.
    std::uint64_t between(std::uint64_t least, std::uint64_t most) noexcept { return least + below(most - least + 1); }
    bool percent(unsigned p) noexcept { return below(100) < p; }
    bool per_mille(unsigned p) noexcept { return below(1000) < p; }
    template <class Container>
    auto& pick(Container& from) noexcept
    {
        return from[static_cast<std::size_t>(below(from.size()))];
    }

private:
    std::uint64_t state_;
};

}  // namespace kedge::sim
