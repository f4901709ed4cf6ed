#include "tests/bench/ssh_client.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include <algorithm>
#include <stdexcept>

namespace kedge::bench {

namespace {

constexpr std::size_t write_max = 32 * 1024;  // one packet
constexpr int turns_max = 64;                 // 4 KiB each, before other sessions get their turn

void require(bool good, char const* what, void* error_source = nullptr)
{
    if (!good)
        throw std::runtime_error{std::string{what}
                                 + (error_source ? std::string{": "} + ssh_get_error(error_source) : std::string{})};
}

int connect_to(endpoint const& to)
{
    int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(fd >= 0, "socket");
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(to.port);
    int const on = 1;
    if (::inet_pton(AF_INET, to.address.c_str(), &where.sin_addr) != 1
        || ::connect(fd, reinterpret_cast<sockaddr const*>(&where), sizeof where) != 0
        || ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 || ::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        ::close(fd);
        throw std::runtime_error{"cannot connect to " + to.address + ':' + std::to_string(to.port)};
    }
    return fd;
}

}  // namespace

client_key::client_key()
{
    require(ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &key_) == SSH_OK, "cannot make a key");
}

client_key::~client_key() { ssh_key_free(key_); }

std::string client_key::public_line() const
{
    char* text = nullptr;
    require(ssh_pki_export_pubkey_base64(key_, &text) == SSH_OK, "cannot export a key");
    std::string line = std::string{"ssh-ed25519 "} + text;
    ssh_string_free_char(text);
    return line;
}

struct bench_link::channel {
    ssh_channel handle = nullptr;
    ssh_channel_callbacks_struct callbacks{};
};

bench_link::bench_link()
    : channel_{std::make_unique<channel>()}, scanner_{[this](heard_frame const& f) { hear(f); }}
{
}

void bench_link::hear(heard_frame const& frame)
{
    switch (frame.what) {
    case heard::msg: ++msgs; break;
    case heard::ok: ++oks; break;
    case heard::pong: ++pongs; break;
    case heard::welcome: ++welcomes; break;
    case heard::stored: last_stored = number_in(frame.header, "n"); break;
    case heard::reply:
    case heard::other: break;
    case heard::error:
    case heard::bye: throw std::runtime_error{"the server said " + std::string{frame.header}};
    }
    if (on_frame)
        on_frame(frame);
}

struct ssh_client::session {
    ssh_session handle = ssh_new();
    ssh_event event = nullptr;
    ssh_counter_struct socket_bytes{};
    ssh_counter_struct raw_bytes{};

    session() { require(handle != nullptr, "ssh_new"); }
    ~session()
    {
        if (event != nullptr) {
            ssh_event_remove_session(event, handle);
            ssh_event_free(event);
        }
        ssh_disconnect(handle);
        ssh_free(handle);
    }
    session(session const&) = delete;

    void set(ssh_options_e option, void const* value) { require(ssh_options_set(handle, option, value) == SSH_OK, "option", handle); }
};

ssh_client::ssh_client(endpoint const& to) : session_{std::make_unique<session>()}
{
    auto& s = *session_;
    bool const off = false;
    long const timeout_s = 30;
    s.set(SSH_OPTIONS_HOST, to.address.c_str());
    s.set(SSH_OPTIONS_USER, to.user.c_str());
    s.set(SSH_OPTIONS_PROCESS_CONFIG, &off);
    s.set(SSH_OPTIONS_TIMEOUT, &timeout_s);
    // The cheapest of the ciphers that the server offers: what is measured is the server, not the generator.
    s.set(SSH_OPTIONS_CIPHERS_C_S, "aes128-gcm@openssh.com");
    s.set(SSH_OPTIONS_CIPHERS_S_C, "aes128-gcm@openssh.com");
    int const fd = connect_to(to);
    s.set(SSH_OPTIONS_FD, &fd);
    ssh_set_counters(s.handle, &s.socket_bytes, &s.raw_bytes);
    require(ssh_connect(s.handle) == SSH_OK, "ssh_connect", s.handle);
    require(ssh_userauth_publickey(s.handle, nullptr, to.key->get()) == SSH_AUTH_SUCCESS, "login", s.handle);
}

ssh_client::~ssh_client()
{
    for (auto& link : links_) {
        ssh_remove_channel_callbacks(link->channel_->handle, &link->channel_->callbacks);
        ssh_channel_free(link->channel_->handle);
    }
}

