#include "clients/lib/ssh_handles.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <new>
#include <utility>

namespace kedge::client_lib {
namespace {

std::string fingerprint(ssh_session s)
{
    ssh_key key = nullptr;
    if (ssh_get_server_publickey(s, &key) != SSH_OK)
        return "(no key)";
    key_ptr const owned{key};
    unsigned char* hash = nullptr;
    std::size_t size = 0;
    if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &size) != 0)
        return "(no fingerprint)";
    char* const text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, size);
    std::string out = text != nullptr ? text : "(no fingerprint)";
    ssh_string_free_char(text);
    ssh_clean_pubkey_hash(&hash);
    return std::string{ssh_key_type_to_char(ssh_key_type(key))} + " " + out;
}

/// As known_hosts names it.
std::string host_entry(ssh_address const& a)
{
    return a.port == 22 ? a.host : "[" + a.host + "]:" + std::to_string(a.port);
}

}  // namespace

void lent_descriptor::lend(int fd) noexcept
{
    close();
    struct stat facts {};
    if (::fstat(fd, &facts) != 0)
        return;
    fd_ = fd;
    inode_ = facts.st_ino;
}

void lent_descriptor::close() noexcept
{
    struct stat facts {};
    int const fd = std::exchange(fd_, -1);
    if (fd >= 0 && ::fstat(fd, &facts) == 0 && S_ISSOCK(facts.st_mode) && facts.st_ino == inode_)
        ::close(fd);
}

session_ptr make_session(int fd, ssh_address const& to, ssh_login const& login)
{
    session_ptr s{ssh_new()};
    if (!s)
        throw std::bad_alloc{};
    ssh_set_blocking(s.get(), 0);
    int const port = to.port;
    bool const no = false;
    int const nodelay = 1;
    // What a user wrote for ssh (proxies, other ciphers) is not read: what happens depends on what was said here only.
    ssh_options_set(s.get(), SSH_OPTIONS_PROCESS_CONFIG, &no);
    ssh_options_set(s.get(), SSH_OPTIONS_HOST, to.host.c_str());
    ssh_options_set(s.get(), SSH_OPTIONS_PORT, &port);
    ssh_options_set(s.get(), SSH_OPTIONS_USER, to.user.c_str());
    ssh_options_set(s.get(), SSH_OPTIONS_NODELAY, &nodelay);
    ssh_options_set(s.get(), SSH_OPTIONS_FD, &fd);
    if (!login.known_hosts.empty()) {
        ssh_options_set(s.get(), SSH_OPTIONS_KNOWNHOSTS, login.known_hosts.c_str());
        // The file that was named decides alone.
        ssh_options_set(s.get(), SSH_OPTIONS_GLOBAL_KNOWNHOSTS, login.known_hosts.c_str());
    }
    // AES-GCM is several times faster than ChaCha20 where the processor knows AES, and the server takes both.
    for (auto const option : {SSH_OPTIONS_CIPHERS_C_S, SSH_OPTIONS_CIPHERS_S_C})
        ssh_options_set(s.get(), option,
                        "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr");
    return s;
}

std::optional<ssh_failure> check_host_key(ssh_session s, ssh_address const& to, ssh_login const& login)
{
    auto const file = login.known_hosts.empty() ? std::string{"~/.ssh/known_hosts"} : login.known_hosts;
    auto const entry = host_entry(to);
    switch (ssh_session_is_known_server(s)) {
    case SSH_KNOWN_HOSTS_OK:
        return std::nullopt;
    case SSH_KNOWN_HOSTS_CHANGED:
        return ssh_failure{trouble::changed_host_key,
                           "the host key of " + entry + " is not the one in " + file + ": it shows " + fingerprint(s) +
                               ". Somebody may stand between you and the server. If it was set up anew, remove the old "
                               "key with: ssh-keygen -f " + file + " -R '" + entry + "'"};
    case SSH_KNOWN_HOSTS_OTHER:
        return ssh_failure{trouble::changed_host_key,
                           entry + " shows " + fingerprint(s) + ", but " + file + " has a key of another type for it"};
    case SSH_KNOWN_HOSTS_NOT_FOUND:
    case SSH_KNOWN_HOSTS_UNKNOWN:
        break;
    case SSH_KNOWN_HOSTS_ERROR:
        return ssh_failure{trouble::unknown_host_key, file + " cannot be read: " + ssh_get_error(s)};
    }
    if (!login.accept_new)
        return ssh_failure{trouble::unknown_host_key,
                           "the server " + entry + " is not in " + file + ". It shows " + fingerprint(s) +
                               ". If its operator tells you the same fingerprint, add --accept-new once, or put its key "
                               "there with: ssh-keyscan -p " + std::to_string(to.port) + " " + to.host + " >> " + file};
    if (ssh_session_update_known_hosts(s) != SSH_OK)
        return ssh_failure{trouble::unknown_host_key, "the key of " + entry + " cannot be written to " + file};
    return std::nullopt;
}

key_ptr read_identity(std::string const& path, std::string& why_not)
{
    ssh_key key = nullptr;
    switch (ssh_pki_import_privkey_file(path.c_str(), nullptr, nullptr, nullptr, &key)) {
    case SSH_OK:
        return key_ptr{key};
    case SSH_EOF:
        why_not = path + " does not exist or may not be read";
        return nullptr;
    default:
        why_not = path + " is not a private key without a passphrase (one with a passphrase works through the agent)";
        return nullptr;
    }
}

}  // namespace kedge::client_lib
