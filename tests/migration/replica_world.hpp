#pragma once
/// One replica between a store and a NATS server, both in memory, on an executor that the test steps: what is under way to and from
/// either side waits until it is let go. The same for the same seed.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "migration/replica.hpp"
#include "router/store/memory_store.hpp"
#include "tests/migration/memory_backend.hpp"
#include "tests/sim/random.hpp"

namespace kedge::migration::test {

/// A rule that is broken on purpose, between the replica and its surroundings: proof that the checks can fail.
enum class mutation : unsigned char {
    none,
    no_wait,         ///< it is told that the stream ends where it has read
    last_copied,     ///< the pump goes on behind the last row that was copied
    no_lanes,        ///< what was read of own publishes is forgotten in a crash
    no_stamp         ///< the message at the checkpoint is not compared
};

struct publish_options {
    std::string id = {};
    std::uint64_t n = 0;
    std::uint64_t previous_n = 0;
    std::string headers = {};
    std::string reply_to = {};
    std::uint64_t epoch = 1;
};

class replica_world {
public:
    explicit replica_world(std::uint64_t seed, settings bounds = {}, mutation what = mutation::none);
    ~replica_world();

    // What the core would hear.
    std::function<void(store_event::rows_arrived::arrival const&)> on_row;
    std::function<void(token, failure const&)> on_failed;
    std::function<void(store_request::import_messages const&)> on_import;  ///< asked of the store
    std::function<void()> on_put;  ///< `put` is stored

    // -- the parts
    memory_bus bus;
    std::unique_ptr<memory_store> store;
    std::unique_ptr<memory_backend> backend;
    std::unique_ptr<kedge::migration::replica> replica;
    store_contents contents;      ///< as of the last load
    stream_id stream{};
    sim::random_source random;
    settings bounds;
    limits server;
    kedge::migration::authority side = authority::sqlite;
    std::uint64_t authority_epoch = 1;
    std::vector<std::string> reached;
    std::uint64_t commits = 0;
    std::uint64_t reordered_before = 0;  ///< of the lives that are over
    std::uint64_t rewinds_before = 0;

    bool tracing = false;         ///< to standard error

    static constexpr char const* name = "CHAT";

    // -- what happens
    instant now() const { return {bus.now_ms() - 1'600'000'000'000, bus.now_ms()}; }
    token append(std::string const& sender, std::string const& subject, std::string const& body, publish_options const& = {});
    /// Writes the mirror's journal: the authority and its epoch.
    void put();
    void set_authority(kedge::migration::authority, std::uint64_t epoch);
    void crash();
    /// As after `crash`, but the database is what it was when `keep` was called.
    void keep();
    void restore(std::string const& incarnation);
    void advance(std::uint64_t ms);
    bool step();                  ///< one thing that can happen; false: only time can help
    void settle(std::uint64_t ms = 0);  ///< steps until nothing moves, for so long
    bool store_step();            ///< the store carries out what waits for it
    bool store_event_step();      ///< one batch of its events arrives
    std::size_t store_queue() const { return to_store_.size() + from_store_.size(); }

    // -- what there is
    std::vector<row> rows();
    std::vector<bus_message> messages();
    memory_stream& jet() { return *bus.find(name); }
    replica::facts const& facts() const { return replica->now(); }
    bool idle() const;            ///< all is equal, as the replica sees it
    void apply(effects&&);

private:
    void start();
    void heard(backend_event::any&&);
    void spoil(store_request::any&);
    void spoil(store_event::any&);
    template <class What>
    void trace(What const&);

    mutation mutation_;
    std::unique_ptr<number_source> numbers_;
    std::vector<store_request::any> to_store_;
    std::deque<std::vector<store_event::any>> from_store_;
    std::uint64_t last_token_ = 0;
    token put_ = token::none;
    message_seq highest_copied_ = 0;
    unsigned lives_ = 0;
};

}  // namespace kedge::migration::test
