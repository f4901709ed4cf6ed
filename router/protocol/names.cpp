#include "router/protocol/names.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include <simdjson.h>

namespace kedge {
namespace {

constexpr bool digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool lower(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool upper(char c) { return c >= 'A' && c <= 'Z'; }

bool valid_lower_name(std::string_view name) noexcept
{
    return !name.empty() && name.size() <= 32 && (digit(name[0]) || lower(name[0])) &&
           std::all_of(name.begin(), name.end(),
                       [](char c) { return digit(c) || lower(c) || c == '_' || c == '-'; });
}

bool is_ascii(std::string_view text) noexcept
{
    std::uint64_t bits = 0;
    auto const* at = text.data();
    auto left = text.size();
    for (; left >= sizeof bits; at += sizeof bits, left -= sizeof bits) {
        std::uint64_t word;
        std::memcpy(&word, at, sizeof word);
        bits |= word;
    }
    for (; left != 0; --left)
        bits |= static_cast<unsigned char>(*at++);
    return (bits & 0x8080808080808080u) == 0;
}

/// `prefix` in lower case.
bool begins_with_any_case(std::string_view text, std::string_view prefix) noexcept
{
    return text.size() >= prefix.size() &&
           std::equal(prefix.begin(), prefix.end(), text.begin(),
                      [](char p, char c) { return p == (upper(c) ? static_cast<char>(c - 'A' + 'a') : c); });
}

}  // namespace

bool valid_user(std::string_view name) noexcept { return valid_lower_name(name); }
bool valid_node(std::string_view name) noexcept { return valid_lower_name(name); }

bool valid_name(std::string_view name) noexcept
{
    return !name.empty() && name.size() <= 64 && name[0] != '_' && name[0] != '-' &&
           std::all_of(name.begin(), name.end(),
                       [](char c) { return digit(c) || lower(c) || upper(c) || c == '_' || c == '-'; });
}

bool valid_operation_id(std::string_view id) noexcept { return !id.empty() && id.size() <= 64 && valid_utf8(id); }

bool valid_header_name(std::string_view name) noexcept
{
    return !name.empty() && name.size() <= 64 &&
           std::all_of(name.begin(), name.end(),
                       [](char c) { return digit(c) || lower(c) || upper(c) || c == '-'; }) &&
           !begins_with_any_case(name, "nats-") && !begins_with_any_case(name, "kedge-");
}

bool valid_header_value(std::string_view value) noexcept
{
    return !value.empty() && value.size() <= 1024 && value.front() != ' ' && value.back() != ' ' &&
           valid_utf8(value) && !has_control_characters(value);
}

bool valid_utf8(std::string_view text) noexcept
{
    // Names and ids are short and mostly ASCII: not worth the call.
    return (text.size() <= 64 && is_ascii(text)) || simdjson::validate_utf8(text.data(), text.size());
}

bool has_control_characters(std::string_view text) noexcept
{
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto const c = static_cast<unsigned char>(text[i]);
        if (c < 0x20 || c == 0x7f)
            return true;
        // U+0080 to U+009F
        if (c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0)
            return true;
    }
    return false;
}

}  // namespace kedge
