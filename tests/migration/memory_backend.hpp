#pragma once
/// One client of a `memory_bus`: the port that nats_backend implements, taken apart into steps. Nothing happens by itself: commands
/// wait on the way to the server, events on the way back, until the test lets one go. Single-threaded; not from within `run_one`,
/// except `submit`.

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "migration/backend.hpp"
#include "tests/migration/memory_bus.hpp"

namespace kedge::migration {

struct memory_backend_options {
    std::uint64_t answer_ms = 5000;
    std::size_t batch_max = 64;  ///< messages of a reader in one event; how many it is, the seed says
};

class memory_backend final : public pubsub_backend {
public:
    explicit memory_backend(memory_bus&, memory_backend_options = {});  ///< the bus outlives it
    ~memory_backend() override;

    void open(sink) override;
    void close() override;
    void submit(std::vector<backend_command::any>) override;

    /// One step, drawn from those that are possible: a connection stands, the server takes a command, a reader's messages leave the
    /// server, an event reaches the sink. False: nothing can happen before time goes on or the test does something.
    bool run_one();
    /// At most `steps`. How many there were.
    std::size_t run(std::size_t steps = 1'000'000);
    /// At most so many events to the sink, and nothing else.
    std::size_t deliver(std::size_t events);

    /// What becomes of the commands under way when the link is cut; the seed says where nothing is said.
    struct cut_options {
        std::optional<std::size_t> landed;  ///< so many are carried out, their answers lost
        std::optional<std::size_t> late;    ///< so many of the rest arrive at `memory_bus::land_late`
        std::optional<std::size_t> told;    ///< so many of the events under way still reach the sink
    };
    void cut(std::string why, cut_options = {});
    /// Whether it finds the server: as if the network were gone. `false` does not cut the link that stands.
    void reachable(bool on) { reachable_ = on; }

    bool linked() const noexcept { return linked_; }
    std::uint64_t connection() const noexcept { return connection_; }
    std::size_t commands_under_way() const noexcept { return to_server_.size(); }
    std::size_t events_under_way() const noexcept { return to_client_.size(); }

private:
    friend class memory_bus;

    struct reader {
        std::string stream;
        std::uint64_t created_ns = 0;  ///< of the stream that it reads; 0 = never begun
        bool begun = false;            ///< on this link
        bool silent = false;           ///< nothing more comes, and it does not know yet
        jet_place next = 1;            ///< what the server sends next
        jet_place handed = 0;          ///< the last that the sink got, or what is before the first
        std::size_t window = 0, window_bytes = 0;
        std::size_t out = 0, out_bytes = 0;  ///< not consumed
    };
    struct under_way {
        backend_event::any event;
        bool local = false;  ///< made here, so that no cut takes it
    };
    struct waiting {
        std::uint64_t until_ms = 0;
    };

    void take(backend_command::any);
    void tell(backend_event::any event, bool local) { to_client_.push_back({std::move(event), local}); }
    bool can_connect() const;
    void connect();
    bool can_serve() const;
    void serve_command();
    std::optional<reader_id> ready_reader() const;
    void serve_reader(reader_id);
    void deliver_one();
    void arrived(bus_message const&);
    void time_passed();
    void frozen(bool on);
    void detached();
    void release_acks();

    memory_bus& bus_;
    memory_backend_options options_;
    sink sink_;
    bool linked_ = false;
    bool reachable_ = true;
    std::uint64_t connection_ = 0;
    std::uint64_t silent_since_ms_ = 0;  ///< 0 = it is not
    std::deque<backend_command::any> to_server_;
    std::deque<under_way> to_client_;
    std::deque<under_way> held_acks_;
    std::map<std::uint64_t, waiting> tickets_;
    std::map<token, waiting> requests_;
    std::map<reader_id, reader> readers_;
    std::map<plain_id, std::string> patterns_;
};

}  // namespace kedge::migration
