#pragma once
/// A line that says how far something is: "CHAT  [#####     ]  50%  500 of 1000  80/s  6s left". Pure.

#include <cstdint>
#include <string>
#include <string_view>

namespace kedge {

struct progress {
    double done = 0;
    double total = 0;   ///< 0 = nothing to do: it is whole
    double rate = 0;    ///< a second; 0 = not known
    double left_s = -1; ///< below 0 = not known; else at least so long
};

/// "[#####     ]", `width` signs between the brackets.
std::string progress_bar(progress const&, std::size_t width);
/// At most `columns`: what matters least goes first, the label last.
std::string progress_line(std::string_view label, progress const&, std::size_t columns);

/// "0.4", "7", "61,000": with a digit behind the point where that says more. For tables without the commas.
std::string short_number(double, bool for_a_table = false);
/// "0.4s", "3m 20s".
std::string short_seconds(double);

}  // namespace kedge
