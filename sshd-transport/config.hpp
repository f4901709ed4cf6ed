#pragma once
/// The server's configuration: a TOML file whose every key has a default. One table (config.cpp) says what there is; parsing,
/// `kedged --print-config` and the messages for what is wrong all come from it.

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "migration/settings.hpp"
#include "router/account/directory.hpp"
#include "router/protocol/limits.hpp"
#include "sshd-transport/log.hpp"
#include "sshd-transport/server.hpp"

namespace kedge {

struct server_config {
    // [server]
    std::vector<listen_endpoint> listen{{"127.0.0.1", 2222}};
    std::string name;                  ///< host name by which clients reach this server; empty = not told
    std::vector<std::string> servers;  ///< "host:port" told in `welcome`; empty = `name` with the first port, if there is one
    std::uint64_t threads = 0;         ///< transport threads; 0 = one a core
    // [log]
    log_level level = log_level::info;
    log_format format = log_format::text;
    std::string log_file;  ///< absolute; empty = standard error
    // [http]
    std::optional<listen_endpoint> http;  ///< nothing = no HTTP listener
    bool http_anywhere = false;           ///< whether `http` may be other than loopback
    // [gate]
    std::vector<std::string> exempt{"127.0.0.0/8", "::1/128"};
    std::uint64_t watchdog_ms = 500;
    // [nats]
    migration::settings nats;
    // [limits]
    struct limits limits;

    friend bool operator==(server_config const&, server_config const&) = default;
};

/// What is wrong with a configuration, and where; `line` 0 = nowhere in particular.
struct config_error {
    std::size_t line = 0;
    std::string message;

    friend bool operator==(config_error const&, config_error const&) = default;
};

inline constexpr std::size_t config_bytes_max = 1024 * 1024;

/// The configuration that `text` says, over `base`. On failure every mistake that was found, by rising line; never empty.
std::variant<server_config, std::vector<config_error>> parse_config(std::string_view text, server_config const& base = {});

/// What no single key can say: limits that contradict each other, an HTTP listener that is open to the world. After the
/// command line had its say. Empty = sound.
std::vector<config_error> check_config(server_config const&);

/// A file that `parse_config` reads back as `config`; every key with its meaning, range and default.
std::string print_config(server_config const& config);

/// The keys (`section.key`) in which two configurations differ and that a running server cannot take over.
std::vector<std::string> needs_restart(server_config const& now, server_config const& then);

/// "127.0.0.1:2222", "[::1]:2222"; numeric addresses only, port 0 to 65535.
std::optional<listen_endpoint> parse_endpoint(std::string_view text);
std::string to_string(listen_endpoint const&);
bool is_loopback(listen_endpoint const&);

}  // namespace kedge
