#pragma once
/// The body of one message: the text of the command line, or all of standard input. Internal to router/command.

#include <optional>
#include <string>
#include <string_view>

#include "router/protocol/limits.hpp"

namespace kedge {

class one_body {
public:
    explicit one_body(std::optional<std::string> text) : from_input_{text == "-"}, ended_{!from_input_}
    {
        if (text && !from_input_)
            bytes_ = std::move(*text);
    }

    /// The server has said what it takes.
    void set_max(std::uint64_t bytes) { max_ = bytes != 0 ? bytes : max_; }
    bool wants_input() const { return !ended_ && bytes_.size() <= max_; }
    void take(std::string_view more) { bytes_ += more; }
    void end() { ended_ = true; }
    bool whole() const { return ended_; }
    std::string const& bytes() const { return bytes_; }
    /// A sentence, if the server would not take it; known as soon as that much was read.
    std::optional<std::string> problem() const
    {
        if (bytes_.size() <= max_)
            return std::nullopt;
        return (from_input_ ? "standard input has more than " : "the text has more than ") + std::to_string(max_) +
               " bytes, the most that the server takes in one message";
    }

private:
    bool from_input_;
    bool ended_;
    std::string bytes_;
    std::uint64_t max_ = limits{}.body_bytes;
};

}  // namespace kedge
