#include "sshd-transport/options.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>

#include <CLI/CLI.hpp>

#include "sshd-transport/home.hpp"

namespace kedge {
namespace {

/// The file's text, but for what lies beyond the bound that `parse_config` refuses.
std::optional<std::string> read_bounded(std::filesystem::path const& path)
{
    std::ifstream in(path, std::ios::binary);
    if (!in || std::filesystem::is_directory(path)) return std::nullopt;
    std::string text(config_bytes_max + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
    return text;
}

std::vector<std::string> take_command_line(daemon_options const& options, server_config& config)
{
    std::vector<std::string> wrong;
    if (!options.listen.empty()) config.listen.clear();
    for (auto const& text : options.listen) {
        if (auto const endpoint = parse_endpoint(text))
            config.listen.push_back(*endpoint);
        else
            wrong.push_back("--listen " + text + ": it has to be ADDRESS:PORT with a numeric address, IPv6 in brackets");
    }
    if (options.http) {
        config.http = parse_endpoint(*options.http);
        if (!config.http) wrong.push_back("--http " + *options.http + ": it has to be ADDRESS:PORT with a numeric address");
    }
    if (options.level && !parse_log_level(*options.level, config.level))
        wrong.push_back("--log-level " + *options.level + ": it has to be debug, info, warning, error or off");
    if (options.format && !parse_log_format(*options.format, config.format))
        wrong.push_back("--log-format " + *options.format + ": it has to be text or json");
    return wrong;
}

}  // namespace

std::variant<daemon_options, int> parse_options(int argc, char const* const* argv)
{
    daemon_options options;
    std::string home;
    std::string config;
    CLI::App app("kedged: message server over SSH", "kedged");
    app.add_option("--home", home, "directory of keys and database (default: $KEDGE_HOME, else ~/.local/share/kedge)");
    app.add_option("--config", config, "TOML file (default: HOME/kedged.toml if it exists)");
    app.add_option("--listen", options.listen, "ADDRESS:PORT; repeatable; port 0 picks one (default: 127.0.0.1:2222)")
        ->expected(1)
        ->take_all();
    app.add_option("--http", options.http, "ADDRESS:PORT of /healthz, /readyz and /metrics (default: none)");
    app.add_option("--log-level", options.level, "debug, info, warning, error or off (default: info)");
    app.add_option("--log-format", options.format, "text or json, on standard error (default: text)");
    app.add_flag("--check-config", options.check_config, "check the configuration, say what is wrong, exit");
    app.add_flag("--print-config", options.print_config, "print the configuration in force, every key documented, exit");
    app.add_flag("--recover", options.recover, "save what can be read of a damaged database, keep the damaged one, exit");
    app.set_version_flag("--version", "kedged " KEDGE_VERSION);
    app.footer("Signals: TERM and INT drain and exit (the second one at once), HUP reloads configuration and keys and opens the log file again.");
    try {
        app.parse(argc, argv);
    } catch (CLI::ParseError const& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    if (!config.empty()) options.config = config;
    try {
        options.home = home.empty() ? default_home() : std::filesystem::path(home);
    } catch (std::exception const& error) {
        std::cerr << "kedged: " << error.what() << "\n";
        return 1;
    }
    return options;
}

std::optional<std::filesystem::path> config_file(daemon_options const& options)
{
    if (options.config) return options.config;
    auto const usual = options.home / "kedged.toml";
    std::error_code error;
    return std::filesystem::exists(usual, error) ? std::optional(usual) : std::nullopt;
}

std::variant<server_config, std::vector<std::string>> load_config(daemon_options const& options)
{
    server_config config;
    std::vector<std::string> wrong;
    auto const file = config_file(options);
    auto const add = [&](std::vector<config_error> const& errors) {
        for (auto const& each : errors)
            wrong.push_back((file ? file->string() + (each.line ? ":" + std::to_string(each.line) : "") + ": " : "") + each.message);
    };
    if (file) {
        auto const text = read_bounded(*file);
        if (!text) return std::vector{"cannot read " + file->string() + ": " + std::strerror(errno)};
        auto parsed = parse_config(*text);
        if (auto const* errors = std::get_if<std::vector<config_error>>(&parsed))
            add(*errors);
        else
            config = std::get<server_config>(std::move(parsed));
    }
    auto const line = take_command_line(options, config);
    wrong.insert(wrong.end(), line.begin(), line.end());
    if (wrong.empty()) add(check_config(config));
    if (wrong.empty()) wrong = migration::check_settings_files(config.nats);
    if (!wrong.empty()) return wrong;
    return config;
}

}  // namespace kedge
