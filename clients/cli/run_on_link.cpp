#include <csignal>

#include <unistd.h>

#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "clients/cli/input.hpp"
#include "clients/cli/job.hpp"
#include "clients/cli/run.hpp"
#include "clients/cli/terminal.hpp"

namespace asio = boost::asio;

namespace kedge::cli {
namespace {

/// How long a farewell may take.
constexpr std::chrono::seconds farewell{2};
/// Output gathers up to this before it is written, as long as nothing waits for it.
constexpr std::size_t gathered_bytes = 64 * 1024;

class link_run {
public:
    link_run(std::unique_ptr<command> c, client_options options)
        : command_{std::move(c)}, timeout_{options.connect_timeout}, client_{io_, first_try(std::move(options))},
          input_{io_.get_executor()}, jobs_{io_.get_executor()}, signals_{io_, SIGINT, SIGTERM}, second_{io_}, alarm_{io_},
          farewell_{io_}
    {
    }

    int run()
    {
        client_.on_connected([this](notice::welcome const&) { connected(); });
        client_.on_disconnected([this](std::string const& why) {
            up_ = false;
            if (!std::exchange(told_, true))  // once a loss, not once a try
                say("kedge: " + why + "; trying again\n");
        });
        client_.on_ended([this](std::string const& why) {
            if (!status_)
                say("kedge: " + why + '\n');
            finish(1);
        });
        client_.on_notice([this](notice::any const& n) {
            step([&](command_effects& fx) { command_->on_notice(n, fx); });
            if (!begun_ && std::holds_alternative<notice::welcome>(n)) {
                begun_ = true;
                step([&](command_effects& fx) { command_->begin(fx); });
            }
        });
        input_.on_bytes = [this](std::string_view bytes) {
            step([&](command_effects& fx) { command_->on_input(bytes, fx); });
        };
        input_.on_end = [this] { step([&](command_effects& fx) { command_->on_input_end(fx); }); };
        wait_for_signal();
        each_second();
        io_.run();
        return status_.value_or(1);
    }

private:
    /// A server that is not there may be starting: it is tried for a while.
    client_options first_try(client_options o) const
    {
        if (auto const hello = command_->hello()) {
            o.node = hello->node;
            o.inbox = hello->inbox;
            if (!hello->client.empty())
                o.client = hello->client;
        }
        o.give_up_after = timeout_;
        return o;
    }

    void connected()
    {
        up_ = true;
        told_ = false;
        // A command that was asked to wait for messages waits; one that was to do something says when it cannot.
        client_.give_up_after(command_->waits_for_messages() ? std::chrono::milliseconds{0} : timeout_);
    }

    void step(std::function<void(command_effects&)> const& what)
    {
        if (status_)
            return;
        command_effects fx;
        what(fx);
        out_ += fx.out;
        if (!fx.error.empty()) {
            flush();
            say(fx.error);
        }
        // What is acknowledged was written before.
        if (!fx.operations.empty() || out_.size() >= gathered_bytes || fx.exit_status)
            flush();
        for (auto& operation : fx.operations)
            if (auto const taken = client_.submit(std::move(operation)); !taken) {
                say("kedge: " + taken.error().message + '\n');
                finish(1);
                return;
            }
        for (auto& job : fx.jobs)
            jobs_.run(std::move(job), [this](job_end&& ended) {
                step([&](command_effects& more) { command_->on_job(std::move(ended), more); });
            });
        if (fx.exit_status) {
            finish(*fx.exit_status);
            return;
        }
        if (!out_.empty() && !flush_posted_) {
            flush_posted_ = true;
            asio::post(io_, [this] {
                flush_posted_ = false;
                flush();
            });
        }
        if (command_->wants_input())
            input_.want();
        set_alarm();
    }

    void set_alarm()
    {
        auto const due = command_->due_us();
        if (due == alarm_us_)
            return;
        alarm_us_ = due;
        alarm_.cancel();
        if (!due)
            return;
        // `now_us` of the environment is this clock.
        alarm_.expires_at(std::chrono::steady_clock::time_point{std::chrono::microseconds{*due}});
        alarm_.async_wait([this](boost::system::error_code ec) {
            if (ec)
                return;
            alarm_us_.reset();
            step([&](command_effects& fx) { command_->on_time(fx); });
        });
    }

    void flush()
    {
        if (!out_.empty() && !write_all(STDOUT_FILENO, std::exchange(out_, {})))
            finish(1);  // nobody reads any more
    }

    static void say(std::string_view text) { write_all(STDERR_FILENO, text); }

    void wait_for_signal()
    {
        signals_.async_wait([this](boost::system::error_code ec, int) {
            if (ec)
                return;
            if (!begun_)
                finish(130);
            else
                step([&](command_effects& fx) { command_->on_interrupt(fx); });
            wait_for_signal();
        });
    }

    void each_second()
    {
        second_.expires_after(std::chrono::seconds{1});
        second_.async_wait([this](boost::system::error_code ec) {
            if (ec)
                return;
            step([&](command_effects& fx) { command_->on_second(fx); });
            each_second();
        });
    }

    void finish(int status)
    {
        if (status_)
            return;
        status_ = status;
        input_.stop();
        second_.cancel();
        alarm_.cancel();
        if (status != 0)
            jobs_.terminate();
        if (!up_) {
            io_.stop();
            return;
        }
        client_.close([this] { io_.stop(); });
        farewell_.expires_after(farewell);
        farewell_.async_wait([this](boost::system::error_code ec) {
            if (!ec)
                io_.stop();
        });
    }

    std::unique_ptr<command> command_;
    std::chrono::milliseconds timeout_;
    asio::io_context io_{1};
    client client_;
    input input_;
    job_runner jobs_;
    asio::signal_set signals_;
    asio::steady_timer second_;
    asio::steady_timer alarm_;
    asio::steady_timer farewell_;
    std::optional<std::uint64_t> alarm_us_;
    std::string out_;
    std::optional<int> status_;
    bool begun_ = false;
    bool up_ = false;
    bool told_ = false;
    bool flush_posted_ = false;
};

}  // namespace

int run_on_link(std::unique_ptr<command> c, client_options options)
{
    return link_run{std::move(c), std::move(options)}.run();
}

}  // namespace kedge::cli
