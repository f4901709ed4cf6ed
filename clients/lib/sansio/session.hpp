#pragma once
/// A client's side of the protocol, sans I/O: what was asked for, what is unanswered, what must be said again on a new link.
/// The pump around it moves bytes and time. One thread.
///
///     waiting --link_up--> greeting --welcome to hello--> ready --link_down--> waiting
///        any --bye replaced/revoked, hello refused, quit answered--> ended
///
/// On every new link, in this order: `hello`, subscriptions, consumers and services, unanswered operations in the order in
/// which they were sent (publishes and posts with their ids and numbers), then what was never sent. A call that a lost link
/// left unanswered fails: whether it had an effect is not known, and nothing would keep it from having two.

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "clients/lib/sansio/ledger.hpp"
#include "router/protocol/decoder.hpp"
#include "router/protocol/notice.hpp"
#include "router/protocol/operation.hpp"

namespace kedge::client_lib {

struct session_options {
    std::string node;    ///< without one, publishes that a lost link left unanswered are not sent again
    std::string client;  ///< names the program
    bool inbox = false;  ///< the user's mail comes here; needs a node
    /// What may be unsent or unanswered at once; beyond it `submit` refuses. `wants_more` says so at half of it.
    std::size_t operations_max = 32'768;
    std::size_t bytes_max = 32 * 1024 * 1024;
    /// How long publishes that the server refused for a while (`store_full`, `quota`, …) are tried again.
    std::uint64_t retry_ms = 30'000;
    /// Messages of a consumer that this program has in hand or has finished are not shown again.
    bool once = true;
    /// Silence after which the server is asked for a sign of life, and twice that after which the link counts as dead.
    std::uint64_t silence_ms = 30'000;
    std::uint64_t seed = 1;  ///< of the jitter
};

class session {
public:
    enum class state : unsigned char { waiting, greeting, ready, ended };

    explicit session(session_options);

    // --- the program's side ---

    /// Takes an operation. Fails with `quota` (queue full), `exists` (that id is under way), `bad_request` (`hello`, an id
    /// that is ours) or `unavailable` (ended); then nothing has changed. A `reply` without a link is dropped: the call went with
    /// the link, and on the next one its handle may be another call's.
    result<void> submit(op::any);
    /// A publish with a number that rises in its stream; 0 in `n` has the session choose it. Needs a node.
    result<void> submit_numbered(std::string stream, op::publish);
    /// Nobody waits any more for the answer to this operation: it is not sent if it has not been, and its answer is not told.
    void abandon(std::string const& id);
    /// Whether more should be submitted now: bounds are half full at most.
    bool wants_more() const noexcept;
    /// Everything is answered and written.
    bool idle() const noexcept { return queue_.empty() && pending_ == 0 && control_.empty(); }
    /// The highest number stored of a stream, as far as told.
    std::uint64_t last_stored(std::string const& stream) const;

    /// What the program is told: answers to its operations, messages, each `welcome` to a `hello`, notices, a `bye` that
    /// ends it all. In order; bounded by what one `receive` held.
    std::vector<notice::any> take_notices();
    bool has_notices() const noexcept { return !notices_.empty(); }
    /// Numbered publishes of a stream that are neither stored nor failed.
    std::size_t numbered_under_way(std::string const& stream) const;
    state current() const noexcept { return state_; }
    /// Why it ended; nothing after `quit`.
    std::optional<failure> const& ended_because() const noexcept { return ended_because_; }

    // --- the pump's side ---

    void link_up(std::uint64_t now_ms);
    void link_down(std::uint64_t now_ms);
    /// Bytes from the server. A failure means that the link is of no use any more: drop it, then `link_down`.
    result<void> receive(std::string_view, std::uint64_t now_ms);
    /// Appends what is to be sent until `out` holds `bytes_max` or nothing is left.
    void fill(std::string& out, std::size_t bytes_max, std::uint64_t now_ms);
    /// Publishes wait to be tried again: `tick` should come more often.
    bool recovering() const noexcept { return recovery_.active; }
    /// Time passes: call about twice a second. A failure as for `receive`.
    result<void> tick(std::uint64_t now_ms);

