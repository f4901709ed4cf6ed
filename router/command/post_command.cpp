/// `kedge post`: one message to users, nodes, aliases and lists. Done when it is stored for all of them.

#include <utility>

#include "router/command/one_body.hpp"
#include "router/command/talk_commands.hpp"
#include "router/protocol/encoding.hpp"

namespace kedge {
namespace {

class post_command final : public command {
public:
    post_command(post_settings s, std::string headers, command_environment const& e)
        : settings_{std::move(s)}, headers_{std::move(headers)}, environment_{e}, body_{std::move(settings_.text)}
    {
        if (settings_.id.empty())
            settings_.id = random_token();
    }

    bool needs_link() const override { return true; }

    std::optional<op::hello> hello() const override
    {
        op::hello h;
        h.client = "kedge/" KEDGE_VERSION;
        h.node = settings_.node;
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
        } else if (auto const* ok = std::get_if<notice::ok>(&n); ok != nullptr && ok->id == settings_.id) {
            if (settings_.json)
                fx.out += std::string{encode(n, encoding::lines)->view()};
            else if (!settings_.quiet)
                fx.out += ok->stream + ' ' + std::to_string(ok->seq) + (ok->dup ? " duplicate\n" : "\n");
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
        op::post post;
        post.to = settings_.to;
        post.message = message::make({{}, settings_.id, {}, headers_, body_.bytes()});
        fx.operations.emplace_back(std::move(post));
    }

    static void fail(std::string const& why, command_effects& fx)
    {
        fx.error += why;
        fx.exit_status = 1;
    }

    post_settings settings_;
    std::string headers_;
    command_environment environment_;
    one_body body_;
    bool begun_ = false;
    bool sent_ = false;
};

}  // namespace

std::string complaint(notice::error const& error, command_environment const& e)
{
    // A code of a service's own is part of the sentence already.
    auto said = error.word.empty() ? complaint(error.code, error.message, e) : complaint(error.message, e);
    std::string names;
    for (auto const& name : error.unknown)
        if (error.message.find(name) == std::string::npos)
            names += ' ' + printable(name);
    if (!names.empty())
        said.insert(said.size() - 1, ":" + names);
    return said;
}

std::unique_ptr<command> make_post(post_settings s, command_environment const& e)
{
    auto headers = headers_json(s.headers).value();  // the grammar checked them
    return std::make_unique<post_command>(std::move(s), std::move(headers), e);
}

}  // namespace kedge
