/// A command of several calls, each carried out by the server over a connection of its own: what comes between them (a
/// question to the person, waiting, a progress bar) happens here.

#include <csignal>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "clients/cli/input.hpp"
#include "clients/cli/run.hpp"
#include "clients/cli/terminal.hpp"
#include "clients/lib/remote_command.hpp"

namespace asio = boost::asio;

namespace kedge::cli {
namespace {

/// What a server's answer may hold before it is taken for something else.
constexpr std::size_t answer_bytes_max = 64 * 1024 * 1024;

class step_run {
public:
    step_run(std::unique_ptr<command> c, client_options const& options, command_environment e)
        : command_{std::move(c)}, options_{options}, environment_{std::move(e)}, input_{io_.get_executor()},
          signals_{io_, SIGINT, SIGTERM, SIGHUP}, alarm_{io_}
    {
    }

    int run()
    {
        input_.on_bytes = [this](std::string_view bytes) {
            step([&](command_effects& fx) { command_->on_input(bytes, fx); });
        };
        input_.on_end = [this] { step([&](command_effects& fx) { command_->on_input_end(fx); }); };
        signals_.async_wait([this](boost::system::error_code ec, int) {
            if (!ec)
                step([&](command_effects& fx) { command_->on_interrupt(fx); });
        });
        step([&](command_effects& fx) { command_->begin(fx); });
        io_.run();
        return status_.value_or(1);
    }

private:
    void ask(admin_call const& call)
    {
        out_.clear();
        error_.clear();
        remote_ = std::make_unique<remote_command>(io_, options_, command_->line_of(call));
        remote_->on_output([this](std::string_view bytes, bool is_error_stream) {
            auto& to = is_error_stream ? error_ : out_;
            to.append(bytes.substr(0, answer_bytes_max - std::min(to.size(), answer_bytes_max)));
        });
        remote_->on_end([this](result<int> const& ended) {
            auto answer = ended ? answer_of(*ended) : admin_result{1, nullptr, ended.error().message};
            // The connection is still calling; it goes when the next one comes.
            asio::post(io_, [this, answer = std::move(answer)] {
                step([&](command_effects& fx) { command_->on_admin(answer, fx); });
            });
        });
    }

    /// An answer that says no has data, too.
    admin_result answer_of(int exit_status)
    {
        constexpr std::string_view prefix = "kedge: ";
        auto data = nlohmann::json::parse(out_, nullptr, false);
        if (data.is_discarded()) {
            data = nullptr;
            if (exit_status == 0)
                return {1, nullptr, "the server's answer is not JSON"};
        }
        while (!error_.empty() && error_.back() == '\n')
            error_.pop_back();
        return {exit_status, std::move(data), error_.starts_with(prefix) ? error_.substr(prefix.size()) : error_};
    }

    void step(std::function<void(command_effects&)> const& what)
    {
        if (status_)
            return;
        command_effects fx;
        what(fx);
        bool const written = write_all(STDOUT_FILENO, fx.out);
        write_all(STDERR_FILENO, fx.error);
        if (fx.exit_status || !written) {
            status_ = fx.exit_status.value_or(1);
            io_.stop();
            return;
        }
        if (!fx.calls.empty())
            ask(fx.calls.front());
        if (command_->wants_input())
            input_.want();
        if (auto const due = command_->due_us()) {
            auto const now = environment_.now_us();
            alarm_.expires_after(std::chrono::microseconds{*due > now ? *due - now : 0});
            alarm_.async_wait([this](boost::system::error_code ec) {
                if (!ec)
                    step([&](command_effects& fx) { command_->on_time(fx); });
            });
        }
    }

    std::unique_ptr<command> command_;
    client_options options_;
    command_environment environment_;
    asio::io_context io_{1};
    input input_;
    asio::signal_set signals_;
    asio::steady_timer alarm_;
    std::unique_ptr<remote_command> remote_;
    std::string out_;
    std::string error_;
    std::optional<int> status_;
};

}  // namespace

int run_steps(std::unique_ptr<command> c, client_options const& options, command_environment const& e)
{
    return step_run{std::move(c), options, e}.run();
}

}  // namespace kedge::cli
