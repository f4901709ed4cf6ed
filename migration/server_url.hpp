#pragma once
/// The address of a NATS server as the configuration names it. Pure; any thread.

#include <optional>
#include <string>
#include <string_view>

namespace kedge::migration {

struct server_url {
    bool tls = false;   ///< "tls://": never without TLS, whatever the server says
    std::string host;   ///< a name or a numeric address, without brackets
    std::string port = "4222";

    std::string text() const;  ///< as it was given, with the port
    friend bool operator==(server_url const&, server_url const&) = default;
};

/// "nats://host:4222", "tls://[::1]"; nothing else may stand in it: names and secrets have files of their own.
std::optional<server_url> parse_server_url(std::string_view);

}  // namespace kedge::migration
