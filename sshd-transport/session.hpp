#pragma once
/// One SSH connection, from the accepted socket to its end: the pump that drives libssh from Asio.
///
///     handshake ──keys exchanged──> login ──a key signed──> live ──revoked, stop──> leaving
///         └────────────────────────────┴──────────────────────┴──────────────────┴──> ended
///
/// libssh reads and writes; Asio only says "ready" (on a duplicate of the socket, since libssh owns its own). Everything
/// happens on one transport thread. libssh's callbacks only queue; what they queued is handled between its turns.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "router/metrics.hpp"
#include "router/protocol/limits.hpp"
#include "sshd-transport/channel.hpp"
#include "sshd-transport/gate.hpp"
#include "sshd-transport/handles.hpp"

namespace kedge {

class transport_thread;

class session : public std::enable_shared_from_this<session> {
public:
    /// Owned by its thread. `fd` is connected and non-blocking, and counted at the door. Call `start` once.
    session(transport_thread&, session_id, int fd, std::string address);
    ~session();

    void start();
    /// Something may be written, or read again: soon, once, on the thread.
    void kick();
    /// A few times a second: deadlines and signs of life.
    void tick(std::uint64_t now_ms);
    /// The accounts, or the time, changed: whoever is not admitted any more gets `bye` `revoked`.
    void check_admission();
    /// Lets every channel be closed by both sides, so that the client has read all that was said, then ends; within a second.
    void leave(std::string_view farewell);
    /// Ends at once; tells the client why, if it can be told. `why` is what a connection that has not logged in is to blame
    /// for, if anything.
    void end(std::string_view message, std::optional<refusal> why = std::nullopt);

    // For the channels and their roles.
    session_id id() const noexcept { return id_; }
    principal_ptr const& who() const noexcept { return who_; }
    limits const& bounds() const noexcept;
    metrics& counters() const noexcept;
    bool live() const noexcept { return phase_ == phase::live; }
    bool logged_in() const noexcept { return phase_ == phase::live || phase_ == phase::leaving; }
    link_id open_link(role&);
    void close_link(link_id);
    void emit(link_id, link_event::body&&);
    /// Bytes that libssh took. 0: the peer's window is closed, keys are exchanged, or what was written before still waits.
    std::size_t write(ssh_channel_struct*, std::string_view, bool is_error);
    bool all_flushed() const noexcept;
    /// What waits for the client's windows, of all channels.
    std::size_t outbox_bytes() const noexcept;
    /// From inside libssh: end the session after this turn.
    void doom(std::string_view message, std::optional<refusal> why = std::nullopt) noexcept;

private:
    enum class phase : unsigned char { handshake, login, live, leaving, ended };

    void pump();
    bool handshake();
    void serve();
    void write_round();
    /// Looks for what ends the session; true if it goes on.
    bool sound();
    void settle();
    void arm();
    void acknowledge() noexcept;
    void show_life(std::uint64_t now_ms);

    int on_key(std::string_view user, ssh_key_struct* key, bool has_signed) noexcept;
    int refuse_key(refusal why) noexcept;
    ssh_channel_struct* on_channel() noexcept;
    static ssh_server_callbacks_struct login_callbacks(session*);

    transport_thread& thread_;
    session_id const id_;
    std::string const address_;
    std::uint64_t const token_;
    phase phase_ = phase::handshake;
    // libssh's; the callbacks and counters outlive what points to them.
    ssh_server_callbacks_struct callbacks_;
    ssh_counter_struct raw_{};     ///< payloads
    ssh_counter_struct socket_{};  ///< bytes on the wire
    session_handle handle_;
    event_handle event_;
    boost::asio::posix::stream_descriptor ready_;
    bool waits_read_ = false;
    bool waits_write_ = false;
    bool kicked_ = false;
    // Login.
    std::uint64_t const since_ms_;
    unsigned refused_keys_ = 0;
    std::optional<refusal> offence_;
    principal_ptr who_;
    std::string blob_;
    std::uint64_t expires_ms_ = 0;
    // Traffic.
    std::vector<std::unique_ptr<channel>> channels_;
    std::size_t next_ = 0;           ///< the channel whose turn it is to write
    unsigned writes_left_ = 0;       ///< in this pump
    std::uint64_t rekey_until_ = 0;  ///< of `raw_.out_bytes`: before it, libssh holds back what was written
    std::uint64_t heard_bytes_ = 0;
    std::uint64_t heard_ms_ = 0;
    std::uint64_t ignore_ms_ = 0;
    std::uint64_t leave_by_ms_ = 0;
    std::string farewell_;
    std::string doomed_;
    std::optional<refusal> doomed_why_;
};

}  // namespace kedge
