/// The commands of operators: each is one call to the router, and its answer shown.

#include "router/command/commands.hpp"

namespace kedge {
namespace {

class admin_command final : public command {
public:
    admin_command(admin_settings s, command_environment const& e) : settings_{std::move(s)}, environment_{e} {}

    bool needs_link() const override { return false; }

    void begin(command_effects& fx) override { fx.calls.push_back(settings_.call); }

    void on_admin(admin_result const& r, command_effects& fx) override
    {
        fx.exit_status = r.exit_status;
        if (r.exit_status != 0) {
            fx.error += complaint(r.error, environment_);
            return;
        }
        // The backup itself is the output; what would be said of it has no place there.
        if (settings_.call.name == "backup" && settings_.call.args.value("path", "") == "-") {
            fx.stream_file = r.data.is_object() ? r.data.value("path", "") : "";
            return;
        }
        if (is_bad_news(r.data))
            fx.exit_status = 1;
        fx.out += settings_.json ? r.data.dump() + '\n' : render_admin(settings_.call, r.data, environment_);
    }

    void on_interrupt(command_effects& fx) override { fx.exit_status = 130; }

private:
    /// The answer came, and it is no: for scripts.
    bool is_bad_news(nlohmann::json const& data) const
    {
        if (!data.is_object())
            return false;
        if (settings_.call.name == "rule test")
            return data.contains("allowed") && data["allowed"] == false;
        return settings_.call.name == "check" && data.contains("findings") && !data["findings"].empty();
    }

    admin_settings settings_;
    command_environment environment_;
};

}  // namespace

std::string complaint(std::string_view sentence, command_environment const& environment)
{
    std::string text = styled("kedge: ", style::red, environment);
    text += printable(sentence);
    text += '\n';
    return text;
}

std::string complaint(error_code code, std::string_view message, command_environment const& environment)
{
    std::string text{wire_word(code)};
    text += ": ";
    text += message.empty() ? sentence(code) : message;
    return complaint(text, environment);
}

std::unique_ptr<command> make_admin(admin_settings s, command_environment const& e)
{
    return std::make_unique<admin_command>(std::move(s), e);
}

}  // namespace kedge
