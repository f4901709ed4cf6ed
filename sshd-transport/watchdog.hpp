#pragma once
/// Looks at the transport threads from outside and tells of a session that holds one for too long: every other session of
/// that thread waits for it.

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace kedge {

/// A session that holds its thread.
struct held {
    std::uint64_t since_ms = 0;  ///< of `steady_ms`; 0 = nobody does
    std::uint64_t token = 0;     ///< the number behind the session's token
};

class watchdog {
public:
    /// How one thread is held now. Called on the watchdog's thread.
    using look = std::function<held()>;
    /// Once for each time that a thread is held for longer than the bound. Called on the watchdog's thread.
    using tell = std::function<void(std::size_t thread, held const&, std::uint64_t for_ms)>;

    /// Starts at once. `bound_ms` above 0.
    watchdog(std::vector<look> threads, std::uint64_t bound_ms, tell);
    ~watchdog();

private:
    void run();

    std::vector<look> const threads_;
    std::uint64_t const bound_ms_;
    tell const tell_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;  ///< guarded by the mutex
    std::thread thread_;     ///< last: it uses all of the above
};

/// A `tell` that writes to the log.
void log_held(std::size_t thread, held const&, std::uint64_t for_ms);

}  // namespace kedge
