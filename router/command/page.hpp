#pragma once
/// Lines of text that fit a terminal: labels with what belongs to them, sentences, words beside each other. In a pipe nothing
/// is folded. Internal to router/command.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "router/command/text.hpp"

namespace kedge {

class page {
public:
    using look = std::optional<style>;

    explicit page(command_environment const& e);

    /// A sentence; continued `indent` further to the right.
    void line(std::string_view text, look = {}, std::size_t indent = 2);
    /// `mark`, and beside it a sentence.
    void marked(std::string_view mark, look of_mark, std::string_view text, look = {});
    /// "  label      text", narrow "  label: text".
    void fact(std::string_view label, std::string_view text, look = {});
    /// Words with two blanks between them; those that have no room go to the next line.
    void words(std::vector<std::pair<std::string, look>> const&);
    /// Lines as they are: of a table.
    void block(std::string_view text);
    void blank();

    bool narrow() const noexcept { return narrow_; }
    std::size_t columns() const noexcept { return columns_; }
    std::vector<std::string> const& lines() const noexcept { return lines_; }
    std::string text() const;

private:
    std::string dressed(std::string_view text, look) const;
    std::vector<std::string> folded(std::string_view text, std::size_t indent) const;

    command_environment environment_;
    std::size_t columns_;
    bool narrow_;
    std::vector<std::string> lines_;
};

/// A text's lines, without their ends.
std::vector<std::string> lines_of(std::string_view text);

}  // namespace kedge
