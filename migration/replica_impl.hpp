#pragma once
/// Inside of `replica`: its state, in one struct a role, and who does what.

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "migration/identity.hpp"
#include "migration/lanes.hpp"
#include "migration/recent_reads.hpp"
#include "migration/replica.hpp"

namespace kedge::migration {

///              run + link                    all of before is stored
///     idle ────────────────▶ settling ─────────────────▶ asking ◀──────────────┐ nothing is under way
///      ▲                                             (stream_info)              │
///      │ link down, stop, broken                       │      │ reader runs     │
///      └── from everywhere                     reader  │      ▼                 │
///                                              is new  │    passing ─▶ live ─▶ draining
///                                                      ▼      ▲   the end then   refused,
///                                                  comparing ─┤   is imported    timed out
///                                                      │      │
///                                  differs ─▶ searching ─▶ taking_back
enum class replica_phase : unsigned char {
    idle,
    settling,     ///< the store has not answered what was read on an earlier link
    asking,       ///< how far the stream goes
    comparing,    ///< whether the message at the checkpoint is still that one
    searching,    ///< the last message that both have
    taking_back,  ///< what is above it waits again
    passing,      ///< the importer reads up to the end as it was when asked; the pump waits
    live,
    draining      ///< something was not accepted: nothing is sent until all that was sent is answered
};

/// Rows on their way out.
struct pump_state {
    struct sent_row {
        message_seq seq = 0;
        std::uint64_t ticket = 0;
        std::uint64_t time_ms = 0;
        std::size_t bytes = 0;
        jet_place place = 0;  ///< as acknowledged
        jet_place behind = 0; ///< what had been read when it was sent
        bool answered = false;
        bool duplicate = false;
        bool read = false;
    };
    std::deque<sent_row> sent;       ///< rising seq and ticket; until read back and answered
    std::size_t unread = 0;
    std::size_t unread_bytes = 0;
    message_seq unread_from = 0;     ///< all sent below are read

    std::deque<row> chunk;           ///< read from the store, not sent
    message_seq fetch_from = 1;      ///< every row that waits below was sent or is in `chunk`
    token fetching = token::none;
    std::deque<row> ring;            ///< committed and not sent: all from `ring_from` up
    std::size_t ring_bytes = 0;
    message_seq ring_from = 1;
    std::set<message_seq> landed;    ///< read back though not sent on this link: what is fetched may still have them
};

/// What is remembered of refusals, over all links.
struct retry_state {
    std::map<message_seq, unsigned> attempts;  ///< of rows whose message id somebody has used
    unsigned rounds = 0;             ///< that ended by a refusal, without anything having got through
    message_seq refused_seq = 0;     ///< lowest of this round that was refused for what it is
    message_seq refused_before = 0;  ///< of the last one
    unsigned refused_rounds = 0;     ///< in a row that it was this one
};

/// Publishes whose outcome nobody knew when they ended. Their nodes send them again; if JetStream was given up meanwhile
/// (`reverse --abandon`) the log orders them, and what JetStream then proves to have taken all the same is a copy of that row.
struct unknown_ends {
    std::unordered_map<std::uint64_t, message_seq> rows;  ///< of sender and id or number: the row, 0 = it did not come again
    std::deque<std::uint64_t> order;                      ///< of the keys, oldest first

    static constexpr std::size_t keys_max = 100'000;
    void add(std::uint64_t key)
    {
        if (!rows.try_emplace(key, 0).second)
            return;
        order.push_back(key);
        if (order.size() > keys_max) {
            rows.erase(order.front());
            order.pop_front();
        }
    }
};

/// Publishes that JetStream orders.
struct publish_state {
    struct entry {
        store_request::append what;
        std::uint64_t since_ms = 0;  ///< steady
        std::size_t bytes = 0;
        std::uint64_t ticket = 0;
        jet_place place = 0;
        jet_place behind = 0;        ///< what had been read when it was sent
        unsigned attempt = 0;
        bool on_wire = false;        ///< sent on this link
        bool answered = true;
        bool duplicate = false;
        bool maybe = false;          ///< sent, and nobody knows whether it was stored
        bool maybe_before = false;   ///< the same, but for the last try
        bool settled = false;        ///< read back, or ended: nothing more comes of it
    };
    std::deque<entry> sent;          ///< by counter, without gaps; tickets rise
    std::uint64_t first_counter = 1; ///< of the first in `sent`
    std::size_t resend = 0;          ///< index in `sent`: those before were sent on this link
    std::deque<entry> queue;
    std::size_t queue_bytes = 0;
    recent_reads recent;
    unknown_ends unknown;
    std::size_t open = 0;            ///< in `sent`, not settled
    std::size_t wire = 0;            ///< of these, on the wire
    std::size_t wire_bytes = 0;
    std::uint64_t last_ticket = 0;
    std::size_t given_up = 0;        ///< ended as unavailable after they were sent, and may still be read
    bool cautious = false;           ///< one was refused: one at a time, until one is accepted
    std::uint64_t lane = 0;

