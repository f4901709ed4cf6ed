#include "sshd-transport/http.hpp"

#include <chrono>
#include <stdexcept>
#include <thread>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include "router/thread_name.hpp"
#include "sshd-transport/config.hpp"

namespace kedge {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using text_response = http::response<http::string_body>;

text_response answer(http_pages const& pages, http::request<http::string_body> const& request)
{
    text_response response{http::status::ok, request.version()};
    response.keep_alive(request.keep_alive());
    response.set(http::field::content_type, "text/plain; charset=utf-8");
    response.set(http::field::cache_control, "no-store");
    auto const target = request.target().substr(0, request.target().find('?'));
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
        response.result(http::status::method_not_allowed);
        response.set(http::field::allow, "GET, HEAD");
        response.body() = "only GET and HEAD\n";
    } else if (target == "/healthz") {
        response.body() = "ok\n";
    } else if (target == "/readyz") {
        auto const reason = pages.not_ready_because();
        if (!reason.empty()) response.result(http::status::service_unavailable);
        response.body() = (reason.empty() ? "ready" : reason) + "\n";
    } else if (target == "/metrics") {
        response.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
        response.body() = pages.metrics();
    } else {
        response.result(http::status::not_found);
        response.body() = "/healthz, /readyz, /metrics\n";
    }
    response.content_length(response.body().size());
    if (request.method() == http::verb::head) response.body().clear();
    return response;
}

}  // namespace

struct http_server::impl {
    explicit impl(http_pages what) : pages(std::move(what)) {}

    asio::awaitable<void> converse(tcp::socket socket)
    {
        beast::tcp_stream stream(std::move(socket));
        beast::flat_buffer buffer(8192);
        boost::system::error_code error;
        for (bool more = true; more;) {
            http::request_parser<http::string_body> parser;
            parser.header_limit(8192);
            parser.body_limit(1024);
            stream.expires_after(std::chrono::seconds(idle_s_max));
            co_await http::async_read(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
            if (error) break;
            auto const response = answer(pages, parser.get());
            more = response.keep_alive();
            co_await http::async_write(stream, response, asio::redirect_error(asio::use_awaitable, error));
            if (error) break;
        }
        stream.socket().shutdown(tcp::socket::shutdown_send, error);
    }

    asio::awaitable<void> accept()
    {
        asio::steady_timer pause(context);
        for (;;) {
            boost::system::error_code error;
            auto socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
            if (error == asio::error::operation_aborted) co_return;
            if (error) {  // out of descriptors, say: trying again at once would only burn the processor
                pause.expires_after(std::chrono::seconds(1));
                co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
                continue;
            }
            if (connections == connections_max) continue;
            ++connections;
            asio::co_spawn(context, converse(std::move(socket)), [this](std::exception_ptr) { --connections; });
        }
    }

    http_pages const pages;
    asio::io_context context{1};
    tcp::acceptor acceptor{context};
    unsigned connections = 0;
    std::thread thread;
};

http_server::http_server(listen_endpoint const& where, http_pages pages) : impl_(std::make_unique<impl>(std::move(pages)))
{
    try {
        tcp::endpoint const endpoint(asio::ip::make_address(where.address), where.port);
        impl_->acceptor.open(endpoint.protocol());
        impl_->acceptor.set_option(tcp::acceptor::reuse_address(true));
        impl_->acceptor.bind(endpoint);
        impl_->acceptor.listen();
    } catch (boost::system::system_error const& error) {
        throw std::runtime_error("cannot listen for HTTP on " + to_string(where) + ": " + error.code().message());
    }
    asio::co_spawn(impl_->context, impl_->accept(), asio::detached);
    impl_->thread = std::thread([context = &impl_->context] {
        name_thread("http");
        context->run();
    });
}

http_server::~http_server()
{
    impl_->context.stop();
    impl_->thread.join();
}

listen_endpoint http_server::bound() const
{
    auto const endpoint = impl_->acceptor.local_endpoint();
    return {endpoint.address().to_string(), endpoint.port()};
}

}  // namespace kedge
