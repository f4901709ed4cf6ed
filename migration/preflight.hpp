#pragma once
/// Tries beforehand what could fail later, and says of each what to do: `migrate plan`, and the checks of start, switch and
/// reverse. Sans I/O; migration thread. What it makes on the server (a probe stream) it takes away again.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "migration/backend.hpp"
#include "migration/effects.hpp"
#include "migration/owner.hpp"
#include "migration/settings.hpp"
#include "router/core/actions.hpp"
#include "router/protocol/limits.hpp"
#include "router/store/store.hpp"

namespace kedge::migration {

inline constexpr std::string_view preflight_probe = "KEDGE-PROBE-";       ///< begins the names of streams that are made to try
inline constexpr std::uint64_t preflight_all_in_ms = 30'000;              ///< then one that hangs ends
inline constexpr std::uint64_t preflight_own_bytes = 64 * 1024;           ///< room for headers, a client's and ours

struct check {
    enum class verdict : unsigned char { ok, warn, bad };
    std::string what;   ///< "account", "rights", …
    verdict result = verdict::ok;
    std::string text;   ///< a sentence: what was found
    std::string remedy; ///< a sentence: what to do; empty if ok
};
nlohmann::json to_json(check const&);

/// How the connection stands, for sentences.
struct link_facts {
    bool configured = true;                     ///< [nats] servers is set
    std::optional<backend_event::link_up> up;
    std::string why;                            ///< why not
    std::uint64_t since_ms = 0;                 ///< wall clock
};

/// What an operator can do about a server that does not make this stream; `code` is JetStream's.
std::string remedy_for(int code, jet_config const&);

/// The JetStream stream that a stream of ours has, but for its name and mark: limits plus slack.
jet_config jet_config_for(stream_config const&, settings const&, limits const&);

class preflight {
public:
    enum class purpose : unsigned char {
        plan,   ///< all, with a probe stream
        start,  ///< likewise
        change  ///< switch and reverse of a stream that is mirrored: what can have changed since its start
    };
    struct matter {
        stream_state stream;
        message_seq unacked = 0;             ///< lowest seq that a consumer is not done with
        std::string from;                    ///< "now", "unacked", "first"
        std::string jet;                     ///< name of the JetStream stream
        owner_mark self;
        std::string marked;                  ///< as in the journal; empty = never started
        std::uint64_t created_ns = 0;        ///< likewise
        std::string state;                   ///< "MIRRORING"; empty = not mirrored
        std::vector<std::string> bridges;    ///< patterns of plain subjects that cross
    };

    preflight(purpose, matter, settings const&, limits const&, number_source&);

    void run(link_facts const&, instant, effects&);
    /// False: it is not this one's.
    bool on_backend(backend_event::any const&, instant, effects&);
    bool on_store(store_event::any const&, instant, effects&);
    void tick(instant, effects&);
    std::optional<std::uint64_t> due_ms() const;

    bool finished() const noexcept { return finished_; }
    bool ok() const noexcept;
    std::vector<check> const& checks() const noexcept { return checks_; }
    /// The first `bad` one as a sentence with its remedy; empty = none.
    std::string why_not() const;
    /// The JetStream stream, if there is one of that name.
    std::optional<jet_info> const& existing() const noexcept { return existing_; }

    struct copy {
        message_seq from = 0;   ///< the first row
        std::uint64_t rows = 0;
        std::uint64_t bytes = 0;
    };
    copy const& to_copy() const noexcept { return copy_; }
    /// As `migrate plan` prints it.
    nlohmann::json result() const;

private:
    enum class step : unsigned char {
        account, streams, services,
        sweep,          ///< probe streams of a plan that was interrupted
        probe_create, probe_publish, probe_read, probe_follow,
        probe_flow,     ///< the answer that lets the server send on: without the right to give it a copy stands still after a while
        probe_delete,
        subjects,       ///< a publish to each of the stream's patterns, which nothing stores
        rows, done
    };

    void look_at_stream();
    void look_at_link(link_facts const&);
    void go(step, effects&);
    void proceed(effects&);
    void answered(backend_event::answered const&, effects&);
    void look_at_account(backend_event::answered const&);
    void look_at_streams(std::vector<jet_info> const&);
    void look_at_existing(jet_info const&);
    void look_at_services(std::vector<backend_event::bus_service> const&);
    void look_at_try(bool answered, int code, std::string const& why, effects&);
    void flow_tried(bool answered, std::string const& why, effects&);
    void not_made(backend_event::problem const&, effects&);
    void probe_failed(std::string what, std::string const& why, effects&);
    void read_rows(effects&);
    void add(std::string what, check::verdict, std::string text, std::string remedy = {});

    purpose const purpose_;
    matter const matter_;
    settings const& settings_;
    limits const limits_;
    number_source& numbers_;
    step step_ = step::account;
    token asked_ = token::none;
    std::uint64_t ticket_ = 0;
    std::optional<reader_id> reader_;
    std::uint64_t step_due_ms_ = 0;     ///< steady: a reader that says nothing was not allowed
    std::uint64_t now_ms_ = 0;          ///< steady
    std::uint64_t began_ms_ = 0;        ///< wall clock
    std::size_t tried_ = 0;             ///< patterns
    std::string probe_;                 ///< the probe stream's name; also its subject, in small letters
    bool probe_made_ = false;
    jet_place probe_place_ = 0;
    std::vector<std::string> leftovers_;  ///< probe streams of a plan that was interrupted
    std::optional<backend_event::link_up> link_;
    std::uint64_t give_up_ms_ = 0;
    message_seq next_row_ = 0;
    std::uint64_t too_large_ = 0;
    message_seq first_too_large_ = 0;
    bool finished_ = false;
    std::vector<check> checks_;
    std::optional<jet_info> existing_;
    copy copy_;
};

}  // namespace kedge::migration
