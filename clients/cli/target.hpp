#pragma once
/// Which server, as whom, with which key: from the options of the command line and the home of a local server.

#include <string>

#include "clients/lib/client.hpp"
#include "router/command/grammar.hpp"

namespace kedge::cli {

/// $KEDGE_HOME, else ~/.local/share/kedge (or below $XDG_DATA_HOME), as `kedged` has it.
std::string default_home();

/// A sentence that says what is missing, if the local server's files are not there. Reads HOME/endpoint, HOME/operator,
/// HOME/operator_ed25519 and HOME/known_hosts, which `kedged` writes.
result<client_options> resolve_target(connection_options const&);

}  // namespace kedge::cli