    /// One decoded notice; `receive` is this after the decoder.
    result<void> on_notice(notice::any, std::uint64_t now_ms);

private:
    struct entry {
        op::any what;
        std::string id;      ///< as sent; empty = not answered unless it fails
        std::string stream;  ///< of a numbered publish
        std::size_t cost = 0;
        bool ours = false;     ///< the id is the session's: the answer is not the program's
        bool refused = false;  ///< got an error that a later try may not get
        bool done = false;     ///< answered; leaves when it is the oldest
        std::uint64_t refused_ms = 0;  ///< the first time
        failure why;
        std::vector<message_seq> confirms;  ///< of an ack: what its `ok` confirms

        bool answered() const noexcept { return !id.empty() || numbered(); }
        bool numbered() const noexcept { return !stream.empty(); }
        bool is_post() const noexcept { return std::holds_alternative<op::post>(what); }
        /// Stored once for its id, so it may be sent again.
        bool is_publish() const noexcept { return std::holds_alternative<op::publish>(what) || is_post(); }
    };
    /// A subscription, a consumer or a service: said again on each link.
    struct standing {
        op::any what;
        std::string id;  ///< the program's, until it is answered
    };
    using consumer_key = std::pair<std::string, std::string>;  // stream, consumer

    // session.cpp
    std::string next_id();
    void enqueue(entry);
    void stand(op::any const&, std::string const& id);
    void fall(op::any const&);
    std::vector<standing>::iterator find_standing(op::any const&);
    bool take_ack(op::ack&);
    std::vector<message_seq> awaited_of(op::ack const&);
    ledger* ledger_of(std::string const& stream, std::string const& consumer);
    bool keep(entry&, bool was_sent);
    void forget(entry const&);
    void tell(notice::any n) { notices_.push_back(std::move(n)); }
    void tell_lost(entry const&, failure);

    // session_notices.cpp
    result<void> on_welcome(notice::welcome&&);
    result<void> on_ok(notice::ok&&);
    result<void> on_error(notice::error&&, std::uint64_t now_ms);
    result<void> on_bye(notice::bye&&);
    void on_pong(notice::pong&&);
    void on_reply(notice::reply&&);
    void on_stored(notice::stored const&);
    void on_msg(notice::msg&&);
    void become_ready();
    entry* find(std::string const& id);
    void settle(entry&);
    void drop_done();
    void fail_numbered(failure const&);
    bool retries(entry const&, error_code) const;
    void refuse(entry&, failure, std::uint64_t now_ms);
    void begin_recovery(std::uint64_t now_ms);
    void recover(std::uint64_t now_ms);
    void end(std::optional<failure>);

    session_options options_;
    std::mt19937_64 random_;
    state state_ = state::waiting;
    std::optional<failure> ended_because_;
    std::optional<notice_decoder> decoder_;
    std::vector<notice::any> notices_;

    std::deque<entry> queue_;  // not sent on this link, in order
    std::deque<entry> sent_;   // sent on this link and answered at some time, in order
    std::uint64_t sent_base_ = 0;                           // number of the first of `sent_`
    std::unordered_map<std::string, std::uint64_t> by_id_;  // ids in use -> number in `sent_`, or `not_sent`
    std::size_t pending_ = 0;     // of `sent_`: not done
    std::size_t publishing_ = 0;  // of those: publishes that were neither stored nor refused
    std::size_t bytes_ = 0;       // cost of what is not done
    std::string control_;         // encoded, goes before everything: our hello and pings

    std::vector<standing> standing_;
    std::map<consumer_key, ledger> ledgers_;
    std::map<std::string, std::uint64_t> last_n_;  // highest stored
    std::map<std::string, std::uint64_t> next_n_;  // highest given out
    std::map<std::string, std::size_t> numbered_;  // under way

    /// After a refusal: wait, ping, and when all is answered send the refused again before anything new.
    struct {
        bool active = false;
        bool ping_sent = false;
        bool pong_seen = false;
        std::uint64_t ping_at_ms = 0;
        unsigned tries = 0;
    } recovery_;
    std::uint64_t ids_ = 0;
    std::uint64_t received_ms_ = 0;
    std::uint64_t sent_ms_ = 0;
    bool silence_ping_ = false;
    bool quitting_ = false;
};

}  // namespace kedge::client_lib
