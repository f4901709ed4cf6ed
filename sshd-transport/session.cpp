#include "sshd-transport/session.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include <boost/asio/post.hpp>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sshd-transport/clock.hpp"
#include "sshd-transport/door.hpp"
#include "sshd-transport/log.hpp"
#include "sshd-transport/transport_thread.hpp"

namespace kedge {
namespace {

/// libssh reads 4 KiB a turn; after so many turns, or writes, the thread's other sessions get theirs.
constexpr unsigned turns_max = 64;
constexpr unsigned writes_max = 32;

/// A duplicate for Asio to wait on; libssh owns, and closes, the socket itself.
int duplicate(int fd)
{
    auto const copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0) return copy;
    ::close(fd);
    throw std::runtime_error{"no file descriptor is left for a session"};
}

}  // namespace

session::session(transport_thread& owner, session_id id, int fd, std::string address)
    : thread_{owner}, id_{id}, address_{std::move(address)}, token_{random_token()}, callbacks_{login_callbacks(this)},
      ready_{owner.loop(), duplicate(fd)}, since_ms_{steady_ms()}
{
    handle_ = owner.bind().accept(fd, owner.bounds());
    event_.reset(ssh_event_new());
    if (!handle_ || !event_ || ssh_set_server_callbacks(handle_.get(), &callbacks_) != SSH_OK)
        throw std::runtime_error{"libssh does not take a connection"};
    ssh_set_counters(handle_.get(), &socket_, &raw_);
}

session::~session() = default;

limits const& session::bounds() const noexcept
{
    return thread_.bounds();
}

metrics& session::counters() const noexcept
{
    return thread_.shared().counters;
}

link_id session::open_link(role& speaker)
{
    return thread_.open_link(*this, speaker);
}

void session::close_link(link_id link)
{
    thread_.close_link(link);
}

void session::emit(link_id link, link_event::body&& what)
{
    thread_.emit(link, std::move(what));
}

void session::start()
{
    heard_ms_ = since_ms_;
    pump();
}

void session::kick()
{
    if (std::exchange(kicked_, true)) return;
    boost::asio::post(thread_.loop(), [self = shared_from_this()] { self->pump(); });
}

void session::pump()
{
    kicked_ = false;
    if (phase_ == phase::ended) return;
    auto const self = shared_from_this();
    thread_.hold(token_);
    writes_left_ = writes_max;
    bool more = false;
    bool owed = true;  // an acknowledgement, after what was read last
    if (phase_ != phase::handshake || handshake()) {
        auto looked = socket_.in_bytes;
        serve();
        more = true;
        for (unsigned turn = 0; turn < turns_max && more && sound(); ++turn) {
            auto const read_before = socket_.in_bytes;
            auto const sent_before = socket_.out_bytes;
            more = ssh_event_dopoll(event_.get(), 0) == SSH_OK;  // else nothing is ready, or `sound` says what is wrong
            // A write at a closed window reads, too: what it found is looked at now, since nothing else would wake us for it.
            more = more || socket_.in_bytes != looked;
            if (more) {
                looked = socket_.in_bytes;
                serve();
            }
            if (socket_.in_bytes != read_before) owed = socket_.out_bytes == sent_before;
        }
    }
    if (sound()) {
        settle();
        auto const hungry = [](auto const& each) { return each->hungry(); };
        if (owed) acknowledge();
        if (more || writes_left_ == 0 || std::any_of(channels_.begin(), channels_.end(), hungry)) kick();
        arm();
    }
    thread_.release();
}

