/// What people see of administrative answers: which fields, in which order, under which titles.

#include <array>

#include "router/command/commands.hpp"

namespace kedge {
namespace {

using form = field_form;

constexpr std::array user_columns{
    column{"USER", "name"},          column{"ROLE", "role"},
    column{"KEYS", "keys", form::number}, column{"SESSIONS", "sessions", form::number},
    column{"ADDED", "added_ms", form::time}, column{"FROM", "source"},
    column{"REMOVED", "removed", form::yes}};

constexpr std::array key_columns{
    column{"USER", "user"},    column{"TYPE", "type"},
    column{"FINGERPRINT", "fingerprint"}, column{"COMMENT", "comment"},
    column{"ROLE", "role"},    column{"ONLY FROM", "from", form::list},
    column{"EXPIRES", "expires_ms", form::time}, column{"ADDED", "added_ms", form::time},
    column{"FROM", "source"}};

constexpr std::array rule_columns{
    column{"ID", "id", form::number}, column{"EFFECT", "effect"}, column{"ACTION", "action"},
    column{"USER", "user"},           column{"ROLE", "role"},     column{"PATTERN", "pattern"},
    column{"BUILT IN", "builtin", form::yes}};

constexpr std::array stream_columns{
    column{"STREAM", "stream"},      column{"SUBJECTS", "subjects", form::list},
    column{"FIRST", "first_seq", form::number}, column{"LAST", "last_seq", form::number},
    column{"MESSAGES", "messages", form::number}, column{"SIZE", "bytes", form::size},
    column{"MAX AGE", "max_age_ms", form::duration, true}, column{"MAX SIZE", "max_bytes", form::size, true},
    column{"MAX MESSAGES", "max_msgs", form::number, true}, column{"RETENTION", "retention"},
    column{"CONSUMERS", "consumers", form::number}};

constexpr std::array consumer_columns{
    column{"STREAM", "stream"},   column{"CONSUMER", "consumer"},
    column{"OWNER", "owner"},     column{"FILTER", "filter"},
    column{"NEXT", "next_seq", form::number}, column{"PENDING", "pending", form::number},
    column{"LAG", "lag", form::number},       column{"LINKS", "links", form::number},
    column{"DEAD", "dead", form::number},     column{"ACK WAIT", "ack_wait_ms", form::duration},
    column{"MAX DELIVER", "max_deliver", form::number, true}};

constexpr std::array dead_columns{
    column{"SEQ", "seq", form::number}, column{"SUBJECT", "subject"},
    column{"FROM", "from"},             column{"SENT", "time_ms", form::time},
    column{"DIED", "died_ms", form::time}, column{"TRIES", "tries", form::number},
    column{"SIZE", "size", form::size}, column{"REASON", "reason"}};

constexpr std::array node_columns{column{"USER", "user"}, column{"NODE", "node"}, column{"SESSION", "session"},
                                  column{"SINCE", "since_ms", form::time}};

constexpr std::array service_columns{
    column{"SERVICE", "service"}, column{"VERSION", "version"},
    column{"USER", "user"},       column{"NODE", "node"},
    column{"METHODS", "methods", form::list}, column{"OPEN", "open", form::number},
    column{"INSTANCE", "instance"}, column{"SINCE", "since_ms", form::time}};

constexpr std::array list_columns{column{"LIST", "list"}, column{"OWNER", "owner"}, column{"POSTING", "posting"},
                                  column{"MEMBERS", "members", form::list}};

/// What `who streams` and `who consumers` tell is less than what operators see.
constexpr std::span<column const> who_stream_columns{stream_columns.data(), 6};
constexpr std::span<column const> who_consumer_columns{consumer_columns.data(), 9};

struct listing {
    std::string_view call;
    std::string_view rows;
    std::span<column const> columns;
    std::string_view none;
};
constexpr std::array<listing, 6> listings{{
    {"user list", "users", user_columns, "no users\n"},
    {"key list", "keys", key_columns, "no keys\n"},
    {"rule list", "rules", rule_columns, "no rules\n"},
    {"stream list", "streams", stream_columns, "no streams\n"},
    {"consumer list", "consumers", consumer_columns, "no consumers\n"},
    {"dead list", "dead", dead_columns, "no dead letters\n"},
}};

nlohmann::json const& member(nlohmann::json const& data, std::string_view name)
{
    static nlohmann::json const nothing = nlohmann::json::array();
    auto const found = data.is_object() ? data.find(name) : data.end();
    return found != data.end() && found->is_array() ? *found : nothing;
}

std::string text_of(nlohmann::json const& data, char const* name)
{
    return render_field(data, column{"", name});
}

std::string dead_letter(nlohmann::json const& data, command_environment const& e)
{
    auto out = render_facts(data, dead_columns, e);
    if (auto const headers = data.find("headers"); headers != data.end() && headers->is_object())
        for (auto const& [name, value] : headers->items())
            out += printable(name + ": " + (value.is_string() ? value.get<std::string>() : value.dump())) + '\n';
    out += '\n';
    // A body that is no text is shown as it came: in base64.
    out += text_of(data, data.contains("data") ? "data" : "data64") + '\n';
    return out;
}

/// The sentence after something was done.
std::string done(admin_call const& call, nlohmann::json const& data)
{
    auto const arg = [&](char const* name) { return text_of(call.args, name); };
    auto const count = text_of(data, "count");
    if (call.name == "user add")
        return "user " + arg("name") + " may log in\n";
    if (call.name == "user remove")
        return "user " + arg("name") + " is removed\n";
    if (call.name == "key add")
        return "user " + arg("user") + " has the key\n";
    if (call.name == "key remove")
        return "user " + arg("user") + " no longer has the key\n";
    if (call.name == "rule add")
        return "rule " + text_of(data, "id") + " holds\n";
    if (call.name == "rule remove")
        return "rule " + arg("id") + " is removed\n";
    if (call.name == "stream add")
        return "stream " + arg("name") + " stores its subjects\n";
    if (call.name == "stream edit")
        return "stream " + arg("name") + " is changed\n";
    if (call.name == "stream remove")
        return "stream " + arg("name") + " is removed\n";
    if (call.name == "consumer remove")
        return "consumer " + arg("consumer") + " of " + arg("stream") + " is removed\n";
    if (call.name == "dead replay")
        return count + " will be delivered again\n";
    if (call.name == "dead drop")
        return count + " dropped\n";
    if (call.name == "backup")
        return text_of(data, "path") + ": " + render_field(data, column{"", "bytes", form::size}) + '\n';
    return data.dump() + '\n';
}

}  // namespace

std::string render_admin(admin_call const& call, nlohmann::json const& data, command_environment const& e)
{
    for (auto const& l : listings) {
        if (l.call != call.name)
            continue;
        auto const& rows = member(data, l.rows);
        std::string out = rows.empty() ? std::string{l.none} : render_table(rows, l.columns, e);
        if (call.name == "dead list" && data.contains("total") && data["total"].is_number() &&
            data["total"].get<std::uint64_t>() > rows.size())
            out += std::to_string(rows.size()) + " of " + data["total"].dump() + "; the next are after SEQ\n";
        return out;
    }
    if (call.name == "stream show")
        return render_facts(data, stream_columns, e);
    if (call.name == "consumer show")
        return render_facts(data, consumer_columns, e);
    if (call.name == "dead show")
        return dead_letter(data, e);
    if (call.name == "status")
        return render_status(data, e);
    return done(call, data);
}

std::string render_who(op::who::kind kind, nlohmann::json const& data, command_environment const& e)
{
    auto const table = [&](char const* rows, std::span<column const> columns) {
        auto const& found = member(data, rows);
        return found.empty() ? "no " + std::string{rows} + "\n" : render_table(found, columns, e);
    };
    switch (kind) {
    case op::who::kind::nodes:
        return table("nodes", node_columns);
    case op::who::kind::streams:
        return table("streams", who_stream_columns);
    case op::who::kind::consumers:
        return table("consumers", who_consumer_columns);
    case op::who::kind::services:
        return table("services", service_columns);
    case op::who::kind::lists:
        return table("lists", list_columns);
    }
    return {};
}

namespace {

/// What is on its way through the server now, from its clients' sockets to the disk and back, in a line.
std::string what_waits(nlohmann::json const& data)
{
    struct place {
        column value;
        std::string_view text;
    };
    static constexpr std::array places{
        place{{"", "router_inbox_events", form::number}, " events for the router"},
        place{{"", "operations_held", form::number}, " operations held back"},
        place{{"", "operations_unanswered", form::number}, " operations for their answer"},
        place{{"", "store_queue_bytes", form::size}, " for the disk"},
        place{{"", "unsent_bytes", form::size}, " for clients to read"},
        place{{"", "deliveries_pending", form::number}, " deliveries for their ack"}};
    auto const metrics = data.is_object() ? data.find("metrics") : data.end();
    std::string out;
    if (metrics != data.end() && metrics->is_object())
        for (auto const& p : places)
            if (auto const v = metrics->find(p.value.field); v != metrics->end() && v->is_number() && v->get<double>() != 0)
                out += (out.empty() ? "" : ", ") + render_field(*metrics, p.value) + std::string{p.text};
    return out.empty() ? "nothing" : out;
}

}  // namespace

std::string render_status(nlohmann::json const& data, command_environment const& e)
{
    auto const fact = [&](char const* name, form f = form::number) { return render_field(data, column{"", name, f}); };
    std::string out;
    auto const& why = member(data, "why");
    out += styled(printable(fact("server", form::text)), style::bold, e) + ", up " + fact("uptime_ms", form::duration) + "  ";
    out += why.empty() ? styled("all is well", style::green, e)
                       : styled(std::to_string(why.size()) + (why.size() == 1 ? " thing is" : " things are") + " not well",
                                style::red, e);
    out += '\n';
    for (auto const& sentence : why)
        out += styled("  ! ", style::red, e) + printable(sentence.is_string() ? sentence.get<std::string>() : sentence.dump()) +
               '\n';
    out += fact("sessions") + " sessions, " + fact("links") + " links, " + fact("nodes") + " nodes\n";
    out += "waiting: " + what_waits(data) + '\n';
    if (auto const& rows = member(data, "streams"); !rows.empty())
        out += '\n' + render_table(rows, who_stream_columns, e);
    if (auto const& rows = member(data, "consumers"); !rows.empty())
        out += '\n' + render_table(rows, who_consumer_columns, e);

    auto const metrics = data.is_object() ? data.find("metrics") : data.end();
    if (metrics == data.end() || !metrics->is_object())
        return out;
    // Only what has happened: a screen of zeros hides the one number that is none.
    auto shown = nlohmann::json::array();
    for (auto const& [name, value] : metrics->items())
        if (!value.is_number() || value.get<double>() != 0)
            shown.push_back({{"name", name}, {"value", value}});
    constexpr std::array metric_columns{column{"METRIC", "name"}, column{"VALUE", "value", form::number}};
    if (!shown.empty())
        out += '\n' + render_table(shown, metric_columns, e);
    return out;
}

}  // namespace kedge
