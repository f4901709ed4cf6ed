#pragma once
/// `user add --key FILE` and `key add USER FILE`: the server takes the text of keys, the CLI takes files.

#include <string>
#include <vector>

#include "router/protocol/error.hpp"

namespace kedge::cli {

/// The words of a command with each key file replaced by the keys in it. Other commands come back as they are. A failure
/// says which file cannot be used and why.
result<std::vector<std::string>> read_key_files(std::vector<std::string> words);

}  // namespace kedge::cli
