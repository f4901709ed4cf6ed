#include "router/command/control_table.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "router/command/text.hpp"

namespace kedge {
namespace {

constexpr std::size_t status_width = 9;  // "no answer", "failed 99"
constexpr std::size_t ms_width = 7;
constexpr std::size_t gap = 2;
constexpr std::size_t narrow_indent = 2;

std::string padded(std::string text, std::size_t width, bool right = false)
{
    auto const shown = display_width(text);
    std::string const blanks(width > shown ? width - shown : 0, ' ');
    return right ? blanks + text : text + blanks;
}

/// The first `width` columns of `text` go; at least one character does.
std::string take_columns(std::string& text, std::size_t width)
{
    std::size_t end = 0;
    for (std::size_t shown = 0; end < text.size() && (shown < width || end == 0); ++shown) {
        ++end;
        while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
            ++end;
    }
    auto head = text.substr(0, end);
    text.erase(0, end);
    return head;
}

}  // namespace

std::string control_table::head(std::size_t name_width)
{
    name_width_ = std::max(name_width_, name_width);
    if (narrow())
        return {};
    // Names may take a third of a terminal; longer ones push their own row to the right.
    if (environment_.out_is_terminal)
        name_width_ = std::min<std::size_t>(name_width_, environment_.columns / 3);
    std::string const blanks(gap, ' ');
    return styled(padded("BOT", name_width_) + blanks + padded("STATUS", status_width) + blanks +
                      padded("MS", ms_width, true) + blanks + "ANSWER",
                  style::bold, environment_) +
           '\n';
}

std::string control_table::lines(std::string_view answer, std::size_t indent, bool first_is_indented) const
{
    while (answer.ends_with('\n') || answer.ends_with('\r'))
        answer.remove_suffix(1);
    std::size_t const width = environment_.columns > indent + 1 ? environment_.columns - indent : 1;
    std::string out;
    bool indented = first_is_indented;
    while (true) {
        auto const end = answer.find('\n');
        auto line = answer.substr(0, end);
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        auto shown = printable(line);
        do {
            if (indented && !shown.empty())
                out.append(indent, ' ');
            indented = true;
            out += environment_.out_is_terminal ? take_columns(shown, width) : std::exchange(shown, {});
            out += '\n';
        } while (!shown.empty());
        if (end == answer.npos)
            return out;
        answer.remove_prefix(end + 1);
    }
}

std::string control_table::row(std::string_view bot, std::uint64_t status, std::uint64_t ms, std::string_view answer) const
{
    auto const how = status == 0 ? std::string{"ok"} : "failed " + std::to_string(status);
    auto const colour = status == 0 ? style::green : style::red;
    if (narrow()) {
        auto out = styled(printable(bot), style::bold, environment_) + "  " + styled(how, colour, environment_) + "  " +
                   std::to_string(ms) + " ms\n";
        return answer.empty() ? out : out + lines(answer, narrow_indent, true);
    }
    std::string const blanks(gap, ' ');
    auto const head = padded(printable(bot), name_width_) + blanks + styled(padded(how, status_width), colour, environment_) +
                      blanks + padded(std::to_string(ms), ms_width, true);
    if (answer.empty())
        return head + '\n';
    return head + blanks + lines(answer, name_width_ + status_width + ms_width + 3 * gap, false);
}

std::string control_table::silent(std::string_view bot) const
{
    auto const how = styled("no answer", style::yellow, environment_);
    if (narrow())
        return styled(printable(bot), style::bold, environment_) + "  " + how + '\n';
    return padded(printable(bot), name_width_) + std::string(gap, ' ') + how + '\n';
}

}  // namespace kedge
