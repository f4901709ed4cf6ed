#pragma once
/// One transport thread: its event loop, its sessions, and the batches that it exchanges with the router.

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "router/link_port.hpp"
#include "router/metrics.hpp"
#include "sshd-transport/door.hpp"
#include "sshd-transport/handles.hpp"
#include "sshd-transport/watchdog.hpp"

namespace kedge {

class role;
class session;

/// What the threads of a transport share. Outlives them.
struct transport_shared {
    router_port& router;
    metrics& counters;
    door& entrance;
    std::string host_key_path;
};

class transport_thread final : public transport_port {
public:
    /// `index` is the high 16 bits of the ids of its links. Throws std::runtime_error if the host key cannot be used.
    transport_thread(unsigned index, transport_shared&, limits const&, directory_ptr);
    ~transport_thread() override;

    // Any thread.
    void start();
    /// Ends every session, tells the router, joins the thread. Idempotent.
    void stop();
    /// A connected, non-blocking socket that was counted at the door. Takes it.
    void adopt(int fd, std::string address);
    void set_limits(std::shared_ptr<limits const>);
    /// Connections that have not logged in.
    void drop_unauthenticated();
    /// With those that were handed over and not taken yet.
    std::size_t sessions() const noexcept { return session_count_.load(std::memory_order_relaxed); }
    /// For the watchdog.
    held held_by() const noexcept
    {
        return {held_since_.load(std::memory_order_relaxed), held_by_.load(std::memory_order_relaxed)};
    }

    // The router thread.
    void deliver(std::vector<link_output::any> batch) override;
    void accounts_changed(directory_ptr) override;

    // Its own thread: for the sessions.
    boost::asio::io_context& loop() noexcept { return loop_; }
    host_bind& bind() noexcept { return bind_; }
    transport_shared& shared() noexcept { return shared_; }
    limits const& bounds() const noexcept { return *limits_; }
    directory_ptr const& directory() const noexcept { return directory_; }
    std::string& scratch() noexcept { return scratch_; }
    link_id open_link(session&, role&);
    void close_link(link_id);
    void emit(link_id, link_event::body&&);
    /// The session has ended; freed after this turn of the loop.
    void bury(session_id);
    void hold(std::uint64_t token) noexcept;
    void release() noexcept { held_since_.store(0, std::memory_order_relaxed); }

private:
    struct link_entry {
        session* owner;
        role* speaker;
    };

    void run();
    void take_outputs();
    void tick();
    void show_outboxes(std::uint64_t bytes);
    void flush();

    unsigned const index_;
    transport_shared& shared_;
    host_bind bind_;
    boost::asio::io_context loop_{1};
    boost::asio::steady_timer timer_{loop_};
    std::thread thread_;
    std::atomic<std::size_t> session_count_{0};
    std::atomic<std::uint64_t> held_since_{0};
    std::atomic<std::uint64_t> held_by_{0};

    // Its own thread's.
    std::shared_ptr<limits const> limits_;
    directory_ptr directory_;
    std::uint64_t last_id_ = 0;
    std::unordered_map<session_id, std::shared_ptr<session>> sessions_;
    std::unordered_map<link_id, link_entry> links_;
    std::vector<session_id> buried_;
    std::vector<link_event::any> events_;  ///< of this turn of the loop, for the router
    std::uint64_t outbox_bytes_ = 0;       ///< of its sessions, as shown last
    std::string scratch_;
    bool stopping_ = false;

    std::mutex mutex_;
    std::vector<link_output::any> outputs_;  ///< guarded by the mutex; whoever makes it not empty wakes the loop
};

}  // namespace kedge
