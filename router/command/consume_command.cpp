/// `kedge consume`: prints the messages of a durable consumer, or runs a program for each, and acknowledges. `kedge inbox`
/// does so with the mail of its user, which `hello` attaches to.
///
///     begin -> attaching --ok--> running --count, Ctrl-C--> finishing --ok of the acks--> leaving --ok of detach--> exit

#include <algorithm>
#include <deque>
#include <utility>

#include "router/command/commands.hpp"
#include "router/command/units.hpp"

namespace kedge {
namespace {

/// Messages held while one is worked on: hides the way to the server and back, and stays far below the ack wait.
constexpr std::uint64_t exec_window = 16;
/// The server's default ack wait (PROTOCOL.md, "Guarantees"), for how often `working` is due.
constexpr std::uint64_t ack_wait_ms_default = 30'000;
constexpr std::size_t ack_seqs_max = 1024;

class consume_command final : public command {
public:
    consume_command(consume_settings s, command_environment const& e) : settings_{std::move(s)}, environment_{e}
    {
        form_ = settings_.json ? message_form::json : settings_.raw ? message_form::raw : message_form::text;
    }

    bool needs_link() const override { return true; }
    bool waits_for_messages() const override { return true; }

    std::optional<op::hello> hello() const override
    {
        op::hello h;
        h.client = "kedge/" KEDGE_VERSION;
        h.node = settings_.node;
        h.inbox = is_inbox();
        return h;
    }

    void begin(command_effects& fx) override
    {
        if (is_inbox()) {
            attached(fx);
            return;
        }
        op::consume c;
        c.id = "consume";
        c.stream = settings_.stream;
        c.consumer = settings_.consumer;
        c.filter = settings_.filter;
        c.start = settings_.start;
        c.window = settings_.window;
        if (!c.window && with_jobs())
            c.window = exec_window;
        // No more is asked for than will be used: the rest would have to be delivered again.
        if (settings_.count != 0)
            c.window = std::min(c.window.value_or(256), settings_.count);
        c.ack_wait_ms = settings_.ack_wait_ms;
        c.max_deliver = settings_.max_deliver;
        fx.operations.emplace_back(std::move(c));
    }

    void on_notice(notice::any const& n, command_effects& fx) override
    {
        if (done_)
            return;
        if (auto const* m = std::get_if<notice::msg>(&n))
            delivered(*m, fx);
        else if (auto const* ok = std::get_if<notice::ok>(&n))
            confirmed(ok->id, fx);
        else if (auto const* error = std::get_if<notice::error>(&n))
            give_up(complaint(error->code, error->message, environment_), fx);
        else if (auto const* bye = std::get_if<notice::bye>(&n))
            give_up(complaint(bye->code, bye->message, environment_), fx);
    }

    void on_job(job_end&& ended, command_effects& fx) override
    {
        if (done_ || !job_running_ || ended.number != job_number_)
            return;
        job_running_ = false;
        auto const m = std::move(held_.front());
        held_.pop_front();
        if (ended.exit_status == 0) {
            acknowledge(m.seq, fx);
        } else {
            if (!settings_.quiet)
                fx.error += complaint("the command ended with status " + std::to_string(ended.exit_status) + " for " +
                                          m.stream + ' ' + std::to_string(m.seq) + "; it is delivered again",
                                      environment_);
            op::nak nak;
            nak.consumer = settings_.consumer;
            nak.stream = settings_.stream;
            nak.seq = m.seq;
            nak.delay_ms = settings_.retry_delay_ms;
            fx.operations.emplace_back(std::move(nak));
        }
        advance(fx);
    }

    void on_second(command_effects& fx) override
    {
        auto const third_s = std::max<std::uint64_t>(1, settings_.ack_wait_ms.value_or(ack_wait_ms_default) / 3000);
        if (++seconds_ % third_s != 0 || done_)
            return;
        for (auto const& m : held_) {
            op::working working;
            working.consumer = settings_.consumer;
            working.stream = settings_.stream;
            working.seq = m.seq;
            fx.operations.emplace_back(std::move(working));
        }
    }

    void on_interrupt(command_effects& fx) override
    {
        if (finishing_ || !attached_) {
            done_ = true;
            fx.exit_status = finishing_ ? 130 : 0;
            return;
        }
        finishing_ = true;
        advance(fx);
    }

private:
    bool with_jobs() const { return !settings_.exec.empty(); }
    bool is_inbox() const { return !settings_.node.empty(); }

