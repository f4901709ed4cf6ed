#pragma once
/// A durable cursor in a stream: who holds which message, what is to be redelivered, what is done. It decides; the core
/// encodes and sends. Pure; router thread.
///
///             deliver                 ack, term, gone from the log
///   (next) ───────────▶ held ─────────────────────────────▶ done
///                        │ ▲
///     nak, ack wait over,│ │ deliver (lowest seq first, before anything newer)
///     link gone          ▼ │
///                     to redeliver ── ack that comes late, term ──▶ done
///                        │
///                        └── max_deliver reached ──▶ dead letter (done)

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "router/core/link.hpp"
#include "router/core/mailboxes.hpp"
#include "router/core/tail.hpp"
#include "router/store/store.hpp"

namespace kedge {

/// A consumer at a link.
struct attachment {
    link* at = nullptr;
    consumer* of = nullptr;
    std::uint64_t window = 256;
    std::uint64_t outstanding = 0;  ///< held by this link
    /// In order of delivery, by rising serial. Entries that were acknowledged one by one stay until they reach an end, or
    /// until the list has doubled since they were last taken out: looking at all of it for each delivery would cost a
    /// client's whole backlog each time.
    struct delivery {
        message_seq seq = 0;
        std::uint64_t serial = 0;
    };
    std::deque<delivery> order;
    std::size_t order_trim = 64;  ///< entries at which the list is looked through next
};

class consumer {
public:
    consumer(consumer_id, consumer_config, cursor const&, std::uint64_t dead, instant now);

    consumer_id id() const noexcept { return id_; }
    consumer_config const& config() const noexcept { return config_; }
    /// Holds from the next delivery on.
    void set_config(consumer_config config) { config_ = std::move(config); }
    bool wants(row const&) const;

    /// The mail of a node: the consumer of `inbox_stream` that is named by it. No other consumer's name has a '/'.
    bool is_inbox() const noexcept { return is_inbox_; }
    /// As clients know it.
    std::string_view shown_name() const noexcept { return is_inbox_ ? inbox_name : std::string_view{config_.name}; }
    static constexpr std::string_view inbox_name = "inbox";
    /// Of an inbox: how much of all its user's mail it is done with.
    mail_sum done;
    /// A row that it does not want was looked at: mail for the user's other nodes is done with.
    void skip(row const&);

    // --- Links -------------------------------------------------------------------------------------------------------
    attachment& attach(link&, std::uint64_t window);
    /// Everything the link held is to be redelivered at once. What was not written to it does not count as a try:
    /// `written` = bytes of the link's outputs that were, or nothing if the link lives on.
    void release(attachment&, std::optional<std::uint64_t> written, instant now);
    attachment* attached_to(link const&) const;
    std::size_t links() const noexcept { return attachments_.size(); }
    bool active() const noexcept { return !attachments_.empty(); }
    std::vector<std::unique_ptr<attachment>> const& attachments() const noexcept { return attachments_; }

    /// The next link, in turn, that has room in its window and in its outbox.
    attachment* next_with_room(std::uint64_t unsent_max);

    // --- Deliveries --------------------------------------------------------------------------------------------------
    /// The lowest seq that is to be redelivered now; 0 = none.
    message_seq redeliver() const { return ready_.empty() ? 0 : *ready_.begin(); }
    /// Up to `most` of them.
    std::vector<message_seq> to_redeliver(std::size_t most) const;
    /// The row no longer exists.
    void gone(message_seq);
    /// How often it was delivered so far.
    std::uint32_t tries(message_seq) const;
    bool pending(message_seq seq) const { return held_.contains(seq); }

    /// Notes a delivery that ends at byte `end` of the link's outputs; returns the try's number. A new one raises `next`.
    std::uint32_t delivered(attachment&, message_seq, std::uint64_t end, instant now, std::uint64_t bytes = 0);

    /// New messages: everything below `next` was looked at. At the end of the log it follows the stream by itself.
    message_seq next() const noexcept { return next_; }
    void look_from(message_seq next) noexcept { next_ = next; }

