#include "sshd-transport/listener.hpp"

#include <stdexcept>
#include <string_view>

#include <boost/asio/ip/v6_only.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "sshd-transport/log.hpp"

namespace kedge {
namespace {

using boost::asio::ip::tcp;

/// Clients may connect in bursts; the door decides who stays.
constexpr int backlog = 1024;

constexpr std::string_view sorry = "kedge: not now, try again later\r\n";  // SSH clients show lines before the version

std::string text_of(boost::asio::ip::address const& address)
{
    if (address.is_v6() && address.to_v6().is_v4_mapped())
        return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6()).to_string();
    return address.to_string();
}

}  // namespace

listener::listener(boost::asio::io_context& loop, listen_endpoint const& where, door& entrance, give taker)
    : door_{entrance}, give_{std::move(taker)}, acceptor_{loop}, pause_{loop}
{
    try {
        tcp::endpoint const endpoint{boost::asio::ip::make_address(where.address), where.port};
        acceptor_.open(endpoint.protocol());
        acceptor_.set_option(tcp::acceptor::reuse_address{true});
        if (endpoint.address().is_v6()) acceptor_.set_option(boost::asio::ip::v6_only{true});
        acceptor_.bind(endpoint);
        acceptor_.listen(backlog);
    } catch (boost::system::system_error const& error) {
        throw std::runtime_error{"cannot listen on " + where.address + " port " + std::to_string(where.port) + ": " +
                                 error.code().message()};
    }
}

listen_endpoint listener::bound() const
{
    auto const endpoint = acceptor_.local_endpoint();
    return {endpoint.address().to_string(), endpoint.port()};
}

void listener::start()
{
    acceptor_.async_accept(peer_, [self = shared_from_this()](boost::system::error_code error, tcp::socket socket) {
        if (!self->acceptor_.is_open()) return;
        if (!error) {
            self->take(std::move(socket), self->peer_);
            return self->start();
        }
        // Out of descriptors or memory: the connections wait in the kernel, and so does this thread's attention.
        log_error({}, "accept: {}", error.message());
        self->pause_.expires_after(std::chrono::milliseconds{200});
        self->pause_.async_wait([self](boost::system::error_code cancelled) {
            if (!cancelled && self->acceptor_.is_open()) self->start();
        });
    });
}

void listener::close()
{
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
}

void listener::take(tcp::socket socket, tcp::endpoint const& peer)
{
    auto address = text_of(peer.address());
    boost::system::error_code failed;
    // A blocking descriptor would put the whole thread to sleep in libssh's `send`.
    socket.native_non_blocking(true, failed);
    if (failed) return;
    if (!door_.arrive(address)) {
        ::send(socket.native_handle(), sorry.data(), sorry.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        return;
    }
    boost::system::error_code ignored;
    socket.set_option(tcp::no_delay{true}, ignored);
    auto const timeout = static_cast<unsigned>(dead_peer_ms_);
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
    auto const fd = socket.release(failed);
    if (failed) return door_.left(address, std::nullopt);
    give_(fd, std::move(address));
}

}  // namespace kedge
