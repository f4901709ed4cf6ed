#pragma once
/// A check of the database while it is in use: of a copy, which is taken in slices like a backup, in a thread of its own.

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <string>

#include "router/protocol/error.hpp"
#include "router/store/sqlite/backup_run.hpp"
#include "router/store/sqlite/check.hpp"

namespace kedge::sqlite {

/// The copy needs as much room as the database; it is removed whatever happens, by the next run if the process was killed. The
/// destructor of an unfinished run ends its thread.
class check_run {
public:
    /// Begins to copy `source` to `path`, over what an earlier run left there.
    static result<std::unique_ptr<check_run>> begin(database& source, std::string const& path);
    ~check_run();
    check_run(check_run const&) = delete;
    check_run& operator=(check_run const&) = delete;

    /// A slice of the copy, or a look whether the check is done. Nothing: not yet.
    result<std::optional<check_report>> step();

private:
    check_run(std::string path, std::unique_ptr<backup_run> copying) : path_{std::move(path)}, copying_{std::move(copying)} {}

    std::string path_;
    std::unique_ptr<backup_run> copying_;
    std::atomic<bool> stop_ = false;
    std::future<check_report> checking_;
};

}  // namespace kedge::sqlite