    /// Steady: when the oldest came that is not settled; the largest number = there is none.
    std::uint64_t oldest_ms() const
    {
        auto ms = ~std::uint64_t{0};
        for (auto const* const list : {&sent, &queue})
            if (auto const first = std::ranges::find_if(*list, [](auto const& e) { return !e.settled; }); first != list->end())
                ms = std::min(ms, first->since_ms);
        return ms;
    }
};

/// Messages on their way in.
struct import_state {
    std::optional<reader_id> reader;
    std::deque<bus_message> inbox;
    std::uint64_t behind = 0;
    std::uint64_t heard = 0;         ///< messages, ever
    jet_place received = 0;          ///< the last one that came
    jet_place built = 0;             ///< up to here they went into requests
    /// The reader begins with the message that was compared, at the checkpoint or a little below it: between that and its beginning the
    /// stream may have gone back.
    jet_place known_place = 0;       ///< 0 = it has come, or there is none
    std::uint64_t known_stamp = 0;
    jet_place skip_to = 0;           ///< the checkpoint, until something behind it comes
    jet_place quiet = 0;             ///< up to here there is nothing more, though no message says so

    /// Acknowledged at a place that was passed without it: limits of the JetStream stream took it before it could be read.
    struct vanished {
        jet_place place = 0;
        message_seq copy_of = 0;
        std::optional<store_request::append> own;
    };
    std::vector<vanished> gone;
    /// Places before this message are missing, and own publishes up to this ticket may have had them: their answers come first, so that
    /// what was taken before it could be read stands before it in the log too.
    jet_place awaits = 0;
    std::uint64_t awaits_ticket = 0;

    enum class what : unsigned char { copy, own, native, parked };
    struct request {
        store_request::import_messages ask;
        std::vector<what> kinds;     ///< one an item
        struct origin {
            std::size_t item = 0;
            store_request::append append;
        };
        std::vector<origin> origins;  ///< by item: publishes that end with it
        std::size_t arrived = 0;      ///< of these
        std::vector<replica::parked_message> parked;
        std::optional<reader_id> reader;
        std::size_t messages = 0;
        std::size_t bytes = 0;
    };
    std::optional<request> at_store;  ///< at most one: the checkpoint must not pass what failed
    std::uint64_t retry_ms = 0;       ///< steady; 0 = it is at the store
};

/// The search for the last message that both sides have.
struct search_state {
    struct message {
        jet_place place = 0;
        std::uint64_t stamp = 0;
    };
    jet_place low = 0;               ///< common
    std::uint64_t low_stamp = 0;
    message_seq low_seq = 0;         ///< the row there, if it is known
    bool low_seen = false;           ///< and it was seen to be the same
    jet_place high = 0;              ///< not common
    bool high_seen = false;          ///< another message stands there; else JetStream ends below it
    jet_place middle = 0;
    bool upper = false;              ///< looks above the middle
    jet_place place = 0;             ///< asked for
    std::uint64_t stamp = 0;         ///< what it was
    message_seq seq = 0;
    message first_missing;           ///< of this probe; 0 = none yet
    unsigned missing = 0;            ///< in this half of the probe
    /// Of the messages that JetStream has in [from, to], the nearest one is asked for: the first, or, downwards, the last.
    struct leap {
        jet_place from = 0, to = 0;
        jet_place asked_from = 0;
        bool found = false;          ///< downwards: `seen`, and perhaps a later one in [from, to]
        jet_place step = 1;          ///< until one is found
    };
    std::optional<leap> neighbour;
    /// Found by a leap; the store is asked for its row.
    struct sight {
        message what;
        std::uint64_t time_ns = 0;
    };
    std::optional<sight> seen;
};

/// What was not answered, or not well, is asked again after so long.
inline constexpr std::uint64_t sync_again_ms = 500;

struct replica::impl {
    impl(replica_identity, mirror_state, message_seq last, settings const&, number_source&);

    replica_identity who;
    settings const& bounds;
    number_source& numbers;
    identity wire;
    bytes_ptr const nats_sender;

    mirror_state stored;             ///< as last heard of the store
    message_seq last;
    lane_book book;                  ///< with what is at the store
    bool book_unwritten = false;
    authority side = authority::sqlite;
    std::uint64_t authority_epoch = 0;
    bool adopting = false;
    bool patient = false;

    bool running = false;
    std::uint64_t granted_bytes = 0; ///< waits by an operator's word
    std::uint64_t connection = 0;    ///< 0 = no link
    std::size_t payload_max = 0;
    replica_phase at = replica_phase::idle;
    token asked = token::none;       ///< of what the phase waits for
    token taking = token::none;      ///< a take-back at the store: what it says holds whatever became of the link
    std::uint64_t retry_ms = 0;      ///< steady: when the phase asks (again); 0 = it has
    jet_place barrier = 0;
    jet_place told_last = 0;         ///< how far the stream went when it was last asked, of this reader
    bool nothing_there = false;      ///< the stream had no message when asked
    std::uint64_t created_ns = 0;    ///< of the stream, as first heard on this link or in this run; 0 = not yet
    std::string description;         ///< likewise
    std::size_t unanswered = 0;      ///< publishes of this link

