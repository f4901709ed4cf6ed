#pragma once
/// Requests that have crossed a bridge and wait for a reply. All wait equally long, so their numbers rise with the time at which
/// they are given up. One thread.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace kedge::migration {

class bridge_replies {
public:
    struct waiting {
        std::string reply;       ///< where the reply goes
        std::size_t bridge = 0;  ///< for which it counts
        std::uint64_t due_ms = 0;
    };

    /// The number by which it is found.
    std::uint64_t add(waiting what)
    {
        waiting_.emplace_hint(waiting_.end(), ++last_, std::move(what));
        return last_;
    }
    waiting const* find(std::uint64_t number) const
    {
        auto const at = waiting_.find(number);
        return at == waiting_.end() ? nullptr : &at->second;
    }
    void remove(std::uint64_t number) { waiting_.erase(number); }
    void clear() { waiting_.clear(); }
    void expire(std::uint64_t now_ms)
    {
        while (!waiting_.empty() && waiting_.begin()->second.due_ms <= now_ms)
            waiting_.erase(waiting_.begin());
    }
    std::optional<std::uint64_t> due_ms() const
    {
        return waiting_.empty() ? std::nullopt : std::optional{waiting_.begin()->second.due_ms};
    }
    std::size_t size() const noexcept { return waiting_.size(); }

private:
    std::map<std::uint64_t, waiting> waiting_;
    std::uint64_t last_ = 0;
};

}  // namespace kedge::migration
