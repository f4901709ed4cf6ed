#pragma once
/// Keeps one session of the protocol on a link: connects, fails over, waits, moves bytes. Internal to clients/lib.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "clients/lib/client.hpp"
#include "clients/lib/sansio/backoff.hpp"
#include "clients/lib/sansio/session.hpp"
#include "clients/lib/ssh_connection.hpp"

namespace kedge::client_lib {

/// Sixteen random hexadecimal digits.
std::string random_name();

/// What a client's options say about the login.
ssh_login login_of(client_options const&);

/// One thread. Kept alive by what is under way until `stop`.
class client_pump final : public std::enable_shared_from_this<client_pump>, private ssh_connection::handler {
public:
    client_pump(boost::asio::any_io_executor, client_options const&);

    std::function<void(notice::any&)> on_notice;
    std::function<void()> on_room;
    std::function<void(std::string const&)> on_disconnected;
    std::function<void(std::string const&)> on_ended;

    void start();
    /// Drops everything; nothing is called any more.
    void stop();
    /// Waits for every answer, quits, then calls `done`.
    void close(std::function<void()> done);

    result<void> submit(op::any);
    result<void> submit_numbered(std::string stream, op::publish);
    void abandon(std::string const& id);
    void give_up_after(std::chrono::milliseconds t) { options_.give_up_after = t; }
    void pause();
    void resume();

    class session const& session() const noexcept { return session_; }
    boost::asio::any_io_executor executor() const { return executor_; }
    std::uint64_t body_max() const noexcept { return body_max_; }

private:
    void on_open() override;
    void on_data(std::string_view, bool is_error_stream) override;
    void on_writable(std::string& out, std::size_t bytes_max) override;
    void on_end(std::optional<int> exit_status, std::optional<ssh_failure>) override;

    void connect();
    void drop(std::string const& why);
    void retry_after(std::chrono::milliseconds, std::string const& why);
    void give_up(std::string const& why);
    void watch();
    void dispatch();
    void wake();
    bool finish_if_closed();
    std::uint64_t now_ms() const;

    boost::asio::any_io_executor executor_;
    client_options options_;
    std::vector<ssh_address> servers_;
    class session session_;
    backoff backoff_;
    std::shared_ptr<ssh_connection> connection_;
    boost::asio::steady_timer retry_timer_;
    boost::asio::steady_timer watch_timer_;
    std::function<void()> closed_;
    std::uint64_t body_max_;
    std::uint64_t without_link_since_ms_ = 0;
    std::size_t lasting_failures_ = 0;  // in a row: as many as there are servers end it
    bool stopped_ = false;
    bool open_ = false;
    bool paused_ = false;
    bool had_room_ = true;
    bool notices_posted_ = false;
    bool welcomed_ = false;  // this link got as far as `welcome`
};

}  // namespace kedge::client_lib
