#pragma once
/// One stream's mirror with everything around it in memory: store, NATS server, gates, an operator, SSH publishers. One thread, the same
/// for the same seed. Crashes on demand, at labelled points too.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "migration/mirror.hpp"
#include "router/store/memory_store.hpp"
#include "tests/migration/memory_backend.hpp"

namespace kedge::migration {

class mirror_world final : public migration_host {
public:
    /// `max_msgs`: the stream keeps so many; 0 = all.
    explicit mirror_world(std::uint64_t seed = 1, settings const& = {}, std::uint64_t max_msgs = 0);
    ~mirror_world() { killed_ = true; }  // what the backend tells while it closes is heard by nobody

    static constexpr char const* name = "CHAT";

    // -- the process
    void boot();
    /// What was not committed is lost, also what the store was asked and has not done yet.
    void crash();
    /// The next step that reaches the label is the last; `crash` and `boot` go on.
    void kill_at(std::string label) { kill_label_ = std::move(label); }
    bool killed() const noexcept { return killed_; }

    // -- time
    /// Until nothing happens any more, or the process was killed.
    void settle();
    void advance(std::uint64_t ms);
    /// Settles and advances until `done`, at most so long.
    template <class Done>
    bool until(Done&& done, std::uint64_t ms_max = 60'000)
    {
        for (std::uint64_t spent = 0;; spent += 50) {
            settle();
            if (done())
                return true;
            if (killed_ || spent >= ms_max)
                return false;
            advance(50);
        }
    }

    /// One thing that can happen now. False: there is none.
    bool step();
    instant now() const { return {bus.now_ms() - 1'000'000, bus.now_ms()}; }

    // -- the operator
    token ask(std::string const& verb, nlohmann::json args = nlohmann::json::object());
    /// Asks and waits for the answer. A killed process gives none.
    std::optional<admin_result> run(std::string const& verb, nlohmann::json args = nlohmann::json::object());
    std::optional<admin_result> answer_to(token) const;
    nlohmann::json status();
    std::string state();

    // -- publishers
    /// An SSH client's, with a number that is its id and body.
    std::string publish(std::size_t messages = 1, std::string const& who = "alice/one");  ///< the last one's body
    std::string publish_native(std::size_t messages = 1);  ///< the last one's body
    /// Again whatever was not answered, as clients that keep ids do.
    void publish_again();
    std::size_t unanswered() const { return flights_.size(); }
    std::size_t to_send_again() const { return lost_.size(); }

    // -- what is where
    std::vector<std::string> log();       ///< bodies, by seq
    std::vector<std::string> jet();       ///< bodies, by place
    message_seq first_row();              ///< from which on rows are part of the copy
    std::vector<std::string> accepted;    ///< bodies answered `ok`
    std::vector<failure> failures;        ///< of publishes
    std::vector<nlohmann::json> announced;
    migration_picture_ptr shown;
    bool tracing = false;                 ///< to standard error: what passes between the mirror and its surroundings
    bool forgets_ids = false;             ///< the core knows no id that was stored
    bool forgets_order = false;           ///< what is sent again comes the other way round
    std::function<void(store_event::any const&)> on_core_hears;  ///< everything that the core is told

    memory_store store;
    memory_bus bus;
    settings bounds;
    limits server;
    std::unique_ptr<memory_backend> backend;

    struct process {
        explicit process(mirror_world&);
        mirror_world& world;
        std::string incarnation, secret;
        link_facts link;
        std::vector<std::string> bridges;
        ingress gates;
        std::unique_ptr<class mirror> mirror;
        std::deque<std::vector<store_request::append>> queued;
        bool overflowed = false;
    };
    std::unique_ptr<process> alive;
    stream_state stream;

    // -- migration_host
    void append(std::vector<store_request::append>) override;
    void submit(std::vector<store_request::any>) override;
    void tell(std::vector<store_event::any>) override;
    void answer(token, admin_result) override {}
    void show(migration_picture_ptr) override {}
    void announce(std::string, nlohmann::json) override {}

private:
    void carry_out();
    void trace(std::string const& line) const;
    void on_backend(backend_event::any&);
    void on_store(store_event::any const&);
    void core_hears(store_event::any const&);
    void send(std::string const& body, std::string const& who);

    effects todo_;
    std::vector<store_request::any> to_store_;
    std::map<token, admin_result> answers_;
    struct flight {
        std::string body;
        std::string who;
    };
    std::map<token, flight> flights_;   // of this process
    std::vector<flight> lost_;          // not answered ok: to be sent again, in this order
    std::set<std::string> stored_ids_;  // as the core's window: what is in the log already
    std::uint64_t epoch_ = 1;
    std::uint64_t last_token_ = 0;
    std::uint64_t last_body_ = 0;
    std::string kill_label_;
    bool killed_ = false;
};

}  // namespace kedge::migration
