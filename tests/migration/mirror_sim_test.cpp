// Thousands of lives of a mirror, each from a seed. KEDGE_SIM_SEEDS: four times as many, for one takes as long as four of the other
// simulations; KEDGE_SIM_FIRST: from which on; KEDGE_SIM_SEED: just that one (KEDGE_SIM_TRACE=1: with its history).

#include <iostream>

#include "tests/catch.hpp"
#include "tests/migration/mirror_sim.hpp"
#include "tests/sim/variable.hpp"

namespace kedge::migration::test {

TEST_CASE("a mirror under everything that can happen, with an operator who does anything at any time", "[sim]")
{
    auto const single = sim::variable("KEDGE_SIM_SEED", 0);
    auto const first = single != 0 ? single : sim::variable("KEDGE_SIM_FIRST", 1);
    auto const count = single != 0 ? 1 : (sim::variable("KEDGE_SIM_SEEDS", 8000) + 3) / 4;
    mirror_sim_counts all;
    unsigned broken = 0;
    for (auto seed = first; seed < first + count && broken < 10; ++seed) {
        mirror_sim one{seed, mirror_mutation::none, sim::variable("KEDGE_SIM_TRACE", 0) != 0};
        auto const why = one.run();
        all.add(one.counts);
        if (!why.empty()) {
            std::cerr << "seed " << seed << ": " << why << "\n  again: KEDGE_SIM_SEED=" << seed << " KEDGE_SIM_TRACE=1\n";
            ++broken;
        }
    }
    std::cerr << all.lives << " lives: " << all.messages << " messages, " << all.commands << " commands (" << all.done << " done, " << all.refused
              << " refused), " << all.kills << " kills, " << all.cuts << " links cut, " << all.stops << " servers killed, " << all.freezes
              << " freezes, " << all.rewinds << " rewinds, " << all.faults << " faults of the store, " << all.refusals << " refusals\n";
    CHECK(broken == 0);
}

TEST_CASE("the simulation of a mirror finds what breaks a rule", "[sim]")
{
    for (auto const what : {mirror_mutation::forgets_ids, mirror_mutation::forgets_order}) {
        std::string why;
        for (std::uint64_t seed = 1; seed <= 1000 && why.empty(); ++seed)
            why = mirror_sim{seed, what}.run();
        CHECK(!why.empty());
        std::cerr << why << '\n';
    }
}

}  // namespace kedge::migration::test
