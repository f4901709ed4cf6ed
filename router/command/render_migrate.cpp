/// How answers to `migrate …` and `bridge …` are shown to people.

#include <algorithm>
#include <array>

#include "router/command/migrate_commands.hpp"
#include "router/command/page.hpp"
#include "router/command/status_facts.hpp"
#include "router/command/units.hpp"

namespace kedge {
namespace {

using form = field_form;

/// Whether a terminal has room for the whole table. If not, its sentences are shown below what they are of instead of being cut.
bool has_room(nlohmann::json const& rows, std::span<column const> columns, command_environment e)
{
    if (!e.out_is_terminal)
        return true;
    e.out_is_terminal = e.colours = false;
    auto const lines = lines_of(render_table(rows, columns, e));
    return std::ranges::all_of(lines, [&](std::string const& line) { return display_width(line) <= e.columns; });
}

constexpr std::array finding_columns{column{"KIND", "kind"}, column{"BORN", "origin"}, column{"SEQ", "seq", form::number, true},
                                     column{"PLACE", "place", form::number, true}, column{"WHAT", "text"}};
constexpr std::array event_columns{column{"TIME", "time_ms", form::time}, column{"STATE", "state"}, column{"WHAT", "what"},
                                   column{"BY", "by"}, column{"WHY", "why"}};
constexpr std::array bridge_columns{column{"PATTERN", "pattern"},           column{"WAY", "way"},
                                    column{"OUT", "out", form::number},     column{"IN", "in", form::number},
                                    column{"DROPPED", "dropped", form::number}};

std::string stream_of(admin_call const& call) { return words_of(call.args, "stream"); }

/// "lag_bytes": 2048 -> "lag 2.0 KiB": what a figure is, its name says.
std::string figure(std::string name, nlohmann::json const& value)
{
    auto const ends = [&](std::string_view with) {
        if (!name.ends_with(with))
            return false;
        name.erase(name.size() - with.size());
        return true;
    };
    nlohmann::json const row{{"v", value}};
    std::string shown;
    if (value.is_number() && ends("_ms"))
        shown = format_duration_ms(value.get<std::uint64_t>());
    else if (value.is_number() && (ends("_bytes") || name == "bytes"))
        shown = format_size(value.get<std::uint64_t>());
    else if (value.is_number() && ends("_rate"))
        shown = short_number(value.get<double>()) + "/s";
    else if (value.is_number() && value.get<double>() >= 0)
        shown = short_number(value.get<double>());
    else if (value.is_boolean())
        shown = value.get<bool>() ? "yes" : "no";
    else
        shown = render_field(row, column{"", "v"});
    for (auto& c : name)
        c = c == '_' ? ' ' : c;
    return printable(name) + ' ' + shown;
}

std::string figures(nlohmann::json const& all)
{
    std::string out;
    if (all.is_object())
        for (auto const& [name, value] : all.items())
            out += (out.empty() ? "" : ", ") + figure(name, value);
    return out;
}

std::string render_plan(admin_call const& call, nlohmann::json const& data, command_environment const& e)
{
    page out{e};
    std::size_t bad = 0;
    for (auto const& check : array_of(data, "checks")) {
        auto const result = words_of(check, "result");
        bool const is_bad = result == "bad";
        bad += is_bad ? 1 : 0;
        auto const how = result == "ok" ? style::green : is_bad ? style::red : style::yellow;
        out.marked(result == "ok" ? "ok    " : is_bad ? "BAD   " : "warn  ", how, words_of(check, "what") + ": " + words_of(check, "text"));
        if (auto const todo = words_of(check, "do"); !todo.empty() && result != "ok")
            out.marked("      -> ", how, todo);
    }
    auto const name = stream_of(call);
    if (auto const state = words_of(data, "state"); is_true(data, "ok") && !state.empty() && state != "LEGACY")
        out.line(name + " is " + state + " already: kedge migrate status " + name, style::green);
    else if (is_true(data, "ok"))
        out.line(name + " can be started: kedge migrate start " + name +
                     (call.args.contains("from") ? " --from " + words_of(call.args, "from") : ""),
                 style::green);
    else
        out.line((bad == 0 ? "something stands" : bad == 1 ? "1 thing stands" : std::to_string(bad) + " things stand") +
                     std::string{" in the way; then look again: kedge migrate plan "} + name,
                 style::red);
    return out.text();
}

std::string render_steps(admin_call const& call, nlohmann::json const& data, command_environment const& e)
{
    page out{e};
    auto const what = call.name.substr(call.name.find(' ') + 1);
    out.line(what + (is_true(call.args, "abandon") ? " --abandon" : "") + " of " + stream_of(call) + ", step by step; nothing of it is done now", style::bold);
    std::size_t number = 0;
    for (auto const& step : array_of(data, "steps")) {
        auto mark = std::to_string(++number) + ". ";
        mark.insert(0, mark.size() < 4 ? 4 - mark.size() : 0, ' ');
        out.marked(mark, style::dim, words_of(step, "text"));
        if (auto const shown = figures(object_of(step, "figures")); !shown.empty())
            out.marked("    ", {}, shown, style::dim);
    }
    for (auto const& risk : array_of(data, "risk"))
        if (risk.is_string())
            out.marked("  ! ", style::yellow, printable(risk.get<std::string>()));
    auto const& why_not = array_of(data, "why_not");
    for (auto const& why : why_not)
        if (why.is_string())
            out.marked("  ! ", style::red, printable(why.get<std::string>()));
    out.line(is_true(data, "ok") ? "it can be done: the same without --dry-run" : "it cannot be done now",
             is_true(data, "ok") ? style::green : style::red);
    return out.text();
}

std::string render_diff(admin_call const& call, nlohmann::json const& data, command_environment const& e)
{
    page out{e};
    auto const name = stream_of(call);
    auto const count = [&](char const* field) { return short_number(number_of(data, field)); };
    auto const tail = number_of(data, "tail") > 0 ? std::string{"the last "} : "";
    if (auto const what = words_of(data, "waits_for"); is_true(data, "running") && !what.empty()) {
        out.line(name + ": the comparison waits for " + what, style::yellow);
        return out.text();
    }
    if (is_true(data, "running")) {
        out.line(name + ": the comparison runs, " + count("done") + " of " + tail + count("total") + " messages so far; see how it ends: kedge migrate diff " +
                 name + " --follow");
        return out.text();
    }
    auto const& findings = array_of(data, "findings");
    if (!has_room(findings, finding_columns, e)) {
        for (auto const& f : findings) {
            auto const numbered = [&](char const* name, char const* shown) {
                return number_of(f, name) > 0 ? shown + short_number(number_of(f, name), true) : "";
            };
            out.words({{words_of(f, "kind"), style::red}, {words_of(f, "origin"), {}}, {numbered("seq", "seq "), {}}, {numbered("place", "place "), {}}});
            out.marked("    ", {}, words_of(f, "text"));
        }
    } else if (!findings.empty()) {
        out.block(render_table(findings, finding_columns, e));
    }
    auto const total = number_of(data, "missing") + number_of(data, "extra") + number_of(data, "different") + number_of(data, "out_of_order");
    if (total > static_cast<double>(findings.size()) && !findings.empty())
        out.line("… " + std::to_string(findings.size()) + " are listed", style::dim);
    if (auto const error = words_of(data, "error"); !error.empty())
        out.line(name + ": the comparison failed after " + count("done") + " messages: " + error + (total > 0 ? "; until then it had found the above" : ""),
                 style::red);
    else if (is_true(data, "clean"))
        out.line(name + ": " + tail + count("done") + " messages compared, both sides hold the same", style::green);
    else if (total > 0)
        out.line(name + ": " + tail + count("done") + " messages compared: " + count("missing") + " missing, " + count("extra") + " extra, " +
                     count("different") + " different, " + count("out_of_order") + " out of order",
                 style::red);
    else if (number_of(data, "at_ms") > 0)
        out.line(name + ": the comparison did not come to its end", style::red);
    else
        out.line(name + ": nothing was compared yet: kedge migrate diff " + name);
    return out.text();
}

std::string render_outcome(admin_call const& call, nlohmann::json const& data, command_environment const& e)
{
    auto const messages = number_of(data, "held_messages");
    bool const already = is_true(data, "already");
    auto text = stream_of(call) + ": " + (call.name == "migrate switch" ? "JetStream" : "SQLite") + (already ? " orders it already; nothing was done." : " orders it now.");
    if (!is_true(call.args, "abandon") && !already)
        text += std::string{" "} +
                (messages == 0 ? std::string{"No publish had to wait"}
                               : short_number(messages) + (messages == 1 ? " publish waited" : " publishes waited")) +
                "; the hold was " + render_field(data, column{"", "held_ms", form::duration}) +
                (number_of(data, "held_ms") == 0 ? "ms." : ".");
    page out{e};
    out.line(text, style::green);
    return out.text();
}

std::string render_bridges(nlohmann::json const& data, command_environment const& e)
{
    auto rows = array_of(data, "bridges");
    if (rows.empty())
        return "no bridges\n";
    for (auto& row : rows)
        if (row.is_object()) {
            auto const way = words_of(row, "one_way");
            row["way"] = way == "out" ? "to NATS" : way == "in" ? "from NATS" : "both ways";
        }
    auto text = render_table(rows, bridge_columns, e);
    for (auto const& row : rows)
        if (auto const why = words_of(row, "why"); !why.empty())
            text += words_of(row, "pattern") + ": " + why + '\n';
    return text;
}

std::string render_events(nlohmann::json const& data, command_environment const& e)
{
    auto const& rows = array_of(data, "events");
    if (rows.empty())
        return "nothing has happened\n";
    if (has_room(rows, event_columns, e))
        return render_table(rows, event_columns, e);
    // Narrow, reasons would be cut: they stand below.
    page out{e};
    for (auto const& row : rows) {
        out.words({{render_field(row, event_columns[0]), style::dim}, {words_of(row, "state"), style::bold}, {words_of(row, "what"), {}},
                   {words_of(row, "by").empty() ? "" : "by " + words_of(row, "by"), style::dim}});
        if (auto const why = words_of(row, "why"); !why.empty())
            out.marked("    ", {}, why);
    }
    return out.text();
}

}  // namespace

std::string render_migrate(admin_call const& call, nlohmann::json const& data, command_environment const& e)
{
    auto const sentence = [&](std::string const& text) {
        page out{e};
        out.line(text);
        return out.text();
    };
    auto const name = stream_of(call);
    auto const& verb = call.name;
    if (data.is_object() && data.contains("steps"))
        return render_steps(call, data, e);
    if (verb == "migrate plan")
        return render_plan(call, data, e);
    if (verb == "migrate status") {
        std::string out;
        for (auto const& line : migration_lines(data, e))
            out += line + '\n';
        return out;
    }
    if (verb == "migrate diff")
        return render_diff(call, data, e);
    if (verb == "migrate switch" || verb == "migrate reverse")
        return render_outcome(call, data, e);
    if (verb == "migrate events")
        return render_events(data, e);
    if (verb == "migrate start" && is_true(data, "already")) {
        page out{e};
        out.line(name + " was started before. " + stream_line(data));
        if (auto const next = words_of(data, "next"); !next.empty())
            out.line("next: " + next, style::bold, 6);
        return out.text();
    }
    if (verb == "migrate start")
        return sentence(name + " is being copied to JetStream; how far it is: kedge migrate status " + name + " --watch");
    if (verb == "migrate pause")
        return sentence(name + ": nothing is copied or read any more. Go on: kedge migrate resume " + name);
    if (verb == "migrate resume")
        return sentence(name + " goes on; how far it is: kedge migrate status " + name + " --watch");
    if (verb == "migrate complete")
        return sentence(name + " is complete: JetStream keeps it from now on");
    if (verb == "migrate cancel" && is_true(data, "already"))
        return sentence(name + (is_true(data, "recorded") ? " was cancelled before; what was copied stays in JetStream, and 'kedge migrate start " + name + "' goes on there"
                                                          : " is not mirrored: nothing was done"));
    if (verb == "migrate cancel" && data.is_object() && data.contains("deleted") && !is_true(data, "deleted"))
        return sentence(name + " is not mirrored any more, and its copy is forgotten here; its stream in JetStream is still there");
    if (verb == "migrate cancel")
        return sentence(name + " is not mirrored any more" +
                        (is_true(call.args, "delete_stream") ? data.value("deleted", false) ? ", and its stream in JetStream is gone"
                                                                                            : "; nothing was deleted in JetStream"
                                                             : "; what was copied stays in JetStream, and 'kedge migrate start " + name + "' goes on there"));
    if (verb == "bridge list")
        return render_bridges(data, e);
    if (verb == "bridge add")
        return sentence(words_of(call.args, "pattern") + " is bridged");
    if (verb == "bridge remove")
        return sentence(words_of(call.args, "pattern") + " is not bridged any more");
    return data.dump() + '\n';
}

}  // namespace kedge
