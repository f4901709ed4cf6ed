#pragma once
/// Plain subjects that clients of kedge and of NATS share. On the side of kedge the bridge is a link of the router's own, which
/// subscribes and publishes like a client's; on the side of NATS it subscribes and sends. What is published on either side is seen
/// once on both, at most once:
///
///     kedge ── msg ──▶ bridge ── send ──▶ NATS     not what the bridge published itself (`from` is `nats`)
///     kedge ◀── pub ── bridge ◀── plain ── NATS    not what this home sent (NoEcho; `Kedge-Origin` across a reconnect)
///
/// A request of NATS (a reply subject that no bridge carries) becomes a `call` by subject, and its answer goes to the reply subject.
/// A message of kedge with a `reply_to` that no bridge carries gets a reply subject in the bridge's own inbox, and what comes there
/// is published to the `reply_to`. Sans I/O; migration thread; owned by the service.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "migration/backend.hpp"
#include "migration/bridge_replies.hpp"
#include "migration/bridge_rules.hpp"
#include "migration/effects.hpp"
#include "migration/settings.hpp"
#include "router/protocol/decoder.hpp"
#include "router/protocol/limits.hpp"

namespace kedge::migration {

class bridge {
public:
    /// `home`: of the secret (owner.hpp). `stored`: `store_contents::bridges`. `inbox`: a token that nobody can guess. The references
    /// outlive it.
    bridge(settings const&, limits const&, std::string home, std::string_view stored, std::string_view inbox, number_source&);

    void start(instant, effects&);
    void link_up(backend_event::link_up const&, instant, effects&);
    void link_down();
    void on_plain(backend_event::plain&&, instant, effects&);
    void denied(backend_event::denied const&);
    /// The answer to its own request. False: it is not the bridge's.
    bool on_store(store_event::any const&, instant, effects&);
    /// What the backend has not sent yet (`pubsub_backend::unsent_bytes`), as of now: before what follows is told.
    void unsent(std::uint64_t bytes) { unsent_ = bytes; }
    /// What its link of the router was told.
    void on_router(std::vector<link_output::any>, instant, effects&);
    /// `bridge add`, `remove`, `list`; answered once, now or later.
    void ask(migration_request const&, instant, effects&);
    void tick(instant, effects&);
    /// Steady milliseconds.
    std::optional<std::uint64_t> due_ms() const;

    /// Those that no stream may cover.
    std::vector<std::string> const& patterns() const noexcept { return patterns_; }
    /// As `bridge list` prints them.
    nlohmann::json status() const;

    /// What waited to cross was more than `settings::bridge_bytes`: so many messages are lost.
    void lost_outward(std::uint64_t messages) { lost_out_ += messages; }
    void lost_inward(std::uint64_t messages) { lost_in_ += messages; }
    struct totals {
        std::uint64_t out = 0, in = 0, dropped = 0;
    };
    totals count() const;

private:
    struct crossing {
        bridge_rule rule;
        plain_id heard{};          ///< of the subscription to NATS, if it comes in
        std::uint64_t out = 0, in = 0, dropped = 0;
        std::string why;           ///< the last one was dropped, or it is deaf
        bool deaf = false;         ///< a rule does not let it hear kedge's side: asked for again and again
        std::string barred;        ///< by NATS, which does not let it hear there: its words. Until the next link
    };
    struct change {
        token request{};           ///< of the store
        token asked{};             ///< of the router
        std::vector<bridge_rule> rules;
    };
    using number = std::uint64_t;  ///< of a crossing, never used twice

    void begin(bridge_rule, effects&);
    void end(number, effects&);
    void open(effects&);
    void listen(number, effects&);
    crossing* listening(std::string_view id);
    void listens(std::string_view id);
    void say(op::any, std::size_t bytes, effects&);
    void hear_replies(effects&);
    crossing* carrying_out(std::string_view subject);
    void drop(crossing&, std::string why);
    void drop(number, std::string why);

    void out(notice::msg&&, instant, effects&);
    void answered(notice::reply&&, effects&);
    void failed(notice::error const&, instant);
    void nobody_there(std::string const& reply_to, effects&);
    /// Hands it to NATS, or says why not.
    std::string send(bus_message&&, effects&);
    void in(crossing&, number, bus_message&&, instant, effects&);
    void replied(bus_message&&, effects&);
    /// Null and a reason if kedge cannot represent it.
    message_ptr take(bus_message const&, std::string_view subject, std::string_view id, std::string_view reply_to, std::string& why) const;
    void publish(message_ptr, effects&);
    bool may_wait() const noexcept { return requests_.size() + calls_.size() < bounds_.bridge_replies; }

    settings const& bounds_;
    limits const& server_;
    std::string const home_;
    std::string const inbox_;      ///< "_INBOX.kedge.TOKEN."
    number_source& numbers_;

    std::map<number, crossing> crossings_;
    std::vector<std::string> patterns_;
    number last_crossing_ = 0;
    std::optional<change> changing_;

    // kedge's side.
    std::optional<link_id> link_;
    std::uint64_t links_ = 0;
    std::uint64_t open_due_ms_ = 0;  ///< steady: the link is opened again then; 0 = not
    std::uint64_t listen_due_ms_ = 0;  ///< steady: what may be refused is subscribed to again then; 0 = not
    notice_decoder decoder_;
    std::size_t under_way_ = 0;      ///< bytes said and not handled
    bridge_replies calls_;           ///< requests of NATS: by the id of the call

    // NATS's side.
    std::optional<backend_event::link_up> up_;
    std::optional<plain_id> replies_heard_;  ///< the subscription to the inbox
    bridge_replies requests_;        ///< messages of kedge with a `reply_to`: by the last token of the reply subject

    std::uint64_t unsent_ = 0;       ///< bytes that NATS has not read yet
    std::uint64_t lost_out_ = 0, lost_in_ = 0;
    std::uint64_t refused_ = 0;      ///< by the router, for a rule
    std::string refused_why_;
    totals ended_;                   ///< of bridges that are no more
};

}  // namespace kedge::migration
