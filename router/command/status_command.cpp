/// `kedge status`: how the server is, once or again and again.

#include <array>

#include "router/command/migrate_commands.hpp"
#include "router/command/operator_commands.hpp"
#include "router/command/status_facts.hpp"

namespace kedge {
namespace {

using form = field_form;

constexpr std::array status_stream_columns{
    column{"STREAM", "stream"},                   column{"LAST", "last_seq", form::number},
    column{"MESSAGES", "messages", form::number}, column{"SIZE", "bytes", form::size},
    column{"PAUSED", "paused", form::yes},        column{"SUBJECTS", "subjects", form::list},
    column{"FIRST", "first_seq", form::number}};
constexpr std::array status_consumer_columns{
    column{"STREAM", "stream"},                 column{"CONSUMER", "consumer"},
    column{"LAG", "lag", form::number},         column{"PENDING", "pending", form::number},
    column{"LINKS", "links", form::number},     column{"DEAD", "dead", form::number},
    column{"PAUSED", "paused", form::yes},      column{"OWNER", "owner"},
    column{"FILTER", "filter"},                 column{"NEXT", "next_seq", form::number}};
constexpr std::array status_mirror_columns{
    column{"MIRRORED", "stream"},            column{"STATE", "state"},
    column{"LAG", "lag", form::number},      column{"BEHIND", "seconds", form::number},
    column{"UNREAD", "unread", form::number}, column{"", "note"}};
/// A narrow terminal shows so many of them, the first.
constexpr std::size_t status_narrow_streams = 5;
constexpr std::size_t status_narrow_consumers = 6;
constexpr unsigned narrow_below = 100;

class status_command final : public command {
public:
    status_command(status_settings s, command_environment const& e) : settings_{s}, environment_{e} {}

    bool needs_link() const override { return false; }
    course runs() const override { return settings_.every_ms != 0 ? course::live : course::answered; }
    std::string feed() const override { return "status --json --every " + std::to_string(settings_.every_ms) + "ms"; }

    void begin(command_effects& fx) override { fx.calls.push_back({"status", nlohmann::json::object()}); }

    void on_admin(admin_result const& r, command_effects& fx) override
    {
        if (r.exit_status != 0) {
            fx.error += complaint(r.error, environment_);
            fx.exit_status = r.exit_status;
            return;
        }
        if (settings_.json)
            fx.out += r.data.dump() + '\n';
        else
            fx.out += (shown_ ? "\n" : "") + render_status(r.data, environment_);
        shown_ = true;
        if (settings_.every_ms == 0)
            fx.exit_status = 0;
        else if (environment_.now_us)
            due_us_ = environment_.now_us() + settings_.every_ms * 1000;
    }

    std::optional<std::uint64_t> due_us() const override { return due_us_; }
    void on_time(command_effects& fx) override
    {
        due_us_.reset();
        begin(fx);
    }

    void on_away(std::string_view why, command_effects& fx) override { fx.error += complaint(why, environment_); }
    void on_interrupt(command_effects& fx) override { fx.exit_status = settings_.every_ms != 0 ? 0 : 130; }

private:
    status_settings settings_;
    command_environment environment_;
    std::optional<std::uint64_t> due_us_;
    bool shown_ = false;
};

}  // namespace

std::string render_status(nlohmann::json const& data, command_environment const& e)
{
    bool const narrow = e.out_is_terminal && e.columns < narrow_below;
    // In a pipe a line is a line.
    auto const folded = [&](std::string const& line, std::size_t indent) {
        return e.out_is_terminal ? wrapped(line, e.columns - std::min<std::size_t>(indent, e.columns / 2), indent) : line;
    };
    std::string out = status_head(data, e) + '\n';
    for (auto const& sentence : status_why(data))
        out += styled("  ! ", style::red, e) + folded(sentence, 4) + '\n';
    for (auto const& line : status_lines(data))
        out += (e.out_is_terminal ? wrapped(line, e.columns, 2) : line) + '\n';
    auto const table = [&](char const* rows, std::span<column const> columns, std::size_t if_narrow) {
        if (auto const& found = array_of(data, rows); !found.empty())
            out += '\n' + render_table(found, narrow ? columns.first(if_narrow) : columns, e);
    };
    if (auto const mirrored = migration_rows(object_of(data, "migration")); !mirrored.empty())
        out += '\n' + render_table(mirrored, status_mirror_columns, e);
    table("streams", status_stream_columns, status_narrow_streams);
    table("consumers", status_consumer_columns, status_narrow_consumers);

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

std::unique_ptr<command> make_status(status_settings s, command_environment const& e)
{
    return std::make_unique<status_command>(s, e);
}

}  // namespace kedge
