#include "tests/catch.hpp"

#include <string>

#include "router/protocol/base64.hpp"

namespace kedge {
namespace {

std::string encoded(std::string_view bytes)
{
    std::string text(base64_size(bytes.size()), '?');
    CHECK(base64_encode(bytes, text.data()) == text.data() + text.size());
    return text;
}

TEST_CASE("base64: the vectors of RFC 4648 section 10")
{
    struct row {
        std::string_view bytes;
        std::string_view text;
    };
    for (auto const& [bytes, text] : {row{"", ""}, row{"f", "Zg=="}, row{"fo", "Zm8="}, row{"foo", "Zm9v"},
                                      row{"foob", "Zm9vYg=="}, row{"fooba", "Zm9vYmE="}, row{"foobar", "Zm9vYmFy"}}) {
        CAPTURE(text);
        CHECK(encoded(bytes) == text);
        CHECK(base64_decode(text) == std::string{bytes});
    }
}

TEST_CASE("base64: every octet in every place")
{
    for (std::size_t lead = 0; lead < 3; ++lead) {
        for (unsigned octet = 0; octet < 256; ++octet) {
            auto const bytes = std::string(lead, '\xa5') + static_cast<char>(octet);
            CHECK(base64_decode(encoded(bytes)) == bytes);
        }
    }
}

TEST_CASE("base64: what is not strictly base64 is refused")
{
    for (std::string_view const text : {"Z", "Zg", "Zg=", "Zg===", "====", "=", "Z===", "Zg==Zg==", "Zm9v\n", "Zm 9", "Zm-_", "Zm9",
                                        "Zh==", "Zm9=", "Zg=A", "\xc3\xa9==", "Zm9vYg=\0"}) {
        CAPTURE(text);
        CHECK_FALSE(base64_decode(text).has_value());
    }
}

}  // namespace
}  // namespace kedge
