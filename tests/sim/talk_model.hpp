#pragma once
/// Mail, services, system events and administration as the contract has them. Told, like the observer that owns it, what the
/// core is given and what it says, in that order; and what the stores carry out. Used in runs of `scene::talk`.

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "router/core/actions.hpp"
#include "tests/sim/event_model.hpp"
#include "tests/sim/journal.hpp"
#include "tests/sim/ledger.hpp"
#include "tests/sim/mail_model.hpp"
#include "tests/sim/service_model.hpp"

namespace kedge::sim {

class talk_model {
public:
    talk_model(limits const& bounds, ledger& messages) : mail{bounds, messages}, services{messages}, limits_{bounds}, messages_{messages} {}

    mail_model mail;
    service_model services;

    void started(store_contents const&, account_store::contents const&);
    /// The store has made it.
    void inbox_made(consumer_state const&);
    void before(link_event::any const&, instant);
    /// The core has handed this to the sequencer: it is decided.
    void appended(store_request::append const&, instant);
    void said(link_id, notice::any const&, instant);
    void answered(link_id, link_output::admin_answer const&);
    /// The core is told that the account store has carried this out.
    void changed(account_request const&, account_result const&);
    void ticked() { ticked_ = true; }
    void draining();
    void end_batch(instant);

    /// The link that sees all events of this life.
    void watches(link_id id) { watcher_ = id; }
    void check_answered() const;
    std::uint64_t deliveries() const noexcept { return deliveries_; }

private:
    struct limited {
        std::uint64_t rate = 0, burst = 0, level = 0, at_ms = 0;  // thousandths of messages
    };
    void hear_answer(party&, std::string const& id);
    void hear_msg(party&, notice::msg const&, instant);
    [[noreturn]] static void fail(party const&, std::string const& what);

    limits limits_;
    ledger& messages_;
    parties parties_;
    event_model events_;
    link_id watcher_{};
    bool watcher_over_ = false;
    bool ticked_ = false;
    std::uint64_t deliveries_ = 0;
    std::map<std::string, limited> rates_;
    std::set<std::pair<std::string, std::string>> paused_;  // (stream, consumer or "")
    struct command {
        std::string name;
        std::pair<std::string, std::string> what;
    };
    std::map<std::pair<link_id, token>, command> commands_;
};

}  // namespace kedge::sim
