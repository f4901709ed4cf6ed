/// What people see of administrative answers: which fields, in which order, under which titles.

#include <algorithm>
#include <array>

#include "router/command/commands.hpp"
#include "router/command/migrate_commands.hpp"
#include "router/command/units.hpp"

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
    column{"USER", "user"},           column{"ROLE", "role"},     column{"KEY", "key"},
    column{"PATTERN", "pattern"},     column{"BUILT IN", "builtin", form::yes}};

constexpr std::array ban_columns{
    column{"ID", "id", form::number}, column{"USER", "user"},
    column{"KEY", "key"},             column{"ADDRESS", "address"},
    column{"UNTIL", "until_ms", form::time}, column{"OVER", "over", form::yes},
    column{"BY", "by"},               column{"SINCE", "added_ms", form::time},
    column{"REASON", "reason"}};

constexpr std::array audit_columns{
    column{"ID", "id", form::number}, column{"TIME", "time_ms", form::time},
    column{"USER", "user"},           column{"COMMAND", "command"},
    column{"ARGUMENTS", "args"},      column{"OUTCOME", "outcome"},
    column{"KEY", "key"}};

constexpr std::array alias_columns{column{"ALIAS", "alias"}, column{"USER", "user"}};

/// Of the rows of `with_mail`.
constexpr std::array known_node_columns{
    column{"NODE", "node"},           column{"ONLINE", "online", form::yes},
    column{"SEEN", "seen_ms", form::time}, column{"INBOX", "inbox", form::yes},
    column{"MAIL", "mail_messages", form::number}, column{"SIZE", "mail_bytes", form::size}};

constexpr std::array peek_columns{
    column{"SEQ", "seq", form::number}, column{"TIME", "time_ms", form::time},
    column{"FROM", "from"},             column{"SUBJECT", "subject"},
    column{"SIZE", "size", form::size}, column{"BODY", "shown"}};

constexpr std::array stream_columns{
    column{"STREAM", "stream"},      column{"SUBJECTS", "subjects", form::list},
    column{"FIRST", "first_seq", form::number}, column{"LAST", "last_seq", form::number},
    column{"MESSAGES", "messages", form::number}, column{"SIZE", "bytes", form::size},
    column{"MAX AGE", "max_age_ms", form::duration, true}, column{"MAX SIZE", "max_bytes", form::size, true},
    column{"MAX MESSAGES", "max_msgs", form::number, true}, column{"RETENTION", "retention"},
    column{"CONSUMERS", "consumers", form::number}, column{"PAUSED", "paused", form::yes},
    column{"PER SUBJECT", "max_msgs_per_subject", form::number, true}, column{"DISCARD", "discard"}};
/// The last two are for `stream show`: a table of all is wide enough.
constexpr std::span<column const> stream_list_columns{stream_columns.data(), 12};

constexpr std::array consumer_columns{
    column{"STREAM", "stream"},   column{"CONSUMER", "consumer"},
    column{"OWNER", "owner"},     column{"FILTER", "filter"},
    column{"NEXT", "next_seq", form::number}, column{"PENDING", "pending", form::number},
    column{"LAG", "lag", form::number},       column{"LINKS", "links", form::number},
    column{"DEAD", "dead", form::number},     column{"ACK WAIT", "ack_wait_ms", form::duration},
    column{"MAX DELIVER", "max_deliver", form::number, true},
    column{"PAUSED", "paused", form::yes}, column{"BACKOFF", "backoff", form::list}};
