#pragma once
/// The program's own streams.

#include <string>
#include <string_view>

#include "router/command/command.hpp"

namespace kedge::cli {

/// What the terminals are like, and how much standard input holds.
command_environment look_around();

/// Writes all of it, waiting as long as it takes: a reader that is slow slows us down, and with us the server. False if
/// nobody reads any more.
bool write_all(int fd, std::string_view);

}  // namespace kedge::cli
