#pragma once
/// Runs one command to its end against a server.

#include <memory>
#include <string>
#include <vector>

#include "clients/lib/client.hpp"
#include "router/command/command.hpp"

namespace kedge::cli {

/// pub, sub, consume, ping, who: over a link that the client library keeps. The exit status.
int run_on_link(std::unique_ptr<command>, client_options);

/// The commands of operators: the whole command goes to the server as an exec request; what it answers (JSON) is shown
/// here, for this terminal. `words` as for the server (keys, not files). The exit status.
int run_forwarded(std::unique_ptr<command>, std::vector<std::string> words, client_options const&);

}  // namespace kedge::cli
