#pragma once
/// The server's log: lines on standard error or in a file, for people or as JSON (one object a line).
///
/// Any thread; never blocks: lines go through a bounded queue to a thread that writes them, and the oldest are dropped when
/// standard error does not keep up (a full pipe must not stop a transport thread). What a peer sent is escaped in both
/// forms, so that no user name can forge a line.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "router/protocol/ids.hpp"

namespace kedge {

enum class log_level : unsigned char { debug, info, warning, error, off };
enum class log_format : unsigned char { text, json };

/// Whom a line is about; empty members are left out.
struct log_about {
    std::string_view session{};  ///< the token shown to clients
    link_id link{};
    std::string_view user{};
    std::string_view address{};
};

/// Starts the log, on standard error or at the end of a file. Before it, and after `log_stop`, lines are dropped. Throws
/// std::runtime_error if the file cannot be opened. `main` only.
void log_start(log_level, log_format, std::string const& file = {});
/// Goes on in a new file of the same name: the old one was renamed (log rotation). Lines that were queued may go to either. False:
/// it cannot be opened, and the log goes on where it was. True when the log is on standard error. Any thread.
bool log_reopen();
/// Changes the level (SIGHUP). Any thread.
void log_set_level(log_level) noexcept;
/// Writes what is queued and ends the writing thread. `main` only, after every thread that logs.
void log_stop();

/// Lines that wait to be written, and those that were dropped since the start. Any thread between `log_start` and `log_stop`.
struct log_backlog {
    std::size_t waiting = 0;
    std::size_t dropped = 0;
};
log_backlog log_state();

bool log_enabled(log_level) noexcept;
/// One line; `message` is a sentence without its end of line.
void log_write(log_level, log_about const&, std::string_view message);

/// "debug", "info", "warning", "error", "off"; false leaves `out` unchanged.
bool parse_log_level(std::string_view word, log_level& out) noexcept;
bool parse_log_format(std::string_view word, log_format& out) noexcept;
std::string_view to_string(log_level) noexcept;
std::string_view to_string(log_format) noexcept;

/// The line as it is written, without time and level: for tests.
std::string log_line(log_format, log_about const&, std::string_view message);

template <class... Args>
void log_debug(log_about const& about, fmt::format_string<Args...> format, Args&&... args)
{
    if (log_enabled(log_level::debug)) log_write(log_level::debug, about, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_info(log_about const& about, fmt::format_string<Args...> format, Args&&... args)
{
    if (log_enabled(log_level::info)) log_write(log_level::info, about, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(log_about const& about, fmt::format_string<Args...> format, Args&&... args)
{
    if (log_enabled(log_level::warning))
        log_write(log_level::warning, about, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_error(log_about const& about, fmt::format_string<Args...> format, Args&&... args)
{
    if (log_enabled(log_level::error)) log_write(log_level::error, about, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace kedge
