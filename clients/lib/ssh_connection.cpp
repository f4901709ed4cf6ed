/// The pump for one libssh session under Asio. libssh reads and writes its own descriptor; Asio only says when it is
/// ready, on the descriptor that this dup'ed from. Callbacks of libssh only queue.

#include "clients/lib/ssh_connection.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "clients/lib/ssh_handles.hpp"

namespace asio = boost::asio;
using asio::ip::tcp;

namespace kedge::client_lib {
namespace {

constexpr std::size_t write_bytes = 32 * 1024;    // one packet
constexpr std::size_t gather_bytes = 128 * 1024;  // asked of the user at once
constexpr int turns_max = 32;                     // of 4 KiB each, before others get their turn

}  // namespace

struct ssh_connection::impl {
    impl(asio::any_io_executor e, ssh_address a, ssh_login l, ssh_request r, handler& h)
        : to{std::move(a)}, login{std::move(l)}, request{std::move(r)}, user{&h}, resolver{e}, socket{e}, deadline{e}
    {
    }
    ~impl() { release(); }

    ssh_address to;
    ssh_login login;
    ssh_request request;
    handler* user;  // null once `on_end` was called or the user closed

    tcp::resolver resolver;
    tcp::socket socket;
    asio::steady_timer deadline;
    bool timed_out = false;

    // In the order of their making; given back in the reverse.
    lent_descriptor descriptor;
    session_ptr session;
    event_ptr event;
    ssh_channel channel = nullptr;
    ssh_channel_callbacks_struct callbacks{};

    bool opened = false;
    bool read_armed = false;
    bool write_armed = false;
    bool turn_posted = false;
    bool in_turn = false;
    bool paused = false;
    bool input_ended = false;
    bool eof_sent = false;
    bool channel_closed = false;
    std::optional<int> exit_status;

    std::string inbox;        // what callbacks queued for the user; at most `turns_max` reads
    std::string error_inbox;  // of the error stream
    std::string outbox;       // taken from the user, not yet written
    std::size_t outbox_at = 0;

    using self_ptr = std::shared_ptr<ssh_connection>;

    // --- callbacks of libssh: only queue ---

    static int on_channel_data(ssh_session, ssh_channel, void* data, std::uint32_t size, int is_stderr, void* self) noexcept
    {
        auto& i = *static_cast<impl*>(self);
        (is_stderr != 0 ? i.error_inbox : i.inbox).append(static_cast<char const*>(data), size);
        return static_cast<int>(size);
    }
    static void on_channel_close(ssh_session, ssh_channel, void* self) noexcept
    {
        static_cast<impl*>(self)->channel_closed = true;
    }
    static void on_exit_status(ssh_session, ssh_channel, int status, void* self) noexcept
    {
        static_cast<impl*>(self)->exit_status = status;
    }

    // --- connecting ---

    /// Waits until libssh can go on.
    asio::awaitable<void> ready()
    {
        auto const flags = ssh_get_poll_flags(session.get());
        boost::system::error_code ec;
        co_await socket.async_wait((flags & SSH_WRITE_PENDING) != 0 ? tcp::socket::wait_write : tcp::socket::wait_read,
                                   asio::redirect_error(asio::use_awaitable, ec));
        if (ec)
            throw ssh_failure{trouble::unreachable, late()};
    }

    std::string late() const { return to_string(to) + " did not answer in time"; }

    [[noreturn]] void fail(trouble what, std::string const& sentence) { throw ssh_failure{what, sentence}; }
    [[noreturn]] void fail_with_library(trouble what)
    {
        fail(what, to_string(to) + ": " + ssh_get_error(session.get()));
    }