    // --- Answers of clients. Each returns false if the seq was not pending here (ignored, counted). ---------------------
    bool ack(link const&, message_seq);
    /// Number of messages acknowledged; nothing if that seq was never delivered on this link.
    std::optional<std::size_t> ack_up_to(attachment&, message_seq);
    bool nak(link const&, message_seq, std::uint64_t delay_ms, instant now);
    bool working(link const&, message_seq, instant now);
    bool term(link const&, message_seq, std::string reason);

    /// Ack waits that are over, delays that have passed, messages that were tried too often.
    void expire(instant now);
    /// When `expire` has something to do; nothing if never.
    std::optional<std::uint64_t> due_ms() const;

    // --- Position ----------------------------------------------------------------------------------------------------
    cursor position(instant now) const;
    std::size_t pending_count() const noexcept { return held_.size(); }
    /// Deaths since the last call; they are to be saved with the position.
    std::vector<store_request::save_cursor::death> take_deaths();
    std::vector<store_request::save_cursor::death> const& deaths() const noexcept { return deaths_; }
    bool has_deaths() const noexcept { return !deaths_.empty(); }
    /// The save failed: they are still to be saved.
    void restore_deaths(std::vector<store_request::save_cursor::death>);
    /// They were saved and are to be delivered again (an operator's replay).
    void revive(std::vector<message_seq> const&);

    // Driven by the core.
    bool live = false;      ///< has looked at every row of the stream
    bool fetching = false;  ///< waits for rows from the store
    std::deque<row> fetched;              ///< rows read ahead, matching, not delivered yet
    message_seq fetched_to = 0;           ///< everything below was looked at for `fetched`
    std::map<message_seq, row> refetched; ///< rows for redelivery
    std::vector<message_seq> asked;       ///< what the read under way is to bring for redelivery; empty = new rows
    bool dirty = false;
    token saving{};                       ///< a save is under way
    struct saver {
        link_id link{};
        std::string id;
        std::size_t credit = 0;
    };
    std::vector<saver> wait_for_save;     ///< answered after the save that begins next
    std::vector<saver> wait_for_saving;   ///< answered after the save under way
    std::vector<store_request::save_cursor::death> saving_deaths;
    /// Dead letters on their way back (an operator's replay): part of the position at once, so that no save in between
    /// forgets them; delivered only when the store has them off its list (`revive`).
    std::vector<message_seq> reviving;
    std::uint64_t dead = 0;
    std::uint64_t armed_ms = 0;           ///< a timer is set for then; 0 = none

private:
    struct hold {
        std::uint32_t tries = 0;
        attachment* at = nullptr;   ///< null = to be redelivered
        link_id last{};             ///< the link of the last delivery
        std::uint64_t serial = 0;   ///< of the last delivery
        std::uint64_t wait = 0;     ///< of the ack wait that counts
        std::uint64_t end = 0;      ///< of the last delivery, in bytes of the link's outputs
        std::uint64_t due_ms = 0;   ///< delayed until then (steady); 0 = not
        bool nakd = false;
        std::uint64_t bytes = 0;    ///< as `row_bytes`; 0 while it was not delivered since the start
    };
    using holds = boost::unordered_flat_map<message_seq, hold>;

    void finish(holds::iterator);
    void start_wait(message_seq, hold&, instant now);
    void put_back(message_seq, hold&, std::uint64_t due_ms);
    /// When it is due that came back without a delay of its own; 0 = at once.
    std::uint64_t after_backoff(hold const&, instant now) const;
    bool held_by(hold const&, link const&) const;
    void die(holds::iterator, std::string reason);
    void trim(attachment&);
    void trim_waits();

    consumer_id id_;
    consumer_config config_;
    bool is_inbox_;
    message_seq next_;
    std::uint64_t serial_ = 0;
    holds held_;
    std::set<message_seq> ready_;
    std::set<std::pair<std::uint64_t, message_seq>> delayed_;  ///< (steady ms, seq): just those that are held
    struct wait {
        std::uint64_t until_ms = 0;
        message_seq seq = 0;
        std::uint64_t serial = 0;
    };
    std::deque<wait> waits_;  ///< by rising time; void unless the hold's `wait` is its serial
    std::vector<std::unique_ptr<attachment>> attachments_;
    std::size_t turn_ = 0;
    std::vector<store_request::save_cursor::death> deaths_;
};

}  // namespace kedge
