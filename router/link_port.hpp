#pragma once
/// The seam between a transport and the router: what a transport tells (events) and what it is told (outputs).
///
/// A link's events are given in order by the one transport thread that owns it; its outputs come back in order. Between
/// the threads both travel in batches: one wake-up a batch. A link id is never used twice, so either side may ignore what
/// still arrives for a link that it has closed.

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "router/account/directory.hpp"
#include "router/admin/call.hpp"
#include "router/protocol/bytes.hpp"
#include "router/protocol/encoding.hpp"
#include "router/protocol/ids.hpp"
#include "router/protocol/operation.hpp"

namespace kedge {

/// Who stands behind a link; bound when the key signed. Immutable, shared by the links of a session.
struct principal {
    std::string user;
    std::string role;
    std::string key;      ///< fingerprint, "SHA256:…"
    std::string session;  ///< the token shown to clients, e.g. "9f2c41d07a55e8b1"
    std::string address;  ///< remote address, for people
};
using principal_ptr = std::shared_ptr<principal const>;

namespace link_event {

/// The router greets with `welcome`. `greet` is false for links that carry only administrative commands. `internal`: a link of
/// the server's own, which no peer stands behind: its sender is the user alone, it is not greeted, and what it is given and asks for
/// is bounded by whoever drives it, not by the limits of clients.
struct opened {
    session_id session{};
    principal_ptr who;
    encoding form = encoding::frames;
    bool greet = true;
    bool internal = false;
};
/// `bytes`: what it took of the input; they come back as `link_output::credit` when it was handled.
struct operation {
    op::any what;
    std::size_t bytes = 0;
};
/// The client will send no more: answer everything, then `bye` `quit`.
struct input_ended {};
/// That many more bytes of the link's outputs were written to the peer (handed to the kernel).
struct written {
    std::uint64_t bytes = 0;
};
/// The link is gone. `written` = bytes of its outputs written in its whole life: what lies beyond never left.
struct closed {
    std::uint64_t written = 0;
};
/// An administrative command; answered by one `link_output::admin_answer`.
struct admin_request {
    token request{};
    admin_call call;
};

using body = std::variant<operation, written, opened, input_ended, closed, admin_request>;

struct any {
    link_id link{};
    body what;
};

}  // namespace link_event

namespace link_output {

/// Append to the link's outbox.
struct data {
    bytes_ptr bytes;
};
/// After what was put into the outbox before: close the channel with this exit status (within `limits::bye_ms`).
struct close {
    int exit_status = 0;
};
/// That many bytes of input were handled: the transport may take as many more.
struct credit {
    std::size_t bytes = 0;
};
struct admin_answer {
    token request{};
    admin_result result;
};

using body = std::variant<data, credit, close, admin_answer>;

struct any {
    link_id link{};
    body what;
};

}  // namespace link_output

/// Where the router puts outputs: one for each transport thread. Called on the router thread only.
class transport_port {
public:
    virtual ~transport_port() = default;
    /// Takes a batch; wakes the transport once. Never blocks.
    virtual void deliver(std::vector<link_output::any> batch) = 0;
    /// Users, keys or roles changed: sessions that the new directory does not admit end with `bye` `revoked`.
    virtual void accounts_changed(directory_ptr) = 0;
};

/// Where transports put events. Any thread.
class router_port {
public:
    virtual ~router_port() = default;
    /// Takes a batch; wakes the router once. Never blocks.
    virtual void submit(std::vector<link_event::any> batch) = 0;
};

}  // namespace kedge
