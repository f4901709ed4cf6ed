#pragma once
/// A life of a mirror from a seed: publishers of both sides, an operator who gives any command at any time, and everything around it that
/// can go wrong. In the end all heals, and then: what was answered `ok` is in the log, nothing is anywhere twice, both sides are equal,
/// every command was answered, and the stream can go there and back.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/migration/mirror_world.hpp"
#include "tests/sim/random.hpp"

namespace kedge::migration::test {

struct mirror_sim_counts {
    std::uint64_t lives = 0, messages = 0, commands = 0, done = 0, refused = 0, kills = 0, cuts = 0, stops = 0, freezes = 0, rewinds = 0, faults = 0,
                  refusals = 0;
    void add(mirror_sim_counts const&);
};

/// A rule that is broken on purpose: proof that the checks can fail.
enum class mirror_mutation : unsigned char {
    none,
    forgets_ids,   ///< the core does not know what is in the log already
    forgets_order  ///< clients send again in any order
};

class mirror_sim {
public:
    explicit mirror_sim(std::uint64_t seed, mirror_mutation = mirror_mutation::none, bool tracing = false);
    /// What was broken; empty = nothing.
    std::string run();
    mirror_sim_counts counts;

private:
    void act();
    void publish();
    void publish_native(std::uint64_t messages);
    void command();
    void mishap();
    void look_for_answers();
    void reborn();
    void calm_down();
    void check();
    void check_order(std::string const& where, std::vector<std::string> const& bodies);
    /// There, back, and there again, which nothing prevents any more.
    void go_round();
    bool must(std::string const& verb, nlohmann::json args = nlohmann::json::object());
    void fail(std::string why);
    void trace(std::string const& line) const;

    sim::random_source random_;
    bool tracing_;
    bool limited_;                         ///< the stream keeps the newest messages alone, so that one side may have what the other has not
    mirror_world world_;
    struct question {
        token request{};
        std::string verb;
        std::uint64_t asked_ms = 0;
    };
    std::vector<question> asked_;          ///< of this process
    std::map<std::string, std::string> who_;  ///< of each body of ours
    std::set<std::string> before_;         ///< natives' that were there before a start: it takes them over only if it is told to
    bool disorder_ = false;                ///< what is restored, refused or late stands behind what is newer
    bool copied_anew_ = false;             ///< the stream was given up and begun again: its JetStream stream may have a row's first copy too
    bool abandoned_ = false;               ///< what was given up, and sent again over a restart, may be there twice
    std::uint64_t up_ms_ = 0;              ///< the server comes back, thaws
    std::string broken_;
};

}  // namespace kedge::migration::test
