#include "router/command/command.hpp"

#include <algorithm>
#include <utility>

namespace kedge {
namespace {

bool is_space(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// Bytes that need no quotes in any shell.
bool is_plain(char c) noexcept
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view{"_-./:,@%+="}.find(c) != std::string_view::npos;
}

}  // namespace

std::optional<std::vector<std::string>> split_words(std::string_view line)
{
    enum class mode : unsigned char { bare, single_quotes, double_quotes };
    std::vector<std::string> words;
    std::string word;
    bool in_word = false;  // '' is a word too
    auto now = mode::bare;
    for (std::size_t i = 0; i < line.size(); ++i) {
        auto const c = line[i];
        switch (now) {
        case mode::bare:
            if (is_space(c)) {
                if (in_word)
                    words.push_back(std::exchange(word, {}));
                in_word = false;
                continue;
            }
            in_word = true;
            if (c == '\'')
                now = mode::single_quotes;
            else if (c == '"')
                now = mode::double_quotes;
            else if (c != '\\')
                word += c;
            else if (++i == line.size())
                return std::nullopt;
            else if (line[i] != '\n')
                word += line[i];
            break;
        case mode::single_quotes:
            if (c == '\'')
                now = mode::bare;
            else
                word += c;
            break;
        case mode::double_quotes:
            if (c == '"') {
                now = mode::bare;
            } else if (c == '\\' && i + 1 < line.size() &&
                       std::string_view{"\"\\$`\n"}.find(line[i + 1]) != std::string_view::npos) {
                if (line[++i] != '\n')
                    word += line[i];
            } else {
                word += c;
            }
            break;
        }
    }
    if (now != mode::bare)
        return std::nullopt;
    if (in_word)
        words.push_back(std::move(word));
    return words;
}

std::string join_words(std::span<std::string const> words)
{
    std::string line;
    for (auto const& word : words) {
        if (!line.empty())
            line += ' ';
        if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) {
            line += word;
            continue;
        }
        line += '\'';
        for (auto const c : word) {
            if (c == '\'')
                line += "'\\''";
            else
                line += c;
        }
        line += '\'';
    }
    return line;
}

}  // namespace kedge
