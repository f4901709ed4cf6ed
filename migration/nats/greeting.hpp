#pragma once
/// What a NATS server says of itself when a connection stands, before TLS and any login: libnats reads it too, but tells only a
/// part of it, cannot be interrupted while it waits, and has one word for all that goes wrong.

#include <cstdint>
#include <string>
#include <variant>

#include "migration/server_url.hpp"

namespace kedge::migration {

struct greeting {
    std::string server_id;
    std::string server_name;
    std::string version;
    std::uint64_t max_payload = 0;
    bool jetstream = false;
    bool headers = false;
    bool tls = false;  ///< required or possible
};

/// Connects, reads the greeting, leaves. At most `wait_ms`, apart from the resolver's own time; at once when `interrupt`, a file
/// descriptor, becomes readable. Else a sentence.
std::variant<greeting, std::string> read_greeting(server_url const&, std::uint64_t wait_ms, int interrupt);

/// The line itself. Public for its test.
std::variant<greeting, std::string> parse_greeting(std::string_view line);

}  // namespace kedge::migration
