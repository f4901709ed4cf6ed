#pragma once
/// Everything around the core, simulated: the network between clients and links, the store's thread, the clocks, the process
/// that dies. Nothing here decides when something happens; `simulation` does, from the seed.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "router/core/core.hpp"
#include "router/store/memory_store.hpp"
#include "tests/sim/observer.hpp"
#include "tests/sim/random.hpp"
#include "tests/sim/settings.hpp"

namespace kedge::sim {

/// One link: the way there and the way back. Owned by the world.
struct wire {
    link_id id{};
    std::deque<link_event::body> to_server;       ///< sent, not handed to the core yet
    std::deque<observer::heard> to_client;        ///< said, not read by the client yet
    std::deque<admin_result> answers;             ///< to administrative commands, not read yet
    std::uint64_t handed = 0;                     ///< bytes that the core has put into the outbox
    std::uint64_t written = 0;                    ///< of these, written to the network
    std::uint64_t received = 0;                   ///< of these, arrived
    std::uint64_t inflight = 0;                   ///< bytes handed to the core and not credited
    bool server_closes = false;                   ///< the core wants it closed once everything is written
    bool gone = false;                            ///< the transport has told the core that it is closed, or will
    bool broken = false;                          ///< the client can neither send nor read more than has arrived
};

/// Changes what the core says before anybody sees it: proves that the checks can fail.
using tamper = std::function<void(std::vector<link_output::any>&)>;

class world {
public:
    world(settings const&, journal&, tamper);

    // --- For clients ---------------------------------------------------------------------------------------------------
    wire& connect(std::string const& user, bool greet = true);
    /// Nothing once the client knows all that there is to know of that link.
    wire* find(link_id);
    void send(wire&, op::any, std::size_t bytes);
    void send_end_of_input(wire&);
    void command(wire&, admin_call);
    /// The next notice that has arrived; nothing if there is none.
    std::optional<notice::any> read(wire&);
    /// Nothing more will ever be read.
    bool over(wire const& w) const { return (w.broken || (w.gone && w.received == w.handed)) && !readable(w); }
    /// The client drops the connection; the server notices later.
    void drop(wire&);

    // --- For the scheduler: each does a random part of one thing -----------------------------------------------------------
    /// Hands a batch of what has gathered to the core: from links, from the store, and the time.
    void turn_router(random_source&);
    void turn_store(random_source&);
    void turn_network(random_source&);
    void cut(random_source&);
    void advance(std::uint64_t steady_ms, std::uint64_t wall_extra_ms = 0);
    void arm_fault(random_source&);
    void maintain();
    /// kill -9, and start again.
    void crash(random_source&);
    /// SIGTERM, and start again once everybody has left, or after a time.
    void drain();
    /// Everything that can move has moved (nothing is lost any more).
    void settle(random_source&);
    /// Empty if nothing can move.
    std::string busy_with();
    /// What the store holds is what was committed and not taken by retention or a purge.
    void check_rows();

    observer watch;
    memory_store disk;
    settings const& plan;
    journal& lines;
    instant now;
    std::uint64_t lives = 0;  ///< starts of the server: clients see that their wires are gone

private:
    void start();
    void stop();
    void die(random_source&);
    void run_accounts(random_source&);
    void carry_out(actions&);
    void take(std::vector<link_output::any>&);
    bool readable(wire const& w) const { return !w.to_client.empty() && w.to_client.front().end <= w.received; }
    void lose(wire&, random_source&);
    bool may_submit(wire const&, link_event::operation const&) const;
    std::deque<link_event::body>::iterator next_event(wire&) const;

    tamper tamper_;
    metrics counts_;
    std::unique_ptr<core> core_;
    std::map<link_id, wire> wires_;
    std::uint64_t last_link_ = 0;
    std::uint64_t last_session_ = 0;
    std::deque<store_request::any> to_store_;
    std::deque<store_event::any> from_store_;
    std::deque<account_request> to_accounts_;
    std::deque<std::pair<account_request, account_result>> from_accounts_;
    std::size_t seen_outputs_ = 0;
    std::size_t seen_appends_ = 0;
    std::uint64_t last_command_ = 0;
    link_id watcher_{};
    std::uint64_t drain_due_ms_ = 0;  // 0 = it does not drain
};

}  // namespace kedge::sim
