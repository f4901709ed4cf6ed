#pragma once
/// libssh's objects as values that free themselves, and the algorithms that this server speaks. One thread each.

#include <memory>
#include <string>

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#include "router/protocol/limits.hpp"

namespace kedge {

struct handle_free {
    void operator()(ssh_session_struct* session) const noexcept { ssh_free(session); }
    void operator()(ssh_event_struct* event) const noexcept { ssh_event_free(event); }
    void operator()(ssh_bind_struct* bind) const noexcept { ssh_bind_free(bind); }
};
using session_handle = std::unique_ptr<ssh_session_struct, handle_free>;
using event_handle = std::unique_ptr<ssh_event_struct, handle_free>;
using bind_handle = std::unique_ptr<ssh_bind_struct, handle_free>;

/// The server's side of every handshake: host key and algorithms. One a thread: libssh writes to it.
class host_bind {
public:
    /// Throws std::runtime_error with a sentence if the key is not an ed25519 key that can be read.
    explicit host_bind(std::string const& host_key_path);

    /// A session over a connected, non-blocking socket; it owns `fd` then. Empty if it failed; then `fd` is closed.
    session_handle accept(int fd, limits const&);

private:
    bind_handle bind_;
};

/// The key as RFC 4253 §6.6 encodes it; empty if libssh cannot say.
std::string key_blob(ssh_key_struct* key);

/// Whether a user may log in with a key of this type: ed25519, sk-ed25519, ecdsa-p256, RSA (signing with SHA-2, which
/// libssh checks, from 2048 bits).
bool key_type_accepted(ssh_key_struct* key);

/// A channel of smaller packets gets no request granted: libssh spends one packet, one `send` and one `poll` on each piece of a
/// write, and spins for half a minute if a packet of theirs holds no data at all (10 bytes).
inline constexpr std::uint32_t packet_bytes_min = 1024;

/// The largest packet that the peer of this channel takes.
std::uint32_t peer_packet_bytes(ssh_channel_struct* channel);

}  // namespace kedge
