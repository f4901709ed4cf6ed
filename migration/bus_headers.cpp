#include "migration/bus_headers.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "migration/percent.hpp"
#include "router/protocol/json_writer.hpp"
#include "router/protocol/names.hpp"

namespace kedge::migration {

namespace {

bool begins_with(std::string_view name, std::string_view lower) noexcept
{
    return name.size() >= lower.size()
        && std::equal(lower.begin(), lower.end(), name.begin(), [](char l, char n) { return l == (n >= 'A' && n <= 'Z' ? n + 32 : n); });
}

using flat_headers = std::vector<std::pair<std::string, std::string>>;

flat_headers parse_headers(std::string_view json)
{
    flat_headers all;
    if (json.empty())
        return all;
    auto const object = nlohmann::ordered_json::parse(json);
    for (auto const& [name, value] : object.items())
        all.emplace_back(name, value.get<std::string>());
    return all;
}

std::string write_headers(flat_headers const& headers)
{
    if (headers.empty())
        return {};
    std::string json = "{";
    auto const quoted = [&](std::string_view text) {
        auto const begin = json.size() + 1;
        json.resize(begin + json_escaped_size(text) + 1, '"');
        json[begin - 1] = '"';
        json_escape(text, json.data() + begin);
    };
    for (auto const& [name, value] : headers) {
        if (json.size() > 1)
            json += ',';
        quoted(name);
        json += ':';
        quoted(value);
    }
    json += '}';
    return json;
}

}  // namespace

bool is_reserved_header(std::string_view name) noexcept
{
    return begins_with(name, "nats-") || begins_with(name, "kedge-");
}

void fill(bus_message& out, message const& m, std::string_view sender, std::uint64_t time_ms)
{
    out.subject = m.subject();
    out.body = m.body();
    out.headers.reserve(6);
    std::string odd;
    for (auto& [name, value] : parse_headers(m.headers())) {
        if (valid_header_name(name) && valid_header_value(value)) {
            out.headers.emplace_back(std::move(name), std::move(value));
            continue;
        }
        // Of an older version: JetStream would act on `Nats-…`, and a library might change the others.
        if (!odd.empty())
            odd += '&';
        odd += percent_encode(name, percent::strict) + "=" + percent_encode(value, percent::strict);
    }
    out.headers.emplace_back("Kedge-From", percent_encode(sender));
    out.headers.emplace_back("Kedge-Time", std::to_string(time_ms));
    if (!m.id().empty())
        out.headers.emplace_back("Kedge-Id", percent_encode(m.id()));
    if (!m.reply_to().empty())
        out.headers.emplace_back("Kedge-Reply", percent_encode(m.reply_to()));
    if (!odd.empty())
        out.headers.emplace_back("Kedge-Headers", std::move(odd));
}

std::variant<std::string, unrepresentable> native_headers(bus_message const& m)
{
    flat_headers all;
    for (auto const& [name, value] : m.headers) {
        if (is_reserved_header(name))
            continue;
        if (!valid_header_name(name))
            return unrepresentable{"the name of a header is longer than 64 bytes or holds more than letters, digits and hyphens"};
        auto const same = std::ranges::find(all, name, &flat_headers::value_type::first);
        if (same == all.end())
            all.emplace_back(name, value);
        else
            same->second += ", " + value;
        if (all.size() > headers_max)
            return unrepresentable{"it has more than " + std::to_string(headers_max) + " headers"};
    }
    for (auto const& [name, value] : all)
        if (!valid_header_value(value))
            return unrepresentable{"the value of its header " + name
                                   + " is empty, longer than 1024 bytes, not UTF-8, or has control characters or outer spaces"};
    return write_headers(all);
}

std::string our_headers(bus_message const& m, std::string_view odd)
{
    flat_headers all;
    for (auto const& [name, value] : m.headers)
        if (!is_reserved_header(name))
            all.emplace_back(name, value);
    while (!odd.empty()) {
        auto const pair = odd.substr(0, odd.find('&'));
        odd.remove_prefix(std::min(pair.size() + 1, odd.size()));
        auto const equals = std::min(pair.find('='), pair.size());
        auto name = percent_decode(pair.substr(0, equals));
        auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())));
        if (name && value)
            all.emplace_back(std::move(*name), std::move(*value));
    }
    return write_headers(all);
}

}  // namespace kedge::migration
