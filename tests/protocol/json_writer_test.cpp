#include "tests/catch.hpp"

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "router/protocol/json_writer.hpp"

namespace kedge {
namespace {

std::string escaped(std::string_view text)
{
    std::string out(json_escaped_size(text), '?');
    CHECK(json_escape(text, out.data()) == out.data() + out.size());
    return out;
}

TEST_CASE("json: every byte below 0x80 in every place of a word is escaped as JSON has it")
{
    for (std::size_t lead = 0; lead < 17; ++lead) {
        for (int c = 0; c < 0x80; ++c) {
            auto const text = std::string(lead, 'x') + static_cast<char>(c) + std::string(17 - lead, 'y');
            auto const quoted = '"' + escaped(text) + '"';
            if (nlohmann::json::parse(quoted) != text) {
                CAPTURE(quoted);
                CHECK(nlohmann::json::parse(quoted) == text);
            }
        }
    }
}

TEST_CASE("json: escapes are the short ones, and what needs none stays")
{
    CHECK(escaped("\"\\\b\f\n\r\t") == R"(\"\\\b\f\n\r\t)");
    CHECK(escaped(std::string_view{"\0\x01\x0f\x10\x1f", 5}) == R"(\u0000\u0001\u000f\u0010\u001f)");
    CHECK(escaped("/\x7f\xc3\xa9\xf0\x9f\x98\x80") == "/\x7f\xc3\xa9\xf0\x9f\x98\x80");
    CHECK(escaped("") == "");
}

TEST_CASE("json: a writer writes an object without its last brace")
{
    json_writer out;
    out.field("a", "x\n");
    out.field("n", std::uint64_t{18446744073709551615u});
    out.field("t", true);
    out.field_unless_empty("e", "");
    out.field_unless_zero("z", 0);
    out.raw_field("r", "null");
    out.list_field("l", std::vector<std::string>{"p", "q\""});
    out.list_field("m", std::vector<std::uint64_t>{1, 2});
    out.list_field("k", std::vector<std::string>{});
    out.begin_object("o");
    out.end_object();
    out.begin_object("u");
    out.field("v", std::uint64_t{0});
    out.end_object();
    CHECK(out.view() ==
          R"({"a":"x\n","n":18446744073709551615,"t":true,"r":null,"l":["p","q\""],"m":[1,2],"k":[],"o":{},"u":{"v":0})");
}

TEST_CASE("json: a writer grows")
{
    for (std::size_t size : {900, 1000, 1016, 1017, 1018, 1100, 5000, 100'000}) {
        json_writer out;
        std::string const text(size, '\x01');
        out.field("first", "1");
        out.field("big", text);
        out.list_field("list", std::vector<std::string>(size / 10, "0123456789"));
        out.field("last", std::uint64_t{7});
        auto const parsed = nlohmann::json::parse(std::string{out.view()} + "}");
        CHECK(parsed["big"] == text);
        CHECK(parsed["list"].size() == size / 10);
        CHECK(parsed["last"] == 7);
    }
}

TEST_CASE("json: a list stops at its soft bound")
{
    json_writer out;
    out.list_field("l", std::vector<std::string>(1000, "0123456789"), 500);
    CHECK(out.view().size() < 520);
    CHECK(nlohmann::json::accept(std::string{out.view()} + "}"));
}

}  // namespace
}  // namespace kedge
