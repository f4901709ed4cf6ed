#pragma once
/// The table that grows while bots answer: its widths are chosen before the first row. Internal to router/command.

#include <cstdint>
#include <string>
#include <string_view>

#include "router/command/command.hpp"

namespace kedge {

/// Wide, an answer is a row and its further lines stand below its first; on a terminal of fewer than `narrow_columns` they
/// stand below the bot's name. Lines that are too long for a terminal are continued, in a pipe never.
class control_table {
public:
    static constexpr unsigned narrow_columns = 60;

    explicit control_table(command_environment const& e) : environment_{e} {}

    /// `name_width`: of the longest name that is expected.
    std::string head(std::size_t name_width);
    std::string row(std::string_view bot, std::uint64_t status, std::uint64_t ms, std::string_view answer) const;
    /// Of a bot that did not answer.
    std::string silent(std::string_view bot) const;

private:
    bool narrow() const { return environment_.out_is_terminal && environment_.columns < narrow_columns; }
    std::string lines(std::string_view answer, std::size_t indent, bool first_is_indented) const;

    command_environment environment_;
    std::size_t name_width_ = 3;
};

}  // namespace kedge
