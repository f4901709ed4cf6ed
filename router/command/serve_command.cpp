/// `kedge serve`: a shell command becomes a service.
///
///     begin -> registering --ok--> serving --Ctrl-C--> finishing --unserved, every job ended--> exit

#include <map>
#include <utility>

#include "router/command/job_queue.hpp"
#include "router/command/talk_commands.hpp"
#include "router/protocol/limits.hpp"

namespace kedge {
namespace {

/// What a failed command is to the caller; a word of the service's own, not one of the server's.
constexpr char failed_code[] = "failed";
constexpr std::size_t sentence_bytes_max = 1000;

class serve_command final : public command {
public:
    serve_command(serve_settings s, command_environment const& e)
        : settings_{std::move(s)}, environment_{e}, jobs_{settings_.jobs, e}
    {
    }

    bool needs_link() const override { return true; }
    bool waits_for_messages() const override { return true; }

    std::optional<op::hello> hello() const override
    {
        op::hello h;
        h.client = "kedge/" KEDGE_VERSION;
        h.node = settings_.node;
        return h;
    }

    void begin(command_effects& fx) override
    {
        op::serve serve;
        serve.id = "serve";
        serve.service = settings_.service;
        serve.version = settings_.version;
        serve.methods = settings_.methods;
        serve.description = settings_.description;
        fx.operations.emplace_back(std::move(serve));
    }

    void on_notice(notice::any const& n, command_effects& fx) override
    {
        if (auto const* c = std::get_if<notice::call>(&n)) {
            called(*c, fx);
        } else if (auto const* welcome = std::get_if<notice::welcome>(&n)) {
            // Calls went with the link that brought them.
            output_bytes_max_ = welcome->max_body != 0 ? welcome->max_body : output_bytes_max_;
            jobs_.forget();
            calls_.clear();
        } else if (auto const* ok = std::get_if<notice::ok>(&n)) {
            if (ok->id == "serve" && !settings_.quiet)
                fx.error += styled("serving", style::dim, environment_) + '\n';
            unserved_ |= ok->id == "unserve";
            finish_if_done(fx);
        } else if (auto const* error = std::get_if<notice::error>(&n)) {
            fail(complaint(*error, environment_), fx);
        } else if (auto const* bye = std::get_if<notice::bye>(&n)) {
            fail(complaint(bye->code, bye->message, environment_), fx);
        }
    }

    void on_job(job_end&& ended, command_effects& fx) override
    {
        if (auto const found = calls_.find(ended.number); found != calls_.end()) {
            answer(found->second, std::move(ended), fx);
            calls_.erase(found);
        }
        jobs_.ended(fx);
        drop_missed(fx);
        finish_if_done(fx);
    }

    void on_interrupt(command_effects& fx) override
    {
        if (finishing_) {
            fx.exit_status = 130;
            return;
        }
        finishing_ = true;
        fx.operations.emplace_back(op::unserve{"unserve", settings_.service});
    }

private:
    struct call {
        std::string handle;
        std::string method;
        std::string from;
        std::uint64_t since_us = 0;
    };

    std::uint64_t now() const { return environment_.now_us ? environment_.now_us() : 0; }

    void called(notice::call const& c, command_effects& fx)
    {
        command_effects::job job;
        job.input = c.body;
        job.timeout_ms = c.left_ms;
        job.environment = {{"KEDGE_SERVICE", c.service}, {"KEDGE_METHOD", c.method}, {"KEDGE_FROM", c.from}};
        call made{c.call, c.method, c.from, now()};
        auto const number = jobs_.add(std::move(job), output_bytes_max_, fx);
        if (number == 0)
            refuse(made, wire_word(error_code::unavailable), "too many calls wait for this instance", "refused", fx);
        else
            calls_.emplace(number, std::move(made));
        drop_missed(fx);
    }

    void drop_missed(command_effects& fx)
    {
        for (auto const number : jobs_.take_missed()) {
            auto const found = calls_.find(number);
            if (found == calls_.end())
                continue;
            tell(found->second, "too late", fx);
            calls_.erase(found);
        }
    }

    void answer(call const& c, job_end&& ended, command_effects& fx)
    {
        if (ended.exit_status != 0) {
            auto why = printable(ended.last_error);
            if (why.empty())
                why = "the command ended with status " + std::to_string(ended.exit_status);
            refuse(c, failed_code, std::move(why), "failed " + std::to_string(ended.exit_status), fx);
        } else if (ended.too_long) {
            refuse(c, wire_word(error_code::too_large),
                   "the answer has more than " + std::to_string(output_bytes_max_) + " bytes", "too large", fx);
        } else {
            op::reply reply;
            reply.call = c.handle;
            reply.message = message::make({{}, {}, {}, {}, ended.out});
            fx.operations.emplace_back(std::move(reply));
            tell(c, "ok", fx);
        }
    }

    void refuse(call const& c, std::string_view code, std::string why, std::string const& shown, command_effects& fx)
    {
        if (why.size() > sentence_bytes_max)
            why = printable(why.substr(0, sentence_bytes_max - 8));  // a character cut in half is shown as its bytes
        op::reply reply;
        reply.call = c.handle;
        reply.error_code = code;
        reply.error_message = std::move(why);
        reply.message = message::make({});
        fx.operations.emplace_back(std::move(reply));
        tell(c, shown, fx);
    }

    /// A line for each call.
    void tell(call const& c, std::string const& how, command_effects& fx) const
    {
        if (settings_.quiet)
            return;
        auto const ms = (now() - c.since_us) / 1000;
        if (settings_.json) {
            fx.out += nlohmann::json{{"method", c.method}, {"from", c.from}, {"result", how}, {"ms", ms}}.dump() + '\n';
            return;
        }
        fx.out += styled(c.method, style::green, environment_) + "  " + styled(printable(c.from), style::dim, environment_) +
                  "  " + how + "  " + std::to_string(ms) + " ms\n";
    }

    void finish_if_done(command_effects& fx) const
    {
        if (finishing_ && unserved_ && jobs_.idle())
            fx.exit_status = 0;
    }

    static void fail(std::string const& why, command_effects& fx)
    {
        fx.error += why;
        fx.exit_status = 1;
    }

    serve_settings settings_;
    command_environment environment_;
    job_queue jobs_;
    std::map<std::uint64_t, call> calls_;  // by number of the job; at most what waits and what runs
    std::size_t output_bytes_max_ = limits{}.body_bytes;
    bool finishing_ = false;
    bool unserved_ = false;
};

}  // namespace

std::unique_ptr<command> make_serve(serve_settings s, command_environment const& e)
{
    return std::make_unique<serve_command>(std::move(s), e);
}

}  // namespace kedge
