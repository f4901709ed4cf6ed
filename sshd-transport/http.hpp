#pragma once
/// The HTTP listener for supervisors: /healthz (the process answers), /readyz (it takes traffic; 503 and the reason if not),
/// /metrics (Prometheus). GET and HEAD only, no login: it belongs on loopback.
///
/// One thread of its own, so that a scrape never waits for traffic nor traffic for a scrape. Bounds: `connections_max` at once
/// (others are closed), 8 KiB a request, `idle_s_max` seconds for a request and between two.

#include <functional>
#include <memory>
#include <string>

#include "sshd-transport/server.hpp"

namespace kedge {

/// What the pages say. Called on the listener's thread.
struct http_pages {
    std::function<std::string()> not_ready_because;  ///< empty = ready
    std::function<std::string()> metrics;
};

class http_server {
public:
    static constexpr unsigned connections_max = 32;
    static constexpr unsigned idle_s_max = 10;

    /// Listens and starts the thread; throws std::runtime_error with a sentence if the endpoint cannot be bound.
    http_server(listen_endpoint const&, http_pages);
    ~http_server();  ///< ends the thread; an answer under way is cut off

    listen_endpoint bound() const;

private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

}  // namespace kedge
