#pragma once
/// Watches a core from outside: every event that it is given, every output that it makes, every commit of its store. Keeps the
/// models up to date and throws `violation` at the first step that breaks the contract.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "router/core/actions.hpp"
#include "tests/sim/consumer_model.hpp"
#include "tests/sim/journal.hpp"
#include "tests/sim/ledger.hpp"
#include "tests/sim/link_model.hpp"
#include "tests/sim/settings.hpp"
#include "tests/sim/talk_model.hpp"

namespace kedge::sim {

class observer {
public:
    /// What a client may read once the bytes up to `end` have reached it.
    struct heard {
        notice::any what;
        std::uint64_t end = 0;
    };

    /// `coarse`: see settings.
    observer(limits const& bounds, scene what, bool coarse, journal& lines)
        : messages{bounds.dedupe_ms}, talk{bounds, messages}, limits_{bounds}, talking_{what == scene::talk}, coarse_{coarse}, journal_{lines}
    {
    }

    ledger messages;
    talk_model talk;

    // --- The store ---------------------------------------------------------------------------------------------------
    /// Called at the commit, not when the core hears of it.
    void committed(store_event::any const&, instant now);
    /// The store will answer or has answered these: what they take away may be missing.
    void requested(store_request::any const&);
    void executed(store_request::any const&);
    /// The server starts: `contents` is what the store holds, `messages` knows its rows already. Nothing of the last life counts.
    void loaded(store_contents const& contents, account_store::contents const&, instant now);

    // --- The core: begin_batch, then pairs of before/after, then finished, then end_batch ----------------------------------
    void begin_batch() { ++batch_; }
    void before(link_event::any const&, instant now);
    void after(link_event::any const&);
    void before(store_event::any const&) {}
    void after(store_event::any const&);
    void ticked(instant now);
    /// Outputs in the order in which they were made; returns what the link's client will read.
    void output(link_output::any const&, instant now, std::vector<std::pair<link_id, heard>>& to_clients);
    void end_batch(instant now);

    // --- At the end ----------------------------------------------------------------------------------------------------
    /// Everybody who is still there was answered and every credit was given back.
    void check_answered() const;
    /// Besides: every consumer named in `drained` has had everything, every reliable publish is stored.
    void check_settled(std::vector<std::string> const& drained) const;
    link_model const* find(link_id) const;
    /// (stream, consumer) of all that there are.
    std::vector<std::pair<std::string, std::string>> consumers() const;
    std::string owner_of(std::string const& stream, std::string const& consumer) const;
    std::uint64_t deliveries() const noexcept { return deliveries_; }

private:
    struct delivery {
        std::size_t number = 0;
        message_seq seq = 0;
        bool own = false;  // published by the link itself
        std::string from;
    };
    struct group_delivery {
        std::string group;
        delivery what;
        std::vector<link_id> members;
    };

    link_model* model(link_id);
    consumer_model* consumer(std::string const& stream, std::string const& name);
    void take(link_model&, op::any const&, instant now);
    void take_end(link_model&);
    void take_held(link_model&, instant now);
    asked asked_of(link_model&, op::any const&, instant now);
    bool may_publish(link_model const&, std::string_view subject) const;
    void expect(std::string_view subject, delivery, link_id publisher);
    void let_go(link_model&, std::optional<std::uint64_t> written);
    void hear(link_model&, notice::any const&, instant now);
    void hear_ok(link_model&, asked const&, notice::ok const&, instant now);
    void hear_welcome(link_model&, notice::welcome const&);
    void hear_msg(link_model&, notice::msg const&, instant now);
    std::string describe(link_id, notice::any const&) const;

    limits limits_;
    bool talking_;
    bool coarse_;
    journal& journal_;
    std::uint64_t batch_ = 0;
    std::uint64_t deliveries_ = 0;
    std::map<link_id, link_model> links_;
    std::map<std::pair<std::string, std::string>, consumer_model> consumers_;  // (stream, name)
    std::map<stream_id, message_seq> arrived_;                               // what the core has been told of each log

    // Of this batch.
    std::map<link_id, std::vector<delivery>> expected_, emitted_;
    std::vector<group_delivery> expected_groups_, emitted_groups_;
};

}  // namespace kedge::sim
