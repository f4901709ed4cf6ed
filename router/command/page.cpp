#include "router/command/page.hpp"

#include <algorithm>

namespace kedge {
namespace {

constexpr unsigned narrow_below = 60;
constexpr unsigned columns_min = 20;
constexpr std::size_t label_width = 12;
/// What a pipe's lines are taken to be wide.
constexpr std::size_t without_end = std::string::npos / 2;

}  // namespace

std::vector<std::string> lines_of(std::string_view text)
{
    std::vector<std::string> out;
    for (std::size_t at = 0; at < text.size();) {
        auto const end = std::min(text.find('\n', at), text.size());
        out.emplace_back(text.substr(at, end - at));
        at = end + 1;
    }
    return out;
}

page::page(command_environment const& e)
    : environment_{e}, columns_{e.out_is_terminal ? std::max(e.columns, columns_min) : without_end},
      narrow_{e.out_is_terminal && e.columns < narrow_below}
{
}

std::string page::dressed(std::string_view text, look how) const
{
    return how ? styled(text, *how, environment_) : std::string{text};
}

std::vector<std::string> page::folded(std::string_view text, std::size_t indent) const
{
    auto const room = columns_ > indent + 8 ? columns_ - indent : 8;
    auto pieces = lines_of(wrapped(text, room, 0));
    if (pieces.empty())
        pieces.emplace_back();
    return pieces;
}

void page::line(std::string_view text, look how, std::size_t indent)
{
    bool first = true;
    for (auto const& piece : lines_of(wrapped(text, columns_, indent))) {
        auto const blanks = first ? 0 : std::min(indent, piece.size());
        lines_.push_back(std::string(blanks, ' ') + dressed(std::string_view{piece}.substr(blanks), how));
        first = false;
    }
}

void page::marked(std::string_view mark, look of_mark, std::string_view text, look how)
{
    auto const width = display_width(mark);
    bool first = true;
    for (auto const& piece : folded(text, width)) {
        lines_.push_back((first ? dressed(mark, of_mark) : std::string(width, ' ')) + dressed(piece, how));
        first = false;
    }
}

void page::fact(std::string_view label, std::string_view text, look how)
{
    if (narrow_ && label.empty())
        return marked("    ", {}, text, how);
    std::string head{"  "};
    head += label;
    head += narrow_ ? ":" : "";
    auto const width = narrow_ ? head.size() + 1 : std::max(head.size() + 1, label_width + 2);
    head.resize(width, ' ');
    // Narrow, what has no room beside its label stands below it.
    if (narrow_ && display_width(text) + width > columns_ && width > 4) {
        head.pop_back();
        lines_.push_back(dressed(head, style::dim));
        return marked("    ", {}, text, how);
    }
    marked(head, style::dim, text, how);
}

void page::words(std::vector<std::pair<std::string, look>> const& all)
{
    std::size_t used = 0;
    for (auto const& [text, how] : all) {
        if (text.empty())
            continue;
        auto const width = display_width(text);
        if (used != 0 && used + 2 + width > columns_)
            used = 0;
        if (used == 0) {
            lines_.push_back(lines_.empty() || &text == &all.front().first ? "" : "  ");
            used = lines_.back().size();
        } else {
            lines_.back() += "  ";
            used += 2;
        }
        lines_.back() += dressed(fitted(text, columns_ - std::min(used, columns_)), how);
        used += width;
    }
}

void page::block(std::string_view text)
{
    for (auto& each : lines_of(text))
        lines_.push_back(environment_.out_is_terminal ? fitted(each, columns_) : std::move(each));
}

void page::blank() { lines_.emplace_back(); }

std::string page::text() const
{
    std::string out;
    for (auto const& each : lines_)
        out += each + '\n';
    return out;
}

}  // namespace kedge
