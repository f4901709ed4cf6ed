#include "tests/catch.hpp"

#include <set>
#include <string>

#include "router/protocol/error.hpp"

namespace kedge {
namespace {

TEST_CASE("errors: every code has a word, a sentence, and comes back from its word")
{
    std::set<std::string_view> words;
    for (unsigned i = 0; i < error_code_count; ++i) {
        auto const code = static_cast<error_code>(i);
        auto const word = wire_word(code);
        CAPTURE(word);
        CHECK(words.insert(word).second);
        CHECK(parse_error_code(word) == code);
        CHECK(sentence(code).size() > 5);
        CHECK(sentence(code).back() == '.');
    }
    CHECK_FALSE(parse_error_code("").has_value());
    CHECK_FALSE(parse_error_code("Bad_frame").has_value());
    CHECK_FALSE(parse_error_code("bad_frame ").has_value());
}

TEST_CASE("errors: what each code entails")
{
    struct row {
        error_code code;
        bool ends;
        bool unknown;
        bool sticks;
    };
    using enum error_code;
    for (auto const& r : {
             row{bad_frame, true, false, false},      row{bad_request, false, false, false},
             row{unknown_op, false, false, false},    row{too_large, false, false, false},
             row{denied, false, false, false},        row{unknown_recipient, false, false, false},
             row{unknown_stream, false, false, false}, row{unknown_consumer, false, false, false},
             row{unknown_list, false, false, false},  row{not_owner, false, false, false},
             row{exists, false, false, false},        row{no_responders, false, false, false},
             row{unavailable, false, true, true},     row{timeout, false, false, false},
             row{quota, false, false, true},          row{slow_consumer, true, false, false},
             row{replaced, true, false, false},       row{draining, false, false, true},
             row{revoked, true, false, false},        row{store_full, false, false, true},
             row{internal, false, true, true},        row{quit, true, false, false},
             row{idle, true, false, false},
         }) {
        CAPTURE(wire_word(r.code));
        CHECK(ends_link(r.code) == r.ends);
        CHECK(outcome_unknown(r.code) == r.unknown);
        CHECK(sticks_to_stream(r.code) == r.sticks);
    }
}

TEST_CASE("errors: a result that nobody looked at throws with its sentence")
{
    result<int> const nothing = failure{error_code::denied, "rule 7 says no"};
    CHECK_THROWS_WITH(nothing.value(), "denied: rule 7 says no");
}

}  // namespace
}  // namespace kedge
