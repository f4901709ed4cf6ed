#pragma once
/// Text in a NATS header's value, which may be no control characters and no outer spaces: bytes that could be misread are
/// written as %XX (RFC 3986, section 2.1).

#include <optional>
#include <string>
#include <string_view>

namespace kedge::migration {

enum class percent : unsigned char {
    spare,   ///< all that is visible ASCII stays, but for "%"
    strict   ///< only letters, digits and "-._~" stay: for parts that are joined by other characters
};

std::string percent_encode(std::string_view, percent = percent::spare);
/// Nothing if it is not what `percent_encode` writes (of either kind).
std::optional<std::string> percent_decode(std::string_view);

}  // namespace kedge::migration
