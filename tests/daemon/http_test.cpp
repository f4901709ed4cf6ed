#include "sshd-transport/http.hpp"

#include <string>
#include <utility>
#include <vector>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>

#include "tests/catch.hpp"

namespace kedge {
namespace {

using boost::asio::ip::tcp;

tcp::socket connect_to(boost::asio::io_context& context, listen_endpoint const& where)
{
    tcp::socket socket(context);
    socket.connect({boost::asio::ip::make_address(where.address), where.port});
    return socket;
}

/// Sends the bytes and returns all that comes until the server closes.
std::string converse(listen_endpoint const& where, std::string const& request)
{
    boost::asio::io_context context;
    auto socket = connect_to(context, where);
    boost::system::error_code error;
    boost::asio::write(socket, boost::asio::buffer(request), error);
    std::string answer;
    boost::asio::read(socket, boost::asio::dynamic_buffer(answer), error);
    return answer;
}

std::string get(std::string const& target, std::string const& method = "GET")
{
    return method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
}

TEST_CASE("pages, methods and malformed requests")
{
    std::string reason = "the store is full";
    http_server const server({"127.0.0.1", 0}, {[&] { return reason; }, [] { return std::string("a_metric 1\n"); }});
    auto const where = server.bound();
    REQUIRE(where.port != 0);

    struct sample {
        char const* name;
        std::string request;
        char const* status;
        char const* end;
    };
    for (auto const& each : std::vector<sample>{
             {"health", get("/healthz"), "HTTP/1.1 200", "\r\n\r\nok\n"},
             {"health with a query", get("/healthz?x=1"), "HTTP/1.1 200", "\r\n\r\nok\n"},
             {"ready", get("/readyz"), "HTTP/1.1 503", "\r\n\r\nthe store is full\n"},
             {"metrics", get("/metrics"), "HTTP/1.1 200", "\r\n\r\na_metric 1\n"},
             {"head", get("/metrics", "HEAD"), "HTTP/1.1 200", "\r\n\r\n"},
             {"else", get("/"), "HTTP/1.1 404", "/metrics\n"},
             {"post", get("/metrics", "POST"), "HTTP/1.1 405", "only GET and HEAD\n"},
         }) {
        INFO(each.name);
        auto const answer = converse(where, each.request);
        INFO(answer);
        CHECK(answer.find(each.status) == 0);
        std::string const end = each.end;
        CHECK(answer.size() >= end.size());
        CHECK(answer.substr(answer.size() - std::min(answer.size(), end.size())) == end);
    }
    CHECK(converse(where, "nonsense\r\n\r\n").empty());
    CHECK(converse(where, "GET /healthz HTTP/1.1\r\nx: " + std::string(9000, 'y') + "\r\n\r\n").empty());

    // Two requests in one connection.
    auto const two = converse(where, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + get("/healthz"));
    CHECK(two.find("ok\n") != two.rfind("ok\n"));
}

TEST_CASE("connections are bounded and the listener goes on")
{
    http_server const server({"127.0.0.1", 0}, {[] { return std::string(); }, [] { return std::string(); }});
    boost::asio::io_context context;
    std::vector<tcp::socket> held;
    for (unsigned i = 0; i < http_server::connections_max; ++i) {
        held.push_back(connect_to(context, server.bound()));
        // An answer proves that this one was taken; it stays open.
        boost::asio::write(held.back(), boost::asio::buffer(std::string("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")));
        char first = 0;
        boost::asio::read(held.back(), boost::asio::buffer(&first, 1));
        CHECK(first == 'H');
    }
    CHECK(converse(server.bound(), get("/healthz")).empty());
    held.clear();
    // The server sees the closed ones in its own time; each try is a connection of its own.
    std::string answer;
    for (int tries = 0; tries < 1000 && answer.empty(); ++tries) answer = converse(server.bound(), get("/healthz"));
    CHECK(answer.find("HTTP/1.1 200") == 0);
}

TEST_CASE("an endpoint that is taken is named")
{
    http_pages const pages{[] { return std::string(); }, [] { return std::string(); }};
    http_server const server({"127.0.0.1", 0}, pages);
    try {
        http_server const second(server.bound(), pages);
        FAIL("bound twice");
    } catch (std::runtime_error const& error) {
        CHECK(std::string(error.what()).find(std::to_string(server.bound().port)) != std::string::npos);
    }
}

}  // namespace
}  // namespace kedge
