#pragma once
/// Looks at the transport threads from outside and names, in the log, the session that holds one for too long: every other
/// session of that thread waits for it.

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace kedge {

class transport_thread;

class watchdog {
public:
    /// Starts at once. The threads outlive it. `bound_ms` above 0.
    watchdog(std::vector<transport_thread const*> threads, std::uint64_t bound_ms);
    ~watchdog();

private:
    void run();

    std::vector<transport_thread const*> const threads_;
    std::uint64_t const bound_ms_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;  ///< guarded by the mutex
    std::thread thread_;     ///< last: it uses all of the above
};

}  // namespace kedge
