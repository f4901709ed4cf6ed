#pragma once
/// The seam between the router and the migration. The migration stands between the core and the store as the sequencer of all
/// streams: it hands an append on to the store, holds it for a while, or has JetStream order it first. It hears everything
/// that comes of the store before the core does. Nothing here blocks.

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "router/admin/call.hpp"
#include "router/core/sequencer.hpp"
#include "router/link_port.hpp"
#include "router/protocol/ids.hpp"
#include "router/store/store.hpp"

namespace kedge {

/// A `migrate …` or `bridge …` command of an operator, with what the core knows of the stream that it names.
struct migration_request {
    token request{};      ///< answered once, by `migration_host::answer`
    admin_call call;      ///< "migrate status", {"stream":"CHAT"}
    std::string user;     ///< who asks
    /// All streams as the core knows them now, INBOX too.
    struct known_stream {
        stream_state state;
        message_seq unacked = 0;       ///< lowest seq that a consumer of it is not done with; last + 1 if there is none
        std::size_t consumers = 0;
    };
    std::vector<known_stream> streams;
};

/// What the core has to know of streams that are being migrated; whole, each time something changed. Immutable.
struct migration_picture {
    struct mirrored {
        stream_id stream{};
        std::string state;      ///< "MIRRORING"
        nlohmann::json status;  ///< as `migrate status` prints it
    };
    std::vector<mirrored> streams;       ///< those that have a mirror; the others are LEGACY
    std::vector<std::string> bridges;    ///< patterns of plain subjects; no stream may cover one
    nlohmann::json link;                 ///< of the connection, as `migrate status` prints it
};
using migration_picture_ptr = std::shared_ptr<migration_picture const>;

class migration_port : public sequencer {
public:
    /// `sequencer::append`: appends of all streams. Router thread.
    /// What came of a batch, before the core hears of it. Store thread.
    virtual void stored(std::vector<store_event::any> const&) = 0;
    /// Router thread.
    virtual void ask(migration_request) = 0;
    /// A stream was removed. Router thread.
    virtual void removed(stream_id) = 0;
    /// What its own links are told (`migration_host::say`). Router thread.
    virtual void deliver(std::vector<link_output::any>) {}
    /// The router thread has ended. Returns when nothing will be given to the host any more; `stored` may still be called.
    virtual void stop() {}
};

/// What the router offers to the migration. Any thread; never blocks.
class migration_host {
public:
    virtual ~migration_host() = default;
    /// To the store, in its order among all that is given to it.
    virtual void append(std::vector<store_request::append>) = 0;
    /// To the store; answers come by `migration_port::stored`. Tokens from `migration_token` up: the core does not hear of these answers.
    virtual void submit(std::vector<store_request::any>) = 0;
    /// To the core, as if they came from the store: appends that failed.
    virtual void tell(std::vector<store_event::any>) = 0;
    virtual void answer(token request, admin_result) = 0;
    /// Also before the host starts: then the core has it from the beginning.
    virtual void show(migration_picture_ptr) = 0;
    /// `$sys.migration.STREAM` for those who subscribe.
    virtual void announce(std::string stream, nlohmann::json what) = 0;
    /// Links of the migration's own: `transport_of` their ids is `migration_transport`, and they are opened as `internal`. What they
    /// are told comes by `migration_port::deliver`. Also before the host starts.
    virtual void say(std::vector<link_event::any>) {}
};

/// Stands where the number of a transport thread stands otherwise.
inline constexpr unsigned migration_transport = 0xffff;

/// The migration's tokens begin here, the core's stay below.
inline constexpr std::uint64_t migration_token = std::uint64_t{1} << 63;
inline bool is_migration_token(token t) noexcept { return static_cast<std::uint64_t>(t) >= migration_token; }

}  // namespace kedge
