#include "tests/bench/frames.hpp"

#include "tests/catch.hpp"

#include <stdexcept>
#include <vector>

using namespace kedge::bench;

namespace {

struct seen {
    heard what;
    std::string header;
    std::string body_start;
    std::size_t body_size;
    friend bool operator==(seen const&, seen const&) = default;
};

std::vector<seen> scan(std::string_view input, std::size_t cut)
{
    std::vector<seen> found;
    frame_scanner scanner{[&](heard_frame const& f) {
        found.push_back({f.what, std::string{f.header}, std::string{f.body_start}, f.body_size});
    }};
    for (std::size_t at = 0; at < input.size(); at += cut)
        scanner.feed(input.substr(at, cut));
    return found;
}

}  // namespace

TEST_CASE("a frame is laid out as the contract says")
{
    CHECK(make_frame("{}", "ab") == std::string{"\0\0\0\x08", 4} + "2   " + "{}" + "ab");
    CHECK(make_frame(std::string(0x1f, 'x')).substr(4, 4) == "1f  ");
    CHECK_THROWS_AS(make_frame(std::string(0x10000, 'x')), std::length_error);
}

TEST_CASE("the scanner sees the same frames at every cut")
{
    std::string const long_body(1000, 'b');
    std::vector<seen> const want{
        {heard::welcome, R"({"op":"welcome"})", "", 0},
        {heard::msg, R"({"op":"msg","subject":"a"})", "short", 5},
        {heard::msg, R"({"op":"msg"})", std::string(body_peek, 'b'), 1000},
        {heard::ok, R"({"op":"ok","id":"1"})", "", 0},
        {heard::other, R"({"op":"info"})", "", 0},
        {heard::reply, R"({"op":"reply","id":"1"})", R"({"streams":["a body longer than a peek"]})", 41},
        {heard::other, "", "01234567", 17},
    };
    std::string const input = make_frame(want[0].header) + make_frame(want[1].header, "short")
        + make_frame(want[2].header, long_body) + make_frame(want[3].header) + make_frame(want[4].header)
        + make_frame(want[5].header, want[5].body_start) + make_frame("", "0123456789abcdefg");
    for (std::size_t cut = 1; cut <= input.size(); ++cut) {
        CAPTURE(cut);
        REQUIRE(scan(input, cut) == want);
    }
}

TEST_CASE("bytes that are no frames are refused")
{
    for (std::string const& bad : {std::string{"\0\0\0\x08", 4} + "zz  {}ab", std::string{"\0\0\0\x05", 4} + "2   {}ab",
                                   std::string{"\0\0\0\x02", 4} + "0   "}) {
        CHECK_THROWS_AS(scan(bad, bad.size()), std::runtime_error);
    }
}

TEST_CASE("numbers and texts are found in a header")
{
    std::string_view const header = R"({"op":"stored","stream":"S","n":12,"seq":34})";
    CHECK(number_in(header, "n") == 12);
    CHECK(number_in(header, "seq") == 34);
    CHECK(number_in(header, "tries") == 0);
    CHECK(text_in(header, "stream") == "S");
    CHECK(text_in(header, "code").empty());
}
