#pragma once
/// What happened, for people: the last lines of a run that failed. Off while thousands of seeds pass; the seed that fails is
/// run again with the journal on, which changes nothing else.

#include <deque>
#include <stdexcept>
#include <string>

namespace kedge::sim {

/// An invariant does not hold.
struct violation : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class journal {
public:
    explicit journal(std::size_t lines_max = 0) : lines_max_{lines_max} {}

    bool on() const noexcept { return lines_max_ != 0; }
    /// `make` returns the line; not called while off.
    template <class Make>
    void add(Make&& make)
    {
        if (!on())
            return;
        if (lines_.size() == lines_max_)
            lines_.pop_front();
        lines_.push_back(make());
    }
    std::deque<std::string> const& lines() const noexcept { return lines_; }

private:
    std::size_t lines_max_;
    std::deque<std::string> lines_;
};

}  // namespace kedge::sim
