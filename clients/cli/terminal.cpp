#include "clients/cli/terminal.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>

namespace kedge::cli {

command_environment look_around()
{
    command_environment e;
    e.out_is_terminal = ::isatty(STDOUT_FILENO) != 0;
    e.error_is_terminal = ::isatty(STDERR_FILENO) != 0;
    e.in_is_terminal = ::isatty(STDIN_FILENO) != 0;
    char const* const no_color = std::getenv("NO_COLOR");
    char const* const terminal = std::getenv("TERM");
    e.colours = e.out_is_terminal && e.error_is_terminal && (no_color == nullptr || *no_color == '\0') &&
                terminal != nullptr && std::string_view{terminal} != "dumb";
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        e.columns = size.ws_col;
        e.rows = size.ws_row > 0 ? size.ws_row : e.rows;
    }
    struct stat input {};
    if (::fstat(STDIN_FILENO, &input) == 0 && S_ISREG(input.st_mode))
        e.input_bytes = static_cast<std::uint64_t>(input.st_size);
    e.now_us = [] {
        using namespace std::chrono;
        return static_cast<std::uint64_t>(duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count());
    };
    return e;
}

screen_guard::screen_guard(bool taken)
{
    if (!taken || ::tcgetattr(STDIN_FILENO, &before_) != 0)
        return;
    auto raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    // Stopped in mid-picture, the shell would have a terminal without echo.
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;
    raw.c_cc[VQUIT] = _POSIX_VDISABLE;
    changed_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

screen_guard::~screen_guard()
{
    if (changed_)
        ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
}

bool write_all(int fd, std::string_view bytes)
{
    while (!bytes.empty()) {
        auto const n = ::write(fd, bytes.data(), bytes.size());
        if (n >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(n));
        } else if (errno == EAGAIN) {
            // Somebody else made this stream non-blocking; it is not ours to change.
            pollfd wait{fd, POLLOUT, 0};
            ::poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

}  // namespace kedge::cli
