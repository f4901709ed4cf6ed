/// `kedge sub`: prints what arrives on some patterns.

#include "router/command/commands.hpp"

namespace kedge {
namespace {

class subscribe_command final : public command {
public:
    subscribe_command(subscribe_settings s, command_environment const& e) : settings_{std::move(s)}, environment_{e}
    {
        form_ = settings_.json ? message_form::json : settings_.raw ? message_form::raw : message_form::text;
    }

    bool needs_link() const override { return true; }
    bool waits_for_messages() const override { return true; }

    std::optional<op::hello> hello() const override
    {
        op::hello h;
        h.client = "kedge/" KEDGE_VERSION;
        return h;
    }

    void begin(command_effects& fx) override
    {
        for (std::size_t i = 0; i < settings_.patterns.size(); ++i)
            fx.operations.emplace_back(op::subscribe{id(i), settings_.patterns[i], settings_.group});
    }

    void on_notice(notice::any const& n, command_effects& fx) override
    {
        if (finished_)
            return;
        if (auto const* m = std::get_if<notice::msg>(&n)) {
            fx.out += render_message(*m, form_, environment_);
            if (++printed_ == settings_.count)
                finish(0, fx);
        } else if (std::holds_alternative<notice::ok>(n)) {
            // Scripts wait for this line before they publish: from here on nothing is missed.
            if (++confirmed_ == settings_.patterns.size() && !settings_.quiet)
                fx.error += styled("subscribed", style::dim, environment_) + '\n';
        } else if (auto const* error = std::get_if<notice::error>(&n)) {
            fx.error += complaint(error->code, error->message, environment_);
            finish(1, fx);
        } else if (auto const* bye = std::get_if<notice::bye>(&n)) {
            fx.error += complaint(bye->code, bye->message, environment_);
            finish(1, fx);
        }
    }

    void on_interrupt(command_effects& fx) override { finish(0, fx); }

private:
    static std::string id(std::size_t i) { return "sub-" + std::to_string(i + 1); }

    void finish(int status, command_effects& fx)
    {
        finished_ = true;
        fx.exit_status = status;
    }

    subscribe_settings settings_;
    command_environment environment_;
    message_form form_ = message_form::text;
    std::size_t confirmed_ = 0;
    std::uint64_t printed_ = 0;
    bool finished_ = false;
};

}  // namespace

std::unique_ptr<command> make_subscribe(subscribe_settings s, command_environment const& e)
{
    return std::make_unique<subscribe_command>(std::move(s), e);
}

}  // namespace kedge