    token poll = token::none;
    std::uint64_t poll_ms = 0;       ///< steady: the next one
    jet_place poll_received = 0, poll_last = 0;
    std::uint64_t poll_heard = 0;
    unsigned poll_quiet = 0;
    bool poll_failed = false;        ///< nothing is known of the stream since
    token looking = token::none;     ///< for messages behind the last that was read
    jet_place looking_up_to = 0;
    bool doubtful = false;           ///< the stream may have gone back, though the link stands
    token probe = token::none;       ///< of the first row that waits, for `waiting_since_ms`
    message_seq highest_copied = 0;

    pump_state pump;
    retry_state tries;
    publish_state own;
    import_state in;
    search_state search;
    facts shown;

    // replica_phases.cpp
    void begin(instant, effects&);
    void ask_again(std::uint64_t wait_ms, instant);
    void ask(instant, effects&);
    void halt(effects&);
    void break_down(breakage, std::string why, effects&);
    void informed(backend_event::answered const&, instant, effects&);
    void polled(backend_event::answered const&, instant, effects&);
    void look_whether_passed(instant, effects&);
    bool made_anew(jet_info const&, effects&);
    void looked(backend_event::answered const&, instant, effects&);
    void doubt(instant, effects&);
    void go_live(instant, effects&);
    void drain(instant, effects&);
    void drained(instant, effects&);
    bool on_backend(backend_event::any&, instant, effects&);
    bool on_store(store_event::any const&, instant, effects&);

    // replica.cpp
    void tick(instant, effects&);
    std::optional<std::uint64_t> due_ms() const;
    void show();

    // replica_rewind.cpp
    void compare(effects&);
    void got_message(backend_event::answered const&, instant, effects&);
    void got_placed(store_event::placed_read const&, instant, effects&);
    void next_probe(instant, effects&);
    void ask_placed(jet_place from, jet_place to, effects&);
    void find_neighbour(instant, effects&);
    void got_neighbour(bus_message const* found, instant, effects&);
    void half_looked_at(instant, effects&);
    void differs(bool, instant, effects&);
    void compared(std::optional<search_state::message> same, instant, effects&);
    void fetch_message(store_event::placed_row const&, effects&);
    void take_back(effects&);
    void taken_back(store_event::taken_back const&, instant, effects&);
    void start_reader(std::optional<search_state::message> seen, effects&);

    // replica_pump.cpp
    void pump_rows(instant, effects&);
    bool room() const noexcept;
    void send(row const&, effects&);
    void fetch(effects&);
    void fetched(store_event::rows_read&&, effects&);
    void committed(std::vector<store_event::rows_arrived::arrival> const&, instant, effects&);
    bool take(message_seq);
    bool row_answered(std::uint64_t ticket, backend_event::acked const*, backend_event::refused const*, instant, effects&);
    void pop_sent();
    bool find_missing(jet_place up_to);

    // replica_publish.cpp
    void publish(std::vector<store_request::append>&&, instant, effects&);
    bool send_own(effects&);
    void transmit(publish_state::entry&, std::uint64_t counter, effects&);
    bool own_answered(std::uint64_t ticket, backend_event::acked const*, backend_event::refused const*, instant, effects&);
    std::optional<store_request::append> claim(sighting const&, message const&, std::uint64_t digest, instant, effects&);
    publish_state::entry* entry_of(std::uint64_t lane, std::uint64_t counter);
    void settle(publish_state::entry&);
    void pop_own();
    void new_lane();
    void lose(store_request::append const&, failure, effects&);
    void lose_all(failure const& why, instant, effects&);
    bool refused(publish_state::entry&, backend_event::refused const&, instant, effects&);
    std::size_t unsettled() const noexcept;

    // replica_import.cpp
    void received(backend_event::messages&&, instant, effects&);
    bool awaits_answers(bus_message const&);
    void build(instant, effects&);
    bool add(bus_message const&, import_state::request&, instant, effects&);
    void add_copy(bus_message const&, sighting const&, store_request::import_messages::item&, bool history, instant);
    void add_own(bus_message const&, sighting const&, import_state::request&, store_request::import_messages::item&, instant, effects&);
    import_state::what add_native(bus_message const&, store_request::import_messages::item&, instant, import_state::request*);
    void add_gone(import_state::request&, instant);
    void write_book(effects&);
    void submit(import_state::request&&, instant, effects&);
    void submit(effects&);
    void imported(store_event::imported const&, instant, effects&);
    void import_failed(failure const&, instant, effects&);
};

}  // namespace kedge::migration