constexpr std::span<column const> consumer_list_columns{consumer_columns.data(), 12};

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
constexpr std::array<listing, 12> listings{{
    {"user list", "users", user_columns, "no users\n"},
    {"key list", "keys", key_columns, "no keys\n"},
    {"rule list", "rules", rule_columns, "no rules\n"},
    {"ban list", "bans", ban_columns, "no bans\n"},
    {"audit list", "entries", audit_columns, "nothing was done\n"},
    {"alias list", "aliases", alias_columns, "no aliases\n"},
    {"list show", "lists", list_columns, "no lists\n"},
    {"node list", "nodes", known_node_columns, "no nodes\n"},
    {"node show", "nodes", known_node_columns, "no nodes\n"},
    {"stream list", "streams", stream_list_columns, "no streams\n"},
    {"consumer list", "consumers", consumer_list_columns, "no consumers\n"},
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

/// The mail of a node is an object of its own.
nlohmann::json with_mail(nlohmann::json rows)
{
    for (auto& row : rows)
        if (auto const mail = row.is_object() ? row.find("mail") : row.end(); mail != row.end() && mail->is_object()) {
            row["mail_messages"] = mail->contains("messages") ? (*mail)["messages"] : nlohmann::json();
            row["mail_bytes"] = mail->contains("bytes") ? (*mail)["bytes"] : nlohmann::json();
        }
    return rows;
}

/// Waits are shown as people write them.
nlohmann::json with_backoff(nlohmann::json row)
{
    auto const waits = row.is_object() ? row.find("backoff_ms") : row.end();
    if (waits == row.end() || !waits->is_array() || waits->empty())
        return row;
    auto texts = nlohmann::json::array();
    for (auto const& wait : *waits)
        texts.push_back(wait.is_number_unsigned() ? format_duration_ms(wait.get<std::uint64_t>()) : wait.dump());
    row["backoff"] = std::move(texts);
    return row;
}

/// Messages as rows of a table. Bodies that are no text are shown in base64.
nlohmann::json with_bodies(nlohmann::json rows)
{
    for (auto& row : rows) {
        if (!row.is_object())
            continue;
        bool const is_text = row.contains("data") && row["data"].is_string();
        auto const coded = !is_text && row.contains("data64") && row["data64"].is_string() ? row["data64"].get<std::string>() : "";
        row["shown"] = is_text ? row["data"] : nlohmann::json(coded);
        row["size"] = is_text ? row["data"].get_ref<std::string const&>().size()
                              : coded.size() / 4 * 3 - (coded.ends_with("==") ? 2 : coded.ends_with('=') ? 1 : 0);
    }
    return rows;
}

std::string render_peek(nlohmann::json const& data, command_environment const& e)
{
    auto const& rows = member(data, "messages");
    auto const end = data.is_object() ? data.find("end") : data.end();
    bool const all = end == data.end() || *end == true;
    auto out = rows.empty() ? std::string{all ? "no messages\n" : "no such message yet\n"} : render_table(with_bodies(rows), peek_columns, e);
    if (!all)
        out += "more: --from " + text_of(data, "next") + '\n';
    return out;
}

std::string render_user(nlohmann::json const& data, command_environment const& e)
{
    static constexpr std::array facts{
        column{"USER", "name"},   column{"ROLE", "role"},
        column{"ADDED", "added_ms", form::time}, column{"FROM", "source"},
        column{"REMOVED", "removed", form::yes}, column{"SESSIONS", "sessions", form::number},
        column{"STORED", "stored_messages", form::number}, column{"STORED SIZE", "stored_bytes", form::size},
        column{"MAIL", "mail_messages", form::number}, column{"MAIL SIZE", "mail_bytes", form::size},
        column{"ALIASES", "aliases", form::list}, column{"LISTS", "lists", form::list}};
    static constexpr std::array limits{column{"LIMIT", "limit"}, column{"VALUE", "value", form::number}, column{"OWN", "own", form::yes}};
    auto out = render_facts(with_mail(nlohmann::json::array({data})).front(), facts, e);
    auto const table = [&](char const* rows, std::span<column const> columns) {
        if (auto const& found = member(data, rows); !found.empty())
            out += '\n' + render_table(found, columns, e);
    };
    table("keys", key_columns);
    table("rules", rule_columns);
    if (auto const& nodes = member(data, "nodes"); !nodes.empty())
        out += '\n' + render_table(with_mail(nodes), std::span{known_node_columns}.first(nodes.front().contains("mail") ? 6 : 3), e);
    auto rows = nlohmann::json::array();
    auto const all = data.is_object() ? data.find("limits") : data.end();
    auto const own = data.is_object() ? data.find("own_limits") : data.end();
    if (all != data.end() && all->is_object())
        for (auto const& [name, value] : all->items())
            rows.push_back({{"limit", name}, {"value", value}, {"own", own != data.end() && own->contains(name)}});
    if (!rows.empty())
        out += '\n' + render_table(rows, limits, e);
    return out;
}

/// Yes or no in a word, and why.
std::string render_decision(nlohmann::json const& data, command_environment const& e)
{
    bool const allowed = data.is_object() && data.contains("allowed") && data["allowed"] == true;
    return styled(allowed ? "yes" : "no", allowed ? style::green : style::red, e) + ": " + text_of(data, "why") + '\n';
}

std::string render_check(nlohmann::json const& data, command_environment const& e)
{
    std::string out;
    auto const& findings = member(data, "findings");
    for (auto const& finding : findings)
        out += styled("! ", style::red, e) + printable(finding.is_string() ? finding.get<std::string>() : finding.dump()) + '\n';
    out += text_of(data, "rows") + " rows of " + text_of(data, "streams") + " streams were read: ";
    out += findings.empty() ? styled("all is well", style::green, e)
                            : std::to_string(findings.size()) + (findings.size() == 1 ? " thing is wrong" : " things are wrong");
    return out + '\n';
}

/// The sentence after something was done.
std::string done(admin_call const& call, nlohmann::json const& data)
{
    /// The words of a sentence; "$x" is argument x, "%x" is x of the answer.
    struct sentence {
        std::string_view call;
        std::string_view text;
    };
    static constexpr std::array sentences{
        sentence{"user add", "user $name may log in"},
        sentence{"user edit", "user $name is changed"},
        sentence{"user remove", "user $name is removed"},
        sentence{"key add", "user $user has the key"},
        sentence{"key remove", "user $user no longer has the key"},
        sentence{"rule add", "rule %id holds"},
        sentence{"rule remove", "rule $id is removed"},
        sentence{"ban add", "ban %id holds"},
        sentence{"ban remove", "ban $id is over"},
        sentence{"alias add", "mail to ~$alias goes to %user"},
        sentence{"alias remove", "alias $alias is removed"},
        sentence{"list add", "list $list is there"},
        sentence{"list edit", "list $list is changed"},
        sentence{"list remove", "list $list is removed"},
        sentence{"node remove", "node $node is forgotten"},
        sentence{"stream add", "stream $name stores its subjects"},
        sentence{"stream edit", "stream $name is changed"},
        sentence{"stream pause", "stream $stream pauses"},
        sentence{"stream resume", "stream $stream goes on"},
        sentence{"stream purge", "%purged forgotten"},
        sentence{"stream remove", "stream $name is removed"},
        sentence{"consumer edit", "consumer $consumer of $stream is changed"},
        sentence{"consumer pause", "consumer $consumer of $stream pauses"},
        sentence{"consumer resume", "consumer $consumer of $stream goes on"},
        sentence{"consumer remove", "consumer $consumer of $stream is removed"},
        sentence{"dead replay", "%count will be delivered again"},
        sentence{"dead drop", "%count dropped"},
    };
    if (call.name == "backup")
        return text_of(data, "path") + ": " + render_field(data, column{"", "bytes", form::size}) + '\n';
    for (auto const& s : sentences) {
        if (s.call != call.name)
            continue;
        std::string out;
        for (auto rest = s.text; !rest.empty();) {
            auto const mark = std::min(rest.find_first_of("$%"), rest.size());
            out += rest.substr(0, mark);
            rest.remove_prefix(mark);
            if (rest.empty())
                break;
            auto const end = std::min(rest.find_first_of(" ", 1), rest.size());
            std::string const name{rest.substr(1, end - 1)};
            out += text_of(rest.front() == '$' ? call.args : data, name.c_str());
            rest.remove_prefix(end);
        }
        return out + '\n';
    }
    return data.dump() + '\n';
}

}  // namespace

std::string render_admin(admin_call const& call, nlohmann::json const& data, command_environment const& e)
{
    for (auto const& l : listings) {
        if (l.call != call.name)
            continue;
        auto const& rows = member(data, l.rows);
        std::string out = rows.empty() ? std::string{l.none} : render_table(with_mail(rows), l.columns, e);
        if (call.name == "dead list" && data.contains("total") && data["total"].is_number() &&
            data["total"].get<std::uint64_t>() > rows.size())
            out += std::to_string(rows.size()) + " of " + data["total"].dump() + "; the next are after SEQ\n";
        return out;
    }
    if (call.name == "stream show")
        return render_facts(data, stream_columns, e);
    if (call.name == "consumer show")
        return render_facts(with_backoff(data), consumer_columns, e);
    if (call.name == "user show")
        return render_user(data, e);
    if (call.name == "rule test")
        return render_decision(data, e);
    if (call.name == "stream peek")
        return render_peek(data, e);
    if (call.name == "check")
        return render_check(data, e);
    if (call.name == "dead show")
        return dead_letter(data, e);
    if (call.name.starts_with("bridge "))
        return render_migrate(call, data, e);
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

}  // namespace kedge
