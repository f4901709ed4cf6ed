#pragma once
/// What the parts of the migration want done. They read no clock and touch no socket: whoever drives them (service.hpp; a
/// simulation) carries the effects out, each list in its order.

#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "migration/backend.hpp"
#include "router/core/actions.hpp"
#include "router/migration_port.hpp"
#include "router/store/store.hpp"

namespace kedge::migration {

/// An append that ends here, and bars what was pipelined behind it (`store_request::append::epoch`).
struct lost_append {
    token request{};
    stream_id stream{};
    std::uint64_t epoch = 0;
    failure why;
};

struct effects {
    std::vector<backend_command::any> backend;
    std::vector<store_request::any> store;       ///< with tokens from `migration_token` up
    std::vector<store_request::append> appends;  ///< to the store's own sequencer
    std::vector<lost_append> lost;               ///< told to the core as `append_failed`
    std::vector<std::pair<token, admin_result>> answers;
    std::vector<std::pair<std::string, nlohmann::json>> announcements;  ///< stream, body
    std::vector<std::string> reached;            ///< labelled points, for tests that kill the process there
};

/// Where tokens, tickets, reader ids and bridge ids come from: one source for all, so that no number is used twice.
class number_source {
public:
    token next_token() noexcept { return token{migration_token + ++last_}; }
    std::uint64_t next() noexcept { return ++last_; }

private:
    std::uint64_t last_ = 0;
};

}  // namespace kedge::migration
