#pragma once
/// The mirror to NATS under load: scenarios that run several times, and what they share.

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/bench/nats_bus.hpp"
#include "tests/bench/scenario.hpp"

namespace kedge::bench {

struct migration_context {
    std::string server;       ///< the kedged to measure
    std::string nats_server;
    std::string folder;
    std::string settings;     ///< more lines of [nats]
    std::uint64_t messages;   ///< of one measurement of throughput
    std::uint64_t backlog;    ///< rows to catch up
    std::chrono::duration<double> seconds;  ///< of one measurement of latency
    double rate;                            ///< of these: messages a second
    unsigned switches;
    client_key const& key;
};

struct migration_scenario {
    std::string_view name;
    std::string_view text;
    /// One round. Throws std::runtime_error if a message is lost, doubled or out of order.
    std::vector<figure> (*run)(migration_context const&);
    bool once = false;  ///< holds its own repetitions
};
std::span<migration_scenario const> migration_scenarios() noexcept;

std::vector<figure> run_mirror(migration_context const&);
std::vector<figure> run_catch_up(migration_context const&);
std::vector<figure> run_switches(migration_context const&);
std::vector<figure> run_mirror_latency(migration_context const&);

inline constexpr std::size_t mirrored_body_bytes = 256;

/// A `kedged` with that NATS, and the stream BENCH (`d.>`).
class mirrored_server {
public:
    mirrored_server(migration_context const&, std::string const& nats_url);

    server_process& process() noexcept { return process_; }
    endpoint const& where() const noexcept { return process_.where(); }
    /// A command by an exec request on a session of its own; its JSON.
    nlohmann::json command(std::string const& words);
    nlohmann::json status() { return command("migrate status BENCH").at("streams").at(0); }
    void wait_for_link();
    void start(std::string_view from);
    /// Until every row is placed; throws with the status if that takes longer than `limit` without progress.
    void wait_until_placed(std::uint64_t rows, std::chrono::seconds limit = std::chrono::seconds{30});
    void wait_until(std::string_view what, std::function<bool(nlohmann::json const&)> const& good, std::chrono::seconds limit);

private:
    server_process process_;
    ssh_client control_;
};

/// Publishes `messages` by as many links as there are subjects, pipelined, each with a rising n, and waits for all answers.
void fill(endpoint const&, std::vector<std::string> const& subjects, std::uint64_t messages);
/// How many of `messages` each of the subjects gets.
std::vector<std::uint64_t> shares(std::size_t subjects, std::uint64_t messages);

}  // namespace kedge::bench
