#include "migration/lanes.hpp"

#include <algorithm>
#include <iterator>

#include <nlohmann/json.hpp>

namespace kedge::migration {

bool incarnation_list::begin(std::string_view now, message_seq first)
{
    if (!entries.empty() && entries.back().incarnation == now)
        return false;
    // What was there before the copy began counts to the first one: nothing of it was ever sent by another.
    entries.push_back({std::string{now}, entries.empty() ? 1 : first});
    if (entries.size() > entries_max)
        entries.erase(entries.begin());
    return true;
}

std::string const& incarnation_list::of(message_seq seq) const
{
    auto const behind = std::ranges::upper_bound(entries, seq, {}, &entry::first);
    return behind == entries.begin() ? entries.front().incarnation : std::prev(behind)->incarnation;
}

bool incarnation_list::holds(std::string_view incarnation, message_seq seq, message_seq last) const noexcept
{
    for (std::size_t i = 0; i < entries.size(); ++i) {
        auto const end = i + 1 < entries.size() ? entries[i + 1].first : last + 1;
        if (entries[i].incarnation == incarnation && seq >= entries[i].first && seq < end)
            return true;
    }
    return false;
}

lane_list::reading lane_list::read(std::uint64_t lane, std::uint64_t counter, std::uint64_t time_ms, std::uint64_t own)
{
    auto at = std::ranges::find(entries, lane, &entry::lane);
    if (at == entries.end()) {
        if (time_ms <= forgotten_ms && lane != own)
            return reading::again;
        if (entries.size() == entries_max) {
            auto const age = [&](entry const& e) { return e.lane == own ? ~std::uint64_t{0} : e.newest_ms; };
            auto const oldest = std::ranges::min_element(entries, {}, age);
            forgotten_ms = std::max(forgotten_ms, oldest->newest_ms);
            entries.erase(oldest);
        }
        at = entries.insert(entries.end(), entry{lane, 0, {}, 0});
    }
    at->newest_ms = std::max(at->newest_ms, time_ms);
    auto& holes = at->holes;
    if (counter > at->highest) {
        if (counter > at->highest + 1)
            holes.emplace_back(at->highest + 1, counter - 1);
        if (holes.size() > holes_max)
            holes.erase(holes.begin());
        at->highest = counter;
        return reading::fresh;
    }
    auto const hole = std::ranges::find_if(holes, [&](auto const& h) { return h.first <= counter && counter <= h.second; });
    if (hole == holes.end())
        return reading::again;
    auto const [from, to] = *hole;
    if (from == to) {
        holes.erase(hole);
    } else if (counter == from) {
        hole->first = from + 1;
    } else if (counter == to) {
        hole->second = to - 1;
    } else {
        hole->second = counter - 1;
        holes.insert(hole + 1, {counter + 1, to});
    }
    return reading::late;
}

void read_history::went_back(jet_place above)
{
    if (last.place > above)
        marks.push_back(last);
    if (marks.size() > marks_max)
        marks.erase(marks.begin());
    last = {};
}

bool read_history::holds(jet_place place, std::uint64_t time_ns) const noexcept
{
    return std::ranges::any_of(marks, [&](mark const& m) { return place <= m.place && time_ns <= m.time_ns; });
}

lane_book lane_book::parse(std::string_view text)
{
    lane_book book;
    if (text.empty())
        return book;
    auto const json = nlohmann::json::parse(text);
    for (auto const& e : json.at("incarnations"))
        book.incarnations.entries.push_back({e.at(0).get<std::string>(), e.at(1).get<message_seq>()});
    for (auto const& e : json.at("lanes")) {
        lane_list::entry lane{e.at(0).get<std::uint64_t>(), e.at(1).get<std::uint64_t>(), {}, e.size() > 3 ? e[3].get<std::uint64_t>() : 0};
        for (auto const& hole : e.at(2))
            lane.holes.emplace_back(hole.at(0).get<std::uint64_t>(), hole.at(1).get<std::uint64_t>());
        book.lanes.entries.push_back(std::move(lane));
    }
    book.lanes.forgotten_ms = json.value("forgotten", std::uint64_t{0});
    auto const mark = [](auto const& e) { return read_history::mark{e.at(0).template get<jet_place>(), e.at(1).template get<std::uint64_t>()}; };
    if (auto const at = json.find("read"); at != json.end())
        book.history.last = mark(*at);
    if (auto const at = json.find("history"); at != json.end())
        for (auto const& e : *at)
            book.history.marks.push_back(mark(e));
    return book;
}

std::string lane_book::text() const
{
    auto list = [](auto const& all, auto const& write) {
        std::string out = "[";
        for (auto const& each : all)
            out += (out.size() > 1 ? "," : "") + write(each);
        return out + "]";
    };
    auto const number = [](std::uint64_t n) { return std::to_string(n); };
    auto const mark = [&](read_history::mark const& m) { return "[" + number(m.place) + "," + number(m.time_ns) + "]"; };
    return "{\"incarnations\":" + list(incarnations.entries, [&](auto const& e) {
               return "[" + nlohmann::json(e.incarnation).dump() + "," + number(e.first) + "]";
           }) + ",\"lanes\":" + list(lanes.entries, [&](auto const& e) {
               return "[" + number(e.lane) + "," + number(e.highest) + ","
                   + list(e.holes, [&](auto const& h) { return "[" + number(h.first) + "," + number(h.second) + "]"; }) + ","
                   + number(e.newest_ms) + "]";
           }) + ",\"forgotten\":" + number(lanes.forgotten_ms) + ",\"read\":" + mark(history.last) + ",\"history\":"
         + list(history.marks, mark) + "}";
}

}  // namespace kedge::migration
