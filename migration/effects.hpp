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
    std::vector<link_event::any> links;          ///< of the bridge's link of the router
    std::vector<std::string> reached;            ///< labelled points, for tests that kill the process there
};

/// Where tokens, tickets, reader ids and bridge ids come from. A number carries its owner, so that what answers it finds its way
/// without a table: 23 bits of owner (a stream's id; 0 = the service itself), 40 that count.
class number_source {
public:
    explicit number_source(std::uint32_t owner = 0) noexcept : owner_{std::uint64_t{owner} << count_bits} {}

    token next_token() noexcept { return token{migration_token + next()}; }
    std::uint64_t next() noexcept
    {
        count_ = (count_ + 1) & count_mask;  // after 10^12 numbers whatever had this one before was answered long ago
        return owner_ | (count_ == 0 ? ++count_ : count_);
    }

    static std::uint32_t owner_of(std::uint64_t number) noexcept
    {
        return static_cast<std::uint32_t>((number & ~migration_token) >> count_bits);
    }
    static std::uint32_t owner_of(token t) noexcept { return owner_of(static_cast<std::uint64_t>(t)); }

private:
    static constexpr unsigned count_bits = 40;
    static constexpr std::uint64_t count_mask = (std::uint64_t{1} << count_bits) - 1;
    std::uint64_t owner_;
    std::uint64_t count_ = 0;
};

}  // namespace kedge::migration
