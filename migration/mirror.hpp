#pragma once
/// One stream's migration: its phase, its flags, its journal and the commands that move it. It decides when the replica runs and
/// which side orders; the replica moves the traffic. Every step is journalled before it takes effect. Sans I/O; migration
/// thread; owned by the service. A stream without a mirror is LEGACY and costs nothing.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "migration/commands.hpp"
#include "migration/diff.hpp"
#include "migration/effects.hpp"
#include "migration/ingress.hpp"
#include "migration/journal.hpp"
#include "migration/owner.hpp"
#include "migration/preflight.hpp"
#include "migration/replica.hpp"
#include "migration/settings.hpp"
#include "migration/states.hpp"
#include "router/core/actions.hpp"
#include "router/mirror_samples.hpp"

namespace kedge::migration {

/// What all mirrors share; outlives them.
struct mirror_context {
    settings const& bounds;
    limits const& server;
    std::string const& incarnation;
    std::string const& secret;
    class ingress& gates;
    link_facts const& link;                         ///< as the service sees it now
    std::vector<std::string> const& bridges;        ///< patterns of plain subjects
};

/// A measured number a second.
class rate_meter {
public:
    void sample(std::uint64_t total, std::uint64_t now_ms) noexcept;
    double a_second() const noexcept { return rate_; }

private:
    std::uint64_t total_ = 0;
    std::uint64_t at_ms_ = 0;
    double rate_ = 0;
};

class mirror {
public:
    /// `last`: the stream's newest seq as of the moment from which `committed` tells every row. `found`: what the store holds of it;
    /// none = it was never started.
    mirror(mirror_context const&, stream_state, message_seq last, std::optional<mirror_state> found);
    ~mirror();

    /// After a start of the process, before publishes flow: decides what was left half-done.
    void recover(instant, effects&);

    void link_up(instant, effects&);
    void link_down(std::string const& why, instant, effects&);
    void on_backend(backend_event::any&, instant, effects&);
    /// Answers to what this mirror asked, and `append_failed` of its stream.
    void on_store(store_event::any const&, instant, effects&);
    void committed(std::vector<store_event::rows_arrived::arrival> const&, instant, effects&);
    void trimmed(store_event::stream_trimmed const&);
    /// Appends that JetStream is to order.
    void publish(std::vector<store_request::append>, instant, effects&);
    /// A held append found no room.
    void overflowed(instant, effects&);
    /// `mirror_context::server` has changed. The JetStream stream keeps the largest message that it was made with.
    void limits_changed();
    void tick(instant, effects&);
    /// Steady milliseconds.
    std::uint64_t due_ms() const;

    /// A `migrate` command but `plan`; `known` as of now. Answered once, now or later.
    void ask(command, token request, std::string const& user, migration_request::known_stream const& known, instant, effects&);
    /// The process ends: what was not written yet.
    void flush(effects&);
    /// The stream was removed: what is asked ends, nothing is asked any more.
    void removed(effects&);
    /// It was never started, or was ended for good: may be destroyed.
    bool idle() const noexcept { return !recorded_ && !job_; }

