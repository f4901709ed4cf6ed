#include "router/protocol/subject.hpp"

#include <array>

#include "router/protocol/names.hpp"

namespace kedge {
namespace {

enum class byte_kind : unsigned char { plain, dot, star, tail, beyond_ascii, refused };

constexpr std::array<byte_kind, 256> make_kinds()
{
    std::array<byte_kind, 256> kinds{};
    for (unsigned c = 0; c < 256; ++c)
        kinds[c] = c <= 0x20 || c == 0x7f ? byte_kind::refused : c < 0x80 ? byte_kind::plain : byte_kind::beyond_ascii;
    kinds['.'] = byte_kind::dot;
    kinds['*'] = byte_kind::star;
    kinds['>'] = byte_kind::tail;
    return kinds;
}
constexpr auto kinds = make_kinds();

bool valid(std::string_view text, bool wildcards) noexcept
{
    if (text.empty() || text.size() > subject_bytes_max)
        return false;
    std::size_t tokens = 1;
    std::size_t token_bytes = 0;
    bool wildcard = false;  // the token at hand is "*" or ">"
    bool tail = false;      // ">" was seen: nothing may follow
    bool ascii = true;
    for (char const c : text) {
        if (tail)
            return false;
        switch (kinds[static_cast<unsigned char>(c)]) {
        case byte_kind::dot:
            if (token_bytes == 0 || ++tokens > subject_tokens_max)
                return false;
            token_bytes = 0;
            wildcard = false;
            continue;
        case byte_kind::star:
        case byte_kind::tail:
            if (!wildcards || token_bytes != 0)
                return false;
            wildcard = true;
            tail = c == '>';
            break;
        case byte_kind::plain:
            if (wildcard)
                return false;
            break;
        case byte_kind::beyond_ascii:
            if (wildcard)
                return false;
            ascii = false;
            break;
        case byte_kind::refused:
            return false;
        }
        ++token_bytes;
    }
    return token_bytes != 0 && (ascii || (valid_utf8(text) && !has_control_characters(text)));
}

/// Takes the first token off `rest`; there is one as long as `rest` is not empty.
std::string_view take_token(std::string_view& rest) noexcept
{
    auto const dot = rest.find('.');
    auto const token = rest.substr(0, dot);
    rest = dot == std::string_view::npos ? std::string_view{} : rest.substr(dot + 1);
    return token;
}

bool begins_with_wildcard(std::string_view pattern) noexcept { return pattern[0] == '*' || pattern[0] == '>'; }

}  // namespace

bool valid_subject(std::string_view subject) noexcept { return valid(subject, false); }
bool valid_pattern(std::string_view pattern) noexcept { return valid(pattern, true); }

bool is_reserved(std::string_view subject) noexcept
{
    auto const first = subject.substr(0, subject.find('.'));
    return !first.empty() && (first[0] == '$' || first[0] == '_' || first == "inbox" || first == "svc");
}

bool matches(std::string_view pattern, std::string_view subject) noexcept
{
    if (begins_with_wildcard(pattern) && is_reserved(subject))
        return false;
    while (!pattern.empty() && !subject.empty()) {
        auto const p = take_token(pattern);
        if (p == ">")
            return true;
        auto const s = take_token(subject);
        if (p != "*" && p != s)
            return false;
    }
    return pattern.empty() && subject.empty();
}

bool covers(std::string_view outer, std::string_view inner) noexcept
{
    if (begins_with_wildcard(outer) && is_reserved(inner))
        return false;
    while (!outer.empty() && !inner.empty()) {
        auto const o = take_token(outer);
        if (o == ">")
            return true;
        auto const i = take_token(inner);
        if (i == ">" || (o != "*" && o != i))
            return false;
    }
    return outer.empty() && inner.empty();
}

bool intersects(std::string_view a, std::string_view b) noexcept
{
    if ((begins_with_wildcard(a) && is_reserved(b)) || (begins_with_wildcard(b) && is_reserved(a)))
        return false;
    while (!a.empty() && !b.empty()) {
        auto const x = take_token(a);
        auto const y = take_token(b);
        if (x == ">" || y == ">")
            return true;
        if (x != "*" && y != "*" && x != y)
            return false;
    }
    return a.empty() && b.empty();
}

}  // namespace kedge
