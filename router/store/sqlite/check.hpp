#pragma once
/// Whether what a database holds fits together: SQLite's own check of the file's structure, and then everything that is
/// written in two places.

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "router/store/store.hpp"

namespace kedge::sqlite {

struct check_report {
    std::uint64_t rows = 0;             ///< of the log, looked at
    std::vector<std::string> findings;  ///< sentences; empty = sound. At most `store_event::checked::findings_max`
};

/// Reads all of the file, which nobody else may have open; takes as long as reading it takes, and memory that does not grow with
/// it. Damage is a finding, also damage that keeps the rest from being read. When `stop` becomes true it ends early, with
/// a report of no use. Throws nothing but std::bad_alloc.
check_report check_file(std::string const& path, std::atomic<bool> const& stop);

}  // namespace kedge::sqlite
