#pragma once
/// Owners of libssh's objects, and the steps of a login. Internal to clients/lib.

#include <memory>
#include <optional>
#include <string>

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include "clients/lib/ssh_connection.hpp"

namespace kedge::client_lib {

struct ssh_deleter {
    void operator()(ssh_session s) const noexcept { ssh_free(s); }
    void operator()(ssh_key k) const noexcept { ssh_key_free(k); }
    void operator()(ssh_event e) const noexcept { ssh_event_free(e); }
};
using session_ptr = std::unique_ptr<ssh_session_struct, ssh_deleter>;
using key_ptr = std::unique_ptr<ssh_key_struct, ssh_deleter>;
using event_ptr = std::unique_ptr<ssh_event_struct, ssh_deleter>;

/// Closes a session's descriptor when the session is gone. libssh 0.10 leaves open what it was given, others close it: then the
/// number may be another file's by now, and is left alone.
class lent_descriptor {
public:
    lent_descriptor() = default;
    ~lent_descriptor() { close(); }
    lent_descriptor(lent_descriptor const&) = delete;
    lent_descriptor& operator=(lent_descriptor const&) = delete;

    void lend(int fd) noexcept;
    void close() noexcept;

private:
    int fd_ = -1;
    unsigned long long inode_ = 0;
};

/// A session on a connected, non-blocking `fd`, which stays the caller's. Throws std::bad_alloc.
session_ptr make_session(int fd, ssh_address const&, ssh_login const&);

/// After the key exchange: is this the server that known_hosts names?
std::optional<ssh_failure> check_host_key(ssh_session, ssh_address const&, ssh_login const&);

/// Reads a private key; a failure says which file and why.
key_ptr read_identity(std::string const& path, std::string& why_not);

}  // namespace kedge::client_lib
