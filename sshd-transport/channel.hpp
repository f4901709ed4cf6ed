#pragma once
/// One SSH channel of a session: its requests, its input by way of libssh's callbacks, its two outboxes, its end.
///
///     open ──request──> speaking ──finish()──> finishing ──written, or late──> closing ──both closed──> done
///       └─────────────────┴── the client closes ──────────────────────────────────┘

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include "sshd-transport/outbox.hpp"
#include "sshd-transport/role.hpp"

namespace kedge {

class session;

/// The terminal that the client asked for, if any.
struct terminal {
    unsigned columns = 80;
    unsigned rows = 24;
    bool dumb = false;  ///< knows no colours

    /// Sizes as the client told them; what is none leaves ours.
    void resize(int wide, int high) noexcept
    {
        if (wide > 0 && wide < 1000) columns = static_cast<unsigned>(wide);
        if (high > 0 && high < 1000) rows = static_cast<unsigned>(high);
    }
};

/// Owned by its session, on the session's thread. libssh's callbacks come in through the private functions; they only queue.
class channel {
public:
    enum class phase : unsigned char { open, speaking, finishing, closing, done };

    /// Registers with a channel that libssh has just made.
    channel(session&, ssh_channel_struct*);
    ~channel();
    channel(channel const&) = delete;
    channel& operator=(channel const&) = delete;

    /// Outside callbacks: pulls input that waits, lets the role work, brings the end about.
    void work(std::uint64_t now_ms);
    /// `work` would get on, though nothing new happens.
    bool hungry() const;
    /// As if the client had sent a signal.
    void interrupt() noexcept { interrupted_ = true; }
    /// Takes part in one round of writing; true if something was written.
    bool write_some(std::string& scratch);
    /// All that was handed to libssh has left; told to the role.
    void flushed();
    /// The session ends: nothing of libssh's is touched any more.
    void abandon();

    outbox& out() noexcept { return out_; }
    outbox const& out() const noexcept { return out_; }
    outbox& error() noexcept { return error_; }
    /// After what is in the outboxes: close with this exit status. Within `limits::bye_ms`, whether it was written or not.
    void finish(int exit_status);

    std::optional<terminal> const& pty() const noexcept { return pty_; }
    role* speaker() noexcept { return role_.get(); }
    bool done() const noexcept { return phase_ == phase::done; }
    /// Waits for `work` after a moment, whatever arrives.
    bool ending() const noexcept { return phase_ == phase::finishing || phase_ == phase::closing; }
    /// Its role waits for nothing but the time, which has come.
    bool is_due() const { return phase_ == phase::speaking && role_ && role_->is_due(); }

private:
    int on_data(std::string_view input, bool is_error) noexcept;
    int on_subsystem(std::string_view name) noexcept;
    int on_exec(std::string_view command) noexcept;
    int on_shell() noexcept;
    bool may_begin() noexcept;
    bool take_over();
    void pull();
    /// Some of the client's input was not given to the role yet.
    bool has_input() const noexcept { return unread_ > 0 || held_used_ < held_.size(); }
    void close(std::uint64_t now_ms);
    void release_role();

    static ssh_channel_callbacks_struct callbacks_for(channel*);

    session& session_;
    ssh_channel_struct* channel_;
    ssh_channel_callbacks_struct callbacks_;
    phase phase_ = phase::open;
    std::unique_ptr<role> role_;
    std::optional<terminal> pty_;
    outbox out_;
    outbox error_;
    std::uint64_t handed_ = 0;   ///< bytes of `out_` that libssh took
    std::uint64_t flushed_ = 0;  ///< of these, handed to the kernel
    std::size_t unread_ = 0;     ///< input that libssh holds for us
    std::string held_;           ///< input that came before it, taken from libssh
    std::size_t held_used_ = 0;  ///< of it, given to the role
    bool input_ended_ = false;   ///< the client said so; told to the role once all input was
    bool input_end_told_ = false;
    bool peer_closed_ = false;
    bool interrupted_ = false;
    bool resized_ = false;  ///< to be told to the role
    int exit_status_ = 0;
    std::uint64_t finish_by_ms_ = 0;
};

}  // namespace kedge
