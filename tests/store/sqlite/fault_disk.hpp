#pragma once
/// A disk under SQLite that a test can break: a VFS over the system's that fails a chosen write or sync, counts, and knows what
/// a power cut would leave: what was never synced is lost, wholly or in part.

#include <sqlite3.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace kedge::test {

/// One for the program, the default VFS from its first use on. One thread.
class fault_disk {
public:
    static fault_disk& instance();

    /// The write after `skip` others fails with `code`, once. Truncating is a write.
    void fail_write(unsigned skip, int code);
    /// The sync after `skip` others fails, once. What was written is there for who reads it.
    void fail_sync(unsigned skip);
    /// The write or sync after `skip` others fails; with `for_good`, so does every one after it.
    void fail_change(unsigned skip, int code, bool for_good);
    /// Reads, writes and syncs fail until `heal`.
    void fail_everything();
    void heal();
    bool failed() const { return failed_; }  ///< since the last fault was set

    /// Called before each write and sync.
    std::function<void()> before_change;

    std::uint64_t bytes_read = 0;
    std::uint64_t writes = 0;
    std::uint64_t syncs = 0;

    /// Keeps track of what is synced in files whose path begins so. Before they are opened.
    void watch(std::string const& path_prefix);
    /// Writes what a power cut would leave of the watched files below another prefix. Each write that was not synced is
    /// kept with even chance, a kept one perhaps only in part.
    void power_cut(std::string const& to_prefix, std::mt19937& chance) const;

private:
    fault_disk();
    struct change {
        std::int64_t offset = 0;
        std::string bytes;
        bool truncate = false;
    };
    struct watched_file {
        std::string synced;
        std::vector<change> since;
    };
    struct file;
    struct methods;

    int change_code(bool sync);
    static void apply(std::string& image, change const&, std::size_t bytes);

    sqlite3_vfs vfs_{};
    sqlite3_vfs* below_ = nullptr;
    enum class aim : unsigned char { none, writes, syncs, changes, everything } aim_ = aim::none;
    unsigned skip_ = 0;
    int code_ = SQLITE_OK;
    bool for_good_ = false;
    bool failed_ = false;
    std::string watched_;
    std::map<std::string, watched_file> files_;
};

}  // namespace kedge::test
