/// Serves, calls and posts through a server that may be killed at any time: asks its own service for each number in turn, posts
/// the answer to its own user, and prints what arrives: each number once, in order.
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>

#include <boost/asio/steady_timer.hpp>

#include "clients/lib/client.hpp"

int main(int count, char** arguments)
{
    if (count != 5)
        return std::cerr << "usage: talk USER@HOST:PORT KEY KNOWN_HOSTS COUNT\n", 2;
    int const last = std::atoi(arguments[4]);
    std::string const user = std::string{arguments[1]}.substr(0, std::string{arguments[1]}.find('@'));
    boost::asio::io_context io;
    kedge::client_options options;
    options.servers = {arguments[1]};
    options.identities = {arguments[2]};
    options.known_hosts = arguments[3];
    options.node = "talk";
    options.inbox = true;
    kedge::client client{io, options};
    boost::asio::steady_timer pause{io};

    client.on_ended([](std::string const& why) { std::cerr << why << '\n', std::exit(1); });
    client.on_mail([&](kedge::delivery const& m) {
        std::cout << m.body << std::endl;
        client.ack(m);
        if (m.body == "number " + std::to_string(last))
            client.close([&] { io.stop(); });
    });
    client.serve("numbers", {{"say"}, "1", "Says which number it was given"},
                 [&](kedge::incoming_call const& c) { client.reply(c, "number " + c.what.body).value(); });

    int number = 1;
    std::function<void()> const ask = [&] {
        client
            .call("numbers", "say", std::to_string(number),
                  [&](kedge::result<kedge::call_answer> const& answer) {
                      if (!answer) {
                          // Nobody knows whether it had an effect. This one has none, so it may be asked again.
                          pause.expires_after(std::chrono::milliseconds{50});
                          pause.async_wait([&](boost::system::error_code) { ask(); });
                          return;
                      }
                      // A post needs no such thought: the client sends it again until it is stored, and it is stored once.
                      client
                          .post({user}, answer->body,
                                [&](kedge::result<kedge::receipt> const& stored) {
                                    if (stored && ++number <= last)
                                        ask();
                                })
                          .value();
                  })
            .value();
    };
    ask();
    io.run();
}
