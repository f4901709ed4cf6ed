#pragma once
/// One run from one seed.

#include <cstdint>
#include <deque>
#include <string>

#include "tests/sim/world.hpp"

namespace kedge::sim {

struct outcome {
    std::string violated;               ///< empty = every invariant held
    std::deque<std::string> history;    ///< the tail, if it was asked for
    std::uint64_t deliveries = 0;
    std::uint64_t messages = 0;
    std::uint64_t lives = 0;            ///< starts of the server
    std::uint64_t calls = 0;            ///< that were answered
};

/// The same seed gives the same run, always. `history_lines` = how much of the history is kept.
outcome simulate(std::uint64_t seed, std::size_t history_lines = 0, tamper = {}, scene = scene::log);

}  // namespace kedge::sim
