#include "tests/sim/settings.hpp"

namespace kedge::sim {

settings::settings(std::uint64_t number, scene s) : seed{number}, what{s}
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
    if (s == scene::talk)
        talk(random);
}

void settings::talk(random_source& random)
{
    // When what takes effect is told by the models of talk themselves.
    coarse = true;
    bounds.link_unsent_bytes = random.percent(20) ? 16 * 1024 : 256 * 1024;
    bounds.idle_ms = random.between(5, 30) * 1000;
    if (random.percent(25))
        bounds.mail_messages = random.between(3, 15);
    if (random.percent(20))
        bounds.list_nesting = random.between(1, 3);
    if (random.percent(20))
        bounds.link_calls = random.between(1, 4);
    nodes_go = random.percent(20);
    if (nodes_go && random.percent(50))
        bounds.node_idle_ms = random.between(20, 60) * 1000;
    auto const account = [&](std::string name, std::string_view role = role_user) -> account_user& {
        return users.emplace_back(account_user{std::move(name), std::string{role}, false, false, 0, {}});
    };
    for (auto count = random.between(1, 3); count != 0; --count)
        account("u" + std::to_string(count));
    people = users.size();
    account("op", role_operator);
    account("w0");
    account("w1");
    publishers_by_id = random.below(2);
    publishers_by_n = random.below(2);
    exact_consumers = random.below(2);
    for (std::size_t i = 0; i < publishers_by_id; ++i)
        if (auto& u = account("pi" + std::to_string(i)); random.percent(60))
            u.own_limits = {{"user_rate_messages", random.between(5, 100)}, {"user_burst_ms", random.between(0, 1000)}};
    wild_clients = random.between(0, 2);
    messages = random.between(5, 30);
    nodes = random.between(1, 3);
    posts = random.between(3, 25);
    servants = random.percent(80) ? random.between(1, 3) : 0;
    callers = servants ? random.between(1, 3) : random.below(2);
    administered = random.percent(60);
    drain = random.percent(30) ? static_cast<unsigned>(random.below(4)) : 0;
}

}  // namespace kedge::sim