/// True once keys were exchanged.
bool session::handshake()
{
    int result = SSH_AGAIN;
    for (auto heard = socket_.in_bytes + 1; result == SSH_AGAIN && heard != socket_.in_bytes && sound();) {
        heard = socket_.in_bytes;
        result = ssh_handle_key_exchange(handle_.get());
    }
    if (phase_ == phase::ended || result == SSH_AGAIN) return false;
    // Only now has libssh the poll context that an event takes over.
    if (result != SSH_OK || ssh_event_add_session(event_.get(), handle_.get()) != SSH_OK) {
        auto const garbage = socket_.in_bytes > 0 && std::strncmp(ssh_get_error(handle_.get()), "Socket error", 12) != 0;
        log_debug({.session = {}, .link = {}, .user = {}, .address = address_}, "no key exchange: {}",
                  ssh_get_error(handle_.get()));
        end({}, garbage ? refusal::protocol : refusal::left);
        return false;
    }
    phase_ = phase::login;
    return true;
}

void session::serve()
{
    auto const now = steady_ms();
    for (std::size_t at = 0; at < channels_.size(); ++at) channels_[at]->work(now);
    write_round();
    for (std::size_t at = 0; at < channels_.size(); ++at)
        if (channels_[at]->ending()) channels_[at]->work(now);
    channels_.erase(std::remove_if(channels_.begin(), channels_.end(), [](auto const& each) { return each->done(); }),
                    channels_.end());
}

void session::write_round()
{
    for (std::size_t idle = 0; writes_left_ > 0 && idle < channels_.size();) {
        auto& each = *channels_[next_++ % channels_.size()];
        if (each.write_some(thread_.scratch())) {
            --writes_left_;
            idle = 0;
        } else {
            ++idle;
        }
    }
}

std::size_t session::write(ssh_channel_struct* channel, std::string_view bytes, bool is_error)
{
    // libssh's own buffer is bounded by the client's window only, which the client chooses.
    if (!all_flushed()) return 0;
    auto const before = raw_.out_bytes;
    auto const size = static_cast<std::uint32_t>(bytes.size());
    auto const count = is_error ? ssh_channel_write_stderr(channel, bytes.data(), size)
                                : ssh_channel_write(channel, bytes.data(), size);
    if (count <= 0) return 0;
    // While keys are exchanged libssh takes everything into a queue without a bound. Nothing public says so, but what it
    // holds back is not counted as sent: wait until that much was.
    if (raw_.out_bytes - before < static_cast<std::uint64_t>(count)) rekey_until_ = before + static_cast<std::uint64_t>(count);
    return static_cast<std::size_t>(count);
}

bool session::all_flushed() const noexcept
{
    return (ssh_get_status(handle_.get()) & SSH_WRITE_PENDING) == 0 && raw_.out_bytes >= rekey_until_;
}

std::size_t session::outbox_bytes() const noexcept
{
    std::size_t sum = 0;
    for (auto const& each : channels_) sum += each->out().bytes() + each->error().bytes();
    return sum;
}

void session::settle()
{
    if (!all_flushed()) return;
    for (auto const& each : channels_) each->flushed();
    if (phase_ == phase::leaving && channels_.empty()) end(farewell_);
}

bool session::sound()
{
    if (phase_ == phase::ended) return false;
    auto const& bounds = thread_.bounds();
    if (!doomed_.empty()) {
        end(doomed_, doomed_why_);
    } else if (!logged_in() && (socket_.in_bytes > bounds.login_bytes || raw_.in_packets > bounds.login_packets)) {
        end("too much before login", refusal::flood);
    } else if ((ssh_get_status(handle_.get()) & (SSH_CLOSED | SSH_CLOSED_ERROR)) != 0) {
        if (phase_ == phase::handshake) return true;  // its own return value says so, and more
        end({}, offence_ ? offence_ : refusal::left);
    } else if (ssh_get_error_code(handle_.get()) == SSH_FATAL &&
               std::strcmp(ssh_get_error(handle_.get()), "Window exceeded") == 0) {
        end("you sent more than your window");  // 0.11 drops the data and goes on: there is a hole in the stream
    }
    return phase_ != phase::ended;
}

