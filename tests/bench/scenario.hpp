#pragma once
/// What a scenario is given and what it answers.

#include <chrono>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/server_process.hpp"

namespace kedge::bench {

/// One number of a run, and the bar that the project sets itself.
struct figure {
    std::string name;
    double value = 0;
    std::string unit;
    double bar = 0;  ///< 0 = none
    bool lower_is_better = false;

    /// 1 and above: the bar is reached.
    double ratio() const noexcept { return lower_is_better ? bar / value : value / bar; }
};

struct context {
    server_process& server;
    /// How long a scenario sends; what comes after (the last answers) is bounded on its own.
    std::chrono::duration<double> duration;
};

struct scenario {
    std::string_view name;
    std::string_view text;
    /// Throws std::runtime_error if a message is lost, doubled or out of order.
    std::vector<figure> (*run)(context&);
};

std::span<scenario const> scenarios() noexcept;

std::vector<figure> run_plain(context&);
std::vector<figure> run_fan_out(context&);
std::vector<figure> run_large_bodies(context&);
std::vector<figure> run_durable_by_id(context&);
std::vector<figure> run_durable_by_n(context&);
std::vector<figure> run_durable_links(context&);
std::vector<figure> run_consume(context&);
std::vector<figure> run_logins(context&);
std::vector<figure> run_parallel_logins(context&);
std::vector<figure> run_idle_sessions(context&);
std::vector<figure> run_latency_plain(context&);
std::vector<figure> run_latency_durable(context&);

/// Fails the scenario with a sentence.
void check(bool good, std::string_view what);

/// Rows in a stream, as `who` tells. Ends the client's other traffic first: call it at the end of a scenario.
std::uint64_t stream_rows(event_loop&, bench_link&, std::string_view stream);

/// Sends a ping and waits for its pong: everything earlier on the link took effect.
void barrier(event_loop&, bench_link&);

}  // namespace kedge::bench
