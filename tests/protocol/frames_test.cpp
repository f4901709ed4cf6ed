#include "tests/catch.hpp"

#include <string>

#include "tests/protocol/describe.hpp"
#include "tests/protocol/units.hpp"

namespace kedge {
namespace {

/// Decodes at once, byte by byte, and cut at each offset; all must say the same.
std::string decoded_frames(std::string const& input, limits const& l = {})
{
    auto const whole = decode_operations(encoding::frames, l, input);
    CHECK(decode_operations(encoding::frames, l, input, {0, 1}) == whole);
    for (std::size_t at = 1; at < input.size(); ++at) {
        if (auto const cut = decode_operations(encoding::frames, l, input, {at}); cut != whole) {
            CAPTURE(at);
            CHECK(cut == whole);
        }
    }
    return whole;
}

std::string line(std::string_view input, std::string_view what)
{
    return std::to_string(input.size()) + " " + std::string{what} + "\n";
}

std::string broken(std::string_view why)
{
    return "0 malformed id= subject= code=bad_frame " + std::string{why} + "\nbroken\n";
}

TEST_CASE("frames: header and body")
{
    auto const pub = frame_of(R"({"op":"pub","id":"1","subject":"a.b"})", "hello");
    CHECK(pub.substr(0, 8) == std::string{"\0\0\0\x2e"
                                          "25  ",
                                          8});
    auto const quit = frame_of(R"({"op":"quit"})");
    CHECK(decoded_frames(pub + quit) ==
          line(pub, R"({"op":"pub","id":"1","subject":"a.b","data":"hello"})") + line(quit, R"({"op":"quit"})"));
}

TEST_CASE("frames: a body may hold anything, and data in the header is no body")
{
    auto const octets = frame_of(R"({"op":"pub","subject":"a","data":7})", std::string_view{"\0\xff\n", 3});
    CHECK(decoded_frames(octets) == line(octets, R"({"op":"pub","subject":"a","data64":"AP8K"})"));
    auto const empty = frame_of(R"({"op":"pub","subject":"a"})");
    CHECK(decoded_frames(empty) == line(empty, R"({"op":"pub","subject":"a","data":""})"));
}

TEST_CASE("frames: the header size")
{
    std::string const header = R"({"op":"quit"})";  // 13 bytes
    for (std::string_view const good : {"d   ", "D   ", "0d  ", "00d ", "000d", "000D"}) {
        auto const frame = frame_with(good, header);
        CAPTURE(good);
        CHECK(decoded_frames(frame) == line(frame, header));
    }
    for (std::string_view const bad : {"    ", " d  ", "   d", "d  0", "0x0d", "+d  ", "-d  ", "d\t  ", "d,  ", "g   ", "d\0\0\0"}) {
        CAPTURE(bad);
        std::string const field{bad.data(), 4};
        CHECK(decoded_frames(frame_with(field, header) + frame_of(header)) == broken("the header size is not hexadecimal"));
    }
    CHECK(decoded_frames(frame_with("e   ", header)) == broken("the header size is beyond the end of the frame"));
    CHECK(decoded_frames(frame_with("ffff", header)) == broken("the header size is beyond the end of the frame"));
    // Too small a size leaves a header that is cut off: the frame itself is sound.
    auto const cut = frame_with("c   ", header);
    auto const said = decoded_frames(cut + frame_of(header));
    CHECK(said.find("bad_request not valid JSON") != std::string::npos);
    CHECK(said.find(R"({"op":"quit"})") != std::string::npos);
}

TEST_CASE("frames: lengths that cannot be")
{
    for (std::uint32_t length = 0; length < 4; ++length)
        CHECK(decoded_frames(big_endian(length) + "0   ") == broken("the frame is too short for a header size"));
    auto const no_header = frame_with("0   ", "", "body");
    CHECK(decoded_frames(no_header).find("bad_request") != std::string::npos);
    CHECK(decoded_frames(big_endian(0xffffffff)) == broken("the frame is longer than the limit"));
}

TEST_CASE("frames: an input that ends within a frame")
{
    auto const frame = frame_of(R"({"op":"quit"})");
    for (std::size_t size = 1; size < frame.size(); ++size)
        CHECK(decode_operations(encoding::frames, {}, frame.substr(0, size)) == broken("the input ends within a frame"));
    CHECK(decode_operations(encoding::frames, {}, "") == "");
}

TEST_CASE("frames: the limit of a frame, and one more")
{
    limits l;
    l.frame_bytes = 100;
    std::string const header = R"({"op":"pub","id":"1","subject":"a"})";
    auto const fits = frame_of(header, std::string(100 - 4 - header.size(), 'x'));
    CHECK(decoded_frames(fits, l).find("\"op\":\"pub\"") != std::string::npos);
    auto const over = frame_of(header, std::string(100 - 4 - header.size() + 1, 'x'));
    CHECK(decoded_frames(over, l) == broken("the frame is longer than the limit"));
}

TEST_CASE("frames: the limit of a body, and one more")
{
    limits l;
    l.body_bytes = 10;
    std::string const header = R"({"op":"pub","id":"1","subject":"a"})";
    auto const fits = frame_of(header, std::string(10, 'x'));
    auto const over = frame_of(header, std::string(11, 'x'));
    auto const quit = frame_of(R"({"op":"quit"})");
    CHECK(decoded_frames(fits + over + quit, l) ==
          line(fits, R"({"op":"pub","id":"1","subject":"a","data":"xxxxxxxxxx"})") +
              line(over, "malformed id=1 subject=a code=too_large the body is longer than 10 bytes") +
              line(quit, R"({"op":"quit"})"));
    // What is wrong with the header is told first.
    auto const wrong = frame_of(R"({"op":"pub","id":"1"})", std::string(11, 'x'));
    CHECK(decoded_frames(wrong, l) == line(wrong, R"(malformed id=1 subject= code=bad_request "subject" is missing)"));
}

TEST_CASE("frames: the limit of a header, and one more")
{
    limits l;
    l.header_bytes = 60;
    auto const header = [](std::size_t size) {
        std::string const begin = R"({"op":"ping","id":"1","x":")";
        return begin + std::string(size - begin.size() - 2, 'x') + R"("})";
    };
    auto const fits = frame_of(header(60), "b");
    auto const over = frame_of(header(61), "b");
    auto const quit = frame_of(R"({"op":"quit"})");
    CHECK(decoded_frames(fits + over + quit, l) ==
          line(fits, R"({"op":"ping","id":"1"})") +
              line(over, "malformed id= subject= code=too_large the header is longer than 60 bytes") +
              line(quit, R"({"op":"quit"})"));
}

