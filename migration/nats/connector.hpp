#pragma once
/// Finds a server that takes kedge in: one after the other of those that are configured, for ever. Its thread makes sessions, waits
/// for their end, and makes the next.

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <variant>

#include "migration/nats/outlet.hpp"
#include "migration/nats/session.hpp"
#include "migration/settings.hpp"

namespace kedge::migration {

class connector {
public:
    /// `up` is called when a link stands, on the connector's thread, after `link_up` was told.
    connector(settings, std::shared_ptr<outlet>, std::function<void(std::shared_ptr<session>)> up);
    ~connector();  ///< ends the link that stands; waits for no server

private:
    using attempt = std::variant<std::shared_ptr<session>, std::string>;

    void run();
    attempt try_server(server_url const&, backend_event::link_up&);
    attempt connect_within(connect_options, std::uint64_t number);
    void failed(server_url const&, std::string const& why);

    settings const settings_;
    std::shared_ptr<outlet> const outlet_;
    std::function<void(std::shared_ptr<session>)> const up_;
    int interrupt_[2] = {-1, -1};  ///< a pipe: its end is readable once the connector stops
    std::atomic<bool> stopping_ = false;
    std::uint64_t connection_ = 0;
    std::shared_ptr<std::atomic<int>> const hanging_ = std::make_shared<std::atomic<int>>(0);  ///< tries that were left to themselves
    std::map<std::string, std::string> last_why_;  ///< why each server was not to be had
    std::thread thread_;  ///< last: it uses the others
};

}  // namespace kedge::migration
