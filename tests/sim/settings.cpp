#include "tests/sim/settings.hpp"

namespace kedge::sim {

settings::settings(std::uint64_t number) : seed{number}
{
    random_source random{number * 0x2545f4914f6cdd1d + 1};
    // Limits small enough to be met, each in some of the runs.
    coarse = random.percent(8);
    if (coarse)
        bounds.link_unsent_bytes = random.between(1, 8) * 512;
    else if (random.percent(40))
        bounds.link_unsent_bytes = random.between(2, 16) * 1024;
    bounds.link_inflight_bytes = random.percent(40) ? random.between(1, 4) * 1024 : 1024 * 1024;
    if (random.percent(30))
        bounds.store_queue_bytes = random.between(2, 8) * 1024;
    if (random.percent(30))
        bounds.tail_bytes = random.between(1, 8) * 512;
    if (random.percent(30))
        bounds.consumer_pending = random.between(8, 32);
    if (random.percent(20))
        bounds.link_subscriptions = random.between(2, 4);

    streams.push_back({"S1", {"d.>"}, 0, 0, 0, retention::limits});
    if (random.percent(50))
        streams.push_back({"S2", {"e.*", "e.x.>"}, 0, 0, 0, retention::limits});
    if (random.percent(30)) {
        retention = true;
        auto& s = random.pick(streams);
        switch (random.below(3)) {
        case 0: s.max_msgs = random.between(5, 40); break;
        case 1: s.max_bytes = random.between(1, 4) * 1024; break;
        case 2: s.max_age_ms = random.between(1, 60) * 1000; break;
        }
    } else if (random.percent(30)) {
        random.pick(streams).keep = kedge::retention::interest;
    }

    steps = random.between(200, 900);
    publishers_by_id = random.between(0, 2);
    publishers_by_n = random.between(0, 2);
    exact_consumers = random.between(0, 2);
    wild_clients = random.between(1, 5);
    messages = random.between(10, 60);

    bool const calm = random.percent(15);
    cut = calm ? 0 : static_cast<unsigned>(random.below(25));
    crash = calm ? 0 : static_cast<unsigned>(random.below(12));
    fault = calm ? 0 : static_cast<unsigned>(random.below(25));
    jump = static_cast<unsigned>(random.below(15));
    slow_store = random.percent(40);
    slow_network = random.percent(40);
}

}  // namespace kedge::sim
