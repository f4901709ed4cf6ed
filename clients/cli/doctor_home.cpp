#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include "clients/cli/doctor.hpp"
#include "router/command/units.hpp"

namespace fs = std::filesystem;

namespace kedge::cli {
namespace {

constexpr std::uint64_t free_bytes_bad = 100ull * 1024 * 1024;
constexpr std::uint64_t free_bytes_unsure = 1024ull * 1024 * 1024;
constexpr unsigned free_percent_unsure = 5;

std::string octal(unsigned mode)
{
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "%04o", mode & 07777u);
    return text.data();
}

std::string first_line(fs::path const& file)
{
    std::ifstream in{file};
    std::string line;
    std::getline(in, line);
    return line;
}

/// Others may do nothing with it. False if it is not there.
bool look_at_mode(fs::path const& path, unsigned wanted, char const* what, findings& f)
{
    struct stat facts {};
    if (::stat(path.c_str(), &facts) != 0) {
        if (errno != ENOENT)
            f.bad(what, "cannot look at " + path.string() + ": " + std::strerror(errno), "run this as the user who runs the server");
        return false;
    }
    if (facts.st_uid != ::geteuid() && ::geteuid() != 0)
        f.bad(what, path.string() + " belongs to another user", "run kedge and kedged as the same user, or chown it");
    else if ((facts.st_mode & 077u) != 0)
        f.bad(what, path.string() + " is open to others (" + octal(facts.st_mode) + ", should be " + octal(wanted) + ")",
              "chmod " + octal(wanted) + " " + path.string());
    else
        f.good(what, path.string() + " is private (" + octal(facts.st_mode) + ")");
    return true;
}

void look_at_disk(fs::path const& home, findings& f)
{
    struct statvfs disk {};
    if (::statvfs(home.c_str(), &disk) != 0)
        return f.unsure("disk", "cannot tell how much room there is: " + std::string{std::strerror(errno)}, "look yourself: df " + home.string());
    auto const room = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
    auto const all = static_cast<std::uint64_t>(disk.f_blocks) * disk.f_frsize;
    auto const percent = all == 0 ? 100 : room * 100 / all;
    auto const said = format_size(room) + " of " + format_size(all) + " are free";
    std::string const todo = "make room on the disk of " + home.string() + ", or give streams limits: kedge stream edit NAME --max-bytes SIZE";
    if (room < free_bytes_bad)
        f.bad("disk", said, todo);
    else if (room < free_bytes_unsure || percent < free_percent_unsure)
        f.unsure("disk", said, todo);
    else
        f.good("disk", said);
}

/// HOME/known_hosts says of the local server what its host key is.
void look_at_host_key(fs::path const& home, findings& f)
{
    std::istringstream key{first_line(home / "host_ed25519.pub")};
    std::string type;
    std::string blob;
    key >> type >> blob;
    if (blob.empty())
        return;  // made at the first start; a missing private key was told already
    std::ifstream known{home / "known_hosts"};
    if (!known)
        return f.unsure("host key", "there is no " + (home / "known_hosts").string(), "start the server: it writes the file");
    for (std::string line; std::getline(known, line);)
        if (line.find(blob) != line.npos)
            return f.good("host key", (home / "known_hosts").string() + " has the server's key");
    f.bad("host key", (home / "known_hosts").string() + " has another key than " + (home / "host_ed25519.pub").string(),
          "restart the server: it writes the file anew");
}

/// Whether a server holds the home, as its lock tells. The lock is shared for an instant, and nothing is written.
void look_at_lock(fs::path const& home, findings& f)
{
    std::string const start = "start it: kedged --home " + home.string();
    int const fd = ::open((home / "lock").c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return f.bad("server", "no server has run here yet", start);
    bool const taken = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    ::close(fd);
    auto const pid = first_line(home / "lock");
    if (!taken)
        return f.bad("server", "no server runs on " + home.string(), start);
    f.good("server", "kedged runs here, pid " + (pid.empty() ? "unknown" : pid));
    std::ifstream limits{"/proc/" + pid + "/limits"};
    for (std::string line; std::getline(limits, line);) {
        constexpr std::string_view name = "Max open files";
        if (!line.starts_with(name))
            continue;
        auto const most = std::strtoull(line.c_str() + name.size(), nullptr, 10);
        auto const said = "the server may have " + std::to_string(most) + " files and connections open";
        if (most != 0 && most < 1024)
            f.unsure("descriptors", said, "raise it: ulimit -n 65536, or LimitNOFILE=65536 of the service");
        else
            f.good("descriptors", said);
    }
}

}  // namespace

void look_at_home(fs::path const& home, findings& f)
{
    std::error_code ec;
    if (!fs::is_directory(home, ec))
        return f.bad("home", home.string() + " is not there", "start a server: kedged --home " + home.string() + " — or name another with --to");
    if (!look_at_mode(home, 0700, "home", f))
        return;
    for (auto const& [name, what] : {std::pair{"host_ed25519", "host key"}, std::pair{"operator_ed25519", "operator's key"}})
        if (!look_at_mode(home / name, 0600, what, f))
            f.bad(what, (home / name).string() + " is not there", "start the server once: it makes the key");
    look_at_mode(home / "kedge.db", 0600, "database", f);
    look_at_host_key(home, f);
    look_at_disk(home, f);
    look_at_lock(home, f);
}

}  // namespace kedge::cli
