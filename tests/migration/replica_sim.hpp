#pragma once
/// Random lives of a replica: publishers on both sides, a network and a store that fail, servers that die and go back, and the
/// change of authority. Then everything heals, and what must be true is looked at.

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/migration/replica_world.hpp"

namespace kedge::migration::test {

struct sim_counts {
    std::uint64_t seeds = 0, ssh = 0, natives = 0, replays = 0, cuts = 0, rewinds = 0, crashes = 0, refusals = 0, lost_acks = 0,
                  switches = 0, store_faults = 0, unavailable = 0, freezes = 0, reordered = 0, early = 0, detached = 0;
};

class replica_sim {
public:
    explicit replica_sim(std::uint64_t seed, mutation = mutation::none, bool tracing = false);

    /// What was broken; empty = nothing.
    std::string run();
    sim_counts counts;

private:
    /// Follows the rules for "exactly once in effect": after a failure it waits for all answers, then sends again, in order.
    struct publisher {
        enum class kind : unsigned char { ids, numbers, plain } how = kind::ids;
        std::string sender;
        std::size_t window = 1;
        std::uint64_t next = 1;
        struct open_publish {
            std::uint64_t number = 0;
            std::uint64_t epoch = 0;
            std::uint64_t previous = 0;       ///< number, of numbers
        };
        std::map<token, open_publish> out;
        std::set<std::uint64_t> again;        ///< to be sent again
        bool failed = false;                  ///< waits for the rest of the answers
        std::set<std::uint64_t> oks;
        // Of numbers, which no answer tells of one by one:
        std::set<std::uint64_t> untold;       ///< sent, and not known to be stored
        std::uint64_t submitted = 0;          ///< as the core has it
    };
    struct native_publisher {
        std::string name;
        std::uint64_t next = 1;
    };
    enum class change : unsigned char { none, draining, writing };

    void act();
    void ssh_acts();
    void send(publisher&, std::uint64_t number);
    void native_acts();
    void replay();
    void mishap();
    void land_late();
    void rewind();
    void note_risk(jet_place above);
    void detach();
    void leave_natives();
    void crash();
    void change_acts();
    void calm_down();
    void answered(token, bool stored, error_code);
    void told_numbers(publisher&);
    void arrived(store_event::rows_arrived::arrival const&);
    void fail(std::string why);
    std::string body_of(publisher const& p, std::uint64_t number) const { return p.sender + "#" + std::to_string(number); }

    // replica_sim_checks.cpp
    void check();
    void check_both_sides(std::vector<row> const&, std::vector<bus_message> const&);
    void check_once(std::vector<row> const&);
    void check_order(std::vector<row> const&, std::vector<bus_message> const&);

    std::uint64_t seed_;
    replica_world world_;
    sim::random_source& random_;
    std::vector<publisher> publishers_;
    std::vector<native_publisher> natives_;
    std::map<std::string, std::uint64_t> ids_;      ///< the core's window: sender and id, to the seq
    std::map<std::string, number_log> numbers_;     ///< of a sender, as the core has it
    std::map<std::string, std::uint64_t> natives_stored_;   ///< body: how often it was accepted
    std::set<std::string> natives_at_risk_;         ///< were in what a rewind took
    std::uint64_t epoch_ = 1;
    bool held_ = false;
    /// The server forgets message ids at once, and the network loses what it does not deliver: that nothing is sent twice
    /// is then the replica's doing alone.
    bool forgetful_ = false;
    /// The JetStream stream keeps the newest messages of a subject alone.
    bool limited_ = false;
    bool calm_ = false;
    bool disorder_ = false;                         ///< refused or late: order is not promised to the letter
    std::uint64_t late_since_ms_ = 0;
    std::uint64_t frozen_until_ms_ = 0;
    std::uint64_t detached_until_ms_ = 0;
    std::uint64_t no_readers_until_ms_ = 0;
    std::uint64_t held_acks_until_ms_ = 0;
    change changing_ = change::none;
    std::uint64_t change_until_ms_ = 0;
    jet_place fence_ = 0;
    std::string broken_;
};

}  // namespace kedge::migration::test
