#pragma once
/// The commands that speak to users, services and bots. Internal to router/command.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "router/command/commands.hpp"

namespace kedge {

struct post_settings {
    std::vector<std::string> to;
    std::optional<std::string> text;   ///< absent = an empty body; "-" = all of standard input
    std::vector<std::string> headers;  ///< "Name: value"
    std::string node;
    std::string id;  ///< empty = one is made
    bool json = false;
    bool quiet = false;
};

struct call_settings {
    std::string service;  ///< empty = by subject
    std::string method;
    std::string subject;
    std::optional<std::string> text;  ///< as in `post_settings`
    std::uint64_t timeout_ms = 0;     ///< 0 = the server's default
    bool json = false;
    bool raw = false;
};

/// What `--exec` runs for each call or command that comes.
struct job_settings {
    std::string exec;
    std::uint64_t at_once = 1;
};

struct serve_settings {
    std::string service;
    std::vector<std::string> methods;
    std::string version = "1";
    std::string description;
    std::string node;
    job_settings jobs;
    bool json = false;
    bool quiet = false;
};

struct events_settings {
    std::string pattern = "$sys.>";
    std::uint64_t count = 0;  ///< 0 = without end
    bool json = false;
    bool quiet = false;
};

struct control_settings {
    std::string group;              ///< empty = not a group
    std::vector<std::string> bots;  ///< users; with neither: all
    std::string text;               ///< "-" = all of standard input
    std::uint64_t timeout_ms = 10'000;
    std::optional<std::uint64_t> expect;  ///< so many answers are all
    bool json = false;
    bool quiet = false;
};

struct listen_settings {
    std::vector<std::string> groups;
    std::vector<std::string> from;  ///< users whose commands are obeyed; empty = whoever the rules let speak there
    std::string node;  ///< empty = `control_node`
    job_settings jobs;
    bool json = false;
    bool quiet = false;
};

std::unique_ptr<command> make_post(post_settings, command_environment const&);
std::unique_ptr<command> make_call(call_settings, command_environment const&);
std::unique_ptr<command> make_serve(serve_settings, command_environment const&);
std::unique_ptr<command> make_events(events_settings, command_environment const&);
std::unique_ptr<command> make_control(control_settings, command_environment const&);
std::unique_ptr<command> make_listen(listen_settings, command_environment const&);

/// How a controller and its bots find each other (clients/README.md, "Control").
inline constexpr char control_node[] = "control";  // or "control-…"
inline constexpr char control_all[] = "control.all";
inline constexpr char control_group[] = "control.group.";
inline constexpr char control_bot[] = "control.bot.";
inline constexpr char control_answer[] = "control.answer.";
/// Header of an answer: the exit status of what the bot did; absent = 0.
inline constexpr char control_status[] = "Control-Status";

/// One event of the server in a readable line, with its end; `json` as in `message_form`.
std::string render_event(notice::msg const&, bool json, command_environment const&);

/// What the server said went wrong, with a service's own code if it has one.
std::string complaint(notice::error const&, command_environment const&);

/// Sixteen random hexadecimal digits.
std::string random_token();

}  // namespace kedge