    asio::awaitable<void> connect_tcp()
    {
        boost::system::error_code ec;
        auto const found = co_await resolver.async_resolve(to.host, std::to_string(to.port),
                                                           asio::redirect_error(asio::use_awaitable, ec));
        if (ec)
            fail(trouble::unreachable, timed_out ? late() : "the name " + to.host + " is not known: " + ec.message());
        co_await asio::async_connect(socket, found, asio::redirect_error(asio::use_awaitable, ec));
        if (ec)
            fail(trouble::unreachable, timed_out ? late() : "cannot connect to " + to_string(to) + ": " + ec.message());
        socket.set_option(tcp::no_delay{true}, ec);
        socket.native_non_blocking(true, ec);
        // The status flags are shared by both descriptors: non-blocking for libssh too.
        int const fd = ::fcntl(socket.native_handle(), F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            fail(trouble::unreachable, "no more files may be opened");
        descriptor.lend(fd);
        session = make_session(fd, to, login);
    }

    asio::awaitable<void> exchange_keys()
    {
        for (;;) {
            auto const rc = ssh_connect(session.get());
            if (rc == SSH_OK)
                break;
            if (rc != SSH_AGAIN)
                fail_with_library(trouble::unreachable);
            co_await ready();
        }
        if (auto why = check_host_key(session.get(), to, login))
            throw std::move(*why);
    }

    /// True if the server took this key; null: the agent's and ssh's own.
    asio::awaitable<bool> offer(ssh_key key)
    {
        for (;;) {
            auto const rc = key != nullptr ? ssh_userauth_publickey(session.get(), nullptr, key)
                                           : ssh_userauth_publickey_auto(session.get(), nullptr, nullptr);
            if (rc == SSH_AUTH_SUCCESS)
                co_return true;
            if (rc == SSH_AUTH_ERROR && ssh_is_connected(session.get()) == 0) {
                // Only a server that says why it ends the login means it; a line that is cut may be a server that was killed.
                std::string const why = ssh_get_error(session.get());
                if (why.find("SSH_MSG_DISCONNECT") != std::string::npos)
                    fail(trouble::denied, to_string(to) + " ended the login: " + why);
                fail(trouble::lost, "the connection to " + to_string(to) + " was lost during the login");
            }
            if (rc != SSH_AUTH_AGAIN)
                co_return false;
            co_await ready();
        }
    }

    asio::awaitable<void> log_in()
    {
        if (!login.agent)
            ssh_set_agent_socket(session.get(), -1);
        std::string why_not;
        std::size_t offered = 0;
        for (auto const& path : login.identities) {
            auto const key = read_identity(path, why_not);
            if (!key)
                continue;
            ++offered;
            if (co_await offer(key.get()))
                co_return;
        }
        if (login.identities.empty() && co_await offer(nullptr))
            co_return;
        if (!login.identities.empty() && offered == 0)
            fail(trouble::denied, why_not);
        fail(trouble::denied, to_string(to) + " accepts none of your keys for " + to.user +
                                  (why_not.empty() ? "" : "; " + why_not));
    }

    asio::awaitable<void> open_channel()
    {
        event.reset(ssh_event_new());
        if (!event || ssh_event_add_session(event.get(), session.get()) != SSH_OK)
            fail_with_library(trouble::lost);
        channel = ssh_channel_new(session.get());
        if (channel == nullptr)
            fail_with_library(trouble::lost);
        ssh_callbacks_init(&callbacks);
        callbacks.userdata = this;
        callbacks.channel_data_function = on_channel_data;
        callbacks.channel_close_function = on_channel_close;
        callbacks.channel_exit_status_function = on_exit_status;
        ssh_set_channel_callbacks(channel, &callbacks);
        for (;;) {
            auto const rc = ssh_channel_open_session(channel);
            if (rc == SSH_OK)
                break;
            if (rc != SSH_AGAIN)
                fail_with_library(trouble::refused);
            co_await ready();
        }
        for (;;) {
            auto const rc = request.what == ssh_request::kind::subsystem
                                ? ssh_channel_request_subsystem(channel, request.text.c_str())
                                : ssh_channel_request_exec(channel, request.text.c_str());
            if (rc == SSH_OK)
                break;
            if (rc != SSH_AGAIN)
                fail(ssh_is_connected(session.get()) != 0 ? trouble::refused : trouble::lost,
                     to_string(to) + " does not offer '" + request.text + "'");
            co_await ready();
        }
    }

    static asio::awaitable<void> run(self_ptr self)
    {
        auto& i = *self->impl_;
        std::optional<ssh_failure> failed;
        try {
            co_await i.connect_tcp();
            co_await i.exchange_keys();
            co_await i.log_in();
            co_await i.open_channel();
        } catch (ssh_failure const& why) {
            failed = why;
        }
        i.deadline.cancel();
        if (i.user == nullptr)
            co_return;
        if (failed) {
            if (i.timed_out)
                failed = ssh_failure{trouble::unreachable, i.late()};
            i.end(std::move(failed));
            co_return;
        }
        i.opened = true;
        i.user->on_open();
        i.turn(self);
    }

    void start(self_ptr const& self)
    {
        deadline.expires_after(login.timeout);
        deadline.async_wait([this, self](boost::system::error_code ec) {
            if (ec || user == nullptr || opened)
                return;
            timed_out = true;
            resolver.cancel();
            socket.cancel(ec);
            if (!session)
                socket.close(ec);
        });
        asio::co_spawn(socket.get_executor(), run(self), [](std::exception_ptr e) {
            if (e)
                std::rethrow_exception(e);
        });
    }

    // --- bytes ---

    void post_turn(self_ptr const& self)
    {
        if (turn_posted || user == nullptr || !opened)
            return;
        turn_posted = true;
        asio::post(socket.get_executor(), [this, self] {
            turn_posted = false;
            turn(self);
        });
    }

    /// Reads what is there, hands it over, writes what is due, and waits for more.
    void turn(self_ptr const& self)
    {
        if (user == nullptr || in_turn)
            return;
        in_turn = true;
        bool more = false;
        if (!paused) {
            int turns = 0;
            for (; turns < turns_max; ++turns)
                if (ssh_event_dopoll(event.get(), 0) != SSH_OK)
                    break;
            more = turns == turns_max;
        }
        hand_over();
        if (user != nullptr)
            write_out();
        in_turn = false;
        if (user == nullptr)
            return;
        // A write may have read; and while paused, what was read waits.
        bool const unread = !inbox.empty() || !error_inbox.empty();
        bool const connected = ssh_is_connected(session.get()) != 0 &&
                               (ssh_get_status(session.get()) & (SSH_CLOSED | SSH_CLOSED_ERROR)) == 0;
        if (!unread) {
            if (channel_closed || (!connected && exit_status))
                return end(std::nullopt);
            if (!connected)
                return end(ssh_failure{trouble::lost, "the connection to " + to_string(to) + " was lost"});
        }
        if ((more || unread) && !paused)
            post_turn(self);
        if (connected)
            arm(self);
    }

    void hand_over()
    {
        // The user may close from within: `user` is looked at again each time.
        if (user != nullptr && !inbox.empty() && !paused) {
            auto const bytes = std::exchange(inbox, {});
            user->on_data(bytes, false);
        }
        if (user != nullptr && !error_inbox.empty() && !paused) {
            auto const bytes = std::exchange(error_inbox, {});
            user->on_data(bytes, true);
        }
    }

    void write_out()
    {
        while (user != nullptr && !eof_sent && (ssh_get_poll_flags(session.get()) & SSH_WRITE_PENDING) == 0) {
            if (outbox_at == outbox.size()) {
                outbox.clear();
                outbox_at = 0;
                if (!input_ended)
                    user->on_writable(outbox, gather_bytes);
                if (user == nullptr)
                    return;
                if (outbox.empty()) {
                    if (input_ended) {
                        eof_sent = true;
                        ssh_channel_send_eof(channel);
                    }
                    return;
                }
            }
            // At a closed window the write would take nothing; the adjustment comes as something to read.
            if (ssh_channel_window_size(channel) == 0)
                return;
            auto const n = ssh_channel_write(channel, outbox.data() + outbox_at,
                                             static_cast<std::uint32_t>(std::min(write_bytes, outbox.size() - outbox_at)));
            if (n <= 0)
                return;
            outbox_at += static_cast<std::size_t>(n);
        }
    }

    void arm(self_ptr const& self)
    {
        if (!read_armed && !paused) {
            read_armed = true;
            socket.async_wait(tcp::socket::wait_read, [this, self](boost::system::error_code ec) {
                read_armed = false;
                if (!ec)
                    turn(self);
            });
        }
        if (!write_armed && (ssh_get_poll_flags(session.get()) & SSH_WRITE_PENDING) != 0) {
            write_armed = true;
            socket.async_wait(tcp::socket::wait_write, [this, self](boost::system::error_code ec) {
                write_armed = false;
                if (!ec)
                    turn(self);
            });
        }
    }

    // --- the end ---

    void end(std::optional<ssh_failure> why)
    {
        auto* const told = std::exchange(user, nullptr);
        boost::system::error_code ec;
        socket.cancel(ec);
        resolver.cancel();
        deadline.cancel();
        if (told != nullptr)
            told->on_end(exit_status, std::move(why));
    }

    void release() noexcept
    {
        if (!session)
            return;
        if (channel != nullptr) {
            ssh_remove_channel_callbacks(channel, &callbacks);
            ssh_channel_free(channel);
            channel = nullptr;
        }
        if (event)
            ssh_event_remove_session(event.get(), session.get());
        if (ssh_is_connected(session.get()) != 0)
            ssh_disconnect(session.get());
        session.reset();
    }
};

ssh_connection::ssh_connection(std::unique_ptr<impl> i) : impl_{std::move(i)} {}
ssh_connection::~ssh_connection() = default;

std::shared_ptr<ssh_connection> ssh_connection::open(asio::any_io_executor e, ssh_address a, ssh_login l, ssh_request r,
                                                     handler& h)
{
    std::shared_ptr<ssh_connection> const self{
        new ssh_connection{std::make_unique<impl>(std::move(e), std::move(a), std::move(l), std::move(r), h)}};
    self->impl_->start(self);
    return self;
}

void ssh_connection::wake() { impl_->post_turn(shared_from_this()); }

void ssh_connection::end_of_input()
{
    impl_->input_ended = true;
    wake();
}

void ssh_connection::pause() { impl_->paused = true; }

void ssh_connection::resume()
{
    impl_->paused = false;
    wake();
}

void ssh_connection::close()
{
    impl_->user = nullptr;
    boost::system::error_code ec;
    impl_->socket.cancel(ec);
    impl_->resolver.cancel();
    impl_->deadline.cancel();
}

}  // namespace kedge::client_lib