bench_link& ssh_client::open_link()
{
    auto& link = *links_.emplace_back(std::unique_ptr<bench_link>{new bench_link});
    auto& c = *link.channel_;
    c.handle = ssh_channel_new(session_->handle);
    require(c.handle != nullptr, "ssh_channel_new", session_->handle);
    ssh_callbacks_init(&c.callbacks);
    c.callbacks.userdata = &link;
    c.callbacks.channel_data_function = [](ssh_session, ssh_channel, void* data, std::uint32_t size, int, void* user) -> int {
        auto& self = *static_cast<bench_link*>(user);
        try {
            if (self.failure_.empty())
                self.scanner_.feed({static_cast<char const*>(data), size});
        } catch (std::exception const& error) {  // C code is in between
            self.failure_ = error.what();
        }
        return static_cast<int>(size);
    };
    c.callbacks.channel_close_function = [](ssh_session, ssh_channel, void* user) {
        auto& self = *static_cast<bench_link*>(user);
        if (self.failure_.empty())
            self.failure_ = "the server closed a link";
    };
    require(ssh_set_channel_callbacks(c.handle, &c.callbacks) == SSH_OK, "callbacks", session_->handle);
    require(ssh_channel_open_session(c.handle) == SSH_OK, "channel", session_->handle);
    require(ssh_channel_request_subsystem(c.handle, "kedge") == SSH_OK, "subsystem kedge", session_->handle);
    return link;
}

std::string ssh_client::exec(std::string const& command)
{
    ssh_channel const channel = ssh_channel_new(session_->handle);
    require(channel != nullptr, "ssh_channel_new", session_->handle);
    std::string output, complaint;
    int status = -1;
    if (ssh_channel_open_session(channel) == SSH_OK && ssh_channel_request_exec(channel, command.c_str()) == SSH_OK) {
        char buffer[4096];
        int got;
        while ((got = ssh_channel_read(channel, buffer, sizeof buffer, 0)) > 0)
            output.append(buffer, static_cast<std::size_t>(got));
        while ((got = ssh_channel_read(channel, buffer, sizeof buffer, 1)) > 0)
            complaint.append(buffer, static_cast<std::size_t>(got));
#if LIBSSH_VERSION_INT >= SSH_VERSION_INT(0, 11, 0)
        std::uint32_t code = 0;
        if (ssh_channel_get_exit_state(channel, &code, nullptr, nullptr) == SSH_OK)
            status = static_cast<int>(code);
#else
        status = ssh_channel_get_exit_status(channel);
#endif
    }
    ssh_channel_close(channel);
    ssh_channel_free(channel);
    if (status != 0)
        throw std::runtime_error{"`" + command + "` failed with " + std::to_string(status) + ": " + complaint};
    return output;
}

void ssh_client::drive()
{
    ssh_set_blocking(session_->handle, 0);
    session_->event = ssh_event_new();
    require(session_->event != nullptr && ssh_event_add_session(session_->event, session_->handle) == SSH_OK, "ssh_event");
}

int ssh_client::fd() const noexcept { return ssh_get_fd(session_->handle); }

bool ssh_client::has_unsent() const noexcept
{
    return std::any_of(links_.begin(), links_.end(), [](auto const& link) { return link->unsent() != 0; });
}

bool ssh_client::pump()
{
    auto& s = *session_;
    for (int turn = 0; turn < turns_max; ++turn) {
        auto const before = s.socket_bytes.in_bytes;
        require(ssh_event_dopoll(s.event, 0) != SSH_ERROR, "connection", s.handle);
        if (s.socket_bytes.in_bytes == before)
            break;
    }
    bool waiting = false;
    for (auto& link : links_) {
        while (link->unsent() != 0 && !waiting) {
            auto const part = static_cast<std::uint32_t>(std::min(link->unsent(), write_max));
            int const taken = ssh_channel_write(link->channel_->handle, link->out_.data() + link->out_at_, part);
            if (taken < 0)
                require(false, link->failure_.empty() ? "write" : link->failure_.c_str(), s.handle);
            link->out_at_ += static_cast<std::size_t>(taken);
            if (taken == 0)
                break;  // the window is closed, or keys are exchanged: what arrives opens it
            waiting = (ssh_get_poll_flags(s.handle) & SSH_WRITE_PENDING) != 0;
        }
        if (link->unsent() == 0) {
            link->out_.clear();
            link->out_at_ = 0;
        } else if (link->out_at_ > 1024 * 1024) {
            link->out_.erase(0, link->out_at_);
            link->out_at_ = 0;
        }
        require(link->failure_.empty(), link->failure_.c_str());
    }
    require((ssh_get_status(s.handle) & (SSH_CLOSED | SSH_CLOSED_ERROR)) == 0, "the server closed the connection");
    return (ssh_get_poll_flags(s.handle) & SSH_WRITE_PENDING) != 0;
}

}  // namespace kedge::bench
