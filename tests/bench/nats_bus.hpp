#pragma once
/// A `nats-server` of our own, and the least program that publishes to JetStream and reads back: what the mirror is measured
/// against. Uses libnats by itself, as somebody would who writes such a program once; nothing of migration/.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace kedge::bench {

class nats_process {
public:
    /// Starts `program` with JetStream in a new folder below `parent`, on loopback and a port that the kernel picks. Throws
    /// std::runtime_error.
    nats_process(std::string const& program, std::filesystem::path const& parent);
    /// Ends it and removes its folder.
    ~nats_process();
    nats_process(nats_process const&) = delete;
    nats_process& operator=(nats_process const&) = delete;

    std::string const& url() const noexcept { return url_; }
    pid_t pid() const noexcept { return pid_; }

private:
    pid_t pid_ = -1;
    std::filesystem::path folder_;
    std::string url_;
};

struct bare_options {
    std::uint64_t messages = 0;
    std::size_t body_bytes = 0;
    /// As a copy bears: a message id, and headers of the same size.
    bool headers = false;
};
/// One asynchronous publisher and one ordered consumer on a new stream, at the same time. Messages a second from the first publish
/// until all have been read back, each counted and in order. Throws std::runtime_error if one is missing.
double run_bare(std::string const& url, bare_options const&);

/// Reads the JetStream stream from its first message and checks it: `counts[i]` messages on `subjects[i]`, each with the number of
/// its publisher in the body, rising without a gap. Throws std::runtime_error.
void check_copy(std::string const& url, std::string const& stream, std::vector<std::string> const& subjects,
                std::vector<std::uint64_t> const& counts);

}  // namespace kedge::bench
