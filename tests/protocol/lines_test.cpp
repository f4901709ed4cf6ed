#include "tests/catch.hpp"

#include <string>

#include "tests/protocol/describe.hpp"

namespace kedge {
namespace {

std::string decoded_lines(std::string const& input, limits const& l = {})
{
    auto const whole = decode_operations(encoding::lines, l, input);
    CHECK(decode_operations(encoding::lines, l, input, {0, 1}) == whole);
    for (std::size_t at = 1; at < input.size(); ++at) {
        if (auto const cut = decode_operations(encoding::lines, l, input, {at}); cut != whole) {
            CAPTURE(at);
            CHECK(cut == whole);
        }
    }
    return whole;
}

constexpr char const* quit = "{\"op\":\"quit\"}\n";

TEST_CASE("lines: LF, CR LF, blank lines and a last line without its end")
{
    CHECK(decoded_lines("{\"op\":\"quit\"}\n{\"op\":\"quit\"}\r\n") == std::string{"14 "} + quit + "15 " + quit);
    CHECK(decoded_lines("\n\r\n \t\n\n  {\"op\":\"quit\"} \n\n") == std::string{"17 "} + quit);
    CHECK(decoded_lines("{\"op\":\"quit\"}") == std::string{"13 "} + quit);
    CHECK(decoded_lines("{\"op\":\"quit\"}\r") == std::string{"14 "} + quit);
    CHECK(decoded_lines("\n") == "");
    CHECK(decoded_lines("") == "");
    CHECK(decoded_lines(" ") == "");
}

TEST_CASE("lines: the body is in data or data64")
{
    struct row {
        std::string_view field;
        std::string_view comes_back;
    };
    for (auto const& r : {
             row{R"(,"data":"hello")", R"(,"data":"hello")"},
             row{R"(,"data":"")", R"(,"data":"")"},
             row{"", R"(,"data":"")"},
             row{R"(,"data":"\u0041\n\"\u00e9\ud83d\ude00")", ",\"data\":\"A\\n\\\"\xc3\xa9\xf0\x9f\x98\x80\""},
             row{R"(,"data64":"aGVsbG8=")", R"(,"data":"hello")"},
             row{R"(,"data64":"AP8K")", R"(,"data64":"AP8K")"},
             row{R"(,"data64":"")", R"(,"data":"")"},
             // Escaped it would be longer than in base64.
             row{R"(,"data":"\u0000\u0001\u0002")", R"(,"data64":"AAEC")"},
             row{R"(,"data":"\n\n\n")", R"(,"data64":"CgoK")"},
             row{R"(,"data":"\n\n")", R"(,"data":"\n\n")"},
         }) {
        CAPTURE(r.field);
        auto const input = R"({"op":"pub","subject":"a")" + std::string{r.field} + "}\n";
        CHECK(decoded_lines(input) ==
              std::to_string(input.size()) + R"( {"op":"pub","subject":"a")" + std::string{r.comes_back} + "}\n");
    }
}

TEST_CASE("lines: a body that is not one")
{
    for (std::string_view const field :
         {R"("data":"x","data64":"eA==")", R"("data":"","data64":"")", R"("data":7)", R"("data64":["eA=="])",
          R"("data64":"eA=")", R"("data64":"eB==")", R"("data64":"e A=")", R"("data":"\udc00")", R"("data":"\ud800x")"}) {
        CAPTURE(field);
        auto const said = decoded_lines(R"({"op":"pub","subject":"a",)" + std::string{field} + "}\n" + quit);
        CHECK(said.find("code=bad_request") != std::string::npos);
        CHECK(said.find(quit) != std::string::npos);
    }
    CHECK(decode_operations(encoding::lines, {}, "{\"op\":\"pub\",\"subject\":\"a\",\"data\":\"\xff\"}\n").find("code=bad_request") !=
          std::string::npos);
}

TEST_CASE("lines: the limit of a line, and one more")
{
    limits l;
    l.line_bytes = 60;
    auto const line_of = [](std::size_t size) {
        std::string const begin = R"({"op":"ping","id":"1","x":")";
        return begin + std::string(size - begin.size() - 2, 'x') + R"("})";
    };
    CHECK(decoded_lines(line_of(60) + "\n" + line_of(61) + "\n" + line_of(300) + "\r\n" + quit, l) ==
          "61 {\"op\":\"ping\",\"id\":\"1\"}\n"
          "62 malformed id= subject= code=too_large the line is longer than 60 bytes\n"
          "302 malformed id= subject= code=too_large the line is longer than 60 bytes\n"
          "14 {\"op\":\"quit\"}\n");
    CHECK(decoded_lines(line_of(61), l) == "61 malformed id= subject= code=too_large the line is longer than 60 bytes\n");
}

TEST_CASE("lines: the limit of a body, and one more")
{
    limits l;
    l.body_bytes = 6;
    auto const refused = "malformed id=1 subject=a code=too_large the body is longer than 6 bytes";
    auto const pub = [](std::string_view body) {
        return R"({"op":"pub","id":"1","subject":"a",)" + std::string{body} + "}\n";
    };
    CHECK(decoded_lines(pub(R"("data":"123456")"), l).find("123456") != std::string::npos);
    CHECK(decoded_lines(pub(R"("data":"1234567")"), l).find(refused) != std::string::npos);
    CHECK(decoded_lines(pub(R"("data":"\u0000\u0000\u0000\u0000\u0000\u0000")"), l).find("AAAAAAAA") != std::string::npos);
    CHECK(decoded_lines(pub(R"("data64":"MTIzNDU2")"), l).find("123456") != std::string::npos);
    CHECK(decoded_lines(pub(R"("data64":"MTIzNDU2Nw==")"), l).find(refused) != std::string::npos);
}

TEST_CASE("lines: an overlong line is not held")
{
    operation_decoder decoder{encoding::lines, limits{}};
    std::string const piece(64 * 1024, 'x');
    for (int i = 0; i < 200; ++i) {
        decoder.feed(piece);
        CHECK_FALSE(decoder.next().has_value());
        CHECK(decoder.held() <= limits{}.line_bytes);
    }
    CHECK_FALSE(decoder.empty());
    decoder.feed("\n");
    CHECK(decoder.next().has_value());
    CHECK(decoder.empty());
    CHECK_FALSE(decoder.broken());
}

}  // namespace
}  // namespace kedge
