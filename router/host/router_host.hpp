#pragma once
/// The router's two threads: the router thread, which owns the core, and the store thread, which owns the database. Neither
/// blocks on the other; both take whatever has gathered as one batch.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "router/account/directory.hpp"
#include "router/link_port.hpp"
#include "router/metrics.hpp"
#include "router/migration_port.hpp"
#include "router/protocol/limits.hpp"
#include "router/store/store.hpp"

namespace kedge {

struct router_config {
    struct limits limits;
    std::string server_name;           ///< "kedge/0.1.0"
    std::vector<std::string> servers;  ///< "host:port", told in `welcome`
    std::string home;                  ///< where a backup without a path of its own goes
};

/// Both ports of one database. `sqlite_store` implements them in one object.
struct store_ports {
    message_store* messages = nullptr;
    account_store* accounts = nullptr;
};

/// Owned by `main`. Public functions are safe on any thread unless they say otherwise.
class router_host final : public router_port {
public:
    /// Loads the store on the calling thread; throws std::runtime_error with a sentence if it cannot.
    router_host(router_config, store_ports, metrics&);
    ~router_host() override;  ///< `stop()`

    /// Before `start`: one for each transport thread; its index is the high 16 bits of the thread's link ids.
    void attach(std::vector<transport_port*> transports);
    /// Before `start`: appends go through it, and it hears what comes of the store. It lives until `stop` has returned.
    void attach(migration_port&);
    /// What the migration needs of the store as it was loaded: incarnation, secret, streams, mirrors, bridges. The rest is empty.
    store_contents const& migration_contents() const noexcept;
    /// What the migration is offered; as long as the host lives.
    migration_host& for_migration() noexcept;

    void start();
    /// Commits what is in flight and ends all threads: the router's, the migration's, the store's. Afterwards nothing is called
    /// any more.
    void stop();

    void submit(std::vector<link_event::any> batch) override;

    /// Users and keys of HOME/authorized_keys, whole, as read now. Joins them with the store's and publishes a new
    /// directory to the transports.
    void set_file_accounts(std::vector<account_user> users, std::vector<account_key> keys);
    /// The directory as of now.
    directory_ptr directory() const;

    /// SIGHUP: the new limits hold for what comes.
    void set_limits(limits const&);

    /// SIGTERM: tells every link `info` `draining`, refuses new publishes, answers what is in flight, then ends each link
    /// with `bye` `draining`. `drained` is called once on the router thread when no link is left.
    void drain(std::function<void()> drained);

    /// A picture for `/readyz`: empty = ready, else why not.
    std::string not_ready_because() const;

    /// The local root of trust: first start and `--home` bootstrap, before `start` only.
    account_store& accounts_before_start();

private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

}  // namespace kedge
