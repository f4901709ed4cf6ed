#include "router/command/text.hpp"
#include "tests/catch.hpp"

using namespace kedge;

TEST_CASE("lines are cut and folded by what is seen of them")
{
    CHECK(fitted("abcdef", 3) == "abc");
    CHECK(fitted("äöü", 2) == "äö");
    CHECK(fitted("\x1b[1mabc\x1b[0m", 2) == "\x1b[1mab\x1b[0m");
    CHECK(fitted("\x1b[1", 2) == "\x1b[1");
    CHECK(fitted("abc", 0).empty());
    CHECK(wrapped("one two three", 8, 2) == "one two\n  three");
    CHECK(wrapped("one two three", 7, 2) == "one two\n  three");
    CHECK(wrapped("one two three", 100, 2) == "one two three");
    CHECK(wrapped("abcdefgh", 3, 1) == "abc\n de\n fg\n h");
    CHECK(wrapped("", 3, 1).empty());
}

TEST_CASE("nothing that peers send moves the cursor")
{
    struct row {
        std::string text;
        char const* shown;
    };
    static row const rows[] = {
        {"plain", "plain"}, {"é 中 😀", "é 中 😀"}, {"a\nb\r\t", "a\\nb\\r\\t"}, {"\x1b[31m", "\\x1b[31m"},
        {std::string("\0", 1), "\\x00"}, {"\x7f", "\\x7f"}, {"\xff", "\\xff"}, {"\xc3", "\\xc3"}, {"\xc2\x9b", "\\xc2\\x9b"},
        {"\xc2\xa0", "\xc2\xa0"}, {"\xed\xa0\x80", "\\xed\\xa0\\x80"}, {"", ""},
    };
    for (auto const& r : rows) {
        INFO(r.shown);
        CHECK(printable(r.text) == r.shown);
    }
}

TEST_CASE("a message as text, JSON and raw")
{
    notice::msg m;
    m.subject = "a.b";
    m.from = "u/n";
    m.time_ms = 5;
    m.body = "x\ny";
    command_environment plain;
    CHECK(render_message(m, message_form::text, plain) == "a.b  u/n  x\\ny\n");
    CHECK(render_message(m, message_form::raw, plain) == "x\ny\n");
    auto const json = nlohmann::json::parse(render_message(m, message_form::json, plain));
    CHECK(json["op"] == "msg");
    CHECK(json["data"] == "x\ny");
    command_environment coloured;
    coloured.colours = true;
    CHECK(render_message(m, message_form::text, coloured).find("\x1b[32ma.b") == 0);
}

TEST_CASE("tables are aligned, and cut only on a terminal")
{
    static constexpr column columns[] = {
        {"NAME", "name"}, {"COUNT", "count", field_form::number}, {"TEXT", "text"}, {"MAX", "max", field_form::size, true}};
    auto const rows = nlohmann::json::parse(
        R"([{"name":"a","count":5,"text":"short","max":0},{"name":"bé","count":12345,"text":"a very long text that does not fit"}])");
    command_environment pipe;
    CHECK(render_table(rows, columns, pipe) ==
          "NAME  COUNT  TEXT                                MAX\n"
          "a         5  short                                 -\n"
          "bé    12345  a very long text that does not fit    -\n");
    command_environment narrow;
    narrow.out_is_terminal = true;
    narrow.columns = 30;
    CHECK(render_table(rows, columns, narrow) ==
          "NAME  COUNT  TEXT          MAX\n"
          "a         5  short           -\n"
          "bé    12345  a very long…    -\n");
    narrow.columns = 1;  // numbers stay whole, whatever happens
    CHECK(render_table(rows, columns, narrow).find("12345") != std::string::npos);
    CHECK(render_table(nlohmann::json::array(), columns, pipe) == "NAME  COUNT  TEXT  MAX\n");
}

TEST_CASE("fields of another type than expected are shown, not trusted")
{
    auto const row = nlohmann::json::parse(R"({"a":"text","b":null,"c":{"x":1},"d":[1,"\u001b"],"e":true,"f":""})");
    CHECK(render_field(row, {"", "a", field_form::size}) == "0 B");
    CHECK(render_field(row, {"", "b", field_form::number}) == "-");
    CHECK(render_field(row, {"", "c"}) == "{\"x\":1}");
    CHECK(render_field(row, {"", "d", field_form::list}) == "1,\\x1b");
    CHECK(render_field(row, {"", "e", field_form::yes}) == "yes");
    CHECK(render_field(row, {"", "f"}) == "-");
    CHECK(render_field(row, {"", "none"}) == "-");
    CHECK(render_field(nlohmann::json{5}, {"", "a"}) == "-");
    CHECK(render_facts(row, std::vector<column>{{"A", "a"}, {"LONG", "f"}}, {}) == "A     text\nLONG  -\n");
}
