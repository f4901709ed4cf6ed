/// `kedge call`: asks a service, or whoever subscribes to a subject, and prints the answer.

#include <utility>

#include "router/command/one_body.hpp"
#include "router/command/talk_commands.hpp"
#include "router/protocol/encoding.hpp"

namespace kedge {
namespace {

constexpr char call_id[] = "call";

class call_command final : public command {
public:
    call_command(call_settings s, command_environment const& e)
        : settings_{std::move(s)}, environment_{e}, body_{std::move(settings_.text)}
    {
    }

    bool needs_link() const override { return true; }

    std::optional<op::hello> hello() const override
    {
        op::hello h;
        h.client = "kedge/" KEDGE_VERSION;
        return h;
    }

    bool wants_input() const override { return begun_ && !sent_ && body_.wants_input(); }

    void begin(command_effects& fx) override
    {
        begun_ = true;
        send_if_whole(fx);
    }

    void on_input(std::string_view bytes, command_effects& fx) override
    {
        body_.take(bytes);
        if (body_.problem())
            send_if_whole(fx);
    }

    void on_input_end(command_effects& fx) override
    {
        body_.end();
        send_if_whole(fx);
    }

    void on_notice(notice::any const& n, command_effects& fx) override
    {
        if (auto const* welcome = std::get_if<notice::welcome>(&n)) {
            body_.set_max(welcome->max_body);
        } else if (auto const* reply = std::get_if<notice::reply>(&n); reply != nullptr && reply->id == call_id) {
            if (settings_.json)
                fx.out += std::string{encode(n, encoding::lines)->view()};
            else
                fx.out += reply->body;
            if (!settings_.json && !settings_.raw && !reply->body.ends_with('\n'))
                fx.out += '\n';
            fx.exit_status = 0;
        } else if (auto const* error = std::get_if<notice::error>(&n)) {
            fail(complaint(*error, environment_), fx);
        } else if (auto const* bye = std::get_if<notice::bye>(&n)) {
            fail(complaint(bye->code, bye->message, environment_), fx);
        }
    }

    void on_interrupt(command_effects& fx) override { fx.exit_status = 130; }

private:
    void send_if_whole(command_effects& fx)
    {
        if (auto const problem = body_.problem())
            return fail(complaint(*problem, environment_), fx);
        if (sent_ || !body_.whole())
            return;
        sent_ = true;
        op::call call;
        call.service = settings_.service;
        call.method = settings_.method;
        call.timeout_ms = settings_.timeout_ms;
        call.message = message::make({settings_.subject, call_id, {}, {}, body_.bytes()});
        fx.operations.emplace_back(std::move(call));
    }

    static void fail(std::string const& why, command_effects& fx)
    {
        fx.error += why;
        fx.exit_status = 1;
    }

    call_settings settings_;
    command_environment environment_;
    one_body body_;
    bool begun_ = false;
    bool sent_ = false;
};

}  // namespace

std::unique_ptr<command> make_call(call_settings s, command_environment const& e)
{
    return std::make_unique<call_command>(std::move(s), e);
}

}  // namespace kedge
