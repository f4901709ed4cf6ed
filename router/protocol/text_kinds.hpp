#pragma once
/// What the strings of operations and notices must be, and how a person is told. Internal to router/protocol.

#include "router/protocol/field_reader.hpp"
#include "router/protocol/names.hpp"
#include "router/protocol/subject.hpp"

namespace kedge::kinds {

template <std::size_t Min, std::size_t Max>
bool plain_text(std::string_view text) noexcept
{
    return text.size() >= Min && text.size() <= Max && valid_utf8(text) && !has_control_characters(text);
}

inline constexpr text_kind any{valid_utf8, "a string"};
inline constexpr text_kind operation_id{valid_operation_id, "a string of 1 to 64 bytes"};
inline constexpr text_kind node{valid_node, "a name of a-z, 0-9, _ and -, 32 at most, beginning with a letter or digit"};
inline constexpr text_kind name{valid_name,
                                "a name of A-Z, a-z, 0-9, _ and -, 64 at most, beginning with a letter or digit"};
inline constexpr text_kind subject{valid_subject, "a subject: 1 to 16 tokens joined by dots, 255 bytes at most, no wildcards"};
inline constexpr text_kind pattern{
    valid_pattern, "a pattern: 1 to 16 tokens joined by dots, 255 bytes at most; * and a final > are wildcards"};
inline constexpr text_kind handle{plain_text<1, 64>, "a string of 1 to 64 bytes without control characters"};
inline constexpr text_kind recipient{plain_text<1, 128>, "a name of 1 to 128 bytes"};
inline constexpr text_kind program{plain_text<0, 256>, "a string of at most 256 bytes without control characters"};
inline constexpr text_kind sentence{plain_text<0, 1024>, "a string of at most 1024 bytes without control characters"};

}  // namespace kedge::kinds
