#include "clients/cli/restore.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "router/protocol/store_format.hpp"

namespace fs = std::filesystem;

namespace kedge::cli {
namespace {

constexpr std::size_t header_bytes = 100;
constexpr std::size_t copy_bytes = 1024 * 1024;

class file {
public:
    explicit file(int descriptor) : descriptor_{descriptor} {}
    ~file()
    {
        if (descriptor_ >= 0)
            ::close(descriptor_);
    }
    file(file const&) = delete;
    file& operator=(file const&) = delete;
    int get() const { return descriptor_; }
    bool good() const { return descriptor_ >= 0; }

private:
    int descriptor_;
};

failure wrong(std::string sentence)
{
    return {error_code::bad_request, std::move(sentence)};
}
failure cannot(std::string const& what)
{
    return {error_code::internal, "cannot " + what + ": " + std::strerror(errno)};
}

std::uint32_t big_endian(unsigned char const* at, std::size_t bytes)
{
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i)
        value = value << 8 | at[i];
    return value;
}

/// A sentence if the file is not a backup that a server of this release can take.
std::optional<std::string> refusal(int from, std::string const& name, std::uint64_t size)
{
    std::array<unsigned char, header_bytes> header{};
    if (::pread(from, header.data(), header.size(), 0) != static_cast<ssize_t>(header.size())
        || std::memcmp(header.data(), "SQLite format 3", 16) != 0 || big_endian(&header[68], 4) != store_format::application_id)
        return name + " is not a backup of a kedge server";
    auto const page = big_endian(&header[16], 2) == 1 ? 65'536u : big_endian(&header[16], 2);
    // The number of pages holds if it was written with the last change.
    if (big_endian(&header[24], 4) == big_endian(&header[92], 4) && std::uint64_t{big_endian(&header[28], 4)} * page != size)
        return name + " is cut off, or longer than it should be: it has " + std::to_string(size) + " bytes, not "
             + std::to_string(std::uint64_t{big_endian(&header[28], 4)} * page);
    if (header[18] != 1)
        return name + " is not a backup but a server's own database: part of it may stand in a log beside it. 'kedge backup' makes one that is whole";
    if (auto const version = big_endian(&header[60], 4); version < 1 || version > store_format::version)
        return name + " has schema version " + std::to_string(version) + ", and this release knows 1 to "
             + std::to_string(store_format::version) + ": use a newer one";
    return std::nullopt;
}

/// `to` must not exist. Synced when it returns.
std::optional<failure> copy(int from, fs::path const& to)
{
    file const out{::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR)};
    if (!out.good())
        return cannot("make " + to.string());
    std::vector<char> buffer(copy_bytes);
    for (off_t at = 0;;) {
        auto const got = ::pread(from, buffer.data(), buffer.size(), at);
        if (got < 0)
            return cannot("read the file");
        if (got == 0)
            break;
        for (ssize_t done = 0; done < got;) {
            auto const put = ::write(out.get(), buffer.data() + done, static_cast<std::size_t>(got - done));
            if (put < 0)
                return cannot("write " + to.string());
            done += put;
        }
        at += got;
    }
    if (::fsync(out.get()) != 0)
        return cannot("write " + to.string());
    return std::nullopt;
}

/// Copies beside `to`, then gives it that name, unless something has it.
std::optional<failure> place(int from, fs::path const& to)
{
    fs::path const partial = to.string() + ".restoring";
    ::unlink(partial.c_str());  // what an earlier run left when it was killed
    auto failed = copy(from, partial);
    if (!failed && ::link(partial.c_str(), to.c_str()) != 0)
        failed = cannot("make " + to.string());
    ::unlink(partial.c_str());
    return failed;
}

}  // namespace

result<restored> restore_backup(restore_request const& wanted)
{
    file const from{::open(wanted.file.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat facts{};
    if (!from.good() || ::fstat(from.get(), &facts) != 0)
        return cannot("read " + wanted.file);
    if (!S_ISREG(facts.st_mode))
        return wrong(wanted.file + " is not a file");
    auto const size = static_cast<std::uint64_t>(facts.st_size);
    if (auto why = refusal(from.get(), wanted.file, size))
        return wrong(std::move(*why));
    file const key{wanted.host_key.empty() ? -1 : ::open(wanted.host_key.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!wanted.host_key.empty()) {
        std::string_view const begin = "-----BEGIN OPENSSH PRIVATE KEY-----";
        std::string head(begin.size(), '\0');
        if (!key.good() || ::pread(key.get(), head.data(), head.size(), 0) != static_cast<ssize_t>(head.size()) || head != begin)
            return wrong(wanted.host_key + " cannot be read, or is not a private key in OpenSSH's form");
    }

    auto const home = fs::absolute(wanted.home);
    std::error_code error;
    fs::create_directories(home.parent_path(), error);
    if (::mkdir(home.c_str(), S_IRWXU) != 0 && errno != EEXIST)
        return cannot("make " + home.string());
    // As the server does it: who has the lock has the home.
    file const lock{::open((home / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR)};
    if (!lock.good())
        return cannot("open " + (home / "lock").string());
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
        return wrong("a server runs on " + home.string());
    auto const database = home / "kedge.db";
    for (char const* const name : {"kedge.db", "kedge.db-wal"})
        if (fs::exists(home / name))
            return wrong((home / name).string() + " exists: a backup replaces nothing. Move it away first");
    auto const host_key = home / "host_ed25519";
    if (key.good() && fs::exists(host_key))
        return wrong(host_key.string() + " exists: move it away first");

    if (key.good())
        if (auto failed = place(key.get(), host_key))
            return std::move(*failed);
    if (auto failed = place(from.get(), database)) {
        if (key.good())
            ::unlink(host_key.c_str());
        return std::move(*failed);
    }
    file const folder{::open(home.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!folder.good() || ::fsync(folder.get()) != 0)
        return cannot("write " + home.string());
    return restored{database.string(), size};
}

}  // namespace kedge::cli
