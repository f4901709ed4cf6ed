#pragma once
/// The one place that knows every command, argument and option. Parsing, `--help`, the completions and the manual page all
/// come from here.

#include <span>
#include <string>
#include <vector>

#include "router/command/command.hpp"

namespace kedge {

/// One command, or a group of them, as documentation sees it. Plain data.
struct command_description {
    struct option {
        std::vector<std::string> names;    ///< "--json", "-i"; empty for a positional argument
        std::string value;                 ///< "NAME"; empty for a flag
        std::string text;
        std::vector<std::string> choices;  ///< words that it takes, if it takes only some
        bool file = false;                 ///< takes the name of a file
        bool required = false;
        bool repeats = false;
    };
    std::string name;
    std::string text;
    std::string example;           ///< a heading and indented lines, as below the help; may be empty
    std::vector<option> options;  ///< positional ones in their order
    std::vector<command_description> commands;
};

/// The tree, with the options of the connection at its root. `remote` as in `command_environment`.
command_description describe_commands(bool remote);

/// Where the CLI connects; parsed by `parse_connection`.
struct connection_options {
    std::string home;
    std::string to;                       ///< "USER@HOST:PORT"
    std::vector<std::string> identities;  ///< -i
    std::string known_hosts;
    bool accept_new = false;
    bool no_agent = false;
    std::uint64_t timeout_ms = 5'000;
    bool version = false;
    std::vector<std::string> words;  ///< the command
};

using parsed_connection = std::variant<connection_options, command_stop>;

/// Splits the arguments of the program into the options of the connection and the words of the command.
parsed_connection parse_connection(std::span<std::string const> arguments);

/// Scripts for completion, and the manual page (troff), made from the description.
std::string bash_completion(command_description const&);
std::string zsh_completion(command_description const&);
std::string manual_page(command_description const&);

}  // namespace kedge
