#pragma once
/// When and where to try to connect next.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>

namespace kedge::client_lib {

/// Rotates over `servers` servers. The wait doubles with each full round that failed, from `wait_min` to `wait_max`, and is
/// drawn between half of that and all of it, so that a thousand clients of a server that restarts do not come as one.
/// Sans-IO, one thread.
class backoff {
public:
    backoff(std::size_t servers, std::chrono::milliseconds wait_min, std::chrono::milliseconds wait_max,
            std::uint64_t seed);

    /// The server to try now.
    std::size_t server() const noexcept { return server_; }
    /// It worked: the next loss begins anew, with the same server.
    void succeeded() noexcept { failures_ = 0; }
    /// It did not, or the connection was lost: how long to wait before `server()` is tried.
    std::chrono::milliseconds failed();
    /// The connection was lost after it had worked: the same server is tried first, soon.
    std::chrono::milliseconds lost();

private:
    std::chrono::milliseconds drawn(std::chrono::milliseconds most);

    std::size_t servers_;
    std::chrono::milliseconds wait_min_;
    std::chrono::milliseconds wait_max_;
    std::mt19937_64 random_;
    std::size_t server_ = 0;
    std::size_t failures_ = 0;
};

}  // namespace kedge::client_lib
