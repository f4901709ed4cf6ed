#include "sshd-transport/home.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <utility>

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "router/protocol/names.hpp"
#include "sshd-transport/config.hpp"
#include "sshd-transport/key_file.hpp"

namespace kedge {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(std::string const& sentence)
{
    throw std::runtime_error(sentence);
}

std::string why()
{
    return std::strerror(errno);
}

/// Nothing for a user whom only the service manager knows (systemd's DynamicUser without libnss-systemd).
std::optional<fs::path> user_directory()
{
    if (char const* home = std::getenv("HOME"); home && *home) return home;
    if (passwd const* entry = ::getpwuid(::geteuid()); entry && entry->pw_dir) return entry->pw_dir;
    return std::nullopt;
}

std::string login_name()
{
    if (passwd const* entry = ::getpwuid(::geteuid()); entry && entry->pw_name) return entry->pw_name;
    if (char const* user = std::getenv("USER"); user && *user) return user;  // what the service manager calls it
    return "operator";
}

/// The first line of a file, bounded; empty if it cannot be read.
std::string first_line(fs::path const& path)
{
    std::ifstream in(path);
    std::string line(8192, '\0');
    in.read(line.data(), static_cast<std::streamsize>(line.size()));
    line.resize(static_cast<std::size_t>(in.gcount()));
    return line.substr(0, line.find('\n'));
}

/// A private key that others can read is as good as published, but taking the server down would not call it back.
void keep_private(fs::path const& path, std::vector<std::string>& notes)
{
    struct stat facts {};
    if (::stat(path.c_str(), &facts) != 0 || (facts.st_mode & 077) == 0) return;
    if (::chmod(path.c_str(), 0600) != 0) refuse("cannot make " + path.string() + " private: " + why());
    notes.push_back(path.string() + " could be read by others; it is 0600 now. If others use this machine, replace the key");
}

}  // namespace

fs::path default_home()
{
    if (char const* home = std::getenv("KEDGE_HOME"); home && *home) return home;
    auto const own = user_directory();
    if (!own) refuse("neither $KEDGE_HOME nor $HOME is set: say --home DIR");
    return *own / ".local/share/kedge";
}

home_directory::home_directory(fs::path path) : path_(fs::absolute(path))
{
    check_directory();
    lock();
}

home_directory::~home_directory()
{
    if (lock_ >= 0) ::close(lock_);  // the kernel drops the lock; the file stays, since removing it would race with another
}

void home_directory::check_directory()
{
    std::error_code error;
    fs::create_directories(path_.parent_path(), error);
    if (error) refuse("cannot make " + path_.parent_path().string() + ": " + error.message());
    if (::mkdir(path_.c_str(), 0700) != 0 && errno != EEXIST) refuse("cannot make " + path_.string() + ": " + why());
    struct stat facts {};
    if (::stat(path_.c_str(), &facts) != 0) refuse("cannot use " + path_.string() + ": " + why());
    if (!S_ISDIR(facts.st_mode)) refuse(path_.string() + " is not a directory");
    if (facts.st_uid != ::geteuid())
        refuse(path_.string() + " belongs to another user (" + std::to_string(facts.st_uid) + "); run kedged as that user");
    if (facts.st_mode & 022)
        refuse("others may write into " + path_.string() + ", so its keys cannot be trusted; look at them, then chmod 700 it");
    if (facts.st_mode & 055) {
        if (::chmod(path_.c_str(), 0700) != 0) refuse("cannot make " + path_.string() + " private: " + why());
        notes_.push_back(path_.string() + " could be read by others; it is 0700 now");
    }
}