void session::arm()
{
    if (phase_ == phase::ended) return;
    auto const wait = [&](boost::asio::posix::stream_descriptor::wait_type what, bool session::*waits) {
        if (std::exchange(this->*waits, true)) return;
        ready_.async_wait(what, [self = shared_from_this(), waits](boost::system::error_code error) {
            (*self).*waits = false;
            if (!error) self->pump();
        });
    };
    wait(boost::asio::posix::stream_descriptor::wait_read, &session::waits_read_);
    if ((ssh_get_poll_flags(handle_.get()) & SSH_WRITE_PENDING) != 0)
        wait(boost::asio::posix::stream_descriptor::wait_write, &session::waits_write_);
}

/// Stock ssh keeps Nagle's algorithm on without a terminal: its next small packet waits until the kernel here has
/// acknowledged the last one, which would be 40 ms when there is nothing to answer.
void session::acknowledge() noexcept
{
    int const now = 1;
    ::setsockopt(ready_.native_handle(), IPPROTO_TCP, TCP_QUICKACK, &now, sizeof now);
}

void session::tick(std::uint64_t now_ms)
{
    if (!logged_in()) {
        if (now_ms - since_ms_ >= bounds().login_grace_ms) end("you did not log in in time", refusal::grace);
        return;
    }
    if (phase_ == phase::leaving && now_ms >= leave_by_ms_) return end(farewell_);
    if (expires_ms_ != 0 && wall_ms() >= expires_ms_) check_admission();
    if (std::any_of(channels_.begin(), channels_.end(), [](auto const& each) { return each->ending() || each->is_due(); }))
        kick();
    show_life(now_ms);
}

/// A peer that vanished acknowledges nothing: something must be on its way for TCP_USER_TIMEOUT to notice.
void session::show_life(std::uint64_t now_ms)
{
    if (socket_.in_bytes != heard_bytes_) {
        heard_bytes_ = socket_.in_bytes;
        heard_ms_ = now_ms;
    } else if (now_ms - std::max(heard_ms_, ignore_ms_) >= bounds().keepalive_ms && all_flushed()) {
        ignore_ms_ = now_ms;
        ssh_send_ignore(handle_.get(), "");
        kick();
    }
}

void session::doom(std::string_view message, std::optional<refusal> why) noexcept
{
    if (!doomed_.empty()) return;
    doomed_ = message;
    doomed_why_ = why;
}

void session::leave(std::string_view farewell)
{
    if (!logged_in()) return end(farewell);
    if (phase_ == phase::leaving) return;
    phase_ = phase::leaving;
    farewell_ = farewell;
    // The whole must be over within a second, the time between two ticks included.
    leave_by_ms_ = steady_ms() + std::min<std::uint64_t>(bounds().bye_ms, 700);
    for (auto const& each : channels_) each->finish(1);
    kick();
}

void session::end(std::string_view message, std::optional<refusal> why)
{
    if (phase_ == phase::ended) return;
    auto const self = shared_from_this();
    auto const was = std::exchange(phase_, phase::ended);
    for (auto const& each : channels_) each->abandon();
    if (was != phase::handshake) {
        // A turn in which libssh finds the socket writable, else it only buffers the farewell, and drops it.
        if (!message.empty()) ssh_event_dopoll(event_.get(), 0);
        ssh_event_remove_session(event_.get(), handle_.get());
        if (!message.empty()) {
            ssh_session_set_disconnect_message(handle_.get(), std::string{message}.c_str());
            ssh_disconnect(handle_.get());
        }
    }
    boost::system::error_code ignored;
    ready_.close(ignored);
    auto& entrance = thread_.shared().entrance;
    if (was == phase::live || was == phase::leaving) {
        entrance.exit(who_->user);
        log_info({.session = who_->session, .link = {}, .user = who_->user, .address = address_}, "logged out{}{}",
                 message.empty() ? "" : ": ", message);
    } else {
        entrance.left(address_, why);
    }
    thread_.bury(id_);
}

}  // namespace kedge
