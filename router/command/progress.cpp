#include "router/command/progress.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include "router/command/text.hpp"
#include "router/command/units.hpp"

namespace kedge {
namespace {

constexpr std::size_t bar_width_max = 30;
constexpr std::size_t bar_width_min = 5;

double share(progress const& p) { return p.total > 0 ? std::clamp(p.done / p.total, 0.0, 1.0) : 1; }

std::string whole(double number)
{
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%.0f", std::clamp(number, 0.0, 1e18));
    return text.data();
}

}  // namespace

std::string short_number(double number, bool for_a_table)
{
    if (number < 0.05 || number >= 9.95 || number == std::floor(number)) {
        auto text = whole(number);
        for (auto at = text.size(); !for_a_table && at > 3; at -= 3)
            text.insert(at - 3, 1, ',');
        return text;
    }
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%.1f", number);
    return text.data();
}

std::string short_seconds(double seconds)
{
    return seconds < 59.5 ? short_number(seconds) + 's'
                          : format_duration_ms(static_cast<std::uint64_t>(std::llround(std::min(seconds, 1e12))) * 1000);
}

std::string progress_bar(progress const& p, std::size_t width)
{
    auto const full = static_cast<std::size_t>(static_cast<double>(width) * share(p));
    return '[' + std::string(full, '#') + std::string(width - full, ' ') + ']';
}

std::string progress_line(std::string_view label, progress const& p, std::size_t columns)
{
    // Nothing is told as done that is not: 99.9 % is 99 %.
    std::string const percent = whole(std::floor(share(p) * 100)) + '%';
    std::vector<std::string> const facts{p.left_s >= 0 ? "  " + short_seconds(p.left_s) + " left" : "",
                                         "  " + short_number(p.done) + " of " + short_number(p.total),
                                         p.rate > 0 ? "  " + short_number(p.rate) + "/s" : ""};
    std::string head{label};
    if (!head.empty())
        head += "  ";
    for (auto shown = facts.size() + 1; shown-- > 0;) {
        std::string tail = std::string(percent.size() < 4 ? 4 - percent.size() : 0, ' ') + percent;
        for (std::size_t i = 0; i < shown; ++i)
            tail += facts[i];
        auto const used = display_width(head) + 3 + tail.size();
        if (used + bar_width_min <= columns)
            return head + progress_bar(p, std::min(bar_width_max, columns - used)) + ' ' + tail;
    }
    return fitted(head + percent, columns);
}

}  // namespace kedge
