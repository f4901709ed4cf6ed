/// The commands that ask the server more than once: those that it runs itself, and those that are shown as they go on.

#include <csignal>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "clients/cli/input.hpp"
#include "clients/cli/run.hpp"
#include "clients/cli/terminal.hpp"
#include "clients/lib/remote_command.hpp"

namespace asio = boost::asio;

namespace kedge::cli {
namespace {

/// A server that went away is tried again after it.
constexpr std::chrono::seconds pause_between_tries{1};
/// What a line of a server's answer may hold before it is taken for something else.
constexpr std::size_t line_bytes_max = 64 * 1024 * 1024;

std::string last_sentence(std::string text)
{
    constexpr std::string_view prefix = "kedge: ";
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
        text.pop_back();
    if (auto const line = text.rfind('\n'); line != text.npos)
        text.erase(0, line + 1);
    return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

/// A command whose answers come one after another, until it or the user ends it.
class live_run {
public:
    live_run(std::unique_ptr<command> c, client_options const& options)
        : command_{std::move(c)}, options_{options}, input_{io_.get_executor()}, signals_{io_, SIGINT, SIGTERM, SIGHUP},
          resizes_{io_, SIGWINCH}, again_{io_}
    {
    }

    int run()
    {
        // However this ends, the terminal is left as it was.
        screen_guard const screen{command_->takes_screen()};
        input_.on_bytes = [this](std::string_view keys) {
            step([&](command_effects& fx) { command_->on_input(keys, fx); });
        };
        input_.on_end = [] {};
        wait_for_signals();
        connect();
        step([](command_effects&) {});
        io_.run();
        return status_.value_or(1);
    }

private:
    void connect()
    {
        line_.clear();
        error_.clear();
        remote_ = std::make_unique<remote_command>(io_, options_, command_->feed());
        remote_->on_output([this](std::string_view bytes, bool is_error_stream) { take(bytes, is_error_stream); });
        remote_->on_end([this](result<int> const& ended) {
            auto const why = ended ? last_sentence(std::move(error_)) : ended.error().message;
            lost(why.empty() ? "the server gave no answer" : why);
        });
    }

    void lost(std::string const& why)
    {
        if (!answered_) {
            step([&](command_effects& fx) {
                command_->on_admin({1, nullptr, why}, fx);
            });
            return;
        }
        if (!std::exchange(away_, true))  // once a loss, not once a try
            step([&](command_effects& fx) { command_->on_away(why, fx); });
        again_.expires_after(pause_between_tries);
        again_.async_wait([this](boost::system::error_code ec) {
            if (!ec)
                connect();
        });
    }

    void take(std::string_view bytes, bool is_error_stream)
    {
        if (is_error_stream) {
            error_.append(bytes.substr(0, line_bytes_max - std::min(error_.size(), line_bytes_max)));
            return;
        }
        line_ += bytes;
        for (auto end = line_.find('\n'); end != line_.npos; end = line_.find('\n')) {
            auto data = nlohmann::json::parse(line_.substr(0, end), nullptr, false);
            line_.erase(0, end + 1);
            answered_ = true;
            away_ = false;
            step([&](command_effects& fx) {
                if (data.is_discarded())
                    command_->on_admin({1, nullptr, "the server's answer is not JSON"}, fx);
                else
                    command_->on_admin({0, std::move(data), {}}, fx);
            });
        }
        if (line_.size() > line_bytes_max)
            step([&](command_effects& fx) { command_->on_admin({1, nullptr, "the server's answer has no end"}, fx); });
    }

    /// Calls are what the feed answers; the rest is done.
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
        if (command_->wants_input() && ::isatty(STDIN_FILENO) != 0)
            input_.want();
    }

    void wait_for_signals()
    {
        signals_.async_wait([this](boost::system::error_code ec, int) {
            if (!ec)
                step([&](command_effects& fx) { command_->on_interrupt(fx); });
        });
        wait_for_resize();
    }

    void wait_for_resize()
    {
        resizes_.async_wait([this](boost::system::error_code ec, int) {
            if (ec)
                return;
            auto const now = look_around();
            step([&](command_effects& fx) { command_->on_resize(now.columns, now.rows, fx); });
            wait_for_resize();
        });
    }

    std::unique_ptr<command> command_;
    client_options options_;
    asio::io_context io_{1};
    input input_;
    asio::signal_set signals_;
    asio::signal_set resizes_;
    asio::steady_timer again_;
    std::unique_ptr<remote_command> remote_;
    std::string line_;
    std::string error_;
    std::optional<int> status_;
    bool answered_ = false;
    bool away_ = false;
};

}  // namespace

int run_live(std::unique_ptr<command> c, client_options const& options) { return live_run{std::move(c), options}.run(); }

int run_at_server(std::vector<std::string> const& words, client_options const& options)
{
    asio::io_context io{1};
    std::optional<int> status;
    remote_command remote{io, options, join_words(words)};
    auto const end = [&](int how) {
        status = how;
        io.stop();
    };
    remote.on_output([&](std::string_view bytes, bool is_error_stream) {
        if (!write_all(is_error_stream ? STDERR_FILENO : STDOUT_FILENO, bytes))
            end(1);  // nobody reads any more
    });
    remote.on_end([&](result<int> const& ended) {
        if (!ended)
            write_all(STDERR_FILENO, "kedge: " + ended.error().message + '\n');
        end(ended ? *ended : 1);
    });
    asio::signal_set signals{io, SIGINT, SIGTERM};
    signals.async_wait([&](boost::system::error_code ec, int) {
        if (!ec)
            end(130);
    });
    io.run();
    return status.value_or(1);
}

}  // namespace kedge::cli