    stream_id stream() const noexcept { return stream_.id; }
    std::string const& name() const noexcept { return stream_.config.name; }
    stream_phase phase() const noexcept { return journal_.phase; }
    std::string const& marked() const noexcept { return journal_.marked; }
    std::uint64_t created_ns() const noexcept { return journal_.created_ns; }
    /// Nobody waits for what is copied and read back: SQLite orders, and no command is under way.
    bool patient() const noexcept { return !job_ && authority_in(journal_.phase) == authority::sqlite; }
    bool broken() const noexcept { return journal_.broken.has_value(); }
    replica::facts const* facts() const noexcept { return replica_ ? &replica_->now() : nullptr; }
    ingress::picture held() const { return context_.gates.look(stream_.id); }
    /// As `migrate status` prints it.
    nlohmann::json status(instant) const;
    /// The same for the metrics.
    mirror_sample sample_of(instant) const;

private:
    /// What a command or a recovery is at. One at a time.
    enum class stage : unsigned char {
        checking,      ///< preflight
        comparing,     ///< diff of the tail
        erasing,       ///< a record that never came to anything
        stamping,      ///< the message from which an existing stream is read on
        intending,     ///< journal: the intent
        making,        ///< the JetStream stream
        committing,    ///< journal: the decision
        holding,       ///< about to hold publishes
        counting,      ///< the store says how much waits
        draining,      ///< what was under way when the hold began
        fencing,       ///< how far JetStream's stream goes
        importing,     ///< everything up to the fence is on both sides
        opening,       ///< about to hand what was held to the new authority
        deleting,      ///< the JetStream stream
        forgetting,    ///< the record
        freezing,      ///< about to stop the copy
        trimming       ///< the stream's retention
    };
    struct job {
        command what;
        token request{};               ///< of the router; none: nobody waits
        std::string user;
        migration_request::known_stream known;
        stage at{};
        token asked{};                 ///< of the request that the stage waits for; none = another kind of wait
        std::uint64_t began_ms = 0;    ///< steady
        std::uint64_t stage_ms = 0;    ///< steady
        std::uint64_t held_ms = 0;     ///< steady: the hold began; 0 = none
        std::uint64_t hold_ms = 0;     ///< its bound
        std::uint64_t drained_ms = 0;  ///< steady: nothing was under way any more
        std::uint64_t fenced_ms = 0;   ///< steady: everything up to the fence was on both sides
        std::uint64_t looked_ms = 0;   ///< steady: at what the stage waits for
        message_seq fence_row = 0;
        jet_place fence_place = 0;
        std::uint64_t held_messages = 0;
        jet_place first_place = 0;     ///< start: read from behind this place
        std::uint64_t first_stamp = 0;
        message_seq start = 0;         ///< start: the first row of the copy
        bool resumed = false;          ///< start: goes on with an earlier copy
        bool deleted = false;          ///< cancel: the JetStream stream is gone
        struct standing {
            stream_phase phase{};
            std::uint64_t since_ms = 0;
            bool paused = false;
            std::optional<journal::breakdown> broken;
        } before;                      ///< what the journal said: it does so again if it cannot be written
        std::unique_ptr<preflight> checks;
    };

    // mirror.cpp: events, flags, journal.
    void note(std::string what, std::string why, std::string by, instant, effects&);
    void enter(phase_event, std::string why, std::string by, instant, effects&);
    /// Nothing can be read of what the journal said: who can may still need it.
    bool damaged() const noexcept { return journal_.broken && journal_.broken->reason == "journal"; }
    /// It has to be written.
    bool unwritten() const noexcept { return dirty_ && recorded_ && !damaged(); }
    token write(effects&);
    void written(bool done, instant, effects&);
    void make_replica(mirror_state const&);
    /// What waits now is no backlog that grew: an operator knows of it.
    void grant_backlog(std::uint64_t at_least = 0);
    void steer(instant, effects&);     // runs or stops the replica as phase and flags say
    void settle(instant, effects&);    // looks at what the replica says, and at what the job waits for
    void break_down(std::string reason, std::string why, instant, effects&);
    void mended(std::string why, std::string by, instant, effects&);
    void lose(std::span<store_request::append const>, failure const&, effects&);
    std::string next_for(std::string const& reason) const;
    failure unavailable() const;
    bool linked() const noexcept { return context_.link.up.has_value(); }
    std::string jet_name() const;
    replica_identity identity() const;
    jet_config wanted() const;

    // mirror_owner.cpp: whose the JetStream stream is.
    owner_mark self() const;
    void doubt(std::string const& why, instant, effects&);
    void disown(breakage, std::string why, instant, effects&);
    void ask_owner(instant, effects&);
    void owner_answered(backend_event::answered const&, instant, effects&);
    void owner_known(jet_info const&, instant, effects&);

    // mirror_commands.cpp: pause, resume, complete, cancel.
    void answer(admin_result, effects&);
    void refuse_job(std::string why, effects&, nlohmann::json data = nullptr);
    void go(stage, instant);
    void wait(stage, token asked, instant);
    bool confirmed(std::vector<std::string> risk, effects&);
    void pause(instant, effects&);
    void resume(instant, effects&);
    std::vector<std::string> refill_risk() const;
    void resumed(instant, effects&);
    void complete(instant, effects&);
    void completed(instant, effects&);
    void cancel(instant, effects&);
    void cancelled(instant, effects&);
    void forget(instant, effects&);

    // mirror_job.cpp: the stages of a command.
    void job_answered(backend_event::answered const&, instant, effects&);
    void job_stored(store_event::any const&, instant, effects&);
    void job_done(instant, effects&);                          // the store did what the stage asked for
    void job_failed(std::string why, instant, effects&);
    void come_to_nothing(std::string const& why, instant, effects&);
    void advance(instant, effects&);                           // one step of a stage that waits for no answer
    void checked(instant, effects&);                           // the preflight is over

