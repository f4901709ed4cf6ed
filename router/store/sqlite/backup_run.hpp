#pragma once
/// An online copy of the database, taken in slices from the connection that writes: what is committed meanwhile goes into
/// the copy too.

#include <memory>
#include <string>

#include "router/protocol/error.hpp"
#include "router/store/sqlite/database.hpp"

namespace kedge::sqlite {

/// Writes PATH.partial, mode 0600; at the end takes the incarnation out, syncs, and gives it its name. The destructor of an
/// unfinished run removes the partial file.
class backup_run {
public:
    /// Fails if `path` exists or cannot be made.
    static result<std::unique_ptr<backup_run>> begin(database& source, std::string const& path);
    ~backup_run();
    backup_run(backup_run const&) = delete;
    backup_run& operator=(backup_run const&) = delete;

    /// Copies a slice, outside of a transaction. True: finished.
    result<bool> step();

private:
    backup_run(std::string path, std::string partial) : path_{std::move(path)}, partial_{std::move(partial)} {}
    void finish();

    std::string path_;
    std::string partial_;
    std::unique_ptr<database> target_;
    sqlite3_backup* copy_ = nullptr;
};

}  // namespace kedge::sqlite
