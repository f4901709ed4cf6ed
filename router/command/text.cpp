#include "router/command/text.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "router/command/units.hpp"
#include "router/protocol/encoding.hpp"
#include "router/protocol/names.hpp"

namespace kedge {
namespace {

/// Bytes of the UTF-8 character at the head of `text`, 0 if it is none that may be shown.
std::size_t character_size(std::string_view text) noexcept
{
    auto const first = static_cast<unsigned char>(text.front());
    std::size_t const size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (size > text.size() || !valid_utf8(text.substr(0, size)))
        return 0;
    if (first < 0x20 || first == 0x7f)
        return 0;
    // U+0080 to U+009F are control characters to some terminals.
    if (size == 2 && first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0)
        return 0;
    return size;
}

bool to_the_right(field_form form) noexcept
{
    switch (form) {
    case field_form::number:
    case field_form::size:
    case field_form::duration:
        return true;
    case field_form::text:
    case field_form::time:
    case field_form::list:
    case field_form::yes:
        return false;
    }
    return false;
}

std::string padded(std::string text, std::size_t width, bool right)
{
    auto const shown = display_width(text);
    std::string const blanks(width > shown ? width - shown : 0, ' ');
    return right ? blanks + text : text + blanks;
}

/// At most `width` columns, with an ellipsis where something was cut.
std::string cut(std::string const& text, std::size_t width)
{
    if (display_width(text) <= width)
        return text;
    std::size_t shown = 0;
    std::size_t end = 0;
    while (end < text.size() && shown + 1 < width) {
        ++end;
        while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
            ++end;
        ++shown;
    }
    return text.substr(0, end) + "…";
}

constexpr std::size_t gap = 2;
constexpr std::size_t column_width_min = 8;

}  // namespace

std::string printable(std::string_view text)
{
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        auto const size = character_size(text);
        if (size != 0) {
            out += text.substr(0, size);
            text.remove_prefix(size);
            continue;
        }
        auto const byte = static_cast<unsigned char>(text.front());
        text.remove_prefix(1);
        switch (byte) {
        case '\n':
            out += "\\n";
            break;
        case '\r':
            out += "\\r";
            break;
        case '\t':
            out += "\\t";
            break;
        default: {
            std::array<char, 8> hex{};
            std::snprintf(hex.data(), hex.size(), "\\x%02x", byte);
            out += hex.data();
        }
        }
    }
    return out;
}

std::size_t display_width(std::string_view text) noexcept
{
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string fitted(std::string_view line, std::size_t columns)
{
    std::string out;
    std::size_t shown = 0;
    for (std::size_t at = 0; at < line.size();) {
        std::size_t end = at + 1;
        if (line[at] == '\x1b') {
            end = std::min(line.find('m', at), line.size() - 1) + 1;
            out += line.substr(at, end - at);
        } else {
            while (end < line.size() && (static_cast<unsigned char>(line[end]) & 0xc0) == 0x80)
                ++end;
            if (shown++ < columns)
                out += line.substr(at, end - at);
        }
        at = end;
    }
    return out;
}

std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent)
{
    std::string out;
    std::size_t room = columns;
    while (display_width(text) > room) {
        auto const head = fitted(text, room);
        auto const blank = text[head.size()] == ' ' ? head.size() : head.rfind(' ');
        auto const end = blank == head.npos || blank == 0 ? head.size() : blank;
        out += text.substr(0, end);
        out += '\n';
        out.append(indent, ' ');
        text.remove_prefix(std::min(end + (end < text.size() && text[end] == ' ' ? 1 : 0), text.size()));
        room = columns > indent ? columns - indent : 1;
    }
    return out + std::string{text};
}

std::string styled(std::string_view text, style how, command_environment const& environment)
{
    if (!environment.colours)
        return std::string{text};
    std::string_view code;
    switch (how) {
    case style::bold:
        code = "1";
        break;
    case style::dim:
        code = "2";
        break;
    case style::green:
        code = "32";
        break;
    case style::red:
        code = "31";
        break;
    case style::yellow:
        code = "33";
        break;
    }
    std::string out{"\x1b["};
    out += code;
    out += 'm';
    out += text;
    out += "\x1b[0m";
    return out;
}

