#pragma once
/// One link, as far as mail, services and events go.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "router/link_port.hpp"

namespace kedge::sim {

struct party {
    link_id id{};
    principal_ptr who;
    std::string node;
    bool finishing = false;  ///< has said that nothing more comes
    bool ended = false;      ///< was told `bye`, or is gone
    bool keepalive = false;
    std::uint64_t heard_ms = 0;
    std::map<std::string, std::int64_t> open;  ///< ids that wait for an answer
    struct instance {
        std::string id;
        std::vector<std::string> methods;
    };
    std::map<std::string, instance> serves;          ///< by service
    std::map<std::string, std::pair<std::string, instance>> asks_to_serve;  ///< by id: what its `ok` will mean
    std::map<std::string, std::string> asks_to_stop; ///< by id

    std::string sender() const { return who->user + '/' + (node.empty() ? '~' + who->session : node); }
};

/// All links of this life of the server.
using parties = std::map<link_id, party>;

}  // namespace kedge::sim
