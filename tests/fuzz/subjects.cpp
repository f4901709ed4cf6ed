/// Lines of any text as subjects and patterns: how matching, cover and intersection hang together.
#include <cstdio>
#include <string_view>
#include <vector>

#include "router/protocol/names.hpp"
#include "router/protocol/subject.hpp"
#include "tests/fuzz/check.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size)
{
    using namespace kedge;
    using fuzz::require;
    std::string_view rest{reinterpret_cast<char const*>(data), size};
    std::vector<std::string_view> subjects;
    std::vector<std::string_view> patterns;
    for (std::size_t i = 0; i < 16 && !rest.empty(); ++i) {
        auto const end = rest.find('\n');
        auto const text = rest.substr(0, end);
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
        if (valid_subject(text)) {
            require(valid_utf8(text) && text.size() <= subject_bytes_max, "a subject is short and UTF-8");
            require(valid_pattern(text), "a subject is a pattern");
            require(matches(text, text), "a subject matches itself");
            subjects.push_back(text);
        }
        if (valid_pattern(text)) {
            require(covers(text, text) && intersects(text, text), "a pattern covers and meets itself");
            patterns.push_back(text);
        }
    }
    for (auto const a : patterns) {
        for (auto const b : patterns) {
            require(intersects(a, b) == intersects(b, a), "to intersect is mutual");
            require(!covers(a, b) || intersects(a, b), "what is covered is met");
            for (auto const s : subjects) {
                require(!(matches(a, s) && matches(b, s)) || intersects(a, b), "patterns with a common subject intersect");
                require(!(covers(a, b) && matches(b, s)) || matches(a, s), "what is covered is matched");
            }
        }
        for (auto const s : subjects)
            require(matches(a, s) == covers(a, s) && matches(a, s) == intersects(a, s), "a subject is a pattern of one");
    }
    return 0;
}
