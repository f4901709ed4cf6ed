#include "sshd-transport/channel.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "sshd-transport/clock.hpp"
#include "sshd-transport/exec.hpp"
#include "sshd-transport/greeting.hpp"
#include "sshd-transport/handles.hpp"
#include "sshd-transport/message_link.hpp"
#include "sshd-transport/log.hpp"
#include "sshd-transport/session.hpp"

namespace kedge {
namespace {

/// libssh opens a window of 1.28 MB (0.10) or 2 MiB (0.11) anew when half of it is used, and never checks that the client
/// keeps to it: an honest one never has more than this waiting.
constexpr std::size_t unread_bytes_max = 2 * 1024 * 1024 + 128 * 1024;
constexpr std::size_t write_bytes_max = 32 * 1024;
constexpr std::size_t exec_bytes_max = 64 * 1024;

constexpr int accept_request = 0;
constexpr int refuse_request = 1;

channel& self(void* user)
{
    return *static_cast<channel*>(user);
}

}  // namespace

ssh_channel_callbacks_struct channel::callbacks_for(channel* owner)
{
    ssh_channel_callbacks_struct table{};
    ssh_callbacks_init(&table);
    table.userdata = owner;
    // What has no callback (env, X11, agent forwarding, …) libssh refuses.
    table.channel_data_function = [](ssh_session, ssh_channel, void* data, std::uint32_t size, int is_error, void* user) {
        return self(user).on_data({static_cast<char const*>(data), size}, is_error != 0);
    };
    table.channel_eof_function = [](ssh_session, ssh_channel, void* user) { self(user).input_ended_ = true; };
    table.channel_close_function = [](ssh_session, ssh_channel, void* user) {
        self(user).input_ended_ = self(user).peer_closed_ = true;
    };
    table.channel_signal_function = [](ssh_session, ssh_channel, char const*, void* user) {
        self(user).interrupt();
    };
    table.channel_pty_request_function = [](ssh_session, ssh_channel, char const* kind, int width, int height, int, int, void* user) {
        if (self(user).phase_ != phase::open) return refuse_request;
        auto& pty = self(user).pty_.emplace();
        pty.resize(width, height);
        pty.dumb = kind == nullptr || *kind == '\0' || std::string_view{kind} == "dumb";
        return accept_request;
    };
    table.channel_pty_window_change_function = [](ssh_session, ssh_channel, int width, int height, int, int, void* user) {
        if (!self(user).pty_) return refuse_request;
        self(user).pty_->resize(width, height);
        self(user).resized_ = true;
        return accept_request;
    };
    table.channel_subsystem_request_function = [](ssh_session, ssh_channel, char const* name, void* user) {
        return self(user).on_subsystem(name);
    };
    table.channel_exec_request_function = [](ssh_session, ssh_channel, char const* command, void* user) {
        return self(user).on_exec(command);
    };
    table.channel_shell_request_function = [](ssh_session, ssh_channel, void* user) { return self(user).on_shell(); };
    return table;
}

channel::channel(session& owner, ssh_channel_struct* made)
    : session_{owner}, channel_{made}, callbacks_{callbacks_for(this)}
{
    ssh_set_channel_callbacks(channel_, &callbacks_);
}

channel::~channel()
{
    if (!channel_) return;
    ssh_remove_channel_callbacks(channel_, &callbacks_);
    ssh_channel_free(channel_);
}

void channel::abandon()
{
    release_role();
    if (channel_) ssh_remove_channel_callbacks(channel_, &callbacks_);
    channel_ = nullptr;  // freed with libssh's session
    phase_ = phase::done;
}

int channel::on_data(std::string_view input, bool is_error) noexcept
{
    // `input` is all that libssh holds for us, not only what came now.
    auto const all = static_cast<int>(input.size());
    if (is_error || (phase_ != phase::open && phase_ != phase::speaking)) return all;
    std::size_t taken = 0;
    if (role_ && held_used_ == held_.size() && role_->wants_input()) {
        taken = std::min(input.size(), role::input_bytes_max);
        role_->on_input(input.substr(0, taken));
    }
    unread_ = input.size() - taken;
    if (unread_ > unread_bytes_max) session_.doom("you sent more than your window");
    return static_cast<int>(taken);
}

bool channel::may_begin() noexcept
{
    // A channel without a role is never written to, so one of tiny packets may stay until its client closes it.
    return phase_ == phase::open && session_.live() && peer_packet_bytes(channel_) >= packet_bytes_min;
}

int channel::on_subsystem(std::string_view name) noexcept
{
    if (!may_begin() || (name != "kedge" && name != "kedge-json")) return refuse_request;
    role_ = std::make_unique<message_link>(session_, *this, name == "kedge" ? encoding::frames : encoding::lines);
    phase_ = phase::speaking;
    return accept_request;
}

int channel::on_exec(std::string_view command) noexcept
{
    if (!may_begin() || command.size() > exec_bytes_max) return refuse_request;
    role_ = std::make_unique<exec>(session_, *this, std::string{command});
    phase_ = phase::speaking;
    return accept_request;
}

int channel::on_shell() noexcept
{
    if (!may_begin()) return refuse_request;
    out_.append(greeting(*session_.who(), pty_.has_value()));
    phase_ = phase::speaking;
    finish(0);
    return accept_request;
}

void channel::finish(int exit_status)
{
    if (phase_ != phase::open && phase_ != phase::speaking) return;
    phase_ = phase::finishing;
    exit_status_ = exit_status;
    finish_by_ms_ = steady_ms() + session_.bounds().bye_ms;
}

/// A read opens the client's window to its full size again, whatever libssh still holds then. So all that it holds is taken at
/// once, and nothing more until that is used up: else a client whose credit comes in small pieces could fill us without end.
bool channel::take_over()
{
    held_ = std::string(unread_, '\0');
    held_used_ = 0;
    if (unread_ == 0) return false;
    auto const got = ssh_channel_read_nonblocking(channel_, held_.data(), static_cast<std::uint32_t>(unread_), 0);
    if (got <= 0) unread_ = 0;
    held_.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    unread_ -= std::min(unread_, held_.size());
    return !held_.empty();
}

void channel::pull()
{
    while (role_ && role_->wants_input() && (held_used_ < held_.size() || take_over())) {
        auto const piece = std::string_view{held_}.substr(held_used_, role::input_bytes_max);
        held_used_ += piece.size();
        role_->on_input(piece);
        role_->work();
    }
}

void channel::work(std::uint64_t now_ms)
{
    if (role_ && phase_ == phase::speaking) {
        role_->work();
        pull();
        if (std::exchange(resized_, false)) role_->on_resize();
        if (interrupted_) {
            interrupted_ = false;
            role_->on_interrupt();
        }
        if (input_ended_ && !has_input() && !input_end_told_) {
            input_end_told_ = true;
            role_->on_input_end();
        }
    }
    switch (phase_) {
    case phase::open:
        if (peer_closed_) close(now_ms);
        return;
    case phase::speaking:
        if (peer_closed_ && !has_input()) close(now_ms);
        return;
    case phase::finishing:
        if (peer_closed_ || (out_.empty() && error_.empty()) || now_ms >= finish_by_ms_) close(now_ms);
        return;
    case phase::closing:
        close(now_ms);
        return;
    case phase::done:
        return;
    }
}

bool channel::hungry() const
{
    return phase_ == phase::speaking && role_ && (role_->has_work() || (has_input() && role_->wants_input()));
}

/// libssh takes the close only once its own buffer has room, so this is called again until it has.
void channel::close(std::uint64_t now_ms)
{
    if (phase_ != phase::closing) {
        if (phase_ == phase::finishing && !peer_closed_) ssh_channel_request_send_exit_status(channel_, exit_status_);
        out_.clear();
        error_.clear();
        phase_ = phase::closing;
        finish_by_ms_ = now_ms + session_.bounds().bye_ms;
    }
    auto const sent = ssh_channel_close(channel_) == SSH_OK;
    if (peer_closed_ || now_ms >= finish_by_ms_ || (sent && session_.all_flushed())) release_role();
    // A channel that only we have closed stays in libssh, and in the count of the session's channels, until the client
    // closes it too: a client that does not cannot make us hold ever more of them.
    if (sent && peer_closed_) phase_ = phase::done;
}

void channel::release_role()
{
    if (!role_) return;
    if (session_.all_flushed()) flushed();
    role_->on_closed();
    role_.reset();
}

bool channel::write_some(std::string& scratch)
{
    if (phase_ != phase::speaking && phase_ != phase::finishing) return false;
    bool progress = false;
    for (auto* const box : {&error_, &out_}) {
        auto const piece = box->next(write_bytes_max, scratch);
        if (piece.empty()) continue;
        auto const count = session_.write(channel_, piece, box == &error_);
        if (count == 0) continue;
        progress = true;
        box->consume(count);
        if (box == &out_) handed_ += count;
    }
    return progress;
}

void channel::flushed()
{
    if (handed_ == flushed_) return;
    session_.counters().bytes_out.add(handed_ - flushed_);
    flushed_ = handed_;
    if (role_) role_->on_flushed(flushed_);
}

}  // namespace kedge
