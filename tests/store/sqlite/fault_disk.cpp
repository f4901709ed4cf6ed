#include "tests/store/sqlite/fault_disk.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <new>
#include <sstream>

namespace kedge::test {

/// What SQLite allocates for an open file: ours, and behind it the one of the VFS below.
struct fault_disk::file {
    sqlite3_file base;
    std::string const* path;  ///< watched, or null

    sqlite3_file* below() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

struct fault_disk::methods {
    static file* self(sqlite3_file* f) { return reinterpret_cast<file*>(f); }
    static fault_disk& disk() { return instance(); }
    static watched_file* watched(sqlite3_file* f)
    {
        return self(f)->path == nullptr ? nullptr : &disk().files_[*self(f)->path];
    }

    static int close(sqlite3_file* f)
    {
        auto* const below = self(f)->below();
        return below->pMethods == nullptr ? SQLITE_OK : below->pMethods->xClose(below);
    }
    static int read(sqlite3_file* f, void* to, int size, sqlite3_int64 offset)
    {
        if (disk().aim_ == aim::everything)
            return SQLITE_IOERR_READ;
        disk().bytes_read += static_cast<std::uint64_t>(size);
        auto* const below = self(f)->below();
        return below->pMethods->xRead(below, to, size, offset);
    }
    static int write(sqlite3_file* f, void const* from, int size, sqlite3_int64 offset)
    {
        ++disk().writes;
        if (auto const code = disk().change_code(false); code != SQLITE_OK)
            return code;
        if (auto* const w = watched(f))
            w->since.push_back({offset, {static_cast<char const*>(from), static_cast<std::size_t>(size)}, false});
        auto* const below = self(f)->below();
        return below->pMethods->xWrite(below, from, size, offset);
    }
    static int truncate(sqlite3_file* f, sqlite3_int64 size)
    {
        if (auto const code = disk().change_code(false); code != SQLITE_OK)
            return code;
        if (auto* const w = watched(f))
            w->since.push_back({size, {}, true});
        auto* const below = self(f)->below();
        return below->pMethods->xTruncate(below, size);
    }
    static int sync(sqlite3_file* f, int)
    {
        ++disk().syncs;
        if (auto const code = disk().change_code(true); code != SQLITE_OK)
            return code;
        if (auto* const w = watched(f)) {
            for (auto const& c : w->since)
                apply(w->synced, c, c.bytes.size());
            w->since.clear();
        }
        return SQLITE_OK;  // nobody cuts the power here: the real sync would only take time
    }
    static int file_size(sqlite3_file* f, sqlite3_int64* size)
    {
        auto* const below = self(f)->below();
        return below->pMethods->xFileSize(below, size);
    }
    static int lock(sqlite3_file* f, int level)
    {
        auto* const below = self(f)->below();
        return below->pMethods->xLock(below, level);
    }
    static int unlock(sqlite3_file* f, int level)
    {
        auto* const below = self(f)->below();
        return below->pMethods->xUnlock(below, level);
    }
    static int check_reserved(sqlite3_file* f, int* out)
    {
        auto* const below = self(f)->below();
        return below->pMethods->xCheckReservedLock(below, out);
    }
    static int control(sqlite3_file* f, int what, void* argument)
    {
        auto* const below = self(f)->below();
        return below->pMethods->xFileControl(below, what, argument);
    }
    static int sector_size(sqlite3_file* f)
    {
        auto* const below = self(f)->below();
        return below->pMethods->xSectorSize(below);
    }
    static int characteristics(sqlite3_file* f)
    {
        auto* const below = self(f)->below();
        return below->pMethods->xDeviceCharacteristics(below);
    }

