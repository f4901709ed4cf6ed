#pragma once
/// Several words in one column. The separator is a character that the words cannot hold.

#include <string>
#include <string_view>
#include <vector>

namespace kedge::sqlite {

inline std::string joined(std::vector<std::string> const& words, char separator)
{
    std::string text;
    for (auto const& word : words)
        text += text.empty() ? word : separator + word;
    return text;
}

/// What `joined` made of them; no word at all for "".
inline std::vector<std::string> split(std::string_view text, char separator)
{
    std::vector<std::string> words;
    while (!text.empty()) {
        words.emplace_back(text.substr(0, text.find(separator)));
        text.remove_prefix(words.back().size());
        if (!text.empty())
            text.remove_prefix(1);
    }
    return words;
}

}  // namespace kedge::sqlite
