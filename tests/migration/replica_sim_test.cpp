// Thousands of lives of a replica, each from a seed. KEDGE_SIM_SEEDS: how many; KEDGE_SIM_SEED: just that one
// (KEDGE_SIM_TRACE=1: with its history).

#include <iostream>

#include "tests/catch.hpp"
#include "tests/migration/replica_sim.hpp"
#include "tests/sim/variable.hpp"

namespace kedge::migration::test {

namespace {

std::ostream& operator<<(std::ostream& out, sim_counts const& c)
{
    return out << c.seeds << " seeds: " << c.ssh << " messages over SSH, " << c.natives << " of NATS clients, " << c.replays << " replayed, " << c.cuts
               << " links cut, " << c.crashes << " crashes, " << c.rewinds << " rewinds, " << c.switches << " switches, " << c.refusals << " refusals, "
               << c.lost_acks << " acknowledgements lost, " << c.freezes << " freezes, " << c.store_faults << " faults of the store, "
               << c.unavailable << " unavailable, " << c.reordered << " reordered, " << c.early << " stored early, " << c.detached
               << " times without the stream's server";
}

void add(sim_counts& to, sim_counts const& c)
{
    to.seeds += c.seeds; to.ssh += c.ssh; to.natives += c.natives; to.replays += c.replays; to.cuts += c.cuts; to.rewinds += c.rewinds;
    to.crashes += c.crashes; to.refusals += c.refusals; to.lost_acks += c.lost_acks; to.switches += c.switches;
    to.store_faults += c.store_faults; to.unavailable += c.unavailable; to.freezes += c.freezes; to.reordered += c.reordered; to.early += c.early; to.detached += c.detached;
}

}  // namespace

TEST_CASE("a replica under everything that can happen: both sides equal, nothing lost, nothing double, in order", "[sim]")
{
    auto const single = sim::variable("KEDGE_SIM_SEED", 0);
    auto const first = single != 0 ? single : sim::variable("KEDGE_SIM_FIRST", 1);
    auto const count = single != 0 ? 1 : sim::variable("KEDGE_SIM_SEEDS", 2000);
    sim_counts all;
    unsigned broken = 0;
    for (auto seed = first; seed < first + count && broken < 10; ++seed) {
        replica_sim one{seed, mutation::none, sim::variable("KEDGE_SIM_TRACE", 0) != 0};
        auto const why = one.run();
        add(all, one.counts);
        if (!why.empty()) {
            std::cerr << "seed " << seed << ": " << why << "\n  again: KEDGE_SIM_SEED=" << seed << " KEDGE_SIM_TRACE=1\n";
            ++broken;
        }
    }
    std::cerr << all << '\n';
    CHECK(broken == 0);
}

TEST_CASE("the simulation finds a replica that breaks a rule", "[sim]")
{
    struct {
        char const* name;
        mutation what;
    } const cases[] = {{"does not wait for the end of the stream", mutation::no_wait},
                       {"goes on behind the last copied row", mutation::last_copied},
                       {"forgets what it read of own publishes", mutation::no_lanes},
                       {"does not compare the message at the checkpoint", mutation::no_stamp}};
    for (auto const& c : cases) {
        INFO(c.name);
        std::uint64_t seed = 1;
        std::string why;
        for (; seed <= 3000 && why.empty(); ++seed) {
            replica_sim one{seed, c.what};
            why = one.run();
        }
        CHECK(!why.empty());
        std::cerr << c.name << ": seed " << seed - 1 << ": " << why << '\n';
    }
}

}  // namespace kedge::migration::test
