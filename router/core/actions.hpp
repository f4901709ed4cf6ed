#pragma once
/// What the core is told and what it wants done. Values only: whoever drives the core does the I/O.

#include <optional>
#include <variant>
#include <vector>

#include "router/link_port.hpp"
#include "router/migration_port.hpp"
#include "router/store/store.hpp"

namespace kedge {

/// The two clocks, read by the driver.
struct instant {
    std::uint64_t steady_ms = 0;  ///< for waits: never jumps
    std::uint64_t wall_ms = 0;    ///< for stored times and expiry: milliseconds since 1970
};

/// Changes of users, keys and rules, for the account store.
namespace account_change {
struct put_user { account_user user; };
struct remove_user { std::string name; };
struct put_key { account_key key; };
struct remove_key { std::string user; std::string fingerprint; };
struct add_rule { rule what; };
struct remove_rule { std::uint64_t id = 0; };
struct add_ban { account_ban what; };
struct remove_ban { std::uint64_t id = 0; };
struct put_alias { account_alias what; };
struct remove_alias { std::string alias; };
struct put_list { account_list what; };
struct remove_list { std::string name; };
struct add_audit { audit_entry what; };
struct read_audit { std::uint64_t before = 0; std::size_t most = 100; };  ///< changes nothing; see account_result::audit
using any = std::variant<put_user, remove_user, put_key, remove_key, add_rule, remove_rule, add_ban, remove_ban, put_alias, remove_alias,
                         put_list, remove_list, add_audit, read_audit>;
}  // namespace account_change

/// Carried out in order until one fails; answered by one `account_result`, with the same token (none = nobody looks).
struct account_request {
    token request{};
    std::vector<account_change::any> changes;
};
struct account_result {
    token request{};
    std::optional<failure> why;      ///< empty = all done
    std::uint64_t id = 0;            ///< of the last `add_rule` or `add_ban`
    std::vector<audit_entry> audit;  ///< of the last `read_audit`
    std::size_t carried_out = 0;     ///< how many changes hold
};

/// What a batch of events came to. The driver hands each list on in order, and clears it.
struct actions {
    std::vector<link_output::any> outputs;
    std::vector<store_request::append> appends;  ///< to the sequencer of their stream
    std::vector<store_request::any> requests;    ///< to the store
    std::vector<account_request> accounts;       ///< to the account store
    std::vector<migration_request> migration;    ///< to the migration; none unless there is one
    std::vector<stream_id> removed;              ///< streams that are gone: for the migration
    directory_ptr directory;                     ///< set when users or keys changed: for the transports
    bool drained = false;                        ///< draining, and the last link is gone

    bool empty() const
    {
        return outputs.empty() && appends.empty() && requests.empty() && accounts.empty() && migration.empty() && removed.empty()
            && !directory && !drained;
    }
};

}  // namespace kedge
