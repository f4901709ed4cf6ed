#pragma once
/// Where every append of the router comes through on its way to whoever orders its stream: the store at once, or held while
/// the authority changes, or queued for JetStream. Knows how many appends of a stream are under way, and bars what was pipelined
/// behind an append that the migration failed (`store_request::append::epoch`).

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "migration/effects.hpp"
#include "migration/recent_reads.hpp"
#include "router/migration_port.hpp"
#include "router/store/batch_events.hpp"

namespace kedge::migration {

/// Thread-safe. While no stream is watched an append takes no lock. Locks: its own, then whatever `migration_host` and the sinks
/// take; these must not call back.
class ingress {
public:
    enum class way : unsigned char {
        store,      ///< SQLite orders the stream
        jetstream   ///< JetStream does
    };
    struct sinks {
        /// Appends that JetStream is to order, in their order; called with the lock held.
        std::function<void(stream_id, std::vector<store_request::append>)> queue;
        /// A held append found no room: whoever holds should look. Called with the lock held.
        std::function<void(stream_id)> overflow;
    };
    explicit ingress(sinks);

    /// Before the first append.
    void attach(migration_host&);

    /// Router thread.
    void append(std::vector<store_request::append>);

    // Migration thread.

    /// From now on appends of the stream are counted, and go where `way` says.
    void watch(stream_id, way);
    /// Back to the store, uncounted. What is held goes to the store.
    void forget(stream_id);
    /// The stream was removed: what is held ends as `unknown_stream`.
    void removed(stream_id);
    bool watches(stream_id) const;

    /// Appends are kept here, up to `bytes_max`; the first that finds no room ends as `unavailable` with the sentence.
    void hold(stream_id, std::uint64_t bytes_max, std::string sentence);
    /// What is held goes on, in its order and before whatever comes now. On its way to the store, which compares no ids, a publish that
    /// was `just_read` ends as `unavailable`: for those that JetStream is to order the replica sees to it.
    void open(stream_id, way, recent_reads just_read);

    /// Of appends that came by `sinks::queue`, those that may still be ordered: something before them may have been lost since.
    std::vector<store_request::append> admit(std::vector<store_request::append> queued);
    /// Ends appends that were queued: the core is told, and what was pipelined behind them ends in the same way.
    void lose(std::span<lost_append const>);
    /// What the store or the importer answered of the stream: `origins` of rows that arrived, failures. Before the replica is asked
    /// whether something is unsettled.
    void arrived(stream_id, std::span<token const> origins);
    void failed(stream_id, token request, failure const& why);

    struct picture {
        std::size_t in_flight = 0;        ///< handed on and not answered
        std::size_t held = 0;
        std::uint64_t held_bytes = 0;
        bool holding = false;
        bool overflowed = false;          ///< since `hold`
    };
    picture look(stream_id) const;

    /// The migration has ended: the store's streams go on, everything else ends as `unavailable`.
    void close();

private:
    struct gate {
        way to = way::store;
        bool counted = false;  ///< else it stays for what it bars: nobody says what becomes of its appends
        bool holding = false;
        bool overflowed = false;
        std::uint64_t bytes_max = 0;
        std::string sentence;
        std::vector<store_request::append> held;
        std::uint64_t held_bytes = 0;
        recent_reads just_read;
        boost::unordered_flat_map<token, std::uint64_t> flights;  ///< epoch of each append that is under way
    };

    // All with the lock held.
    gate* find(stream_id);
    static bool is_just_read(gate&, store_request::append const&);
    static void refuse(store_request::append const&, failure, std::vector<store_event::any>& told);
    void pass(std::vector<store_request::append>&&, std::vector<store_event::any>& told);
    void hold(gate&, store_request::append&&, std::vector<store_event::any>& told);
    void release(gate&, std::vector<store_event::any>& told);
    void bar(stream_id, std::uint64_t epoch, failure const& why);

    sinks const sinks_;
    migration_host* host_ = nullptr;   // constant after attach
    std::atomic<bool> watching_{false};
    std::atomic<bool> passing_{false}; // the router thread is on its way past the gates
    mutable std::mutex mutex_;
    std::map<stream_id, gate> gates_;  // guarded by mutex_
    epoch_gate barred_;                // guarded by mutex_
    std::set<stream_id> bars_;         // guarded by mutex_: those of which `barred_` knows something
    bool closed_ = false;              // guarded by mutex_
};

}  // namespace kedge::migration
