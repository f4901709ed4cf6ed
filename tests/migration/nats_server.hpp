#pragma once
/// A real nats-server on loopback, with a directory of its own; it dies with the test. One thread.

#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

namespace kedge::test {

struct nats_server_options {
    bool jetstream = true;
    std::string config;  ///< nats-server's own language; empty = none
};

class nats_server {
public:
    explicit nats_server(nats_server_options = {});  ///< starts it and waits until it listens; throws if it does not
    ~nats_server();
    nats_server(nats_server const&) = delete;
    nats_server& operator=(nats_server const&) = delete;

    void start();   ///< on the port of the first time
    void kill();    ///< kill -9, and waits for its end
    void freeze();  ///< SIGSTOP
    void thaw();
    bool running() const noexcept { return pid_ > 0; }

    unsigned port() const noexcept { return port_; }
    std::string url() const { return "nats://127.0.0.1:" + std::to_string(port_); }
    std::filesystem::path const& directory() const noexcept { return directory_; }

    /// JetStream's files, as they are on disk now; only while it does not run. To be put back likewise.
    void save(std::string const& name);
    void put_back(std::string const& name);

private:
    unsigned wait_for_port();

    nats_server_options options_;
    std::filesystem::path directory_;
    pid_t pid_ = -1;
    unsigned port_ = 0;
};

/// Runs a program to its end; throws with what it printed if it fails.
void run_program(std::vector<std::string> const& words);

}  // namespace kedge::test
