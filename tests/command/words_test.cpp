#include "router/command/command.hpp"
#include "tests/catch.hpp"

using namespace kedge;
using words = std::vector<std::string>;

TEST_CASE("an exec request is split as a shell would")
{
    struct row {
        char const* line;
        std::optional<words> split;
    };
    static row const rows[] = {
        {"", words{}},
        {"  \t\n", words{}},
        {"status", words{"status"}},
        {" pub  a.b   hello ", words{"pub", "a.b", "hello"}},
        {"pub a 'two words'", words{"pub", "a", "two words"}},
        {"pub a \"two words\"", words{"pub", "a", "two words"}},
        {"pub a ''", words{"pub", "a", ""}},
        {"a'b'\"c\"d", words{"abcd"}},
        {"a\\ b", words{"a b"}},
        {"'a\\b'", words{"a\\b"}},
        {"\"a\\\"b\\\\c\\$d\\xe\"", words{"a\"b\\c$d\\xe"}},
        {"a\\\nb", words{"ab"}},
        {"$HOME *", words{"$HOME", "*"}},
        {"'it'\\''s'", words{"it's"}},
        {"'open", {}},
        {"\"open", {}},
        {"end\\", {}},
    };
    for (auto const& r : rows) {
        INFO(r.line);
        CHECK(split_words(r.line) == r.split);
    }
}

TEST_CASE("what is joined is split the same")
{
    static words const rows[] = {
        {}, {"a"}, {""}, {"a b", "c"}, {"it's", "\"q\"", "\\", "\n", "$x", "*", "a;b"}, {"--key", "ssh-ed25519 AAAA+/= x@y"}, {"é ü"},
    };
    for (auto const& r : rows)
        CHECK(split_words(join_words(r)) == r);
}
