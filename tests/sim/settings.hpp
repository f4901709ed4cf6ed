#pragma once
/// What a seed decides before anything happens: limits, streams, clients, and how often what goes wrong.

#include <cstdint>
#include <vector>

#include "router/protocol/limits.hpp"
#include "router/store/store.hpp"
#include "tests/sim/random.hpp"

namespace kedge::sim {

/// `log`: publishes and consumers, each step foretold. `talk`: mail, services, events, rates and administration besides.
enum class scene : unsigned char { log, talk };

struct settings {
    explicit settings(std::uint64_t seed, scene = scene::log);

    std::uint64_t seed = 0;
    scene what = scene::log;
    struct limits bounds;
    std::vector<stream_config> streams;
    /// Outboxes so small that links stall all the time: which operation takes effect when can no longer be told from outside,
    /// so only the log, the reliable clients and the end of the run are checked.
    bool coarse = false;
    bool retention = false;  ///< rows go before every consumer has had them

    std::size_t steps = 0;
    std::size_t publishers_by_id = 0;
    std::size_t publishers_by_n = 0;
    std::size_t exact_consumers = 0;
    std::size_t wild_clients = 0;
    std::size_t messages = 0;  ///< of each reliable publisher

    // Of `talk`.
    std::vector<account_user> users;
    std::size_t people = 0;    ///< the first so many of them
    std::size_t nodes = 0;     ///< of each person, at most
    std::size_t posts = 0;     ///< of each node
    std::size_t servants = 0;
    std::size_t callers = 0;
    bool administered = false;
    bool nodes_go = false;     ///< are removed, or retired while they are away

    // Per mille of steps.
    unsigned cut = 0;
    unsigned crash = 0;
    unsigned fault = 0;
    unsigned jump = 0;
    unsigned drain = 0;
    bool slow_store = false;
    bool slow_network = false;

private:
    void talk(random_source&);
};

}  // namespace kedge::sim
