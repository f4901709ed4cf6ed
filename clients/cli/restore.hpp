#pragma once
/// Puts a backup in the place of a database that is not there yet.

#include <cstdint>
#include <string>

#include "router/protocol/error.hpp"

namespace kedge::cli {

struct restore_request {
    std::string file;      ///< as `kedge backup` wrote it
    std::string home;      ///< made if it does not exist
    std::string host_key;  ///< a private key for the server, or empty
};

struct restored {
    std::string path;
    std::uint64_t bytes = 0;
};

/// Looks at the file's header (SQLite file format §1.3), not into its tables: `kedge check` does that when the server runs. What
/// is copied is synced before it gets its name. Refuses, with a sentence, if a server runs on the home, there is a database,
/// or the file is not a whole backup that this release can read; then there is nothing new in the home but perhaps itself.
result<restored> restore_backup(restore_request const&);

}  // namespace kedge::cli
