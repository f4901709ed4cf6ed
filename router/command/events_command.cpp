/// `kedge events`: what happens at the server, a line each.

#include <array>
#include <utility>

#include "router/command/talk_commands.hpp"
#include "router/command/units.hpp"
#include "router/protocol/encoding.hpp"

namespace kedge {
namespace {

constexpr std::string_view prefix = "$sys.";

class events_command final : public command {
public:
    events_command(events_settings s, command_environment const& e) : settings_{std::move(s)}, environment_{e} {}

    bool needs_link() const override { return true; }
    bool waits_for_messages() const override { return true; }

    std::optional<op::hello> hello() const override
    {
        op::hello h;
        h.client = "kedge/" KEDGE_VERSION;
        return h;
    }

    void begin(command_effects& fx) override { fx.operations.emplace_back(op::subscribe{"events", settings_.pattern, {}}); }

    void on_notice(notice::any const& n, command_effects& fx) override
    {
        if (finished_)
            return;
        if (auto const* m = std::get_if<notice::msg>(&n)) {
            fx.out += render_event(*m, settings_.json, environment_);
            if (++printed_ == settings_.count)
                finish(0, fx);
        } else if (std::holds_alternative<notice::ok>(n)) {
            if (!settings_.quiet)
                fx.error += styled("subscribed", style::dim, environment_) + '\n';
        } else if (auto const* error = std::get_if<notice::error>(&n)) {
            fx.error += complaint(*error, environment_);
            finish(1, fx);
        } else if (auto const* bye = std::get_if<notice::bye>(&n)) {
            fx.error += complaint(bye->code, bye->message, environment_);
            finish(1, fx);
        }
    }

    void on_interrupt(command_effects& fx) override { finish(0, fx); }

private:
    void finish(int status, command_effects& fx)
    {
        finished_ = true;
        fx.exit_status = status;
    }

    events_settings settings_;
    command_environment environment_;
    std::uint64_t printed_ = 0;
    bool finished_ = false;
};

std::string field(nlohmann::json const& facts, char const* name)
{
    auto const found = facts.find(name);
    if (found == facts.end() || found->is_null())
        return {};
    return printable(found->is_string() ? found->get<std::string>() : found->dump());
}

/// What the events of the contract say, in the order in which a person wants it. Others are shown field by field.
std::string described(std::string_view name, nlohmann::json const& facts)
{
    struct shape {
        std::string_view name;
        std::array<char const*, 5> fields;  // a field, or " words" between them
    };
    static constexpr std::array shapes{
        shape{"node.join", {"user", "/", "node", nullptr, nullptr}},
        shape{"node.leave", {"user", "/", "node", " ", "reason"}},
        shape{"service.connect", {"service", " ", "version", " ", "instance"}},
        shape{"service.disconnect", {"service", " ", "version", " ", "instance"}},
        shape{"service.online", {"service", " ", "version", nullptr, nullptr}},
        shape{"service.offline", {"service", " ", "version", nullptr, nullptr}},
        shape{"unhandled", {"subject", " from ", "from", nullptr, nullptr}},
    };
    std::string text;
    for (auto const& s : shapes) {
        if (s.name != name)
            continue;
        for (auto const* const part : s.fields)
            if (part != nullptr)
                text += *part == ' ' || *part == '/' ? std::string{part} : field(facts, part);
        if (name.starts_with("service.") && facts.contains("user"))
            text += " of " + field(facts, "user");
        return text;
    }
    if (name.starts_with("migration.") && facts.contains("what")) {
        text = field(facts, "state") + ": " + field(facts, "what");
        return field(facts, "why").empty() ? text : text + " (" + field(facts, "why") + ')';
    }
    if (name == "dead")
        return field(facts, "stream") + ' ' + field(facts, "seq") + " of " + field(facts, "consumer") + ": " +
               field(facts, "reason");
    for (auto const& [key, value] : facts.items())
        text += (text.empty() ? "" : " ") + printable(key) + '=' +
                printable(value.is_string() ? value.get<std::string>() : value.dump());
    return text;
}

}  // namespace

std::string render_event(notice::msg const& m, bool json, command_environment const& e)
{
    if (json)
        return std::string{encode(notice::any{m}, encoding::lines)->view()};
    std::string_view name = m.subject;
    if (name.starts_with(prefix))
        name.remove_prefix(prefix.size());
    auto const facts = nlohmann::json::parse(m.body, nullptr, false);
    bool const known = m.from == "$sys" && facts.is_object();
    return styled(format_time_ms(m.time_ms), style::dim, e) + "  " + styled(printable(name), style::green, e) + "  " +
           (known ? described(name, facts) : printable(m.from) + ": " + printable(m.body)) + '\n';
}

std::unique_ptr<command> make_events(events_settings s, command_environment const& e)
{
    return std::make_unique<events_command>(std::move(s), e);
}

}  // namespace kedge
