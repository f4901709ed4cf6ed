#pragma once
/// Jobs that wait for their turn. Internal to router/command.

#include <cstdint>
#include <deque>
#include <vector>

#include "router/command/command.hpp"
#include "router/command/talk_commands.hpp"

namespace kedge {

/// Runs so many jobs at once, the others in the order in which they came. One thread. Bounded.
class job_queue {
public:
    static constexpr std::size_t waiting_max = 4096;
    static constexpr std::size_t waiting_bytes_max = 64 * 1024 * 1024;

    job_queue(job_settings, command_environment const&);

    /// Numbers the job and starts it now or later; 0 if too much waits already. `job.timeout_ms` counts from now: what waited
    /// longer is not started (see `take_missed`), what is started gets the rest of it, also as KEDGE_LEFT_MS.
    std::uint64_t add(command_effects::job, std::size_t output_bytes_max, command_effects&);
    /// A job that was started has ended: starts the next.
    void ended(command_effects&);
    /// Those that were not started in time; each is told once.
    std::vector<std::uint64_t> take_missed() { return std::exchange(missed_, {}); }
    /// Drops what waits.
    void forget();
    bool idle() const noexcept { return running_ == 0 && waiting_.empty(); }

private:
    struct entry {
        command_effects::job job;
        std::uint64_t until_us = 0;  // 0 = whenever
    };
    void start(command_effects&);
    std::uint64_t now() const { return environment_.now_us ? environment_.now_us() : 0; }

    job_settings settings_;
    command_environment environment_;
    std::deque<entry> waiting_;
    std::size_t waiting_bytes_ = 0;
    std::size_t running_ = 0;
    std::uint64_t numbers_ = 0;
    std::vector<std::uint64_t> missed_;
};

}  // namespace kedge
