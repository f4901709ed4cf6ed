#include "router/protocol/json_fields.hpp"

#include <algorithm>
#include <bit>
#include <new>
#include <optional>
#include <string>

#include "router/protocol/input_buffer.hpp"

namespace kedge {
namespace {

static_assert(simdjson::SIMDJSON_PADDING <= json_padding);

constexpr std::array<std::string_view, field_count> names{
    "op", "id", "subject", "n", "reply_to", "headers", "data", "data64",
    "node", "client", "inbox", "keepalive", "group", "to", "stream", "consumer", "filter", "start", "window",
    "ack_wait_ms", "max_deliver", "seq", "upto", "delay_ms", "reason", "service", "method", "timeout_ms", "version",
    "methods", "description", "call", "error", "add", "remove", "list", "delete", "what",
    "protocol", "server", "session", "user", "role", "servers", "max_body", "dedupe", "last", "dup", "instance", "from",
    "time_ms", "pub_id", "tries", "left_ms", "draining", "text", "code", "message", "unknown",
    "ms", "ids",
};

// A name is found by one look into a table whose hash was chosen so that no two names share a place.
constexpr std::size_t places = 512;
constexpr std::uint8_t nobody = 0xff;

constexpr std::size_t place_of(std::string_view name, std::uint32_t factor)
{
    auto const byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(name[i])); };
    auto const mix = byte(0) | byte(name.size() / 3) << 8 | byte(name.size() - 1) << 16 |
                     static_cast<std::uint32_t>(name.size()) << 24;
    return mix * factor >> 23;
}
static_assert(std::size_t{1} << (32 - 23) == places);

constexpr bool collides(std::uint32_t factor)
{
    std::array<bool, places> taken{};
    for (auto const name : names) {
        auto& here = taken[place_of(name, factor)];
        if (here)
            return true;
        here = true;
    }
    return false;
}

constexpr std::uint32_t find_factor()
{
    std::uint32_t factor = 0x9e3779b1;
    while (collides(factor))
        factor = (factor * 1664525 + 1013904223) | 1;
    return factor;
}
constexpr auto factor = find_factor();

constexpr std::array<std::uint8_t, places> make_table()
{
    std::array<std::uint8_t, places> table{};
    table.fill(nobody);
    for (std::size_t i = 0; i < names.size(); ++i)
        table[place_of(names[i], factor)] = static_cast<std::uint8_t>(i);
    return table;
}
constexpr auto table = make_table();

std::optional<field> find(std::string_view name) noexcept
{
    if (name.empty())
        return std::nullopt;
    auto const index = table[place_of(name, factor)];
    if (index == nobody || names[index] != name)
        return std::nullopt;
    return static_cast<field>(index);
}

/// One for each thread, not for each link: a parser holds many times the memory of the text that it has read.
struct thread_parser {
    simdjson::dom::parser parser;
    json_fields fields;

    void make_room(std::size_t bytes)
    {
        constexpr std::size_t usual = 64 * 1024;
        // After a large line the next header gives the memory back.
        if (parser.capacity() > usual && bytes <= usual)
            parser = simdjson::dom::parser{};
        if (parser.capacity() < bytes &&
            parser.allocate(std::bit_ceil(std::max<std::size_t>(bytes, 1024))) != simdjson::SUCCESS)
            throw std::bad_alloc{};
    }
};

thread_parser& parser_of_this_thread()
{
    thread_local thread_parser instance;
    return instance;
}

failure bad_request(std::string message) { return {error_code::bad_request, std::move(message)}; }

}  // namespace

std::string_view name_of(field f) noexcept { return names[static_cast<std::size_t>(f)]; }

result<void> json_fields::assign(simdjson::dom::object object)
{
    present_ = 0;
    std::uint64_t seen = 0;
    for (auto const [name, value] : object) {
        auto const known = find(name);
        if (!known)
            continue;
        auto const bit = std::uint64_t{1} << static_cast<unsigned>(*known);
        if ((seen & bit) != 0)
            return bad_request('"' + std::string{name} + "\" is given twice");
        seen |= bit;
        if (value.is_null())
            continue;
        present_ |= bit;
        values_[static_cast<std::size_t>(*known)] = value;
    }
    return {};
}

result<json_fields const*> parse_fields(std::string_view text)
{
    auto& thread = parser_of_this_thread();
    thread.make_room(text.size());
    simdjson::dom::element root;
    if (auto const error = thread.parser.parse(text.data(), text.size(), false).get(root); error != simdjson::SUCCESS)
        return bad_request(std::string{"not valid JSON: "} + simdjson::error_message(error));
    simdjson::dom::object object;
    if (root.get(object) != simdjson::SUCCESS)
        return bad_request("not a JSON object");
    if (auto const taken = thread.fields.assign(object); !taken)
        return taken.error();
    return &thread.fields;
}

}  // namespace kedge
