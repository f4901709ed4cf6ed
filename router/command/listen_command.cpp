/// `kedge control --listen`: a bot that runs a shell command for what a controller says, and answers with what it prints.

#include <algorithm>
#include <map>
#include <utility>

#include "router/command/job_queue.hpp"
#include "router/command/talk_commands.hpp"
#include "router/protocol/limits.hpp"

namespace kedge {
namespace {

class listen_command final : public command {
public:
    listen_command(listen_settings s, command_environment const& e)
        : settings_{std::move(s)}, environment_{e}, jobs_{settings_.jobs, e}
    {
    }

    bool needs_link() const override { return true; }
    bool waits_for_messages() const override { return true; }

    std::optional<op::hello> hello() const override
    {
        op::hello h;
        h.client = "kedge/" KEDGE_VERSION;
        h.node = settings_.node.empty() ? control_node : settings_.node;
        return h;
    }

    void begin(command_effects& fx) override
    {
        std::vector<std::string> subjects{control_all, control_bot + user_};
        for (auto const& group : settings_.groups)
            subjects.push_back(control_group + group);
        for (auto const& subject : subjects)
            fx.operations.emplace_back(op::subscribe{subject, subject, {}});
        unconfirmed_ = subjects.size();
    }

    void on_notice(notice::any const& n, command_effects& fx) override
    {
        if (auto const* m = std::get_if<notice::msg>(&n)) {
            told(*m, fx);
        } else if (auto const* welcome = std::get_if<notice::welcome>(&n)) {
            user_ = welcome->user;
            output_bytes_max_ = welcome->max_body != 0 ? welcome->max_body : output_bytes_max_;
        } else if (std::holds_alternative<notice::ok>(n)) {
            if (unconfirmed_ != 0 && --unconfirmed_ == 0 && !settings_.quiet)
                fx.error += styled("listening", style::dim, environment_) + '\n';
        } else if (auto const* error = std::get_if<notice::error>(&n)) {
            // An answer that is refused is the controller's loss; a subscription that is refused is the end.
            fx.error += complaint(*error, environment_);
            if (unconfirmed_ != 0)
                fx.exit_status = 1;
        } else if (auto const* bye = std::get_if<notice::bye>(&n)) {
            fx.error += complaint(bye->code, bye->message, environment_);
            fx.exit_status = 1;
        }
    }

    void on_job(job_end&& ended, command_effects& fx) override
    {
        if (auto const found = commands_.find(ended.number); found != commands_.end()) {
            auto const made = std::move(found->second);
            commands_.erase(found);
            if (ended.exit_status != 0 && ended.out.empty())
                ended.out = ended.last_error;
            answer(made, ended.too_long ? 1 : ended.exit_status, ended.out, fx);
        }
        jobs_.ended(fx);
        finish_if_done(fx);
    }

    void on_interrupt(command_effects& fx) override
    {
        if (std::exchange(finishing_, true)) {
            fx.exit_status = 130;
            return;
        }
        // What has not begun will not: the controller shows that it has no answer.
        jobs_.forget();
        finish_if_done(fx);
    }

private:
    struct order {
        std::string from;
        std::string reply_to;
        std::string subject;
    };

    bool obeys(std::string_view from) const
    {
        auto const user = from.substr(0, from.find('/'));
        return settings_.from.empty() || std::find(settings_.from.begin(), settings_.from.end(), user) != settings_.from.end();
    }

    void told(notice::msg const& m, command_effects& fx)
    {
        if (finishing_)
            return;
        order made{m.from, m.reply_to, m.subject};
        if (!obeys(m.from)) {
            answer(made, 1, "this bot does not take commands from you", fx);
            return;
        }
        command_effects::job job;
        job.input = m.body;
        job.environment = {{"KEDGE_SUBJECT", m.subject},
                           {"KEDGE_FROM", m.from},
                           {"KEDGE_HEADERS", m.headers.empty() ? "{}" : m.headers}};
        auto const number = jobs_.add(std::move(job), output_bytes_max_, fx);
        if (number == 0)
            answer(made, 1, "too many commands wait for this bot", fx);
        else
            commands_.emplace(number, std::move(made));
    }

    void answer(order const& to, int status, std::string_view text, command_effects& fx) const
    {
        if (!to.reply_to.empty()) {
            op::publish publish;
            publish.message = message::make(
                {to.reply_to, {}, {}, nlohmann::json{{control_status, std::to_string(status)}}.dump(), text});
            fx.operations.emplace_back(std::move(publish));
        }
        if (settings_.quiet)
            return;
        if (settings_.json)
            fx.out += nlohmann::json{{"subject", to.subject}, {"from", to.from}, {"status", status}}.dump() + '\n';
        else
            fx.out += styled(printable(to.subject), style::green, environment_) + "  " +
                      styled(printable(to.from), style::dim, environment_) + "  " +
                      (status == 0 ? "ok" : "failed " + std::to_string(status)) + '\n';
    }

    void finish_if_done(command_effects& fx) const
    {
        if (finishing_ && jobs_.idle())
            fx.exit_status = 0;
    }

    listen_settings settings_;
    command_environment environment_;
    job_queue jobs_;
    std::map<std::uint64_t, order> commands_;  // by number of the job; at most what waits and what runs
    std::string user_;
    std::size_t output_bytes_max_ = limits{}.body_bytes;
    std::size_t unconfirmed_ = 0;
    bool finishing_ = false;
};

}  // namespace

std::unique_ptr<command> make_listen(listen_settings s, command_environment const& e)
{
    return std::make_unique<listen_command>(std::move(s), e);
}

}  // namespace kedge
