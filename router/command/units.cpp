#include "router/command/units.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <limits>

namespace kedge {
namespace {

struct unit {
    std::string_view name;
    std::uint64_t factor;
};

constexpr std::array<unit, 6> durations{{
    {"w", 604'800'000}, {"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr std::array<std::string_view, 4> size_letters{"K", "M", "G", "T"};

/// Takes leading digits off `text`; nothing if there are none or they do not fit.
std::optional<std::uint64_t> take_number(std::string_view& text) noexcept
{
    std::uint64_t value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end == text.data())
        return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return value;
}

std::optional<std::uint64_t> multiply(std::uint64_t a, std::uint64_t b) noexcept
{
    if (b != 0 && a > std::numeric_limits<std::uint64_t>::max() / b)
        return std::nullopt;
    return a * b;
}

/// `count` digits and nothing else, at the head of `text`.
std::optional<unsigned> take_digits(std::string_view& text, std::size_t count) noexcept
{
    if (text.size() < count)
        return std::nullopt;
    auto const value = parse_count(text.substr(0, count));
    if (!value)
        return std::nullopt;
    text.remove_prefix(count);
    return static_cast<unsigned>(*value);
}

bool take(std::string_view& text, char c) noexcept
{
    if (text.empty() || text.front() != c)
        return false;
    text.remove_prefix(1);
    return true;
}

}  // namespace

std::optional<std::uint64_t> parse_count(std::string_view text) noexcept
{
    auto const value = take_number(text);
    return text.empty() ? value : std::nullopt;
}

std::optional<std::uint64_t> parse_duration_ms(std::string_view text) noexcept
{
    if (text == "0")
        return 0;
    if (text.empty())
        return std::nullopt;
    std::uint64_t total = 0;
    while (!text.empty()) {
        auto const number = take_number(text);
        if (!number)
            return std::nullopt;
        auto letters = text.substr(0, text.find_first_of("0123456789"));
        std::optional<std::uint64_t> part;
        for (auto const& u : durations)
            if (u.name == letters)
                part = multiply(*number, u.factor);
        if (!part || total > std::numeric_limits<std::uint64_t>::max() - *part)
            return std::nullopt;
        total += *part;
        text.remove_prefix(letters.size());
    }
    return total;
}

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept
{
    auto const number = take_number(text);
    if (!number)
        return std::nullopt;
    if (text.empty() || text == "B")
        return number;
    std::uint64_t factor = 1;
    for (auto const letter : size_letters) {
        factor *= 1024;
        if (text.substr(0, 1) != letter)
            continue;
        auto const rest = text.substr(1);
        if (rest.empty() || rest == "B" || rest == "iB")
            return multiply(*number, factor);
    }
    return std::nullopt;
}

std::optional<std::uint64_t> parse_time_ms(std::string_view text) noexcept
{
    using namespace std::chrono;
    auto const y = take_digits(text, 4);
    if (!y || !take(text, '-'))
        return std::nullopt;
    auto const m = take_digits(text, 2);
    if (!m || !take(text, '-'))
        return std::nullopt;
    auto const d = take_digits(text, 2);
    if (!d)
        return std::nullopt;
    year_month_day const date{year{static_cast<int>(*y)}, month{*m}, day{*d}};
    if (!date.ok() || *y < 1970)
        return std::nullopt;
    auto const midnight = static_cast<std::uint64_t>(sys_days{date}.time_since_epoch().count()) * 86'400'000;
    if (text.empty())
        return midnight;
    if (!take(text, 'T') && !take(text, ' '))
        return std::nullopt;
    auto const h = take_digits(text, 2);
    if (!h || *h > 23 || !take(text, ':'))
        return std::nullopt;
    auto const min = take_digits(text, 2);
    if (!min || *min > 59)
        return std::nullopt;
    unsigned second = 0;
    if (take(text, ':')) {
        auto const s = take_digits(text, 2);
        if (!s || *s > 59)
            return std::nullopt;
        second = *s;
    }
    take(text, 'Z');
    if (!text.empty())
        return std::nullopt;
    return midnight + (*h * 3600ull + *min * 60ull + second) * 1000;
}

std::string format_duration_ms(std::uint64_t ms)
{
    std::string text;
    int parts = 0;
    for (auto const& u : durations) {
        // Weeks are for input only: "21d" reads better than "3w" beside "20d".
        if (u.name == "w" || ms < u.factor)
            continue;
        if (parts != 0)
            text += ' ';
        text += std::to_string(ms / u.factor);
        text += u.name;
        ms %= u.factor;
        if (++parts == 2)
            break;
    }
    return text.empty() ? "0" : text;
}

std::string format_size(std::uint64_t bytes)
{
    if (bytes < 1024)
        return std::to_string(bytes) + " B";
    auto value = static_cast<double>(bytes);
    std::size_t step = 0;
    for (value /= 1024; value >= 1023.95 && step + 1 < size_letters.size(); value /= 1024)
        ++step;
    std::array<char, 40> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%.1f %siB", value, size_letters[step].data());
    return buffer.data();
}

std::string format_time_ms(std::uint64_t ms)
{
    if (ms == 0)
        return "-";
    using namespace std::chrono;
    // Peers send times: what a calendar cannot show is shown as the number that it is.
    if (ms > 253'402'300'799'999)
        return std::to_string(ms);
    sys_seconds const at{seconds{static_cast<std::int64_t>(ms / 1000)}};
    auto const days_part = floor<days>(at);
    year_month_day const date{days_part};
    hh_mm_ss const clock{at - days_part};
    std::array<char, 64> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%04d-%02u-%02u %02d:%02d:%02d", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                  static_cast<int>(clock.seconds().count()));
    return buffer.data();
}

}  // namespace kedge