void home_directory::lock()
{
    auto const file = path_ / "lock";
    lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock_ < 0) refuse("cannot open " + file.string() + ": " + why());
    if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
        auto const pid = first_line(file);
        auto const reason = errno == EWOULDBLOCK
                                ? "another kedged (pid " + (pid.empty() ? "unknown" : pid) + ") runs on " + path_.string()
                                : "cannot lock " + file.string() + ": " + why();
        ::close(lock_);
        lock_ = -1;
        refuse(reason);
    }
    auto const pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(lock_, 0) != 0 || ::pwrite(lock_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
        refuse("cannot write " + file.string() + ": " + why());
}

void home_directory::ensure_host_key()
{
    if (fs::exists(host_key()))
        keep_private(host_key(), notes_);
    else
        make_key_pair(host_key(), "kedge host key");
}

home_directory::operator_keys home_directory::prepare_operator()
{
    auto const path = path_ / "operator_ed25519";
    if (fs::exists(path)) {
        keep_private(path, notes_);
        return {};
    }
    auto name = login_name();
    if (!valid_user(name)) {
        notes_.push_back("\"" + name + "\" is not a user name here ([a-z0-9][a-z0-9_-]{0,31}); the operator is called operator");
        name = "operator";
    }
    operator_user_ = name;
    operator_keys out{name, {}};
    auto const take = [&](fs::path const& file) {
        auto key = parse_public_key(first_line(file));
        if (!key) {
            notes_.push_back(file.string() + " is not a public key of a kind that can log in; left out");
            return;
        }
        key->user = name;
        out.keys.push_back(std::move(*key));
    };
    auto pending = path;
    make_key_pair(pending += ".pending", name + "@kedge");
    take(pending += ".pub");

    auto const directory = user_directory();
    if (!directory) return out;
    std::error_code error;
    std::vector<fs::path> own;
    for (auto const& entry : fs::directory_iterator(*directory / ".ssh", error)) {
        auto const file = entry.path().filename().string();
        if (file.starts_with("id_") && file.ends_with(".pub")) own.push_back(entry.path());
    }
    std::sort(own.begin(), own.end());
    for (auto const& file : own) take(file);
    return out;
}

void home_directory::keep_operator()
{
    if (operator_user_.empty()) return;
    auto const path = (path_ / "operator_ed25519").string();
    write_file(path_ / "operator", operator_user_ + "\n", 0644);
    fs::rename(path + ".pending.pub", path + ".pub");
    fs::rename(path + ".pending", path);
    operator_user_.clear();
}

void home_directory::announce(std::vector<listen_endpoint> const& bound)
{
    auto const key = public_line(host_key());
    std::string known;
    for (auto const& each : bound) {
        auto const local = local_endpoint(each);
        // OpenSSH writes the usual port bare and any other in brackets.
        known += (local.port == 22 ? local.address : "[" + local.address + "]:" + std::to_string(local.port)) + " " + key + "\n";
        known += (local.port == 22 ? "localhost" : "[localhost]:" + std::to_string(local.port)) + " " + key + "\n";
    }
    write_file(path_ / "known_hosts", known, 0644);
    auto const first = local_endpoint(bound.front());
    write_file(path_ / "endpoint", to_string(first) + "\n", 0644);
    write_file(path_ / "ssh_config",
               "# For OpenSSH on this machine: ssh -F " + (path_ / "ssh_config").string() + " bus\n"
               "Host bus\n"
               "    HostName " + first.address + "\n"
               "    Port " + std::to_string(first.port) + "\n"
               "    User " + first_line(path_ / "operator") + "\n"
               "    IdentityFile \"" + (path_ / "operator_ed25519").string() + "\"\n"
               "    IdentitiesOnly yes\n"
               "    UserKnownHostsFile \"" + (path_ / "known_hosts").string() + "\"\n",
               0644);
}

std::vector<std::string> home_directory::take_notes()
{
    return std::exchange(notes_, {});
}

listen_endpoint local_endpoint(listen_endpoint bound)
{
    if (bound.address == "0.0.0.0") bound.address = "127.0.0.1";
    if (bound.address == "::") bound.address = "::1";
    return bound;
}

}  // namespace kedge
