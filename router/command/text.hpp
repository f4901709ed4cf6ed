#pragma once
/// How messages and tables look on a terminal, in a pipe and to a program. Pure functions, any thread.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "router/command/command.hpp"
#include "router/protocol/notice.hpp"

namespace kedge {

/// Text without a byte that could move a terminal's cursor or break a line: control characters, and bytes that are not
/// UTF-8, as `\n` or `\x1b`. What peers sent is shown through this only.
std::string printable(std::string_view);

/// Columns that valid UTF-8 takes up on a terminal, one a code point.
std::size_t display_width(std::string_view) noexcept;

/// At most `columns` of it; sequences that style it take up none, and are all kept.
std::string fitted(std::string_view line, std::size_t columns);
/// Lines of at most `columns`, broken at blanks where there are any; all but the first begin with `indent` blanks. No end of
/// line after the last.
std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent);

enum class style : unsigned char { bold, dim, green, red, yellow };
/// `text` in that style if the environment has colours, else as it is.
std::string styled(std::string_view text, style, command_environment const&);

enum class message_form : unsigned char { text, json, raw };
/// One message as `sub` and `consume` print it, with its end of line.
std::string render_message(notice::msg const&, message_form, command_environment const&);

/// How a field of JSON is shown.
enum class field_form : unsigned char { text, number, size, duration, time, list, yes };

struct column {
    std::string_view title;
    std::string_view field;  ///< of the row's object; missing or null is shown as "-"
    field_form form = field_form::text;
    bool zero_is_none = false;  ///< 0 = no limit: shown as "-"
};

std::string render_field(nlohmann::json const& row, column const&);

/// An aligned table: numbers to the right. On a terminal it is cut to `columns`, widest texts first; in a pipe never.
std::string render_table(nlohmann::json const& rows, std::span<column const>, command_environment const&);
/// One row as "title  value" lines.
std::string render_facts(nlohmann::json const& row, std::span<column const>, command_environment const&);

}  // namespace kedge
