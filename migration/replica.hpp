#pragma once
/// The traffic of one stream between the log and JetStream, the same in all states: the pump (rows that wait are published),
/// the importer (every message of the JetStream stream is read and places a row, or becomes one), publishes that JetStream is
/// to order, and the way back to the last common message when JetStream has lost some. Sans I/O; migration thread; owned by
/// the stream's `mirror`, which decides when it runs and which side orders. Rules: ../README.md, "How a message goes".

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "migration/backend.hpp"
#include "migration/effects.hpp"
#include "migration/recent_reads.hpp"
#include "migration/settings.hpp"
#include "router/core/actions.hpp"
#include "router/protocol/limits.hpp"
#include "router/store/mirror.hpp"

namespace kedge::migration {

/// Which side decides the order of a stream.
enum class authority : unsigned char { sqlite, jetstream };

/// Why a replica cannot go on without an operator.
enum class breakage : unsigned char {
    none,
    log_rewound,   ///< the copy holds rows that the log lacks: the database is older than the copy
    foreign_owner, ///< the JetStream stream is another server's
    stream_gone,   ///< it was deleted, or made anew
    backlog,       ///< more waits than `settings::backlog_bytes`
    refused        ///< the server refuses a message again and again
};
std::string_view to_string(breakage) noexcept;

struct replica_identity {
    stream_id stream{};
    std::string name;          ///< of the stream here
    std::string jet;           ///< of the JetStream stream
    std::string incarnation;   ///< of the database now
    std::string secret;        ///< 32 bytes; of the home, kept over a restore
    std::uint64_t process = 0; ///< random, another one each time the process starts; 0 = drawn here
    std::size_t body_bytes_max = limits{}.body_bytes;      ///< what kedge can hold; larger messages are parked
    std::size_t header_bytes_max = limits{}.header_bytes;
};

class replica {
public:
    /// As the store holds it. `last` = the stream's newest seq. `settings` and `numbers` outlive it.
    replica(replica_identity, mirror_state, message_seq last, settings const&, number_source& numbers);
    ~replica();

    /// Once, before anything is appended to the stream by this process, whether it is going to run or not: remembers from which row
    /// on the log is another history, if a backup was restored.
    void loaded(instant, effects&);
    /// Begins or ends copying and reading: `mirror` stops it while it is paused, cancelled or broken. Needs no link.
    void run(instant, effects&);
    void stop(instant, effects&);
    bool running() const noexcept;

    void link_up(backend_event::link_up const&, instant, effects&);
    void link_down(std::string why, instant, effects&);
    /// False: it is not this replica's. Else it takes what it needs out of the event.
    bool on_backend(backend_event::any&, instant, effects&);
    /// Answers to its own requests. False: it is not this replica's.
    bool on_store(store_event::any const&, instant, effects&);
    /// Rows of the stream that the store has committed, whatever their origin, in order.
    void committed(std::vector<store_event::rows_arrived::arrival> const&, instant, effects&);
    /// Retention took rows: what waits may be less.
    void trimmed(store_event::stream_trimmed const&);
    void tick(instant, effects&);
    /// Steady milliseconds.
    std::optional<std::uint64_t> due_ms() const;

    /// From now on the side that orders. `authority_epoch` stands in what is published under it.
    void set_authority(authority, std::uint64_t authority_epoch);
    /// Publishes that JetStream is to order, in their order. They wait for the link, for the importer to have passed what the stream
    /// held when the link came, and for rows that wait. Not settled within `settings::hold_ms` of waiting: all of them end as `unavailable`.
    void publish(std::vector<store_request::append>, instant, effects&);
    /// Publishes that are queued, on their way, or of unknown outcome (sent, and the link went before the answer). Those of unknown
    /// outcome are settled when the importer has passed the stream's end as of the next link.
    std::size_t unsettled() const noexcept;
    /// What was stored of late, and may be sent again by who has not heard of it.
    recent_reads const& just_read() const noexcept;
    /// Ends what is queued or unknown as `unavailable`: an operator gives the other side up.
    void abandon(std::string why, instant, effects&);

    /// Takes over what the copy holds and the log lacks, instead of `log_rewound`.
    void adopt(bool);
    /// Nobody waits for what is read back: notes of the places of copies need not be written at once.
    void patient(bool);
    /// So much waits by an operator's word and is not counted as backlog, until it is copied.
    void grant(std::uint64_t bytes);
    /// What kedge can hold from now on; what was set aside until now stays so.
    void set_limits(limits const&);
    void mend();  ///< clears `broken`: an operator has seen to it; the next `run` tries again

    struct parked_message {
        jet_place place = 0;
        std::string subject;  ///< as far as it can be shown
        std::string why;
    };
    struct facts {
        bool linked = false;
        std::uint64_t since_ms = 0;      ///< wall clock of the last change of `linked`
        std::string link_why;            ///< why there is no link
        bool synchronous = false;        ///< the importer has passed what the stream held when the link came, and the stream was heard of since
        std::uint64_t waiting_rows = 0, waiting_bytes = 0;
        std::uint64_t waiting_since_ms = 0;  ///< stored time of the first row that waits; 0 = none waits
        message_seq floor = 0;           ///< every row up to here is placed
        message_seq last = 0;            ///< of the stream
        jet_place checkpoint = 0;
        jet_place jet_last = 0;          ///< as last heard
        std::uint64_t unread = 0;        ///< messages of the JetStream stream behind the checkpoint, as last heard
        std::size_t in_flight = 0;       ///< published, not read back
        std::size_t queued = 0;          ///< `publish`es not sent yet
        std::uint64_t queued_bytes = 0;
        std::uint64_t unsettled_since_ms = 0;  ///< steady: came the oldest `publish` that has no answer yet; 0 = there is none
        std::uint64_t generation = 0;
        std::uint64_t copied = 0, imported = 0, own_publishes = 0, refusals = 0, duplicates = 0, reordered = 0, parked = 0, taken_back = 0;
        std::vector<parked_message> last_parked;  ///< at most 100
        breakage broken = breakage::none;
        std::string broken_why;          ///< a sentence
        std::string refused_why;         ///< what the server said when it last refused, while it is tried again; empty = all is well
    };
    facts const& now() const noexcept;

private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

}  // namespace kedge::migration
