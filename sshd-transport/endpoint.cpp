#include <charconv>

#include <boost/asio/ip/address.hpp>

#include "sshd-transport/config.hpp"

namespace kedge {
namespace {

/// Decimal digits only, and all of them.
std::optional<unsigned> parse_number(std::string_view text, unsigned max)
{
    unsigned value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
    return value;
}

std::optional<boost::asio::ip::address> parse_address(std::string_view text)
{
    // A NUL would end the text early in the C function below; a scope ("%eth0") depends on the machine.
    if (text.find('\0') != text.npos || text.find('%') != text.npos) return std::nullopt;
    boost::system::error_code error;
    auto address = boost::asio::ip::make_address(std::string(text), error);
    if (error) return std::nullopt;
    return address;
}

}  // namespace

std::optional<listen_endpoint> parse_endpoint(std::string_view text)
{
    auto const colon = text.rfind(':');
    if (colon == text.npos) return std::nullopt;
    auto host = text.substr(0, colon);
    bool const bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    auto const port = parse_number(text.substr(colon + 1), 65'535);
    auto const address = parse_address(host);
    // Without brackets nobody can tell where an IPv6 address ends and its port begins.
    if (!port || !address || address->is_v6() != bracketed) return std::nullopt;
    return listen_endpoint{address->to_string(), static_cast<std::uint16_t>(*port)};
}

std::string to_string(listen_endpoint const& endpoint)
{
    bool const v6 = endpoint.address.find(':') != std::string::npos;
    return (v6 ? "[" + endpoint.address + "]" : endpoint.address) + ":" + std::to_string(endpoint.port);
}

bool is_loopback(listen_endpoint const& endpoint)
{
    auto const address = parse_address(endpoint.address);
    return address && address->is_loopback();
}

}  // namespace kedge
