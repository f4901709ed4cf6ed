#pragma once
/// Compares a stream's log with its JetStream stream, place by place, over what both sides keep: `migrate diff`. Goes in slices
/// and no faster than `settings::diff_messages_second`, with a reader of its own and a bounded part in memory. Sans I/O; migration
/// thread; owned by the stream's `mirror`, which journals `resume_state` every few seconds and hands it to the next process.
///
/// What is compared is what an import of the message makes of it: subject, sender, id, reply subject, headers and body. A message or row
/// that one side lacks is a finding only if that side's retention cannot have taken it, which is asked again before it is said. A stream
/// with `max_msgs_per_subject` loses rows in its middle: there only what both sides have is compared.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "migration/backend.hpp"
#include "migration/effects.hpp"
#include "migration/replica.hpp"
#include "migration/settings.hpp"
#include "router/core/actions.hpp"
#include "router/store/mirror.hpp"

namespace kedge::migration {

enum class defect : unsigned char {
    missing,  ///< the log has it, JetStream does not
    extra,    ///< JetStream has it, the log does not
    body,
    header,   ///< subject, sender, id, reply subject or headers
    order     ///< of one publisher, or it stands at another's place
};
std::string_view to_string(defect) noexcept;

struct diff_finding {
    defect kind{};
    bool native = false;    ///< published by a NATS client
    message_seq seq = 0;    ///< 0 = not known
    jet_place place = 0;    ///< 0 = none
    std::string text;       ///< a sentence
};

struct diff_counts {
    std::uint64_t missing = 0, extra = 0, different = 0, out_of_order = 0;
    std::uint64_t all() const noexcept { return missing + extra + different + out_of_order; }
    std::uint64_t of_messages() const noexcept { return missing + extra + different; }
};

class diff_run {
public:
    static constexpr std::size_t findings_max = 1000;

    struct range {
        jet_place checkpoint = 0;    ///< as the store holds it: what is above was not looked at yet
        std::uint64_t tail = 0;      ///< only so many places below it; 0 = all
        bool middle_taken = false;   ///< `max_msgs_per_subject` is set
    };
    /// `resume`: what `resume_state` said of a diff of the same stream and generation; then the range is taken from there.
    /// `settings` and `numbers` outlive it.
    diff_run(replica_identity, range, settings const&, number_source& numbers, nlohmann::json const& resume = nullptr);
    ~diff_run();

    /// Begins. Needs no link: waits for it.
    void run(instant, effects&);
    /// Ends early and gives its reader back; nothing of it is used afterwards but `result` and `resume_state`.
    void stop(effects&, std::string why = "it was stopped");

    void link_up(instant, effects&);
    void link_down();
    /// False: it is not this diff's.
    bool on_backend(backend_event::any const&, instant, effects&);
    bool on_store(store_event::any const&, instant, effects&);
    void tick(instant, effects&);
    /// Steady milliseconds.
    std::optional<std::uint64_t> due_ms() const;

    /// JetStream has lost what was above: begins again with what is left.
    void rewound(jet_place above, instant, effects&);

    bool finished() const noexcept;              ///< to its end, or `failed`
    std::string const& failed() const noexcept;  ///< why it could not go on; empty = it could
    bool clean() const noexcept;                 ///< finished, and found nothing
    /// Finished, and both sides hold the same messages, if not all in the same order. What stands in another order does so for good.
    bool same_messages() const noexcept;
    /// In places: `total` is 0 until it is known.
    struct progress {
        std::uint64_t done = 0, total = 0;
        std::uint64_t compared = 0;              ///< rows that were held against their message
        double rate = 0;                         ///< places a second, lately
    };
    progress now() const noexcept;
    diff_counts const& counts() const noexcept;
    std::vector<diff_finding> const& findings() const noexcept;  ///< the first `findings_max`

    /// As `migrate diff` prints it: without `findings` for `migrate status`.
    nlohmann::json result(bool with_findings = true) const;
    /// Where to go on: the position, the counts and the findings. Small while there are none.
    nlohmann::json resume_state() const;

private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

}  // namespace kedge::migration
