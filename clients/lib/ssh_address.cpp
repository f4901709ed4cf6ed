#include <charconv>

#include "clients/lib/ssh_connection.hpp"

namespace kedge::client_lib {

std::optional<ssh_address> parse_address(std::string_view text)
{
    ssh_address a;
    auto const at = text.rfind('@');
    if (at == text.npos || at == 0)
        return std::nullopt;
    a.user = text.substr(0, at);
    auto host = text.substr(at + 1);
    std::string_view port;
    if (host.starts_with("[")) {
        auto const end = host.find(']');
        if (end == host.npos)
            return std::nullopt;
        port = host.substr(end + 1);
        host = host.substr(1, end - 1);
    } else if (auto const colon = host.find(':'); colon != host.npos) {
        // Two colons without brackets: an IPv6 address, all of it.
        if (host.find(':', colon + 1) == host.npos) {
            port = host.substr(colon);
            host = host.substr(0, colon);
        }
    }
    if (host.empty())
        return std::nullopt;
    a.host = host;
    if (port.empty())
        return a;
    port.remove_prefix(1);
    auto const [end, error] = std::from_chars(port.data(), port.data() + port.size(), a.port);
    if (error != std::errc{} || end != port.data() + port.size() || a.port == 0)
        return std::nullopt;
    return a;
}

std::string to_string(ssh_address const& a)
{
    auto const host = a.host.find(':') == a.host.npos ? a.host : "[" + a.host + "]";
    return a.user + "@" + host + ":" + std::to_string(a.port);
}

bool is_lasting(trouble t) noexcept
{
    switch (t) {
    case trouble::unknown_host_key:
    case trouble::changed_host_key:
    case trouble::denied:
    case trouble::refused:
        return true;
    case trouble::unreachable:
    case trouble::lost:
        return false;
    }
    return false;
}

}  // namespace kedge::client_lib
