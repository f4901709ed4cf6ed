#include "tests/catch.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "router/protocol/subject.hpp"

namespace kedge {
namespace {

std::string joined(std::size_t count, std::string const& token)
{
    std::string text = token;
    for (std::size_t i = 1; i < count; ++i)
        text += "." + token;
    return text;
}

TEST_CASE("subjects: syntax")
{
    struct row {
        std::string text;
        bool subject;
        bool pattern;
    };
    for (auto const& r : std::vector<row>{
             {"a", true, true},
             {"a.b.c", true, true},
             {"$sys.node", true, true},
             {"\xc3\xa9.\xe4\xb8\x96", true, true},
             {"a-b_c/d:e", true, true},
             {std::string(255, 'a'), true, true},
             {std::string(256, 'a'), false, false},
             {joined(16, "a"), true, true},
             {joined(17, "a"), false, false},
             {joined(16, "*"), false, true},
             {joined(15, "*") + ".>", false, true},
             {joined(16, "*") + ".>", false, false},
             {"", false, false},
             {".", false, false},
             {".a", false, false},
             {"a.", false, false},
             {"a..b", false, false},
             {"a b", false, false},
             {"a\tb", false, false},
             {std::string{"a\0b", 3}, false, false},
             {"a\x7f", false, false},
             {"a\xc2\x85", false, false},
             {"a\xc3", false, false},
             {"\xed\xa0\x80", false, false},
             {"*", false, true},
             {">", false, true},
             {"a.*", false, true},
             {"*.a", false, true},
             {"a.>", false, true},
             {"*.>", false, true},
             {">.a", false, false},
             {"a.>.b", false, false},
             {"a.>.", false, false},
             {"a*", false, false},
             {"*a", false, false},
             {"**", false, false},
             {">>", false, false},
             {"a.b>", false, false},
             {"\xc3\xa9*", false, false},
             {"*\xc3\xa9", false, false},
         }) {
        CAPTURE(r.text);
        CHECK(valid_subject(r.text) == r.subject);
        CHECK(valid_pattern(r.text) == r.pattern);
    }
}

TEST_CASE("subjects: what is reserved")
{
    for (std::string_view const text : {"$sys", "$sys.node.join", "$", "_", "_x.y", "inbox", "inbox.bob", "inbox.*", "svc.a.b", "svc.>"})
        CHECK(is_reserved(text));
    for (std::string_view const text : {"a", "a.$sys", "inboxes.a", "svcs", "Inbox.a", "*", ">", "*.$sys", "a._b"})
        CHECK_FALSE(is_reserved(text));
}

TEST_CASE("subjects: a pattern matches")
{
    struct row {
        std::string_view pattern;
        std::string_view subject;
        bool matches;
    };
    for (auto const& r : {
             row{"a.b", "a.b", true}, row{"a.b", "a.c", false}, row{"a.b", "a", false}, row{"a", "a.b", false},
             row{"a.*", "a.b", true}, row{"a.*", "a", false}, row{"a.*", "a.b.c", false}, row{"*.b", "a.b", true},
             row{"a.>", "a.b", true}, row{"a.>", "a.b.c.d", true}, row{"a.>", "a", false}, row{"a.>", "ab.c", false},
             row{">", "a", true}, row{">", "a.b", true}, row{"*.*", "a.b", true}, row{"*.>", "a", false},
             row{"a.*.c", "a.b.c", true}, row{"a.*.>", "a.b", false}, row{"ab", "a", false}, row{"a", "ab", false},
             row{">", "$sys.node.join", false}, row{"*.node.join", "$sys.node.join", false}, row{">", "_x", false},
             row{">", "inbox.bob", false}, row{"*.bob", "inbox.bob", false}, row{">", "svc.a.b", false},
             row{"$sys.>", "$sys.node.join", true}, row{"inbox.*", "inbox.bob", true}, row{"svc.*.now", "svc.time.now", true},
             row{"*.$sys", "a.$sys", true}, row{"a.>", "a.inbox", true}, row{">", "inboxes", true},
         }) {
        CAPTURE(r.pattern, r.subject);
        CHECK(matches(r.pattern, r.subject) == r.matches);
    }
}

// The same said a second time, as plainly as possible, over every pattern and subject of a small world.

using tokens = std::vector<std::string>;

std::string join(tokens const& parts)
{
    std::string text;
    for (auto const& part : parts)
        text += (text.empty() ? "" : ".") + part;
    return text;
}

bool tail_matches(tokens const& pattern, std::size_t p, tokens const& subject, std::size_t s)
{
    if (p == pattern.size() || s == subject.size())
        return p == pattern.size() && s == subject.size();
    if (pattern[p] == ">")
        return true;
    return (pattern[p] == "*" || pattern[p] == subject[s]) && tail_matches(pattern, p + 1, subject, s + 1);
}

bool plainly_matches(tokens const& pattern, tokens const& subject)
{
    auto const hidden = subject[0] == "$s" || subject[0] == "inbox";
    auto const wild = pattern[0] == "*" || pattern[0] == ">";
    return !(hidden && wild) && tail_matches(pattern, 0, subject, 0);
}

std::vector<tokens> all_of_length(tokens const& alphabet, std::size_t max)
{
    std::vector<tokens> all;
    std::vector<tokens> longest{{}};
    for (std::size_t length = 1; length <= max; ++length) {
        std::vector<tokens> next;
        for (auto const& head : longest) {
            for (auto const& token : alphabet) {
                next.push_back(head);
                next.back().push_back(token);
            }
        }
        all.insert(all.end(), next.begin(), next.end());
        longest = std::move(next);
    }
    return all;
}

TEST_CASE("subjects: match, cover and intersection agree with a count over every subject")
{
    // "z" is in no pattern: what only a wildcard reaches. Subjects are a token longer than patterns: what only ">" reaches.
    auto const subjects = all_of_length({"a", "$s", "inbox", "z"}, 4);
    auto patterns = all_of_length({"a", "$s", "inbox", "*", ">"}, 3);
    std::erase_if(patterns, [](tokens const& p) { return std::find(p.begin(), p.end() - 1, ">") != p.end() - 1; });

    std::vector<std::string> subject_texts;
    for (auto const& s : subjects)
        subject_texts.push_back(join(s));
    std::vector<std::vector<bool>> matched;
    std::size_t wrong = 0;
    for (auto const& p : patterns) {
        auto const text = join(p);
        REQUIRE(valid_pattern(text));
        auto& row = matched.emplace_back();
        for (std::size_t s = 0; s < subjects.size(); ++s) {
            row.push_back(plainly_matches(p, subjects[s]));
            wrong += matches(text, subject_texts[s]) != row.back();
        }
    }
    CHECK(wrong == 0);

    for (std::size_t a = 0; a < patterns.size(); ++a) {
        for (std::size_t b = 0; b < patterns.size(); ++b) {
            bool cover = true;
            bool meet = false;
            for (std::size_t s = 0; s < subjects.size(); ++s) {
                cover = cover && (matched[a][s] || !matched[b][s]);
                meet = meet || (matched[a][s] && matched[b][s]);
            }
            auto const outer = join(patterns[a]);
            auto const inner = join(patterns[b]);
            if (covers(outer, inner) != cover || intersects(outer, inner) != meet) {
                CAPTURE(outer, inner, cover, meet);
                CHECK(covers(outer, inner) == cover);
                CHECK(intersects(outer, inner) == meet);
            }
        }
    }
}

}  // namespace
}  // namespace kedge
