#include "clients/cli/key_files.hpp"

#include <fstream>
#include <string_view>

namespace kedge::cli {
namespace {

/// One key a line, as in a .pub file or in authorized_keys without options.
result<std::vector<std::string>> keys_in(std::string const& file)
{
    std::ifstream in{file};
    if (!in)
        return failure{error_code::bad_request, "cannot read the key file " + file};
    std::vector<std::string> keys;
    for (std::string line; std::getline(in, line);) {
        if (line.find("PRIVATE KEY") != line.npos)
            return failure{error_code::bad_request,
                           file + " is a private key: it stays with its owner. Give the public one, " + file + ".pub"};
        if (!line.empty() && line.back() == '\r')
            line.pop_back();
        if (line.find_first_not_of(" \t") == line.npos || line.front() == '#')
            continue;
        keys.push_back(line);
        if (keys.size() > 64)
            return failure{error_code::bad_request, file + " has more than 64 lines that look like keys"};
    }
    if (keys.empty())
        return failure{error_code::bad_request, "there is no key in " + file};
    return keys;
}

}  // namespace

result<std::vector<std::string>> read_key_files(std::vector<std::string> words)
{
    bool const user_add = words.size() >= 2 && words[0] == "user" && words[1] == "add";
    bool const key_add = words.size() >= 2 && words[0] == "key" && words[1] == "add";
    if (!user_add && !key_add)
        return words;
    std::vector<std::string> out{words[0], words[1]};
    std::size_t positional = 0;
    for (std::size_t i = 2; i < words.size(); ++i) {
        std::string const& word = words[i];
        std::string file;
        if (user_add && word.starts_with("--key="))
            file = word.substr(std::string_view{"--key="}.size());
        else if (user_add && word == "--key" && i + 1 < words.size())
            file = words[++i];
        else if (key_add && !word.starts_with("-") && ++positional > 1)
            file = word;
        if (file.empty()) {
            out.push_back(word);
            continue;
        }
        auto keys = keys_in(file);
        if (!keys)
            return keys.error();
        for (auto& key : *keys) {
            if (user_add)
                out.emplace_back("--key");
            out.push_back(std::move(key));
        }
    }
    return out;
}

}  // namespace kedge::cli
