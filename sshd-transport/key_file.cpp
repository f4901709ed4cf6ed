#include "sshd-transport/key_file.hpp"

#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>

#include <fcntl.h>
#include <libssh/libssh.h>
#include <sys/stat.h>
#include <unistd.h>

namespace kedge {
namespace {

using key_ptr = std::unique_ptr<ssh_key_struct, decltype([](ssh_key key) { ssh_key_free(key); })>;

[[noreturn]] void fail(std::string const& what, std::filesystem::path const& path)
{
    throw std::runtime_error("cannot " + what + " " + path.string() + ": " + std::strerror(errno));
}

/// Closes in every case.
class open_file {
public:
    open_file(std::filesystem::path const& path, int flags, unsigned mode = 0)
        : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode))
    {
        if (fd_ < 0) fail("open", path);
    }
    ~open_file() { ::close(fd_); }
    open_file(open_file const&) = delete;
    open_file& operator=(open_file const&) = delete;
    int fd() const { return fd_; }

private:
    int fd_;
};

/// Without this a power cut may bring the old name back.
void sync_directory(std::filesystem::path const& path)
{
    open_file const directory(path.parent_path(), O_RDONLY | O_DIRECTORY);
    if (::fsync(directory.fd()) != 0) fail("sync", path.parent_path());
}

std::filesystem::path beside(std::filesystem::path path)
{
    return path += ".new";
}

void put_in_place(std::filesystem::path const& path)
{
    if (::rename(beside(path).c_str(), path.c_str()) != 0) fail("replace", path);
    sync_directory(path);
}

std::string text_of(ssh_key key)
{
    char* base64 = nullptr;
    if (ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK) throw std::runtime_error("cannot encode a public key");
    std::string line = std::string(ssh_key_type_to_char(ssh_key_type(key))) + " " + base64;
    ssh_string_free_char(base64);
    return line;
}

}  // namespace

void write_file(std::filesystem::path const& path, std::string_view text, unsigned mode)
{
    {
        open_file const file(beside(path), O_WRONLY | O_CREAT | O_TRUNC, mode);
        if (::fchmod(file.fd(), mode) != 0) fail("set the mode of", path);
        while (!text.empty()) {
            auto const written = ::write(file.fd(), text.data(), text.size());
            if (written < 0 && errno != EINTR) fail("write", path);
            if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
        }
        if (::fsync(file.fd()) != 0) fail("sync", path);
    }
    put_in_place(path);
}

void make_key_pair(std::filesystem::path const& path, std::string const& comment)
{
    ssh_key made = nullptr;
    if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &made) != SSH_OK) throw std::runtime_error("cannot make an ed25519 key");
    key_ptr const key(made);
    auto public_path = path;
    write_file(public_path += ".pub", text_of(key.get()) + " " + comment + "\n", 0644);

    auto const fresh = beside(path);
    {
        // libssh writes through fopen: the file has to be there, with its mode, before there is anything to read in it.
        open_file const file(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (::fchmod(file.fd(), 0600) != 0) fail("set the mode of", fresh);
    }
    if (ssh_pki_export_privkey_file(key.get(), nullptr, nullptr, nullptr, fresh.c_str()) != SSH_OK) fail("write", fresh);
    {
        open_file const file(fresh, O_RDONLY);
        if (::fsync(file.fd()) != 0) fail("sync", fresh);
    }
    put_in_place(path);
}

std::string public_line(std::filesystem::path const& path)
{
    ssh_key read = nullptr;
    // An empty passphrase: libssh would otherwise ask a terminal.
    if (ssh_pki_import_privkey_file(path.c_str(), "", nullptr, nullptr, &read) != SSH_OK)
        throw std::runtime_error("cannot read the private key " + path.string() + ": not an unencrypted OpenSSH key?");
    return text_of(key_ptr(read).get());
}

}  // namespace kedge
