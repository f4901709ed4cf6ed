#include "router/command/top_screen.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <utility>

#include "router/command/migrate_commands.hpp"
#include "router/command/page.hpp"
#include "router/command/status_facts.hpp"
#include "router/command/units.hpp"

namespace kedge {
namespace {

using form = field_form;

/// In the order of what is wanted first: a narrow terminal shows the first few.
constexpr std::array top_consumer_columns{
    column{"CONSUMER", "consumer"},          column{"STREAM", "stream"},
    column{"LAG", "lag", form::number},      column{"PENDING", "pending", form::number},
    column{"/S", "rate", form::number},      column{"STATE", "state"},
    column{"DEAD", "dead", form::number},    column{"LINKS", "links", form::number},
    column{"OWNER", "owner"},                column{"FILTER", "filter"}};
constexpr std::array top_stream_columns{
    column{"STREAM", "stream"},              column{"MESSAGES", "messages", form::number},
    column{"SIZE", "bytes", form::size},     column{"/S", "rate", form::number},
    column{"STATE", "state"},                column{"SUBJECTS", "subjects", form::list}};
constexpr std::array top_mirror_columns{
    column{"MIRRORED", "stream"},            column{"STATE", "state"},
    column{"LAG", "lag", form::number},      column{"BEHIND", "seconds", form::number},
    column{"OUT/S", "rate_out", form::number}, column{"IN/S", "rate_in", form::number},
    column{"FLAGS", "note"}};
constexpr std::size_t top_narrow_consumers = 6;
constexpr std::size_t top_narrow_streams = 5;
constexpr unsigned narrow_below = 100;
/// Of the sentences on what is not well so many are shown.
constexpr std::size_t why_max = 4;
constexpr std::size_t why_max_low = 1;
/// A terminal of fewer rows shows the tables, and of the rest a line each of what matters most.
constexpr unsigned low_below = 18;
constexpr std::size_t facts_max_low = 2;

std::string rate_text(double rate)
{
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), rate != 0 && rate < 10 ? "%.1f" : "%.0f", rate);
    return text.data();
}

struct rates {
    nlohmann::json const& before;
    nlohmann::json const& now;
    double seconds = 0;  ///< between them; 0 = there are no rates

    /// A server that was started anew counts from 0 again.
    static double between(nlohmann::json const& before, nlohmann::json const& now)
    {
        auto const ms = number_of(now, "uptime_ms") - number_of(before, "uptime_ms");
        return before.is_object() && ms > 0 ? ms / 1000 : 0;
    }
    std::string of(double from, double to) const { return seconds > 0 ? rate_text(std::max(0.0, to - from) / seconds) : "-"; }
    std::string metric(char const* name) const { return of(metric_of(before, name), metric_of(now, name)); }
    std::string bytes(char const* name) const
    {
        auto const more = metric_of(now, name) - metric_of(before, name);
        return seconds > 0 ? format_size(static_cast<std::uint64_t>(std::max(0.0, more) / seconds)) : "-";
    }
};

std::string text_of(nlohmann::json const& row, char const* name)
{
    return row.is_object() && row.contains(name) && row[name].is_string() ? row[name].get<std::string>() : "";
}

/// Rows with what is computed: how fast, and how it is.
nlohmann::json with_rates(nlohmann::json rows, char const* kind, char const* name, char const* counter, rates const& r)
{
    std::map<std::pair<std::string, std::string>, double> earlier;
    for (auto const& row : array_of(r.before, kind))
        earlier[{text_of(row, "stream"), text_of(row, name)}] = number_of(row, counter);
    for (auto& row : rows) {
        if (!row.is_object())
            continue;
        auto const found = earlier.find({text_of(row, "stream"), text_of(row, name)});
        row["rate"] = found == earlier.end() ? "-" : r.of(found->second, number_of(row, counter));
        bool const paused = row.contains("paused") && row["paused"] == true;
        bool const away = row.contains("links") && number_of(row, "links") == 0;
        row["state"] = paused ? "paused" : away ? "away" : row.contains("links") ? "on" : "";
    }
    return rows;
}

/// Those with the largest number first.
void sort_by(nlohmann::json& rows, char const* name)
{
    std::stable_sort(rows.begin(), rows.end(),
                     [name](auto const& a, auto const& b) { return number_of(a, name) > number_of(b, name); });
}

void add_table(std::vector<std::string>& out, nlohmann::json rows, std::span<column const> columns, std::size_t rows_max,
               command_environment const& e)
{
    if (rows.empty())
        return;
    auto const all = rows.size();
    bool const cut = all > rows_max;
    if (cut)
        rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(rows_max > 0 ? rows_max - 1 : 0), rows.end());
    auto const left = all - rows.size();
    for (auto& line : lines_of(render_table(rows, columns, e)))
        out.push_back(std::move(line));
    if (cut)
        out.push_back(styled("… " + std::to_string(left) + " more", style::dim, e));
}

}  // namespace

