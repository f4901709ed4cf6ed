#pragma once
/// A NATS server in memory, as far as kedge can tell one from it: JetStream streams with limits, message ids and places, plain
/// subjects, and the mishaps of a real one. Single-threaded, no clock of its own, the same for the same seed. What it answers
/// (codes, sentences, what a restart forgets) is what nats-server 2.9 answers.

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "migration/backend.hpp"

namespace kedge::migration {

class memory_backend;

/// A JetStream stream.
struct memory_stream {
    jet_config config;
    std::uint64_t created_ns = 0;
    jet_place first = 1;   ///< of what is kept; last + 1 if nothing is
    jet_place last = 0;
    std::uint64_t bytes = 0;
    std::map<jet_place, bus_message> messages;
    struct known_id {
        jet_place place = 0;
        std::uint64_t time_ns = 0;
    };
    std::unordered_map<std::string, known_id> ids;  ///< within the duplicate window
    std::deque<std::pair<std::uint64_t, std::string>> id_order;  ///< by time, oldest first

    jet_info info() const;
};

class memory_bus {
public:
    explicit memory_bus(std::uint64_t seed);
    ~memory_bus();
    memory_bus(memory_bus const&) = delete;
    memory_bus& operator=(memory_bus const&) = delete;

    // -- time: milliseconds, the wall clock of the server and of every backend's timers
    std::uint64_t now_ms() const noexcept { return now_ms_; }
    void advance(std::uint64_t ms);

    // -- what it tells of itself; `connection` is filled in
    backend_event::link_up greeting;
    backend_event::account_info account;
    std::vector<backend_event::bus_service> services;

    // -- as a NATS client does it
    struct outcome {
        jet_place place = 0;     ///< 0 = no stream stored it
        bool duplicate = false;
        int code = 0;            ///< of the refusal; 503 = no stream takes the subject
        std::string why;
    };
    outcome publish(bus_message);
    /// What plain subscribers of the test's own saw.
    void watch(std::string pattern);
    std::vector<bus_message> seen;

    std::optional<backend_event::problem> create(jet_config);  ///< the same again is no error
    std::optional<backend_event::problem> update(jet_config);
    std::optional<backend_event::problem> remove(std::string const& stream);
    memory_stream* find(std::string const& stream);
    bool delete_message(std::string const& stream, jet_place);

    // -- mishaps
    /// The next `times` publishes to the stream are refused so.
    void refuse_next(std::string const& stream, int code, std::string why, std::size_t times = 1);
    void refuse_no_more(std::string const& stream) { refusals_.erase(stream); }
    /// The next `times` publishes of backends are stored, and not acknowledged.
    void lose_acks(std::size_t times) { lose_acks_ += times; }
    void lose_no_more_acks() { lose_acks_ = 0; }
    /// Acknowledgements wait, while everything else comes.
    void hold_acks(bool on);
    /// The next request (no publish) of a backend ends so.
    void fail_next_request(backend_event::problem what) { fail_requests_.push_back(std::move(what)); }
    /// It keeps its connections and says nothing. A backend gives its link up after `silence_ms` of it.
    void freeze(bool on);
    bool frozen() const noexcept { return frozen_; }
    /// The streams are another server's, behind the one that kedge is linked to: that one goes (what was under way is lost) or comes back,
    /// and no link tells of it. Meanwhile publishes of backends find no stream, and requests nobody; readers end when they find out.
    void detach(bool on);
    bool detached() const noexcept { return detached_; }
    /// It went back while it was away.
    void rewind_detached(std::string const& stream, jet_place to);
    /// Information is given, and no consumer can be made: the stream has a leader, the cluster has none.
    void allow_readers(bool on) { readers_allowed_ = on; }
    /// What readers are told to be behind what they get is so many more than there are: as nats-server 2.9 does of what limits take.
    void overstate_behind(std::uint64_t by) { overstated_ = by; }
    /// As by kill -9: links are cut. After a start message ids are known that are in messages of the duplicate window.
    void stop();
    void start();
    bool running() const noexcept { return running_; }
    /// The JetStream directory: to be put back later, to all of it or (rewind) to one stream.
    std::map<std::string, memory_stream> directory() const { return streams_; }
    void restore(std::map<std::string, memory_stream>);              ///< stops and starts
    void rewind(std::string const& stream, jet_place to);            ///< stops, forgets what is above, starts
    /// What was sent on links that were cut meanwhile, and was neither handled nor lost then, arrives now.
    std::size_t land_late();
    void lose_late() { late_.clear(); }
    std::size_t late() const noexcept { return late_.size(); }

    static constexpr std::uint64_t silence_ms = 3000;

private:
    friend class memory_backend;

    outcome publish_from(bus_message, memory_backend const* from);
    outcome store(memory_stream&, bus_message&);
    static void forget_above(memory_stream&, jet_place);
    void trim(memory_stream&);
    static void erase(memory_stream&, std::map<jet_place, bus_message>::iterator);
    bool heard(std::string_view subject, memory_backend const* from) const;
    backend_event::answered answer(backend_command::any const&);
    void carry_out(backend_command::any const&, memory_backend const* from);
    void remember_ids(memory_stream&);
    void expire_ids(memory_stream&);
    std::size_t pick(std::size_t below) { return below == 0 ? 0 : random_() % below; }

    std::uint64_t now_ms_ = 1'700'000'000'000;
    std::uint64_t last_created_ns_ = 0;
    std::uint64_t last_time_ns_ = 0;
    std::mt19937_64 random_;
    std::map<std::string, memory_stream> streams_;
    std::vector<memory_backend*> backends_;
    std::vector<std::string> watched_;
    struct refusal {
        int code = 0;
        std::string why;
        std::size_t times = 0;
    };
    std::map<std::string, refusal> refusals_;
    std::deque<backend_event::problem> fail_requests_;
    std::size_t lose_acks_ = 0;
    std::uint64_t overstated_ = 0;
    bool frozen_ = false;
    bool detached_ = false;
    bool readers_allowed_ = true;
    bool acks_held_ = false;
    bool running_ = true;
    std::deque<backend_command::any> late_;
};

/// The name's value, or nullptr.
std::string const* find_header(bus_headers const&, std::string_view name);
/// NATS's rules: any first token, any number of tokens.
bool subject_fits(std::string_view pattern, std::string_view subject);

}  // namespace kedge::migration
