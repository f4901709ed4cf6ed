#include "tests/catch.hpp"

#include <string>

#include "router/protocol/names.hpp"

namespace kedge {
namespace {

struct name_row {
    std::string text;
    bool valid;
};

void check_table(char const* what, bool (*valid)(std::string_view) noexcept, std::initializer_list<name_row> rows)
{
    for (auto const& r : rows) {
        CAPTURE(what, r.text);
        CHECK(valid(r.text) == r.valid);
    }
}

TEST_CASE("names: users and nodes")
{
    for (auto* const valid : {&valid_user, &valid_node})
        check_table("user", valid,
                    {{"a", true}, {"0", true}, {"bot-1_x", true}, {std::string(32, 'a'), true},
                     {std::string(33, 'a'), false}, {"", false}, {"-a", false}, {"_a", false}, {"A", false}, {"aB", false},
                     {"a.b", false}, {"a b", false}, {"~a", false}, {"a/b", false}, {"\xc3\xa9", false}, {{"a\0", 2}, false}});
}

TEST_CASE("names: streams, consumers, services, methods, lists")
{
    check_table("name", &valid_name,
                {{"A", true}, {"z9_-", true}, {"0", true}, {std::string(64, 'x'), true}, {std::string(65, 'x'), false},
                 {"", false}, {"-a", false}, {"_a", false}, {"a.b", false}, {"a b", false}, {"a/b", false}, {"\xc3\xa9", false}});
}

TEST_CASE("names: operation ids are any UTF-8")
{
    check_table("id", &valid_operation_id,
                {{"1", true}, {" ", true}, {{"\0", 1}, true}, {"\xc3\xa9", true}, {std::string(64, 'x'), true},
                 {std::string(65, 'x'), false}, {"", false}, {"\xc3", false}, {"\xff", false}});
}

TEST_CASE("names: header names")
{
    check_table("header name", &valid_header_name,
                {{"A", true}, {"Content-Type", true}, {"-", true}, {std::string(64, 'x'), true},
                 {std::string(65, 'x'), false}, {"", false}, {"a_b", false}, {"a b", false}, {"a:b", false}, {"\xc3\xa9", false},
                 {"Nats-Msg-Id", false}, {"nats-x", false}, {"NATS-", false}, {"Kedge-Id", false}, {"kEDGE-", false},
                 {"Nats", true}, {"Kedge", true}, {"X-Nats-", true}});
}

TEST_CASE("names: header values")
{
    check_table("header value", &valid_header_value,
                {{"x", true}, {"a b", true}, {"\xc3\xa9", true}, {std::string(1024, 'x'), true},
                 {std::string(1025, 'x'), false}, {"", false}, {" a", false}, {"a ", false}, {" ", false}, {"a\tb", false},
                 {"a\r\nb", false}, {"a\x7f", false}, {"a\xc2\x85z", false}, {"a\xc2\xa0z", true}, {"\xc3", false}});
}

TEST_CASE("names: UTF-8")
{
    auto const far = std::string(100, 'x');
    for (auto const& prefix : {std::string{}, far}) {
        check_table("UTF-8", &valid_utf8,
                    {{prefix + "", true}, {prefix + "a", true}, {prefix + "\xc3\xa9", true}, {prefix + "\xe4\xb8\x96", true},
                     {prefix + "\xf0\x9f\x98\x80", true}, {prefix + "\xf4\x8f\xbf\xbf", true}, {prefix + "\x80", false},
                     {prefix + "\xc3", false}, {prefix + "\xc0\x80", false}, {prefix + "\xc1\xbf", false},
                     {prefix + "\xe0\x80\x80", false}, {prefix + "\xed\xa0\x80", false}, {prefix + "\xed\xbf\xbf", false},
                     {prefix + "\xf0\x80\x80\x80", false}, {prefix + "\xf4\x90\x80\x80", false}, {prefix + "\xff", false},
                     {prefix + "\xe4\xb8", false}});
    }
}

TEST_CASE("names: control characters")
{
    check_table("control", &has_control_characters,
                {{"", false}, {"abc ", false}, {"\xc2\xa0", false}, {"\xc3\x85", false}, {{"\0", 1}, true}, {"a\n", true}, {"\x1f", true},
                 {"\x7f", true}, {"\xc2\x80", true}, {"a\xc2\x9f", true}});
}

}  // namespace
}  // namespace kedge
