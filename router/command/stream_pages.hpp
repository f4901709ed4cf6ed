#pragma once
/// Reads the messages of a stream from first to last, a page a call. Internal to router/command.

#include <optional>
#include <string>
#include <vector>

#include "router/command/operator_commands.hpp"

namespace kedge {

/// What was published after it began is not read: a stream that is written to while it is read has an end all the same.
class stream_pages {
public:
    stream_pages(std::string stream, seq_range, std::string filter);

    /// Asks for the next page, unless one is on its way or all was read.
    void ask(command_effects&);
    /// An answer: its messages (`msg` as JSON) are appended. A sentence if the server refused, or answers nonsense.
    std::optional<std::string> take(admin_result const&, std::vector<nlohmann::json>& into);
    bool ended() const { return ended_; }
    bool waits() const { return asked_; }

private:
    std::optional<std::string> take_bounds(nlohmann::json const&);

    std::string stream_;
    seq_range range_;
    std::string filter_;
    bool bounded_ = false;  ///< the last seq is known
    bool asked_ = false;
    bool ended_ = false;
};

}  // namespace kedge
