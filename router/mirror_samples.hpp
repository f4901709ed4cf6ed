#pragma once
/// What the metrics say of each mirrored stream. What is not known has no sample: a lag of 0 that nobody has measured would be a lie.

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kedge {

struct mirror_sample {
    std::string stream;
    std::string state;  ///< "MIRRORING", as in `migrate status`
    bool broken = false;
    bool ready = false;
    struct lag {
        std::uint64_t messages = 0, bytes = 0, ms = 0;
        std::uint64_t unread = 0;
    };
    std::optional<lag> behind;  ///< none: it is not known
    struct diff {
        std::uint64_t at_ms = 0;  ///< wall clock: its end
        std::uint64_t found = 0;
    };
    std::optional<diff> compared;  ///< the last whole one; none: there was none
};

/// Written by one thread, read by any.
class mirror_samples {
public:
    void set(std::vector<mirror_sample> fresh)
    {
        std::lock_guard const lock{mutex_};
        samples_ = std::move(fresh);
    }
    std::vector<mirror_sample> get() const
    {
        std::lock_guard const lock{mutex_};
        return samples_;
    }

private:
    mutable std::mutex mutex_;
    std::vector<mirror_sample> samples_;
};

}  // namespace kedge
