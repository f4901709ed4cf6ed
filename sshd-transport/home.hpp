#pragma once
/// HOME: the directory that a server owns (0700), and what a first start puts there.
///
///     lock                  flock'ed by the server that runs; its pid
///     kedged.toml           configuration, if there is one
///     kedge.db              the database
///     host_ed25519(.pub)    host key
///     operator_ed25519(.pub)  a key pair by which the local `kedge` logs in, and
///     operator              the name of its user
///     authorized_keys       further keys, if there is one (authorized_keys.hpp)
///     endpoint              ADDRESS:PORT by which this machine reaches the server; written at each start
///     known_hosts           the host key under that address; written at each start
///     ssh_config            all of this for OpenSSH: ssh -F HOME/ssh_config bus; written at each start
///
/// `main` owns it, on one thread. Everything throws std::runtime_error with a sentence when the file system will not.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "router/account/directory.hpp"
#include "sshd-transport/server.hpp"

namespace kedge {

/// $KEDGE_HOME, else ~/.local/share/kedge.
std::filesystem::path default_home();

class home_directory {
public:
    /// Makes the directory if it is not there and locks it until the object goes. Refuses one that another server holds
    /// (naming its pid), that another user owns, or into which others may write.
    explicit home_directory(std::filesystem::path);
    ~home_directory();
    home_directory(home_directory const&) = delete;
    home_directory& operator=(home_directory const&) = delete;

    std::filesystem::path const& path() const noexcept { return path_; }
    std::filesystem::path database() const { return path_ / "kedge.db"; }
    std::filesystem::path host_key() const { return path_ / "host_ed25519"; }
    std::filesystem::path authorized_keys() const { return path_ / "authorized_keys"; }

    /// Makes the host key if there is none.
    void ensure_host_key();

    /// Who is to become the operator because HOME/operator_ed25519 is not there: the user who runs the server, with the key
    /// pair just made and the keys of ~/.ssh/id_*.pub. Empty keys = nothing to do.
    struct operator_keys {
        std::string user;
        std::vector<account_key> keys;
    };
    operator_keys prepare_operator();
    /// Puts the pair in place; after the store has the key, so that a crash between leaves no key that does not open.
    void keep_operator();

    /// Writes `endpoint`, `known_hosts` and `ssh_config`.
    void announce(std::vector<listen_endpoint> const& bound);

    /// What was mended or could not be used, one sentence each, for the log. Empties it.
    std::vector<std::string> take_notes();

private:
    void check_directory();
    void lock();

    std::filesystem::path path_;
    int lock_ = -1;
    std::string operator_user_;
    std::vector<std::string> notes_;
};

/// Where this machine reaches what listens on `bound`: a wildcard becomes loopback.
listen_endpoint local_endpoint(listen_endpoint bound);

}  // namespace kedge