std::vector<std::string> draw_top(nlohmann::json const& before, nlohmann::json const& now, std::string_view away,
                                  command_environment const& e)
{
    rates const r{before, now, rates::between(before, now)};
    bool const live = e.out_is_terminal;
    bool const low = live && e.rows < low_below;
    std::vector<std::string> out;
    auto const fold = [&](std::string const& line, std::string (*how)(std::string const&, command_environment const&)) {
        for (auto const& piece : lines_of(live && !low ? wrapped(line, std::max(e.columns, 20u), 2) : line))
            out.push_back(how(piece, e));
    };
    auto const plain = [](std::string const& line, command_environment const&) { return line; };
    auto const alarm = [](std::string const& line, command_environment const& where) { return styled(line, style::red, where); };

    out.push_back(status_head(now, e));
    if (!away.empty())
        fold("! " + printable(away) + "; trying again", alarm);
    auto const why = status_why(now);
    auto const why_shown = std::min(why.size(), low ? why_max_low : live ? why_max : why.size());
    for (std::size_t i = 0; i < why_shown; ++i)
        fold("! " + why[i], alarm);
    if (why.size() > why_shown && !low)
        fold("! … " + std::to_string(why.size() - why_shown) + " more: kedge status", alarm);
    auto facts = status_lines(now);
    if (low)
        facts.resize(std::min(facts.size(), facts_max_low));
    for (auto const& line : facts)
        fold(line, plain);
    fold("a second: " + r.metric("published") + " plain, " + r.metric("published_durable") + " stored, " + r.metric("delivered") +
             " delivered, " + r.metric("acks") + " acks, " + r.metric("posts") + " posts, " + r.metric("calls") + " calls",
         plain);
    if (!low)
        fold("a second: " + r.bytes("bytes_in") + " in, " + r.bytes("bytes_out") + " out, " + r.metric("store_commits") + " commits, " +
             r.metric("redeliveries") + " redeliveries, " + r.metric("logins") + " logins",
             plain);

    auto const& migration = object_of(now, "migration");
    auto const mirrored = migration_rows(migration);
    auto const link = words_of(object_of(migration, "link"), "state");
    if (!mirrored.empty() && link == "down")
        fold("! NATS is " + link_line(object_of(migration, "link")), alarm);

    auto consumers = with_rates(array_of(now, "consumers"), "consumers", "consumer", "next_seq", r);
    auto streams = with_rates(array_of(now, "streams"), "streams", "stream", "last_seq", r);
    sort_by(consumers, "lag");
    sort_by(streams, "messages");
    bool const narrow = live && e.columns < narrow_below;
    auto const shown = [narrow](std::span<column const> all, std::size_t when_narrow) { return narrow ? all.first(when_narrow) : all; };
    auto const consumer_shown = shown(top_consumer_columns, top_narrow_consumers);
    auto const stream_shown = shown(top_stream_columns, top_narrow_streams);
    // Titles, the blank lines above them, and the last line.
    std::size_t const head = low ? 1 : 2;
    std::size_t const used = out.size() + (consumers.empty() ? 0 : head) + (streams.empty() ? 0 : head) + (mirrored.empty() ? 0 : head) + 1;
    std::size_t const all_room = !live ? consumers.size() + streams.size() + mirrored.size() : e.rows > used ? e.rows - used : 0;
    // What moves is looked at most while it moves; it leaves the others half.
    auto const for_mirrors = std::min(mirrored.size(), live ? std::max(all_room / 2, all_room - std::min(all_room, consumers.size() + streams.size()))
                                                            : mirrored.size());
    auto const room = all_room - for_mirrors;
    // Each gets half, and what the other does not need.
    auto const for_streams = std::min(streams.size(), std::max(room / 2, room - std::min(room, consumers.size())));
    if (!mirrored.empty()) {
        if (!low)
            out.emplace_back();
        add_table(out, mirrored, top_mirror_columns, for_mirrors, e);
    }
    if (!consumers.empty()) {
        if (!low)
            out.emplace_back();
        add_table(out, std::move(consumers), consumer_shown, room - for_streams, e);
    }
    if (!streams.empty()) {
        if (!low)
            out.emplace_back();
        add_table(out, std::move(streams), stream_shown, for_streams, e);
    }
    if (!live)
        return out;
    if (out.size() + 1 > e.rows)
        out.resize(e.rows > 0 ? e.rows - 1 : 0);
    while (out.size() + 1 < e.rows)
        out.emplace_back();
    out.push_back(styled("q ends", style::dim, e));
    for (auto& line : out)
        line = fitted(line, e.columns);
    return out;
}

}  // namespace kedge
