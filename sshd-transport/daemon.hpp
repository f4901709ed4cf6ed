#pragma once
/// The server, put together: home, database, router, transport, HTTP, signals.

#include "sshd-transport/options.hpp"

namespace kedge {

/// Runs until a signal ends it; the exit status. Throws std::runtime_error with a sentence if it cannot start. Call it on
/// the main thread, once, before there are others.
int run_daemon(daemon_options const&, server_config const&);

}  // namespace kedge
