#pragma once
/// The command line of kedged, and the configuration that it and the file give together.

#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sshd-transport/config.hpp"

namespace kedge {

struct daemon_options {
    std::filesystem::path home;
    std::optional<std::filesystem::path> config;  ///< nothing = HOME/kedged.toml if it exists
    std::vector<std::string> listen;
    std::optional<std::string> http;
    std::optional<std::string> level;
    std::optional<std::string> format;
    bool check_config = false;
    bool print_config = false;
    bool recover = false;
};

/// The options, or the exit status when there is nothing more to do (help, version, a mistake: printed).
std::variant<daemon_options, int> parse_options(int argc, char const* const* argv);

/// Defaults, overlaid by the file, overlaid by the command line, and checked. On failure: sentences that name the file and
/// the line. Read again at SIGHUP.
std::variant<server_config, std::vector<std::string>> load_config(daemon_options const&);

/// The configuration file that `load_config` reads; nothing = defaults.
std::optional<std::filesystem::path> config_file(daemon_options const&);

}  // namespace kedge
