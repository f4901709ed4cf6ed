#include "router/account/directory.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <arpa/inet.h>

namespace kedge {

namespace {

/// 16 bytes for both families: an IPv4 address is kept as its mapped form (RFC 4291 §2.5.5.2), so that both texts of one
/// address compare equal.
struct address {
    std::array<unsigned char, 16> bytes{};
    bool v4 = false;
};

constexpr std::array<unsigned char, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::optional<address> parse_address(std::string_view text) noexcept
{
    // The zone of a link-local address ("fe80::1%eth0") names an interface of this machine, not a part of the address.
    text = text.substr(0, text.find('%'));
    std::array<char, INET6_ADDRSTRLEN + 1> terminated{};
    if (text.empty() || text.size() >= terminated.size() || text.find('\0') != text.npos)
        return std::nullopt;
    std::ranges::copy(text, terminated.begin());
    address parsed;
    if (inet_pton(AF_INET, terminated.data(), parsed.bytes.data() + 12) == 1) {
        std::ranges::copy(mapped_prefix, parsed.bytes.begin());
        parsed.v4 = true;
        return parsed;
    }
    if (inet_pton(AF_INET6, terminated.data(), parsed.bytes.data()) != 1)
        return std::nullopt;
    parsed.v4 = std::equal(mapped_prefix.begin(), mapped_prefix.end(), parsed.bytes.begin());
    return parsed;
}

}  // namespace

bool address_in(std::string_view text, std::string_view cidr) noexcept
{
    auto const slash = cidr.find('/');
    auto const base_text = cidr.substr(0, slash);
    auto const inside = parse_address(text);
    auto const base = parse_address(base_text);
    if (!inside || !base || inside->v4 != base->v4)
        return false;
    unsigned bits = 128;
    if (slash != cidr.npos) {
        auto const digits = cidr.substr(slash + 1);
        auto const [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
        if (bad != std::errc{} || end != digits.data() + digits.size())
            return false;
        if (base_text.find(':') == base_text.npos) {
            if (bits > 32)
                return false;
            bits += 96;
        }
    }
    // A mapped base with fewer than 96 bits would be a network of both families: no such thing is meant.
    if (bits > 128 || (base->v4 && bits < 96))
        return false;
    auto const whole = bits / 8;
    if (!std::equal(base->bytes.begin(), base->bytes.begin() + whole, inside->bytes.begin()))
        return false;
    auto const rest = bits % 8;
    auto const mask = static_cast<unsigned char>(0xff00u >> rest);
    return rest == 0 || ((base->bytes[whole] ^ inside->bytes[whole]) & mask) == 0;
}

bool valid_cidr(std::string_view text) noexcept
{
    // A zone depends on the machine.
    return text.find('%') == text.npos && address_in(text.substr(0, text.find('/')), text);
}

}  // namespace kedge
