// Thousands of short lives of a server, each from a seed. KEDGE_SIM_SEEDS: how many; KEDGE_SIM_SEED: just that one.
#include <algorithm>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/sim/simulation.hpp"
#include "tests/sim/variable.hpp"

namespace {

void show(std::uint64_t seed, std::string const& violated, kedge::sim::scene what)
{
    constexpr std::size_t lines = 400;
    auto const again = kedge::sim::simulate(seed, kedge::sim::variable("KEDGE_SIM_LINES", lines), {}, what);
    for (auto const& line : again.history)
        std::cerr << line << '\n';
    std::cerr << "seed " << seed << ": " << violated << "\nagain: KEDGE_SIM_SEED=" << seed << " (KEDGE_SIM_LINES=N for more)\n";
    if (again.violated != violated)
        std::cerr << "the second run differs: " << again.violated << '\n';
}

void run_seeds(kedge::sim::scene scene, std::uint64_t usual)
{
    auto const single = kedge::sim::variable("KEDGE_SIM_SEED", 0);
    auto const first = single ? single : kedge::sim::variable("KEDGE_SIM_FIRST", 1);
    auto const count = single ? 1 : kedge::sim::variable("KEDGE_SIM_SEEDS", usual);
    std::uint64_t deliveries = 0, messages = 0, lives = 0, calls = 0;
    std::vector<std::pair<std::uint64_t, std::string>> broken;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        auto const what = kedge::sim::simulate(seed, 0, {}, scene);
        deliveries += what.deliveries;
        messages += what.messages;
        lives += what.lives;
        calls += what.calls;
        if (!what.violated.empty())
            broken.emplace_back(seed, what.violated);
    }
    if (!broken.empty()) {
        show(broken.front().first, broken.front().second, scene);
        constexpr std::size_t shown_max = 30;
        for (std::size_t i = 0; i < std::min(broken.size(), shown_max); ++i)
            std::cerr << "  seed " << broken[i].first << ": " << broken[i].second << '\n';
        FAIL(broken.size() << " of " << count << " seeds broke a promise");
    }
    std::cerr << count << " seeds: " << messages << " messages, " << deliveries << " deliveries, " << calls << " calls answered, " << lives
              << " lives of the server\n";
    CHECK(deliveries > 0);
}

}  // namespace

TEST_CASE("the router keeps its promises whatever happens around it") { run_seeds(kedge::sim::scene::log, 3'500); }

TEST_CASE("mail, services and events keep theirs") { run_seeds(kedge::sim::scene::talk, 1'500); }
