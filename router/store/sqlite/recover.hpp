#pragma once
/// Saves what can be read of a damaged database into a new one (`kedged --recover`).

#include <string>
#include <vector>

namespace kedge::sqlite {

struct recovery {
    std::vector<std::string> saved;  ///< sentences: how much of what
    std::vector<std::string> lost;   ///< sentences: what could not be read, and what that changed. Empty = nothing was
};

/// Reads `damaged` row by row, past pages that cannot be read, and writes `fresh`, a new file of today's version whose parts agree with each
/// other (check.hpp). `damaged`, with its write-ahead log, is not changed; nobody else may have it open. Rows keep their seqs;
/// what was counted of rows is counted again. If anything was lost the new one is another history: it gets a new incarnation.
/// Throws std::runtime_error with a sentence when nothing can be read at all, or `fresh` cannot be written; then there is no
/// such file.
recovery recover_file(std::string const& damaged, std::string const& fresh);

}  // namespace kedge::sqlite