    // mirror_diff.cpp
    void diff(instant, effects&);
    void begin_diff(std::uint64_t tail, nlohmann::json const& resume, instant, effects&);
    void resume_diff(instant, effects&);
    void keep_diff();  // how far it is, in the journal
    void look_at_diff(instant, effects&);
    /// The one that runs, or the last, as `migrate diff` prints it.
    nlohmann::json diff_report() const;
    /// As `migrate status` shows them: of everything, or of the newest messages. Null = there is nothing to show.
    nlohmann::json diff_figures(bool of_tail) const;
    bool tail_differs() const;
    static bool same_messages(nlohmann::json const& ended);

    // mirror_start.cpp
    void start(instant, effects&);
    void start_checked(instant, effects&);
    void start_from(instant, effects&);
    void start_intend(instant, effects&);
    void start_make(std::optional<jet_info> const& existing, instant, effects&);
    void start_made(jet_info const&, instant, effects&);
    void start_counted(mirror_state, instant, effects&);

    // mirror_rehearsal.cpp: what a change would meet, tried again and again.
    void rehearse(instant, effects&);
    void rehearsed(instant);
    void end_rehearsal() { rehearsal_ = {}; }

    // mirror_switch.cpp: switch and reverse.
    std::unique_ptr<preflight> checks_of_change();
    bool forward() const noexcept { return job_->what.what == command::verb::switch_over; }
    std::string label(char const* point) const;
    void change(instant, effects&);
    void change_checked(instant, effects&);
    void change_compared(instant, effects&);
    void change_intend(instant, effects&);
    void change_hold(instant, effects&);
    void change_drain(instant, effects&);
    void change_import(instant, effects&);
    void change_open(instant, effects&);
    void roll_back(std::string why, instant, effects&);
    void abandon(instant, effects&);
    void abandoned(instant, effects&);
    void abandon_open(instant, effects&);
    std::string waits_for() const;
    nlohmann::json change_steps(instant) const;
    nlohmann::json abandon_steps() const;
    double carried() const;
    std::string too_fast() const;
    std::uint64_t expected_hold_ms(instant) const;

    // status.cpp
    std::vector<std::string> not_ready(instant, bool for_command) const;
    std::string next_step(instant) const;
    bool small_lag(instant) const;
    bool lag_known() const;
    std::uint64_t lag_ms(instant) const;
    void sample(instant, effects&);
    void fall_behind(instant, effects&);
    void look_behind(instant, effects&);

    mirror_context const context_;
    stream_state stream_;
    message_seq last_;
    number_source numbers_;
    journal journal_;
    bool recorded_ = false;            // the store has a record
    bool dirty_ = false;               // the journal has changed since it was written
    token writing_ = token::none;      // the last write, until it is answered
    std::uint64_t rewrite_ms_ = 0;     // steady: a failed write is tried again then
    std::unique_ptr<replica> replica_;
    bool checked_ = false;             // whose the stream is was looked at on this link
    bool taken_ = false;               // another database of this home has marked the stream
    bool reclaiming_ = false;          // an operator says that it is ours all the same
    token owner_asked_ = token::none;
    std::uint64_t owner_due_ms_ = 0;   // steady
    std::optional<job> job_;
    struct {
        std::unique_ptr<preflight> checks;  // while it is under way
        bool known = false;                 // one of this link has ended
        std::string why_not;                // what it found
        std::uint64_t due_ms = 0;           // steady
    } rehearsal_;
    std::unique_ptr<diff_run> diff_;
    bool diff_for_job_ = false;        // the job goes on when it has ended
    bool diff_asked_ = false;          // by an operator
    bool diff_told_ = false;           // its end was noted
    std::uint64_t diff_tail_ = 0;      // so many of the newest; 0 = all
    std::uint64_t diff_generation_ = 0;
    std::uint64_t diff_saved_ms_ = 0;
    std::uint64_t diff_ended_ms_ = 0;  // wall clock
    bool removed_ = false;

    // What status shows.
    std::uint64_t published_ = 0;
    rate_meter published_rate_, copied_rate_, imported_rate_, ordered_rate_;
    double carried_ = 0;               // a second, copied and read back while much waited; 0 = that was not seen
    std::uint64_t crowded_ = 0;        // checks in a row in which much waited
    unsigned small_lags_ = 0;          // checks in a row
    std::uint64_t sampled_ms_ = 0;
    bool down_noted_ = false;
};

}  // namespace kedge::migration
