#include "router/store/sqlite/backup_run.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "router/store/batch_events.hpp"

namespace kedge::sqlite {

namespace {

constexpr int slice_pages = 256;  // 1 MiB

failure cannot(std::string const& path, std::string const& why, bool full = false)
{
    return {full ? error_code::store_full : error_code::internal, path + " cannot be written: " + why};
}

void sync(std::string const& path, int flags)
{
    auto const file = ::open(path.c_str(), flags | O_CLOEXEC);
    if (file < 0)
        throw std::runtime_error{std::strerror(errno)};
    auto const synced = ::fsync(file);
    auto const why = errno;
    ::close(file);
    if (synced != 0)
        throw std::runtime_error{std::strerror(why)};
}

}  // namespace

result<std::unique_ptr<backup_run>> backup_run::begin(database& source, std::string const& path)
{
    std::error_code unused;
    if (std::filesystem::exists(path, unused))
        return store_failure::file_exists(path);
    std::unique_ptr<backup_run> run{new backup_run{path, path + ".partial"}};
    // What an earlier run left when it was killed.
    ::unlink(run->partial_.c_str());
    auto const file = ::open(run->partial_.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (file < 0)
        return cannot(path, std::strerror(errno));
    ::close(file);
    try {
        run->target_ = std::make_unique<database>(run->partial_, SQLITE_OPEN_READWRITE);
        // Of no use before it has its name: needs no journal, and one sync at the end.
        run->target_->run("PRAGMA journal_mode=OFF");
        run->target_->run("PRAGMA synchronous=OFF");
        run->copy_ = sqlite3_backup_init(run->target_->handle(), "main", source.handle(), "main");
        if (run->copy_ == nullptr)
            run->target_->fail(sqlite3_errcode(run->target_->handle()));
    } catch (error const& failed) {
        return cannot(path, failed.what(), failed.full());
    }
    return run;
}

backup_run::~backup_run()
{
    if (copy_ != nullptr)
        sqlite3_backup_finish(copy_);
    target_.reset();
    ::unlink(partial_.c_str());
}

result<bool> backup_run::step()
try {
    auto const code = sqlite3_backup_step(copy_, slice_pages);
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return false;
    case SQLITE_DONE: finish(); return true;
    }
    return cannot(path_, sqlite3_errstr(code), (code & 0xff) == SQLITE_FULL);
} catch (error const& failed) {
    return cannot(path_, failed.what(), failed.full());
} catch (std::runtime_error const& failed) {
    return cannot(path_, failed.what());
}

void backup_run::finish()
{
    if (auto const code = sqlite3_backup_finish(std::exchange(copy_, nullptr)); code != SQLITE_OK)
        target_->fail(code);
    target_ = std::make_unique<database>(partial_, SQLITE_OPEN_READWRITE);
    target_->run("PRAGMA locking_mode=EXCLUSIVE");
    target_->run("PRAGMA journal_mode=DELETE");  // one file, that needs no log beside it
    target_->run("DELETE FROM meta WHERE key = 'incarnation'");
    target_.reset();
    sync(partial_, O_RDWR);
    // A link, not a rename: it fails if somebody made the file meanwhile.
    if (::link(partial_.c_str(), path_.c_str()) != 0)
        throw std::runtime_error{std::strerror(errno)};
    ::unlink(partial_.c_str());
    sync(std::filesystem::absolute(path_).parent_path(), O_RDONLY | O_DIRECTORY);
}

}  // namespace kedge::sqlite
