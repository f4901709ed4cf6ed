#include "sshd-transport/watchdog.hpp"

#include <algorithm>
#include <chrono>

#include "sshd-transport/clock.hpp"
#include "sshd-transport/log.hpp"

namespace kedge {

watchdog::watchdog(std::vector<look> threads, std::uint64_t bound_ms, tell teller)
    : threads_{std::move(threads)}, bound_ms_{bound_ms}, tell_{std::move(teller)}, thread_{[this] { run(); }}
{
}

watchdog::~watchdog()
{
    {
        std::lock_guard const lock{mutex_};
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void watchdog::run()
{
    std::vector<std::uint64_t> told(threads_.size());  // the beginning of what was told already
    auto const pause = std::chrono::milliseconds{std::max<std::uint64_t>(bound_ms_ / 2, 1)};
    std::unique_lock lock{mutex_};
    while (!wake_.wait_for(lock, pause, [this] { return stopping_; })) {
        auto const now = steady_ms();
        for (std::size_t at = 0; at < threads_.size(); ++at) {
            auto const seen = threads_[at]();
            if (seen.since_ms == 0 || now < seen.since_ms + bound_ms_ || told[at] == seen.since_ms) continue;
            told[at] = seen.since_ms;
            tell_(at, seen, now - seen.since_ms);
        }
    }
}

void log_held(std::size_t thread, held const& seen, std::uint64_t for_ms)
{
    auto const token = token_text(seen.token);
    log_warning({.session = token, .link = {}, .user = {}, .address = {}},
                "this session holds transport thread {} for {} ms already", thread, for_ms);
}

}  // namespace kedge
