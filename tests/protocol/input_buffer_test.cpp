#include "tests/catch.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "router/protocol/input_buffer.hpp"

namespace kedge {
namespace {

TEST_CASE("input buffer: a queue of bytes, whatever goes in and out")
{
    input_buffer buffer;
    std::string model;
    unsigned random = 1;
    auto const next = [&](unsigned bound) {
        random = random * 1664525 + 1013904223;
        return random >> 8 & 0xffffff ? (random >> 8) % bound : 0;
    };
    for (int i = 0; i < 20'000; ++i) {
        std::string const input(next(i % 100 == 0 ? 5000 : 40), static_cast<char>('a' + next(26)));
        buffer.append(input);
        model += input;
        REQUIRE(buffer.view() == model);
        auto const out = std::min<std::size_t>(next(i % 90 == 0 ? 9000 : 45), model.size());
        buffer.consume(out);
        model.erase(0, out);
        REQUIRE(buffer.size() == model.size());
        buffer.release();
        REQUIRE(buffer.view() == model);
    }
}

TEST_CASE("input buffer: what is behind the content may be read")
{
    input_buffer buffer;
    buffer.append(std::string(4096, 'x'));
    auto const view = buffer.view();
    std::string copy(json_padding, '\0');
    std::memcpy(copy.data(), view.data() + view.size(), json_padding);  // AddressSanitizer would object
    CHECK(view.size() == 4096);
}

}  // namespace
}  // namespace kedge
