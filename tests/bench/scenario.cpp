#include "tests/bench/scenario.hpp"

namespace kedge::bench {

std::span<scenario const> scenarios() noexcept
{
    static constexpr scenario table[] = {
        {"plain", "publish 1:1, 128-byte bodies", run_plain},
        {"fan-out", "one publisher, 100 subscribers in 100 sessions, 128-byte bodies", run_fan_out},
        {"large", "publish 1:1, 64 KiB bodies", run_large_bodies},
        {"durable-id", "durable publish on one link, pipelined, each with an id", run_durable_by_id},
        {"durable-n", "durable publish on one link, pipelined, by rising n", run_durable_by_n},
        {"durable-links", "durable publish, 50 sessions that each wait for their ok", run_durable_links},
        {"consume", "durable consumer that acknowledges, from the first row of a filled stream", run_consume},
        {"logins", "logins one after another", run_logins},
        {"logins-16", "logins, 16 at a time", run_parallel_logins},
        {"idle", "memory of 1,000 idle sessions with a subscription each", run_idle_sessions},
        {"latency-plain", "publish to delivery, 20,000 a second, open loop", run_latency_plain},
        {"latency-durable", "publish to ok of a durable publish, 10,000 a second, open loop", run_latency_durable},
    };
    return table;
}

}  // namespace kedge::bench
