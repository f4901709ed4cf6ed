/// Publishes and consumes through a server that may be killed at any time: everything arrives once, in order.
#include <cstdlib>
#include <iostream>

#include "clients/lib/client.hpp"

int main(int count, char** arguments)
{
    if (count != 4)
        return std::cerr << "usage: reconnect USER@HOST:PORT KEY KNOWN_HOSTS\n", 2;
    boost::asio::io_context io;
    kedge::client_options options;
    options.servers = {arguments[1]};
    options.identities = {arguments[2]};
    options.known_hosts = arguments[3];
    options.node = "example";
    kedge::client client{io, options};

    client.on_disconnected([](std::string const& why) { std::cout << "lost: " << why << "; trying again\n"; });
    client.on_ended([](std::string const& why) { std::cerr << why << '\n', std::exit(1); });
    client.consume("DEMO", "example", [&](kedge::delivery const& m) {
        std::cout << "got " << m.seq << ": " << m.body << std::endl;
        client.ack(m);
    });
    int sent = 0;
    std::function<void(kedge::result<kedge::receipt> const&)> const next = [&](auto const& stored) {
        if (stored.has_value() && sent < 100'000)
            client.publish("demo.count", std::to_string(++sent), next).value();
    };
    next(kedge::receipt{});
    io.run();
}
