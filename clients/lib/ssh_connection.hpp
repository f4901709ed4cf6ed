#pragma once
/// One SSH connection to one server with one channel on it, driven by Asio: login, host key, then bytes both ways.
/// libssh stays out of this header.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "router/protocol/error.hpp"

namespace kedge::client_lib {

/// Where a server is, and as whom to log in there.
struct ssh_address {
    std::string user;
    std::string host;
    std::uint16_t port = 2222;
};
/// "USER@HOST:PORT", "USER@HOST" (port 2222), "USER@[::1]:2222". Nothing if it is none of these.
std::optional<ssh_address> parse_address(std::string_view);
std::string to_string(ssh_address const&);

/// How to prove who we are, and who they must be.
struct ssh_login {
    /// Private keys without a passphrase. If empty: the agent's, then ssh's own (~/.ssh/id_*).
    std::vector<std::string> identities;
    bool agent = true;  ///< without `identities`, and if there is one
    /// OpenSSH's format. Empty: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts.
    std::string known_hosts;
    /// A server that is not known yet is taken and remembered. One whose key has changed never is.
    bool accept_new = false;
    std::chrono::milliseconds timeout{10'000};  ///< for all until the channel is open
};

/// What to ask of the channel.
struct ssh_request {
    enum class kind : unsigned char { subsystem, exec } what = kind::subsystem;
    std::string text;
};

enum class trouble : unsigned char {
    unreachable,       ///< no connection, or it took too long
    unknown_host_key,  ///< not in known_hosts
    changed_host_key,  ///< known_hosts says otherwise
    denied,            ///< no key was accepted
    refused,           ///< the server does not do what was asked
    lost               ///< it was there, and is no more
};
/// Whether trying the same again can be expected to end the same.
bool is_lasting(trouble) noexcept;

struct ssh_failure {
    trouble what = trouble::lost;
    std::string message;  ///< a sentence for a person, with what to do
};

/// Owned by its user and, while the connection lives, by what is under way. One thread: the executor's. After `close`
/// nothing is called any more.
class ssh_connection : public std::enable_shared_from_this<ssh_connection> {
public:
    /// Told what happens, on the executor, never from within a call of the user's.
    class handler {
    public:
        virtual ~handler() = default;
        virtual void on_open() = 0;
        virtual void on_data(std::string_view, bool is_error_stream) = 0;
        /// There is room: append what is to be sent, about `bytes_max`. Nothing appended = nothing to send until `wake`.
        virtual void on_writable(std::string& out, std::size_t bytes_max) = 0;
        /// The last call: the server closed the channel (with its exit status, if it told one) or something failed.
        virtual void on_end(std::optional<int> exit_status, std::optional<ssh_failure>) = 0;
    };

    static std::shared_ptr<ssh_connection> open(boost::asio::any_io_executor, ssh_address, ssh_login, ssh_request,
                                                handler&);
    ~ssh_connection();

    /// There is something to send: `on_writable` follows soon.
    void wake();
    /// Nothing more will be sent after what `on_writable` gave.
    void end_of_input();
    /// Reads no more until `resume`: the server's window closes, and everything it would say waits.
    void pause();
    void resume();
    /// Ends the connection now.
    void close();

private:
    struct impl;
    explicit ssh_connection(std::unique_ptr<impl>);
    std::unique_ptr<impl> impl_;
    friend struct impl;
};

}  // namespace kedge::client_lib
