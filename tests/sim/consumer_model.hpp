#pragma once
/// What one durable consumer may do and must do, told in the simplest terms (a map of what is held), driven by what the core
/// was told and checked against each delivery that it makes.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "router/core/actions.hpp"
#include "tests/sim/ledger.hpp"

namespace kedge::sim {

class consumer_model {
public:
    /// As the store created or loaded it. `batch` counts the core's batches: what became ready in an earlier one must go first.
    consumer_model(consumer_state const&, ledger const&, instant now);

    consumer_config const& config() const noexcept { return config_; }
    bool wants(row const& r) const;

    void attached(link_id, std::uint64_t window);
    bool is_attached(link_id link) const { return links_.contains(link); }
    std::size_t links() const noexcept { return links_.size(); }
    /// `written`: known only when the transport told that the link is gone; else the tries may count either way.
    void released(link_id, std::optional<std::uint64_t> written, std::uint64_t batch);

    /// A delivery that ends at byte `end` of the link's outputs.
    void delivered(link_id, notice::msg const&, std::uint64_t end, instant now, std::uint64_t batch);
    /// Returns what was acknowledged.
    std::vector<message_seq> ack(link_id, message_seq);
    std::vector<message_seq> ack_up_to(link_id, message_seq);
    void nak(link_id, message_seq, std::uint64_t delay_ms, instant now, std::uint64_t batch);
    void working(link_id, message_seq, instant now);
    void term(link_id, message_seq);
    /// The core was told that it is `now`.
    void ticked(instant now, std::uint64_t batch);
    /// The `ok` of an ack with an id: the position is committed.
    void committed(std::vector<message_seq> const&);

    /// The server died: what the store holds now is the truth, and must not have lost anything.
    void restarted(consumer_state const&, instant now);
    /// Rows that retention took for `interest` must be done here.
    void check_trimmed(message_seq first) const;
    /// Nothing is left to be delivered or acknowledged.
    void check_drained() const;
    std::size_t held() const noexcept { return held_.size(); }

private:
    struct hold {
        std::uint32_t tries_least = 0, tries_most = 0;
        link_id at{};            // who has it; 0 = to be redelivered
        link_id last{};          // who had it last
        std::uint64_t serial = 0;
        std::uint64_t end = 0;
        std::uint64_t deadline_ms = 0;   // of the ack wait
        std::uint64_t not_before_ms = 0; // delayed by nak
        std::uint64_t ready_since = 0;   // batch
        bool nakd = false;
    };
    using holds = std::map<message_seq, hold>;
    struct at_link {
        std::uint64_t window = 0;
        std::uint64_t outstanding = 0;
        std::vector<std::pair<message_seq, std::uint64_t>> order;  // seq, serial
    };

    [[noreturn]] void fail(message_seq, std::string const& what) const;
    void put_back(holds::iterator, std::uint64_t batch);
    void let_go_of(hold&);
    void done(holds::iterator);
    void dead(holds::iterator);
    bool may_be_dead(hold const& h) const { return config_.max_deliver && h.tries_most >= config_.max_deliver; }
    bool is_dead(hold const& h) const { return config_.max_deliver && h.tries_least >= config_.max_deliver; }
    bool trimmed(message_seq seq) const { return seq < log().trimmed_to; }
    ledger::log const& log() const { return ledger_.logs().at(config_.stream); }
    void look_for_skipped(message_seq from, message_seq to, char const* what) const;

    consumer_config config_;
    ledger const& ledger_;
    message_seq next_ = 1;  // everything below was delivered at least once, or does not match
    holds held_;
    std::set<message_seq> done_;       // delivered and finished, whether or not a commit says so yet
    std::set<message_seq> maybe_dead_;
    std::set<message_seq> committed_;  // acknowledged by a committed position
    std::map<link_id, at_link> links_;
    std::uint64_t serial_ = 0;
};

}  // namespace kedge::sim
