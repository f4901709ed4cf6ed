#pragma once
/// The program's own streams.

#include <termios.h>

#include <string>
#include <string_view>

#include "router/command/command.hpp"

namespace kedge::cli {

/// What the terminals are like, and how much standard input holds.
command_environment look_around();

/// While it lives and `taken` is true, keys come as they are typed and are not shown; Ctrl-C is a signal as ever.
class screen_guard {
public:
    explicit screen_guard(bool taken);
    ~screen_guard();
    screen_guard(screen_guard const&) = delete;
    screen_guard& operator=(screen_guard const&) = delete;

private:
    termios before_{};
    bool changed_ = false;
};

/// Writes all of it, waiting as long as it takes: a reader that is slow slows us down, and with us the server. False if
/// nobody reads any more.
bool write_all(int fd, std::string_view);

}  // namespace kedge::cli