TEST_CASE("frames: a body that is too large is not held")
{
    operation_decoder decoder{encoding::frames, limits{}};
    std::string const header = R"({"op":"pub","id":"1","subject":"a"})";
    std::size_t const body = 1024 * 1024 + 1;
    decoder.feed(frame_of(header, std::string(body, 'x')).substr(0, 8 + header.size()));
    std::string const piece(16 * 1024, 'x');
    for (std::size_t sent = 0; sent + piece.size() < body; sent += piece.size()) {
        decoder.feed(piece);
        CHECK_FALSE(decoder.next().has_value());
        CHECK(decoder.held() < 1000);
        CHECK_FALSE(decoder.empty());
    }
    decoder.feed("x");
    auto const told = decoder.next();
    REQUIRE(told.has_value());
    CHECK(told->bytes == 8 + header.size() + body);
    CHECK_FALSE(decoder.next().has_value());
    CHECK(decoder.empty());
    CHECK(decoder.held() == 0);
}

TEST_CASE("frames: nothing follows what is broken")
{
    operation_decoder decoder{encoding::frames, limits{}};
    decoder.feed(big_endian(2) + frame_of(R"({"op":"quit"})"));
    CHECK(decoder.next().has_value());
    CHECK(decoder.broken());
    decoder.feed(frame_of(R"({"op":"quit"})"));
    CHECK_FALSE(decoder.next().has_value());
    CHECK(decoder.held() == 0);
}

TEST_CASE("frames: many in one feed cost what they cost one by one")
{
    // Quadratic work on 40 MB would take minutes, not the bound of a test.
    std::string input;
    auto const frame = frame_of(R"({"op":"pub","subject":"a"})", std::string(60, 'x'));
    constexpr std::size_t count = 400'000;
    for (std::size_t i = 0; i < count; ++i)
        input += frame;
    operation_decoder decoder{encoding::frames, limits{}};
    decoder.feed(input);
    std::size_t got = 0;
    while (decoder.next())
        ++got;
    CHECK(got == count);
}

}  // namespace
}  // namespace kedge