std::string render_message(notice::msg const& m, message_form form, command_environment const& environment)
{
    switch (form) {
    case message_form::json:
        return std::string{encode(notice::any{m}, encoding::lines)->view()};
    case message_form::raw:
        return m.body + '\n';
    case message_form::text:
        break;
    }
    std::string line = styled(printable(m.subject), style::green, environment);
    line += "  ";
    line += styled(printable(m.from), style::dim, environment);
    line += "  ";
    line += printable(m.body);
    line += '\n';
    return line;
}

std::string render_field(nlohmann::json const& row, column const& c)
{
    auto const found = row.is_object() ? row.find(c.field) : row.end();
    if (found == row.end() || found->is_null())
        return "-";
    auto const number = [&]() -> std::uint64_t {
        return found->is_number() ? found->get<std::uint64_t>() : 0;
    };
    if (c.zero_is_none && found->is_number() && number() == 0)
        return "-";
    switch (c.form) {
    case field_form::size:
        return format_size(number());
    case field_form::duration:
        return format_duration_ms(number());
    case field_form::time:
        return format_time_ms(number());
    case field_form::yes:
        return found->is_boolean() && found->get<bool>() ? "yes" : "";
    case field_form::list: {
        std::string text;
        for (auto const& item : *found) {
            if (!text.empty())
                text += ',';
            text += item.is_string() ? item.get_ref<std::string const&>() : item.dump();
        }
        return printable(text);
    }
    case field_form::text:
    case field_form::number:
        break;
    }
    if (!found->is_string())
        return printable(found->dump());
    auto const& text = found->get_ref<std::string const&>();
    return text.empty() ? "-" : printable(text);
}

std::string render_table(nlohmann::json const& rows, std::span<column const> columns,
                         command_environment const& environment)
{
    std::vector<std::vector<std::string>> cells;
    std::vector<std::size_t> widths;
    for (auto const& c : columns)
        widths.push_back(display_width(c.title));
    for (auto const& row : rows) {
        auto& line = cells.emplace_back();
        for (std::size_t i = 0; i < columns.size(); ++i) {
            line.push_back(render_field(row, columns[i]));
            widths[i] = std::max(widths[i], display_width(line.back()));
        }
    }

    if (environment.out_is_terminal) {
        std::size_t total = gap * (columns.size() - 1);
        for (auto const width : widths)
            total += width;
        while (total > environment.columns) {
            // The widest text gives way; numbers stay whole, for half a number is a wrong one.
            std::size_t widest = columns.size();
            for (std::size_t i = 0; i < columns.size(); ++i)
                if (!to_the_right(columns[i].form) && widths[i] > column_width_min &&
                    (widest == columns.size() || widths[i] > widths[widest]))
                    widest = i;
            if (widest == columns.size())
                break;
            --widths[widest];
            --total;
        }
    }

    std::string out;
    auto const put = [&](auto&& cell) {
        std::string line;
        for (std::size_t i = 0; i < columns.size(); ++i) {
            if (i != 0)
                line.append(gap, ' ');
            line += padded(cut(cell(i), widths[i]), widths[i], to_the_right(columns[i].form));
        }
        line.erase(line.find_last_not_of(' ') + 1);
        return line;
    };
    out += styled(put([&](std::size_t i) { return std::string{columns[i].title}; }), style::bold, environment) + '\n';
    for (auto const& line : cells)
        out += put([&](std::size_t i) { return line[i]; }) + '\n';
    return out;
}

std::string render_facts(nlohmann::json const& row, std::span<column const> columns,
                         command_environment const& environment)
{
    std::size_t width = 0;
    for (auto const& c : columns)
        width = std::max(width, display_width(c.title));
    std::string out;
    for (auto const& c : columns) {
        out += styled(padded(std::string{c.title}, width, false), style::bold, environment);
        auto const value = render_field(row, c);
        out += "  " + (!value.empty() ? value : c.form == field_form::yes ? "no" : "-") + '\n';
    }
    return out;
}

}  // namespace kedge
