#pragma once
/// One connection to a NATS server, from `link_up` to `link_down`: publishes and requests with an inbox of its own, each
/// answered exactly once, by the server, by time, or by the link's end. It never connects again; another session does.

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "migration/backend.hpp"
#include "migration/nats/connect_options.hpp"
#include "migration/nats/handles.hpp"
#include "migration/nats/outlet.hpp"

namespace kedge::migration {

class session : public std::enable_shared_from_this<session> {
public:
    using clock = std::chrono::steady_clock;

    /// Blocks until it stands, or fails with a sentence. Its number is told to nobody before `begin`.
    static std::variant<std::shared_ptr<session>, std::string> connect(connect_options, std::shared_ptr<outlet>, std::uint64_t number,
                                                                       std::chrono::milliseconds answer);
    ~session();

    /// Tells `link_up` and becomes `outlet::current`. False: it has ended already.
    bool begin(backend_event::link_up);
    /// Answers what is open, then tells `link_down`. Any thread; the first reason counts.
    void end(std::string why);
    /// Ends libnats's part; up to half a second if the server takes nothing.
    void close_connection();

    std::uint64_t number() const noexcept { return number_; }
    natsConnection* connection() const noexcept { return connection_.get(); }
    std::string why_not_begun();

    /// Sends each, in order, or says why not. May block as long as libnats's write deadline.
    void publish(std::span<backend_command::publish const>);
    /// A message that nobody answers.
    void send(bus_message const&);

    /// What comes of a request: a message, or why there is none. Called once, under the outlet's mutex; true from a message of
    /// `collect` means that it waits for more.
    using reply = std::variant<std::string_view, backend_event::problem>;
    using handler = std::function<bool(reply)>;
    void ask(std::string const& subject, std::string const& payload, std::chrono::milliseconds wait, handler);
    void ask(std::string const& subject, std::string const& payload, handler then) { ask(subject, payload, answer_, std::move(then)); }

    /// Plain messages of a pattern; ends with the handle. Null if libnats refuses.
    nats_subscription_handle subscribe(plain_id, std::string const& pattern, std::uint64_t bytes_max);

    /// Ends a subscription to which messages may be on their way: libnats before 3.7 (its issue 637) looks one up and uses it without
    /// holding it. It is freed when the server has answered what was sent after its end, or with the connection. May block for the
    /// time of an answer.
    void retire(nats_subscription_handle);
    /// The same without a wait: freed with the connection.
    void keep(nats_subscription_handle);

    /// Answers what has waited too long. When it is to be called again; nothing open: `max`.
    clock::time_point expire(clock::time_point now);

private:
    session(std::shared_ptr<outlet>, std::uint64_t number, std::chrono::milliseconds answer);

    static void on_reply(natsConnection*, natsSubscription*, natsMsg*, void*) noexcept;
    static void on_plain(natsConnection*, natsSubscription*, natsMsg*, void*) noexcept;
    static void on_closed(natsConnection*, void*) noexcept;
    static void on_error(natsConnection*, natsSubscription*, natsStatus, void*) noexcept;

    bool listen();
    void publish_slice(std::span<backend_command::publish const>);
    void heard(natsMsg*);
    void acknowledged(std::uint64_t ticket, natsMsg*);
    void replied(std::uint64_t id, natsMsg*);
    void refused(std::string const& text);
    void fail_request(std::uint64_t id, backend_event::problem);

    std::shared_ptr<outlet> const outlet_;
    std::uint64_t const number_;
    std::chrono::milliseconds const answer_;
    std::unique_ptr<nkey> key_;
    std::string inbox_;  ///< with the dot at its end
    // Freed after the connection, whose thread may still use them.
    nats_subscription_handle replies_;
    std::vector<nats_subscription_handle> ended_subscriptions_;  ///< guarded by the outlet's mutex
    nats_connection_handle connection_;
    ended_messages answers_;  ///< of the thread that hands out replies

    // Guarded by the outlet's mutex.
    struct request {
        std::string subject;
        handler then;
        clock::time_point until;
    };
    bool ended_ = false;
    bool begun_ = false;
    std::string why_;
    std::string last_denied_;  ///< what the server said of a right that is missing
    std::unordered_set<std::uint64_t> tickets_;
    std::deque<std::pair<clock::time_point, std::uint64_t>> ticket_ends_;  ///< in order; of those answered too
    std::map<std::uint64_t, request> requests_;
    std::uint64_t last_request_ = 0;
};

}  // namespace kedge::migration
