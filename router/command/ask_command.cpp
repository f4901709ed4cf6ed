/// `kedge ping` and `kedge who`: one question at a time, and its answer.

#include <array>
#include <cstdio>

#include "router/command/commands.hpp"

namespace kedge {
namespace {

class ask_command final : public command {
public:
    ask_command(ask_settings s, command_environment const& e) : settings_{s}, environment_{e} {}

    bool needs_link() const override { return true; }

    std::optional<op::hello> hello() const override
    {
        op::hello h;
        h.client = "kedge/" KEDGE_VERSION;
        return h;
    }

    void begin(command_effects& fx) override
    {
        asked_us_ = now();
        if (settings_.who)
            fx.operations.emplace_back(op::who{*settings_.who, "who"});
        else
            fx.operations.emplace_back(op::ping{"ping"});
    }

    void on_notice(notice::any const& n, command_effects& fx) override
    {
        if (auto const* welcome = std::get_if<notice::welcome>(&n))
            welcome_ = *welcome;
        else if (std::holds_alternative<notice::pong>(n))
            pong(fx);
        else if (auto const* reply = std::get_if<notice::reply>(&n))
            answer(reply->body, fx);
        else if (auto const* error = std::get_if<notice::error>(&n))
            fail(complaint(error->code, error->message, environment_), fx);
        else if (auto const* bye = std::get_if<notice::bye>(&n))
            fail(complaint(bye->code, bye->message, environment_), fx);
    }

    void on_interrupt(command_effects& fx) override { fx.exit_status = 130; }

private:
    std::uint64_t now() const { return environment_.now_us ? environment_.now_us() : 0; }

    void pong(command_effects& fx)
    {
        auto const took_us = now() - asked_us_;
        if (settings_.json) {
            nlohmann::json line{{"pong", true}};
            if (environment_.now_us)
                line["us"] = took_us;
            if (welcome_)
                line.update({{"server", welcome_->server}, {"user", welcome_->user}, {"role", welcome_->role}});
            fx.out += line.dump() + '\n';
        } else {
            fx.out += "pong";
            if (welcome_)
                fx.out += " from " + printable(welcome_->server) + " to " + printable(welcome_->user) + " (" +
                          printable(welcome_->role) + ")";
            if (environment_.now_us) {
                std::array<char, 40> text{};
                std::snprintf(text.data(), text.size(), " in %.3f ms", static_cast<double>(took_us) / 1000);
                fx.out += text.data();
            }
            fx.out += '\n';
        }
        if (++answered_ >= settings_.count)
            fx.exit_status = 0;
        else
            begin(fx);
    }

    void answer(std::string const& body, command_effects& fx)
    {
        auto const data = nlohmann::json::parse(body, nullptr, false);
        if (data.is_discarded() || !data.is_object()) {
            fail(complaint("the server's answer is not JSON", environment_), fx);
            return;
        }
        fx.out += settings_.json ? data.dump() + '\n' : render_who(*settings_.who, data, environment_);
        fx.exit_status = 0;
    }

    static void fail(std::string const& why, command_effects& fx)
    {
        fx.error += why;
        fx.exit_status = 1;
    }

    ask_settings settings_;
    command_environment environment_;
    std::optional<notice::welcome> welcome_;
    std::uint64_t asked_us_ = 0;
    std::uint64_t answered_ = 0;
};

}  // namespace

std::unique_ptr<command> make_ask(ask_settings s, command_environment const& e)
{
    return std::make_unique<ask_command>(s, e);
}

}  // namespace kedge