    static int open(sqlite3_vfs*, sqlite3_filename name, sqlite3_file* opened, int flags, int* out_flags)
    {
        static sqlite3_io_methods const table = [] {
            sqlite3_io_methods t{};
            t.iVersion = 1;
            t.xClose = close;
            t.xRead = read;
            t.xWrite = write;
            t.xTruncate = truncate;
            t.xSync = sync;
            t.xFileSize = file_size;
            t.xLock = lock;
            t.xUnlock = unlock;
            t.xCheckReservedLock = check_reserved;
            t.xFileControl = control;
            t.xSectorSize = sector_size;
            t.xDeviceCharacteristics = characteristics;
            return t;
        }();
        auto* const made = new (opened) file{};
        auto* const below = disk().below_;
        auto const code = below->xOpen(below, name, made->below(), flags, out_flags);
        if (code != SQLITE_OK)
            return code;
        made->base.pMethods = &table;
        if (name != nullptr && !disk().watched_.empty() && std::string{name}.starts_with(disk().watched_)) {
            auto const [at, fresh] = disk().files_.try_emplace(name);
            if (fresh) {
                std::ostringstream whole;
                whole << std::ifstream{name, std::ios::binary}.rdbuf();
                at->second.synced = whole.str();
            }
            made->path = &at->first;
        }
        return SQLITE_OK;
    }
    static int remove(sqlite3_vfs*, char const* name, int sync_folder)
    {
        auto* const below = disk().below_;
        if (auto const at = disk().files_.find(name); at != disk().files_.end())
            at->second = {};
        return below->xDelete(below, name, sync_folder);
    }
};

fault_disk& fault_disk::instance()
{
    static auto* const disk = new fault_disk;  // outlives every connection
    return *disk;
}

fault_disk::fault_disk()
{
    below_ = sqlite3_vfs_find(nullptr);
    vfs_ = *below_;
    vfs_.zName = "kedge-fault";
    vfs_.szOsFile = static_cast<int>(sizeof(file)) + below_->szOsFile;
    vfs_.xOpen = methods::open;
    vfs_.xDelete = methods::remove;
    vfs_.pNext = nullptr;
    sqlite3_vfs_register(&vfs_, 1);
}

int fault_disk::change_code(bool sync)
{
    if (before_change)
        before_change();
    auto const hit = aim_ == aim::changes || aim_ == aim::everything || (aim_ == aim::syncs && sync)
                  || (aim_ == aim::writes && !sync);
    if (!hit)
        return SQLITE_OK;
    if (skip_ != 0) {
        --skip_;
        return SQLITE_OK;
    }
    failed_ = true;
    if (!for_good_)
        aim_ = aim::none;
    return sync ? SQLITE_IOERR_FSYNC : code_;
}

void fault_disk::fail_change(unsigned skip, int code, bool for_good)
{
    heal();
    aim_ = aim::changes;
    skip_ = skip;
    code_ = code;
    for_good_ = for_good;
}

void fault_disk::fail_write(unsigned skip, int code)
{
    fail_change(skip, code, false);
    aim_ = aim::writes;
}

void fault_disk::fail_sync(unsigned skip)
{
    fail_change(skip, SQLITE_IOERR_FSYNC, false);
    aim_ = aim::syncs;
}

void fault_disk::fail_everything()
{
    fail_change(0, SQLITE_IOERR_WRITE, true);
    aim_ = aim::everything;
}

void fault_disk::heal()
{
    aim_ = aim::none;
    for_good_ = false;
    failed_ = false;
    skip_ = 0;
}

void fault_disk::watch(std::string const& path_prefix)
{
    watched_ = path_prefix;
    files_.clear();
}

void fault_disk::apply(std::string& image, change const& c, std::size_t bytes)
{
    auto const offset = static_cast<std::size_t>(c.offset);
    if (c.truncate) {
        image.resize(std::min(image.size(), offset));
        return;
    }
    image.resize(std::max(image.size(), offset + bytes));
    std::memcpy(image.data() + offset, c.bytes.data(), bytes);
}

void fault_disk::power_cut(std::string const& to_prefix, std::mt19937& chance) const
{
    for (auto const& [path, content] : files_) {
        auto image = content.synced;
        for (auto const& c : content.since) {
            auto const fate = chance() % 4;
            if (fate < 2)
                continue;
            apply(image, c, fate == 2 ? c.bytes.size() : chance() % (c.bytes.size() + 1));
        }
        std::ofstream{to_prefix + path.substr(watched_.size()), std::ios::binary} << image;
    }
}

}  // namespace kedge::test
