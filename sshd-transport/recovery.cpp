#include "sshd-transport/recovery.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <iostream>
#include <stdexcept>
#include <string>

#include "router/store/sqlite/recover.hpp"
#include "sshd-transport/home.hpp"

namespace kedge {
namespace {

namespace fs = std::filesystem;

void must(int result, std::string const& what)
{
    if (result != 0) throw std::runtime_error("cannot " + what + ": " + std::strerror(errno));
}

void sync(fs::path const& path, int flags)
{
    auto const file = ::open(path.c_str(), flags | O_CLOEXEC);
    if (file < 0) must(-1, "open " + path.string());
    auto const synced = ::fsync(file);
    ::close(file);
    must(synced, "write " + path.string());
}

/// Such as 20261121T123456Z.
std::string time_now()
{
    auto const now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    std::array<char, 32> text{};
    return {text.data(), std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &parts)};
}

}  // namespace

int run_recovery(fs::path const& where)
{
    ::umask(077);
    if (!fs::is_directory(where)) throw std::runtime_error("there is no directory " + where.string());
    home_directory const home(where);
    auto const database = home.database();
    if (!fs::exists(database)) throw std::runtime_error("there is no database " + database.string());
    fs::path const fresh = database.string() + ".recovered";
    fs::path const aside = database.string() + ".damaged-" + time_now();
    auto const log_of = [](fs::path const& of) { return fs::path(of.string() + "-wal"); };

    auto const report = sqlite::recover_file(database.string(), fresh.string());
    sync(fresh, O_RDWR);
    // The damaged one gets its second name before the new one takes its first: at no moment is there none. Its log must be gone
    // before, or it would be played into the new one.
    must(::link(database.c_str(), aside.c_str()), "keep the damaged database as " + aside.string());
    std::error_code none;
    if (fs::file_size(log_of(database), none) == 0 && !none)
        must(::unlink(log_of(database).c_str()), "remove its empty log");
    else if (!none)
        must(::rename(log_of(database).c_str(), log_of(aside).c_str()), "keep its log");
    must(::rename(fresh.c_str(), database.c_str()), "put the new database in place");
    sync(database.parent_path(), O_RDONLY | O_DIRECTORY);

    std::cout << "saved\n";
    for (auto const& each : report.saved) std::cout << "  " << each << "\n";
    if (report.lost.empty()) {
        std::cout << "nothing was lost\n";
    } else {
        std::cout << "lost\n";
        for (auto const& each : report.lost) std::cout << "  " << each << "\n";
    }
    std::cout << "the database as it was is kept: " << aside.string() << std::endl;
    return 0;
}

}  // namespace kedge
