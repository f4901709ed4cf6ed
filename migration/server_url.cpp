#include "migration/server_url.hpp"

#include <algorithm>
#include <charconv>

namespace kedge::migration {

std::string server_url::text() const
{
    bool const bracketed = host.find(':') != host.npos;
    return (tls ? "tls://" : "nats://") + (bracketed ? "[" + host + "]" : host) + ":" + port;
}

std::optional<server_url> parse_server_url(std::string_view text)
{
    constexpr std::size_t bytes_max = 280;
    if (text.size() > bytes_max) return std::nullopt;
    server_url out;
    if (text.starts_with("tls://")) out.tls = true;
    else if (!text.starts_with("nats://")) return std::nullopt;
    text.remove_prefix(text.find("//") + 2);

    bool const bracketed = text.starts_with('[');
    auto const end = bracketed ? text.find(']') : text.find(':');
    if (bracketed && end == text.npos) return std::nullopt;
    out.host = std::string(bracketed ? text.substr(1, end - 1) : text.substr(0, end));
    text = end == text.npos ? std::string_view{} : text.substr(bracketed ? end + 1 : end);
    auto const in_host = [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || (bracketed && c == ':');
    };
    if (out.host.empty() || out.host.size() > 255 || !std::all_of(out.host.begin(), out.host.end(), in_host)) return std::nullopt;
    if (text.empty()) return out;

    unsigned port = 0;
    auto const* const first = text.data() + 1;
    auto const* const last = text.data() + text.size();
    if (text.front() != ':' || first == last) return std::nullopt;
    auto const parsed = std::from_chars(first, last, port);
    if (parsed.ec != std::errc{} || parsed.ptr != last || port == 0 || port > 65'535) return std::nullopt;
    out.port = std::to_string(port);
    return out;
}

}  // namespace kedge::migration
