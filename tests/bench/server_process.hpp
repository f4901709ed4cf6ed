#pragma once
/// A `kedged` of our own: fresh home, loopback, a port that the kernel picks. One a scenario, so that none warms another.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "tests/bench/ssh_client.hpp"

namespace kedge::bench {

/// User and system time of a process since its start.
std::chrono::duration<double> cpu_time_of(pid_t);

class server_process {
public:
    /// Starts `program` in a new folder below `parent` and waits until it is ready (30 s at most). `key` may log in as the
    /// operator `bench`. Limits that would refuse a load of one user from one address are raised; nothing else differs from
    /// the defaults but for `more_config`. Throws std::runtime_error.
    server_process(std::filesystem::path const& program, std::filesystem::path const& parent, client_key const& key,
                   std::string const& more_config = {});
    /// Ends it (SIGTERM, after 15 s SIGKILL) and removes its home.
    ~server_process();
    server_process(server_process const&) = delete;
    server_process& operator=(server_process const&) = delete;

    endpoint const& where() const noexcept { return where_; }
    pid_t pid() const noexcept { return pid_; }
    /// Resident bytes of its own (without what it shares with other processes).
    std::uint64_t memory_bytes() const;
    /// The most that was resident since its start or `forget_peak`, shared pages too.
    std::uint64_t peak_memory_bytes() const;
    void forget_peak();
    std::chrono::duration<double> cpu_time() const { return cpu_time_of(pid_); }
    /// SIGTERM, and waits. Throws unless it ends by itself with status 0.
    void stop();

private:
    void wait_until_ready();
    std::string log_tail() const;
    bool wait_for_exit(std::chrono::seconds limit, int& status);

    pid_t pid_ = -1;
    int output_ = -1;  // the end of its standard output that is read; open as long as it runs
    std::filesystem::path home_;
    endpoint where_;
};

}  // namespace kedge::bench