    void attached(command_effects& fx)
    {
        attached_ = true;
        if (!settings_.quiet)
            fx.error += styled("attached", style::dim, environment_) + '\n';
    }

    std::string render(notice::msg const& m) const
    {
        if (!is_inbox() || form_ != message_form::text)
            return render_message(m, form_, environment_);
        // The subject says only whose mail it is; what has waited for days shows it.
        return styled(format_time_ms(m.time_ms), style::dim, environment_) + "  " +
               styled(printable(m.from), style::green, environment_) + "  " + printable(m.body) + '\n';
    }

    void delivered(notice::msg const& m, command_effects& fx)
    {
        if (finishing_)
            return;  // goes to others when this link detaches
        if (with_jobs()) {
            held_.push_back(m);
            advance(fx);
            return;
        }
        fx.out += render(m);
        acknowledge(m.seq, fx);
        advance(fx);
    }

    void acknowledge(message_seq seq, command_effects& fx)
    {
        to_ack_.push_back(seq);
        ++finished_;
        if (settings_.count != 0 && finished_ == settings_.count)
            finishing_ = true;
        send_acks(fx);
    }

    /// One ack under way at a time; what gathers meanwhile is the next. Its `ok` says that the position is committed.
    void send_acks(command_effects& fx)
    {
        if (ack_under_way_ || to_ack_.empty())
            return;
        op::ack ack;
        ack.id = "ack";
        ack.consumer = settings_.consumer;
        ack.stream = settings_.stream;
        auto const end = to_ack_.begin() + static_cast<std::ptrdiff_t>(std::min(to_ack_.size(), ack_seqs_max));
        ack.seqs.assign(to_ack_.begin(), end);
        to_ack_.erase(to_ack_.begin(), end);
        ack_under_way_ = true;
        fx.operations.emplace_back(std::move(ack));
    }

    /// Starts the next job, or the way out: when every ack is committed, the rest is left to others.
    void advance(command_effects& fx)
    {
        if (job_running_)
            return;
        if (!finishing_) {
            if (with_jobs() && !held_.empty())
                start_job(fx);
            return;
        }
        if (leaving_ || ack_under_way_)
            return;
        leaving_ = true;
        if (is_inbox()) {
            done_ = true;
            fx.exit_status = 0;
            return;
        }
        op::detach detach;
        detach.id = "detach";
        detach.consumer = settings_.consumer;
        detach.stream = settings_.stream;
        fx.operations.emplace_back(std::move(detach));
    }

    void start_job(command_effects& fx)
    {
        auto const& m = held_.front();
        command_effects::job job;
        job.number = ++job_number_;
        job.shell = settings_.exec;
        job.input = m.body;
        auto const set = [&](std::string name, std::string value) {
            job.environment.emplace_back("KEDGE_" + std::move(name), std::move(value));
        };
        set("SUBJECT", m.subject);
        set("FROM", m.from);
        set("STREAM", m.stream);
        set("SEQ", std::to_string(m.seq));
        set("TIME_MS", std::to_string(m.time_ms));
        set("CONSUMER", m.consumer);
        set("TRIES", std::to_string(m.tries));
        set("PUB_ID", m.pub_id);
        set("REPLY_TO", m.reply_to);
        set("HEADERS", m.headers.empty() ? "{}" : m.headers);
        job_running_ = true;
        fx.jobs.push_back(std::move(job));
    }

    void confirmed(std::string const& id, command_effects& fx)
    {
        if (id == "consume") {
            attached(fx);
        } else if (id == "ack") {
            ack_under_way_ = false;
            send_acks(fx);
            advance(fx);
        } else if (id == "detach") {
            done_ = true;
            fx.exit_status = 0;
        }
    }

    void give_up(std::string const& why, command_effects& fx)
    {
        done_ = true;
        fx.error += why;
        fx.exit_status = 1;
    }

    consume_settings settings_;
    command_environment environment_;
    message_form form_ = message_form::text;

    std::deque<notice::msg> held_;  // with --exec: the one worked on, and those behind it; at most the window
    std::uint64_t job_number_ = 0;
    std::uint64_t finished_ = 0;
    std::uint64_t seconds_ = 0;
    std::vector<message_seq> to_ack_;
    bool ack_under_way_ = false;
    bool job_running_ = false;
    bool attached_ = false;
    bool finishing_ = false;
    bool leaving_ = false;
    bool done_ = false;
};

}  // namespace

std::unique_ptr<command> make_consume(consume_settings s, command_environment const& e)
{
    return std::make_unique<consume_command>(std::move(s), e);
}

}  // namespace kedge
