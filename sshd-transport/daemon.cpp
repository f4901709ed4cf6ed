#include "sshd-transport/daemon.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "migration/nats/nats_backend.hpp"
#include "migration/service.hpp"
#include "router/host/router_host.hpp"
#include "router/store/sqlite/sqlite_store.hpp"
#include "sshd-transport/authorized_keys.hpp"
#include "sshd-transport/file_watch.hpp"
#include "sshd-transport/gate.hpp"
#include "sshd-transport/home.hpp"
#include "sshd-transport/http.hpp"
#include "sshd-transport/log.hpp"
#include "sshd-transport/metrics_page.hpp"
#include "sshd-transport/migration_log.hpp"
#include "sshd-transport/notify.hpp"
#include "sshd-transport/server.hpp"
#include "sshd-transport/signal_watch.hpp"

namespace kedge {
namespace {

constexpr char const* server_name = "kedge/" KEDGE_VERSION;

std::uint64_t now_ms()
{
    auto const now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

/// A session holds two descriptors; the rest is for the database, listeners and the log.
void raise_descriptors(std::uint64_t wanted_sessions)
{
    constexpr rlim_t reserve = 64;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::getrlimit(RLIMIT_NOFILE, &limit);
    auto const sessions = limit.rlim_cur > reserve ? (limit.rlim_cur - reserve) / 2 : 0;
    if (sessions >= wanted_sessions)
        return log_info({}, "{} file descriptors allow {} sessions; limits.sessions is {}", limit.rlim_cur, sessions, wanted_sessions);
    log_warning({}, "{} file descriptors allow {} sessions, limits.sessions is {}: raise the hard limit (ulimit -Hn, LimitNOFILE)",
                limit.rlim_cur, sessions, wanted_sessions);
}

std::vector<std::string_view> refusal_names()
{
    std::vector<std::string_view> names;
    for (unsigned i = 0; i < refusal_count; ++i) names.push_back(to_string(static_cast<refusal>(i)));
    return names;
}

/// What `welcome` tells clients: as configured, else the name with the first fixed port, else nothing.
std::vector<std::string> told_servers(server_config const& config)
{
    if (!config.servers.empty() || config.name.empty() || config.listen.front().port == 0) return config.servers;
    return {config.name + ":" + std::to_string(config.listen.front().port)};
}

transport_config transport_of(server_config const& config, home_directory const& home)
{
    transport_config out;
    out.limits = config.limits;
    out.listen = config.listen;
    out.host_key_path = home.host_key().string();
    out.server_name = server_name;
    out.threads = static_cast<unsigned>(config.threads);
    out.exempt = config.exempt;
    out.watchdog_ms = config.watchdog_ms;
    return out;
}

/// A first start: the operator and the keys by which it logs in.
void add_operator(home_directory& home, account_store& accounts)
{
    auto made = home.prepare_operator();
    if (made.keys.empty()) return;
    auto const must = [](result<void> const& done) {
        if (!done) throw std::runtime_error("cannot store the operator: " + done.error().message);
    };
    account_user user;
    user.name = made.user;
    user.role = role_operator;
    user.added_ms = now_ms();
    must(accounts.put_user(user));
    for (auto& key : made.keys) {
        key.added_ms = user.added_ms;
        must(accounts.put_key(key));
    }
    home.keep_operator();
    log_info({.user = made.user}, "made an operator with {} keys", made.keys.size());
}

class daemon {
public:
    daemon(daemon_options options, server_config config)
        : options_(std::move(options)), config_(std::move(config)), shown_limits_(config_.limits), home_(options_.home)
    {
    }

    int run()
    {
        home_.ensure_host_key();
        sqlite_store store(home_.database().string(), config_.limits);
        add_operator(home_, store);
        for (auto const& note : home_.take_notes()) log_warning({}, "{}", note);

        router_host router({config_.limits, server_name, told_servers(config_), home_.path().string()}, {&store, &store}, counters_);
        router_ = &router;
        migration_log logged(router.for_migration());
        auto const migration = make_migration(router);
        migration_ = migration.get();
        // However this ends: the router's threads use the migration, and end first.
        std::unique_ptr<router_host, void (*)(router_host*)> const ends(&router, [](router_host* r) { r->stop(); });
        load_keys();
        transport_server transport(transport_of(config_, home_), router, counters_, router.directory());
        transport_ = &transport;
        router.attach(transport.ports());
        migration->start(logged);
        router.start();
        file_watch const watch(context_, home_.path().string(), "authorized_keys", [this] { load_keys(); });
        auto const http = start_http();
        signal_watch signals(context_, {SIGTERM, SIGINT, SIGHUP}, [this](int number) { number == SIGHUP ? reload() : drain(number); });
        signals_ = &signals;

        measure();
        auto const bound = transport.start();
        home_.announce(bound);
        say_ready(bound);
        context_.run();  // until drained or out of patience

        transport.stop();
        router.stop();
        log_info({}, "stopped");
        return 0;
    }

private:
    /// Also without NATS: then it says what is missing, and no stream that has a copy there is taken for one that has not.
    std::unique_ptr<migration::service> make_migration(router_host& router)
    {
        auto const& stored = router.migration_contents();
        std::unique_ptr<migration::pubsub_backend> backend;
        if (!config_.nats.servers.empty()) backend = std::make_unique<migration::nats_backend>(config_.nats);
        auto made = std::make_unique<migration::service>(config_.nats, std::move(backend), config_.limits,
                                                         migration::stored_mirrors::of(stored), counters_);
        router.attach(*made);
        return made;
    }

    std::unique_ptr<http_server> start_http()
    {
        if (!config_.http) return nullptr;
        http_pages pages;
        pages.not_ready_because = [this] { return router_->not_ready_because(); };
        pages.metrics = [this] {
            std::lock_guard const lock(shown_mutex_);
            return metrics_page(counters_, shown_limits_, refusals_);
        };
        auto server = std::make_unique<http_server>(*config_.http, std::move(pages));
        log_info({}, "http on {}", to_string(server->bound()));
        return server;
    }

    void say_ready(std::vector<listen_endpoint> const& bound)
    {
        std::string line = "kedged ready on ";
        for (auto const& each : bound) line += (&each == &bound.front() ? "" : ",") + to_string(each);
        std::cout << line << std::endl;
        notify_supervisor("READY=1\nSTATUS=" + line);
        log_info({}, "{} {} with home {}", server_name, line, home_.path().string());
    }

    /// The log's queue has no thread that could tell when it has run empty.
    void measure()
    {
        auto const log = log_state();
        counters_.log_lines_waiting.set(log.waiting);
        counters_.log_lines_dropped.set(log.dropped);
        measure_again_.expires_after(std::chrono::seconds(1));
        measure_again_.async_wait([this](boost::system::error_code const& error) {
            if (!error) measure();
        });
    }

    void drain(int number)
    {
        log_info({}, "signal {}: draining for at most {} ms", number, config_.limits.drain_ms);
        notify_supervisor("STOPPING=1");
        signals_->release({SIGTERM, SIGINT});  // the second signal meets the default action: it ends the process at once
        // Whatever hangs after the drain (a disk that does not answer) must not keep the process.
        ::alarm(static_cast<unsigned>(config_.limits.drain_ms / 1000 + 10));
        transport_->stop_accepting();
        patience_.expires_after(std::chrono::milliseconds(config_.limits.drain_ms));
        patience_.async_wait([this](boost::system::error_code const& error) {
            if (error) return;
            log_warning({}, "not every link ended in time");
            context_.stop();
        });
        router_->drain([this] { boost::asio::post(context_, [this] { context_.stop(); }); });
    }

    void reload()
    {
        timespec now{};
        ::clock_gettime(CLOCK_MONOTONIC, &now);
        auto const microseconds = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000;
        notify_supervisor("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds));
        if (!log_reopen()) log_error({}, "cannot open the log {} again: {}; it goes on where it was", config_.log_file, std::strerror(errno));
        auto loaded = load_config(options_);
        if (auto const* wrong = std::get_if<std::vector<std::string>>(&loaded)) {
            for (auto const& sentence : *wrong) log_error({}, "{}", sentence);
            log_error({}, "the configuration stays as it was");
        } else {
            auto fresh = std::get<server_config>(std::move(loaded));
            for (auto const& key : needs_restart(config_, fresh)) log_warning({}, "{} takes effect at the next start", key);
            config_.limits = fresh.limits;
            config_.level = fresh.level;
            log_set_level(config_.level);
            router_->set_limits(config_.limits);
            transport_->set_limits(config_.limits);
            migration_->set_limits(config_.limits);
            {
                std::lock_guard const lock(shown_mutex_);
                shown_limits_ = config_.limits;
            }
            log_info({}, "configuration reloaded");
        }
        load_keys();
        notify_supervisor("READY=1");
    }

    /// Reads HOME/authorized_keys. What cannot be read leaves the keys as they were; a file that is gone takes its keys along.
    void load_keys()
    {
        auto const path = home_.authorized_keys();
        struct stat facts {};
        authorized_keys read;
        if (::stat(path.c_str(), &facts) == 0) {
            if ((facts.st_uid != ::geteuid() && facts.st_uid != 0) || (facts.st_mode & 022))
                return log_error({}, "{}: others may write it; its keys stay as they were", path.string());
            std::ifstream in(path, std::ios::binary);
            std::string text(std::min<std::uint64_t>(static_cast<std::uint64_t>(facts.st_size), authorized_keys_bytes_max) + 1, '\0');
            in.read(text.data(), static_cast<std::streamsize>(text.size()));
            if (in.bad() || (in.fail() && !in.eof()))
                return log_error({}, "{}: cannot be read; its keys stay as they were", path.string());
            text.resize(static_cast<std::size_t>(in.gcount()));
            read = parse_authorized_keys(text);
        } else if (errno != ENOENT) {
            return log_error({}, "{}: {}; its keys stay as they were", path.string(), std::strerror(errno));
        }
        constexpr std::size_t told_max = 100;
        for (std::size_t i = 0; i < read.refused.size() && i < told_max; ++i)
            log_error({}, "{}:{}: line refused: {}", path.string(), read.refused[i].line, read.refused[i].message);
        if (read.refused.size() > told_max)
            log_error({}, "{}: {} more lines refused", path.string(), read.refused.size() - told_max);
        log_info({}, "{} keys of {} users from {}", read.keys.size(), read.users.size(), path.string());
        router_->set_file_accounts(std::move(read.users), std::move(read.keys));
    }

    daemon_options const options_;
    server_config config_;
    std::mutex shown_mutex_;
    limits shown_limits_;  ///< guarded by shown_mutex_: the HTTP thread reads it
    std::vector<std::string_view> const refusals_ = refusal_names();
    metrics counters_;
    home_directory home_;
    boost::asio::io_context context_{1};
    boost::asio::steady_timer patience_{context_};
    boost::asio::steady_timer measure_again_{context_};
    signal_watch* signals_ = nullptr;
    router_host* router_ = nullptr;
    migration::service* migration_ = nullptr;
    transport_server* transport_ = nullptr;
};

}  // namespace

int run_daemon(daemon_options const& options, server_config const& config)
{
    ::umask(077);
    std::signal(SIGPIPE, SIG_IGN);
    block_signals({SIGTERM, SIGINT, SIGHUP});
    log_start(config.level, config.format, config.log_file);
    raise_descriptors(config.limits.sessions);
    int const status = daemon(options, config).run();
    log_stop();
    return status;
}

}  // namespace kedge
