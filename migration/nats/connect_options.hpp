#pragma once
/// From the settings to libnats's options: how to reach one server, who kedge is there, and how a link ends. Reads the files of
/// certificates and secrets each time, so that new ones are taken at the next connection.

#include <memory>
#include <string>
#include <variant>

#include "migration/nats/greeting.hpp"
#include "migration/nats/handles.hpp"
#include "migration/nats/nkey.hpp"
#include "migration/server_url.hpp"
#include "migration/settings.hpp"

namespace kedge::migration {

struct connect_options {
    nats_options_handle options;
    std::unique_ptr<nkey> key;  ///< used by `options` while it connects
};

/// Else a sentence. No callbacks are set.
std::variant<connect_options, std::string> make_connect_options(settings const&, server_url const&, greeting const&);

}  // namespace kedge::migration
