/// What `migrate status` shows, and what `top`, `status` and `doctor` take of it.

#include <algorithm>
#include <array>

#include "router/command/migrate_commands.hpp"
#include "router/command/page.hpp"
#include "router/command/status_facts.hpp"
#include "router/command/units.hpp"

namespace kedge {
namespace {

using form = field_form;

/// Of the messages that were set aside so many are shown.
constexpr std::size_t parked_max = 5;
constexpr std::size_t mirror_bar_width = 20;

std::string number_text(nlohmann::json const& data, char const* name) { return short_number(number_of(data, name)); }
std::string size_text(nlohmann::json const& data, char const* name) { return render_field(data, column{"", name, form::size}); }
std::string time_text(nlohmann::json const& data, char const* name) { return render_field(data, column{"", name, form::time}); }

bool has_flag(nlohmann::json const& stream, std::string_view name)
{
    auto const& flags = array_of(stream, "flags");
    return std::any_of(flags.begin(), flags.end(), [&](auto const& flag) { return flag == name; });
}

style style_of(std::string_view state)
{
    if (state == "NATS" || state == "COMPLETE" || state == "MIRRORING")
        return style::green;
    return state == "SWITCHING" || state == "REVERSING" ? style::yellow : style::dim;
}

std::string counted(double n, char const* one, char const* several) { return short_number(n) + (n == 1 ? one : several); }

/// `messages` is what waits to be copied and what is to be read, `bytes` that of the first.
std::string lag_text(nlohmann::json const& stream)
{
    auto const& lag = object_of(stream, "lag");
    auto const messages = number_of(lag, "messages");
    auto const unread = std::min(number_of(stream, "unread"), messages);
    auto const size = [&] { return number_of(lag, "bytes") > 0 ? ", " + size_text(lag, "bytes") : ""; };
    if (!is_true(lag, "known"))
        return "unknown; " + (messages > unread ? counted(messages - unread, " message", " messages") + size() + " wait here" : "nothing waits here");
    if (messages == 0)
        return "none";
    return counted(messages, " message", " messages") + size() + ", " + short_seconds(number_of(lag, "seconds")) +
           (unread > 0 ? "; " + short_number(unread) + " of them to read" : "");
}

/// What does not happen where that side orders is left out while it does not.
std::string rates_text(nlohmann::json const& rates, bool jetstream)
{
    std::string out;
    for (std::string_view const name : {"published", "copied", "ordered", "imported"})
        if (number_of(rates, name.data()) > 0 || name != (jetstream ? "copied" : "ordered"))
            out += (out.empty() ? "" : ", ") + short_number(number_of(rates, name.data())) + ' ' + std::string{name};
    return out;
}

std::string diff_text(nlohmann::json const& diff)
{
    auto const last = number_of(diff, "tail") > 0 ? std::string{"the last "} : "";
    if (is_true(diff, "running")) {
        auto const p = diff_progress(diff);
        if (auto const what = words_of(diff, "waits_for"); !what.empty())
            return "waits for " + what + (p.total > 0 ? ", after " + short_number(p.done) + " of " + last + short_number(p.total) : "");
        if (p.total == 0)
            return "begins";
        return "runs: " + progress_bar(p, mirror_bar_width) + ' ' + short_number(p.done) + " of " + last + short_number(p.total);
    }
    std::string out = time_text(diff, "at_ms") + ": ";
    auto const error = words_of(diff, "error");
    auto const later = words_of(diff, "later_error").empty() ? "" : "; a later one failed: " + words_of(diff, "later_error");
    if (!error.empty())
        return out + "failed: " + error;
    if (auto const compared = number_of(diff, "done"); compared > 0)
        out += last + short_number(compared) + " compared, ";
    if (is_true(diff, "clean"))
        return out + "clean" + later;
    std::string found;
    for (auto const& [name, said] : {std::pair{"missing", " missing"}, std::pair{"extra", " extra"}, std::pair{"different", " different"},
                                     std::pair{"out_of_order", " out of order"}})
        if (number_of(diff, name) > 0)
            found += (found.empty() ? "" : ", ") + short_number(number_of(diff, name)) + said;
    return out + (found.empty() ? "did not come to its end" : found) + later;
}

/// What happened since the start, as far as it did.
std::string counters_text(nlohmann::json const& counters)
{
    constexpr std::array names{std::pair{"copied", " copied"},         std::pair{"imported", " imported"},
                               std::pair{"own_publishes", " ordered"}, std::pair{"refusals", " refused"},
                               std::pair{"duplicates", " duplicates"}, std::pair{"reordered", " late"},
                               std::pair{"parked", " set aside"},      std::pair{"taken_back", " taken back"}};
    std::string out;
    for (auto const& [name, said] : names)
        if (number_of(counters, name) > 0)
            out += (out.empty() ? "" : ", ") + number_text(counters, name) + said;
    if (auto const times = number_of(counters, "generation"); times > 0)
        out += (out.empty() ? "" : ", ") + std::string{"JetStream went back "} + (times == 1 ? "once" : short_number(times) + " times");
    return out;
}

std::string hold_text(nlohmann::json const& hold)
{
    auto const left = render_field(hold, column{"", "left_ms", form::duration});
    auto const age = number_of(hold, "age_ms");
    bool const several = number_of(hold, "messages") != 1;
    return counted(number_of(hold, "messages"), " publish waits", " publishes wait") + " (" + size_text(hold, "bytes") + ')' +
           (age > 0 ? std::string{several ? ", the first for " : ", for "} + render_field(hold, column{"", "age_ms", form::duration}) : "") +
           (left == "-" ? "" : (age > 0 ? ", " : ", for ") + left + " more at most") +
           (words_of(hold, "waits_for").empty() ? "" : ": for " + words_of(hold, "waits_for"));
}

void add_catching_up(page& out, nlohmann::json const& stream)
{
    auto const p = catching_up_of(stream);
    auto text = progress_bar(p, mirror_bar_width) + ' ' + short_number(p.total > 0 ? 100 * p.done / p.total : 100) + "%, " +
                short_number(p.done) + " of " + short_number(p.total);
    if (p.rate > 0)
        text += ", " + short_number(p.rate) + "/s";
    if (p.left_s >= 0)
        text += ", " + short_seconds(p.left_s) + " left";
    out.fact("catching up", text, style::yellow);
}

void add_stream(page& out, nlohmann::json const& s)
{
    auto const state = words_of(s, "state");
    std::vector<std::pair<std::string, page::look>> head{{words_of(s, "stream"), style::bold}, {state, style_of(state)}};
    for (auto const& [flag, shown, how] :
         {std::tuple{"broken", "BROKEN", style::red}, std::tuple{"link_down", "link down", style::red},
          std::tuple{"paused", "paused", style::yellow}, std::tuple{"catching_up", "catching up", style::yellow}})
        if (has_flag(s, flag))
            head.emplace_back(shown, how);
    if (is_true(s, "ready"))
        head.emplace_back("ready", style::green);
    head.emplace_back("since " + time_text(s, "since_ms"), style::dim);
    out.words(head);
    if (state == "LEGACY" && !has_flag(s, "broken")) {
        if (auto const next = words_of(s, "next"); !next.empty())
            out.fact("next", next);
        return;
    }
    auto const jet = words_of(s, "jet");
    out.fact("authority", std::string{authority_name(s)} + ", epoch " + number_text(s, "authority_epoch") +
                              (jet.empty() || jet == words_of(s, "stream") ? "" : "; in JetStream it is " + jet));
    auto const& lag = object_of(s, "lag");
    bool const behind = number_of(lag, "messages") > 0;
    out.fact("lag", lag_text(s), !is_true(lag, "known") ? page::look{style::red} : behind ? page::look{} : page::look{style::green});
    out.fact("a second", rates_text(object_of(s, "rates"), authority_name(s) == "JetStream"));
    if (s.contains("catching_up") && s["catching_up"].is_object())
        add_catching_up(out, s);
    if (auto const& hold = object_of(s, "hold"); !hold.empty())
        out.fact("held", hold_text(hold), style::yellow);
    if (auto const& broken = object_of(s, "broken"); !broken.empty()) {
        auto const why = words_of(broken, "why");
        out.fact("broken", words_of(broken, "reason") + (why.empty() ? "" : ": " + why), style::red);
        if (auto const todo = words_of(broken, "next"); todo != words_of(s, "next"))
            out.fact("do", todo, style::bold);
    }
    for (auto const* const name : {"diff", "tail"})
        if (auto const& diff = object_of(s, name); !diff.empty()) {
            bool const bad = !is_true(diff, "running") && !is_true(diff, "clean");
            out.fact(name, diff_text(diff), bad ? page::look{style::red} : page::look{});
        }
    if (auto const counts = counters_text(object_of(s, "counters")); !counts.empty())
        out.fact("counted", counts);
    auto const& parked = array_of(s, "parked");
    for (std::size_t i = 0; i < std::min(parked.size(), parked_max); ++i)
        out.fact(i == 0 ? "set aside" : "", short_number(number_of(parked[i], "place"), true) + ' ' + words_of(parked[i], "subject") + ": " + words_of(parked[i], "why"));
    if (parked.size() > parked_max)
        out.fact("", "… " + std::to_string(parked.size() - parked_max) + " more: --json");
    bool first = true;
    for (auto const& why : array_of(s, "not_ready"))
        if (why.is_string())
            out.fact(std::exchange(first, false) ? "not ready" : "", printable(why.get<std::string>()), style::yellow);
    if (auto const next = words_of(s, "next"); !next.empty())
        out.fact("next", next, style::bold);
}

void add_bridges(page& out, nlohmann::json const& bridges, command_environment const& e)
{
    if (bridges.empty())
        return;
    out.blank();
    out.block(render_migrate({"bridge list", nlohmann::json::object()}, {{"bridges", bridges}}, e));
}

}  // namespace

nlohmann::json const& object_of(nlohmann::json const& data, std::string_view name)
{
    static nlohmann::json const none = nlohmann::json::object();
    auto const found = data.is_object() ? data.find(name) : data.end();
    return found != data.end() && found->is_object() ? *found : none;
}

std::string words_of(nlohmann::json const& data, std::string_view name)
{
    auto const found = data.is_object() ? data.find(name) : data.end();
    return found != data.end() && found->is_string() ? printable(found->get_ref<std::string const&>()) : "";
}

bool is_true(nlohmann::json const& data, std::string_view name)
{
    auto const found = data.is_object() ? data.find(name) : data.end();
    return found != data.end() && *found == true;
}

std::vector<nlohmann::json> mirrored_of(nlohmann::json const& status)
{
    std::vector<nlohmann::json> out;
    for (auto const& s : array_of(status, "streams"))
        if (s.is_object() && (words_of(s, "state") != "LEGACY" || has_flag(s, "broken")))
            out.push_back(s);
    return out;
}

progress catching_up_of(nlohmann::json const& stream)
{
    auto const& c = object_of(stream, "catching_up");
    auto const total = number_of(c, "total");
    auto const left = c.contains("eta_s") && c["eta_s"].is_number() ? number_of(c, "eta_s") : -1;
    return {total - std::min(total, number_of(c, "rows")), total, number_of(c, "rate"), left};
}

progress diff_progress(nlohmann::json const& diff)
{
    return {number_of(diff, "done"), number_of(diff, "total"), number_of(diff, "rate"), -1};
}

std::string_view authority_name(nlohmann::json const& stream)
{
    return words_of(stream, "authority") == "nats" ? "JetStream" : "SQLite";
}

std::string link_line(nlohmann::json const& link)
{
    auto const state = words_of(link, "state");
    if (state.empty() || state == "none")
        return "no NATS is configured: [nats] servers in the server's configuration";
    auto const since = number_of(link, "since_ms") > 0 ? " since " + time_text(link, "since_ms") : "";
    if (state != "up")
        return "down" + since + (words_of(link, "why").empty() ? "" : ": " + words_of(link, "why"));
    auto const server = words_of(link, "server");
    return "up" + since + ": " + words_of(link, "url") + " (" + server + (server.empty() ? "" : ", ") + words_of(link, "version") + ")";
}

std::string stream_line(nlohmann::json const& s)
{
    auto const state = words_of(s, "state");
    if (state == "LEGACY")
        return state + ": not mirrored";
    auto const lag = lag_text(s);
    return state + ": " + std::string{authority_name(s)} + " orders it, " + (lag == "none" ? "no lag" : "lag " + lag);
}

nlohmann::json migration_rows(nlohmann::json const& migration)
{
    auto rows = nlohmann::json::array();
    for (auto const& s : mirrored_of(migration)) {
        auto const& lag = object_of(s, "lag");
        auto const& rates = object_of(s, "rates");
        bool const known = is_true(lag, "known");
        std::string note;
        for (auto const& [flag, shown] : {std::pair{"broken", "broken"}, std::pair{"link_down", "link down"}, std::pair{"paused", "paused"},
                                          std::pair{"catching_up", "catching up"}})
            if (has_flag(s, flag))
                note += (note.empty() ? "" : ", ") + std::string{shown};
        if (note.empty() && is_true(s, "ready"))
            note = "ready";
        auto const number = [](nlohmann::json const& data, char const* name) { return short_number(number_of(data, name), true); };
        rows.push_back({{"stream", words_of(s, "stream")},
                        {"state", words_of(s, "state")},
                        {"lag", known ? number(lag, "messages") : "unknown"},
                        {"seconds", known ? short_seconds(number_of(lag, "seconds")) : "unknown"},
                        {"unread", known ? number(s, "unread") : "unknown"},
                        {"rate_out", short_number(number_of(rates, "copied") + number_of(rates, "ordered"), true)},
                        {"rate_in", number(rates, "imported")},
                        {"note", note}});
    }
    return rows;
}

std::vector<std::string> migration_lines(nlohmann::json const& status, command_environment const& e)
{
    page out{e};
    auto const& link = object_of(status, "link");
    auto const state = words_of(link, "state");
    out.marked("NATS  ", style::bold, link_line(link), state == "up" ? style::green : style::red);
    std::string untouched;
    for (auto const& s : array_of(status, "streams")) {
        bool const alone = array_of(status, "streams").size() == 1;
        if (!alone && words_of(s, "state") == "LEGACY" && !has_flag(s, "broken")) {
            untouched += (untouched.empty() ? "" : ", ") + words_of(s, "stream");
            continue;
        }
        out.blank();
        add_stream(out, s);
    }
    add_bridges(out, array_of(status, "bridges"), e);
    if (!untouched.empty()) {
        out.blank();
        out.line("not mirrored: " + untouched, style::dim);
    }
    return out.lines();
}

}  // namespace kedge
