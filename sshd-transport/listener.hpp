#pragma once
/// Accepts connections on one endpoint, asks the door, and hands what may log in to the least busy transport thread.

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "sshd-transport/door.hpp"
#include "sshd-transport/server.hpp"

namespace kedge {

/// Lives on one loop; `close` and the destructor on that loop's thread, or while it does not run.
class listener : public std::enable_shared_from_this<listener> {
public:
    /// Takes a connected, non-blocking socket.
    using give = std::function<void(int fd, std::string address)>;

    /// Binds and listens; throws std::runtime_error that names the endpoint if it cannot.
    listener(boost::asio::io_context&, listen_endpoint const&, door&, give);

    listen_endpoint bound() const;
    void start();
    void close();
    void set_dead_peer_ms(std::uint64_t value) noexcept { dead_peer_ms_ = value; }

private:
    void take(boost::asio::ip::tcp::socket, boost::asio::ip::tcp::endpoint const&);

    door& door_;
    give give_;
    boost::asio::ip::tcp::acceptor acceptor_;
    boost::asio::ip::tcp::endpoint peer_;
    boost::asio::steady_timer pause_;
    std::uint64_t dead_peer_ms_ = 0;
};

}  // namespace kedge
