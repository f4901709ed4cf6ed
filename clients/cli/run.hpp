#pragma once
/// Runs one command to its end against a server.

#include <memory>
#include <string>
#include <vector>

#include "clients/lib/client.hpp"
#include "router/command/command.hpp"
#include "router/command/grammar.hpp"

namespace kedge::cli {

/// pub, sub, consume, ping, who: over a link that the client library keeps. The exit status.
int run_on_link(std::unique_ptr<command>, client_options);

/// The commands of operators: the whole command goes to the server as an exec request; what it answers (JSON) is shown
/// here, for this terminal. `words` as for the server (keys, not files). The exit status.
int run_forwarded(std::unique_ptr<command>, std::vector<std::string> words, client_options const&);

/// What the server runs by itself: what it prints is printed. The exit status is the server's.
int run_at_server(std::vector<std::string> const& words, client_options const&);

/// `top` and the like: fed with what the server answers again and again, over one connection; one that is lost is made
/// again. The exit status.
int run_live(std::unique_ptr<command>, client_options const&);

/// Calls one after another, each an exec request; between them the command asks, waits and shows. The exit status.
int run_steps(std::unique_ptr<command>, client_options const&, command_environment const&);

/// `doctor`: looks at this machine and at the server, and has the command show what was found. The exit status.
int run_doctor(std::unique_ptr<command>, connection_options const&);

}  // namespace kedge::cli
