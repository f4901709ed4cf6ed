#pragma once
/// The walk of diff.hpp: two queues, one a side, merged by place. The one includer is diff.cpp.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "migration/diff.hpp"
#include "migration/diff_compare.hpp"
#include "migration/diff_report.hpp"
#include "migration/identity.hpp"

namespace kedge::migration {

///            located ──────────────┐ (resumed)
///   idle ──▶ locating ──▶ ordering ──▶ walking ──▶ finished
///                                      ▲     │
///                                      └─ verifying        any ──▶ failed
struct diff_run::impl {
    enum class phase : unsigned char {
        idle,
        locating,   ///< where do the two sides begin?
        ordering,   ///< after a restart: the rows before, for the order of their publishers
        walking,
        verifying,  ///< where do the two sides begin now: may retention have taken what is missing?
        finished,
        failed
    };
    /// A finding that is not counted yet, and what may explain it.
    struct suspect {
        diff_finding what;
        enum class doubt : unsigned char { none, jet_may_have_dropped, log_may_have_dropped } why = doubt::none;
    };

    static constexpr std::uint64_t stalled_ms = 2000;  // nothing came for so long

    replica_identity const id;
    identity const words;
    range const asked;
    settings const& bounds;
    number_source& numbers;

    phase in = phase::idle;
    std::string why;                         // failed
    bool linked = false;
    bool middle_taken = false;
    std::optional<jet_place> rewound_to;

    bool located = false;
    jet_place begin = 0, end = 0;            // inclusive; begin > end = nothing
    jet_place at = 0;                        // the next place to look at
    jet_place settled_at = 0;                // everything below is counted
    std::uint64_t compared = 0, settled_compared = 0;
    std::uint64_t at_ms = 0;                 // wall clock of the last slice
    diff_report report;

    // What the two sides gave. `…_seen`: everything up to there was given, or is not there.
    std::deque<bus_message> messages;
    jet_place messages_seen = 0;
    std::optional<reader_id> reader;
    std::size_t done_messages = 0, done_bytes = 0;  // not yet told to the reader
    std::deque<store_event::placed_row> rows;
    jet_place rows_seen = 0;
    token rows_asked{};

    publisher_order order;
    displaced_rows displaced;
    std::vector<suspect> suspects;

    // Where the two sides begin.
    token jet_asked{}, lowest_place_asked{}, first_row_asked{};
    std::optional<jet_info> jet;
    std::optional<jet_place> lowest_place;   // jet_place_max = none
    std::optional<message_seq> first_row;    // message_seq_max = none

    token probe_asked{};                     // see `probe`
    jet_place probed = 0;
    std::uint64_t heard_ms = 0;

    double budget = 0;                       // places that may be looked at now
    std::uint64_t filled_ms = 0;
    std::optional<std::uint64_t> again_ms;   // after a failure
    unsigned failures = 0;                   // in a row
    double rate = 0;
    std::uint64_t rated_ms = 0;
    jet_place rated_at = 0;

    impl(replica_identity, range, settings const&, number_source&);

    void resume(nlohmann::json const&);
    void start_over(jet_place above, effects&);
    void go_on(instant, effects&);
    void fail(std::string sentence, effects&);
    /// Tries again a moment later; false: it gave up.
    bool failed_once(std::string const& sentence, instant, effects&);
    bool over() const noexcept { return in == phase::finished || in == phase::failed; }

    bool on_messages(backend_event::messages const&, instant, effects&);
    bool on_answer(backend_event::answered const&, instant, effects&);
    bool on_reader_end(backend_event::reader_ended const&, instant, effects&);
    bool on_rows(store_event::placed_read const&, instant, effects&);
    bool on_first_row(store_event::rows_read const&, instant, effects&);
    bool on_failure(store_event::failed const&, instant, effects&);

    bool waits_for_message() const;
    diff_report certain_and_likely() const;

private:
    void ask_where_they_begin(effects&);
    bool know_where_they_begin() const { return jet && lowest_place && first_row; }
    void forget_where_they_begin();
    void locate();
    bool read_for_order(effects&);
    bool walk(instant, effects&);
    void refill(instant);
    bool look_at_next();
    void hold_against(bus_message const&, store_event::placed_row const&);
    void lone_message(bus_message const&);
    void lone_row(store_event::placed_row const&);
    void suspect_displaced(std::vector<diff_finding>);
    void verify();
    void settle();
    void ask_for_more(instant, effects&);
    void probe(instant, effects&);
    void drop_message();
    void end_reader(effects&);
    seen_message look(bus_message const&) const;
};

}  // namespace kedge::migration
