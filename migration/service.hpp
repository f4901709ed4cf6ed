#pragma once
/// The migration as the daemon has it: one thread that drives a `mirror` for each stream which has one, the bridge and the
/// commands, and carries out what they want done. All of it is resumable: `stop`, a crash and a start in between change nothing.

#include <memory>
#include <string>
#include <vector>

#include "migration/backend.hpp"
#include "migration/settings.hpp"
#include "router/metrics.hpp"
#include "router/migration_port.hpp"
#include "router/protocol/limits.hpp"
#include "router/store/store.hpp"

namespace kedge::migration {

/// Of what the store held when it was opened (`store_contents`).
struct stored_mirrors {
    std::string incarnation;
    std::string secret;
    std::vector<stream_state> streams;
    std::vector<mirror_state> mirrors;
    std::string bridges{};

    static stored_mirrors of(store_contents const& all) { return {all.incarnation, all.secret, all.streams, all.mirrors, all.bridges}; }
};

/// Owned by `main`. Lives longer than the router host's threads; stopped before them, because it uses the host.
class service final : public migration_port {
public:
    /// Without a backend (no `[nats] servers`) streams that JetStream orders answer `unavailable`, and say why.
    service(settings, std::unique_ptr<pubsub_backend>, limits const&, stored_mirrors, metrics&);
    ~service() override;  ///< `stop()`

    /// Before the router's threads start: what is found half-done is decided here, before publishes flow. The host may be asked for
    /// things from now on.
    void start(migration_host&);
    /// Ends the thread and the connection. Appends of streams that SQLite orders still pass afterwards; others end as `unavailable`.
    void stop() override;

    void append(std::vector<store_request::append>) override;
    void stored(std::vector<store_event::any> const&) override;
    void ask(migration_request) override;
    void removed(stream_id) override;
    void deliver(std::vector<link_output::any>) override;

    /// SIGHUP, any thread: everything goes by them from now on, but that a JetStream stream keeps the largest message that it was made
    /// with. `settings` stay those of the start.
    void set_limits(limits const&);

private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

}  // namespace kedge::migration
