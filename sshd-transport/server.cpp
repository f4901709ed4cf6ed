#include "sshd-transport/server.hpp"

#include <algorithm>
#include <future>
#include <thread>

#include <boost/asio/post.hpp>

#include "sshd-transport/door.hpp"
#include "sshd-transport/listener.hpp"
#include "sshd-transport/transport_thread.hpp"
#include "sshd-transport/watchdog.hpp"

namespace kedge {
namespace {

constexpr unsigned threads_max = 64;

unsigned thread_count(unsigned asked)
{
    return std::clamp(asked != 0 ? asked : std::thread::hardware_concurrency(), 1u, threads_max);
}

}  // namespace

/// Listeners live on the loop of the first thread.
struct transport_server::impl {
    impl(transport_config given, router_port& router, metrics& counters, directory_ptr directory)
        : config{std::move(given)}, entrance{config.limits, config.exempt, counters},
          shared{router, counters, entrance, config.host_key_path}
    {
        for (unsigned index = 0; index < thread_count(config.threads); ++index)
            threads.push_back(std::make_unique<transport_thread>(index, shared, config.limits, directory));
    }

    void adopt(int fd, std::string address)
    {
        // Sessions last; how many each thread has says more than whose turn it is.
        auto const least = std::min_element(threads.begin(), threads.end(), [](auto const& a, auto const& b) {
            return a->sessions() < b->sessions();
        });
        (*least)->adopt(fd, std::move(address));
    }

    void close_listeners()
    {
        for (auto const& each : listeners) each->close();
        listeners.clear();
    }

    transport_config config;
    door entrance;
    transport_shared shared;
    std::vector<std::unique_ptr<transport_thread>> threads;
    std::vector<std::shared_ptr<listener>> listeners;  // the first thread's, once it runs
    std::unique_ptr<watchdog> guard;
    bool running = false;
};

transport_server::transport_server(transport_config config, router_port& router, metrics& counters, directory_ptr directory)
    : impl_{std::make_unique<impl>(std::move(config), router, counters, std::move(directory))}
{
}

transport_server::~transport_server()
{
    stop();
}

std::vector<transport_port*> transport_server::ports()
{
    std::vector<transport_port*> result;
    for (auto const& each : impl_->threads) result.push_back(each.get());
    return result;
}

std::vector<listen_endpoint> transport_server::start()
{
    auto& loop = impl_->threads.front()->loop();
    std::vector<listen_endpoint> bound;
    try {
        for (auto const& where : impl_->config.listen) {
            impl_->listeners.push_back(std::make_shared<listener>(
                loop, where, impl_->entrance, [this](int fd, std::string address) { impl_->adopt(fd, std::move(address)); }));
            impl_->listeners.back()->set_dead_peer_ms(impl_->config.limits.dead_peer_ms);
            bound.push_back(impl_->listeners.back()->bound());
        }
    } catch (...) {
        impl_->close_listeners();
        throw;
    }
    for (auto const& each : impl_->listeners) each->start();
    std::vector<watchdog::look> watched;
    for (auto const& each : impl_->threads) {
        each->start();
        watched.push_back([&thread = *each] { return thread.held_by(); });
    }
    impl_->guard =
        std::make_unique<watchdog>(std::move(watched), std::max<std::uint64_t>(impl_->config.watchdog_ms, 1), log_held);
    impl_->running = true;
    return bound;
}

void transport_server::set_limits(limits const& bounds)
{
    impl_->entrance.set_limits(bounds);
    auto const shared = std::make_shared<limits const>(bounds);
    for (auto const& each : impl_->threads) each->set_limits(shared);
    boost::asio::post(impl_->threads.front()->loop(), [state = impl_.get(), shared] {
        for (auto const& each : state->listeners) each->set_dead_peer_ms(shared->dead_peer_ms);
    });
}

void transport_server::stop_accepting()
{
    if (!impl_->running) return;
    std::promise<void> closed;
    boost::asio::post(impl_->threads.front()->loop(), [&] {
        impl_->close_listeners();
        closed.set_value();
    });
    closed.get_future().wait();
    for (auto const& each : impl_->threads) each->drop_unauthenticated();
}

void transport_server::stop()
{
    if (!impl_->running) return;
    stop_accepting();
    impl_->running = false;
    for (auto const& each : impl_->threads) each->stop();
    impl_->guard.reset();
}

transport_stats transport_server::stats() const
{
    auto const& counters = impl_->shared.counters;
    return {counters.sessions.get(), counters.sessions_unauthenticated.get(), counters.links.get(),
            impl_->entrance.penalised_sources(), static_cast<unsigned>(impl_->threads.size())};
}

}  // namespace kedge
