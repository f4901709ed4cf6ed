#pragma once
/// The SSH side of the server, whole: listeners, transport threads, sessions. `main` owns one and wires it to the router:
///
///     transport_server transport{config, router, metrics, router.directory()};
///     router.attach(transport.ports());
///     router.start();
///     auto const bound = transport.start();   // from now on people log in
///     …
///     transport.stop_accepting();             // SIGTERM: the router drains the links meanwhile
///     transport.stop();                       // before `router.stop()`
///     router.stop();

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "router/account/directory.hpp"
#include "router/link_port.hpp"
#include "router/metrics.hpp"
#include "router/protocol/limits.hpp"

namespace kedge {

/// Where to listen, or where the server listens. `address` is a numeric IPv4 or IPv6 address without brackets.
struct listen_endpoint {
    std::string address;
    std::uint16_t port = 0;  ///< 0 = the kernel picks one

    friend bool operator==(listen_endpoint const&, listen_endpoint const&) = default;
};

struct transport_config {
    struct limits limits;
    std::vector<listen_endpoint> listen;
    std::string host_key_path;  ///< an ed25519 private key in OpenSSH's format, unencrypted
    std::string server_name;    ///< "kedge/0.1.0"
    unsigned threads = 0;       ///< 0 = as many as there are cores; at most 64
    /// CIDRs whose connections are neither penalised nor counted by address.
    std::vector<std::string> exempt = {"127.0.0.0/8", "::1/128"};
    /// A session that holds its thread for longer than this is named in the log.
    std::uint64_t watchdog_ms = 500;
};

/// A picture of the moment, for `status` and the log.
struct transport_stats {
    std::uint64_t sessions = 0;         ///< logged in
    std::uint64_t unauthenticated = 0;  ///< connected, not logged in yet
    std::uint64_t links = 0;
    std::uint64_t penalised_sources = 0;
    unsigned threads = 0;
};

/// Public functions are safe on any thread, but `start`, `stop_accepting` and `stop` must not overlap each other.
class transport_server {
public:
    /// Opens nothing yet. `router` and `counters` outlive the server. Throws std::runtime_error with a sentence if the host
    /// key cannot be used.
    transport_server(transport_config, router_port& router, metrics& counters, directory_ptr);
    ~transport_server();  ///< `stop()`
    transport_server(transport_server const&) = delete;
    transport_server& operator=(transport_server const&) = delete;

    /// One a thread, for `router_host::attach`; valid as long as the server.
    std::vector<transport_port*> ports();

    /// Listens and starts the threads. Returns what was bound, in the order of the configuration. Throws
    /// std::runtime_error with a sentence that names the endpoint if one cannot be bound; then nothing is open.
    std::vector<listen_endpoint> start();

    /// SIGHUP: the new limits hold for what comes.
    void set_limits(limits const&);

    /// Closes the listeners. Connections that have not logged in are dropped; sessions go on.
    void stop_accepting();
    /// Ends every session and joins the threads. The router is told `closed` for each link before this returns. Idempotent.
    void stop();

    transport_stats stats() const;

private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

}  // namespace kedge
