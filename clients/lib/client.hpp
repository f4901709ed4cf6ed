#pragma once
/// kedge's client: publish, subscribe, consume durably, mail, services; reconnects by itself and neither loses nor doubles
/// anything.
///
///     boost::asio::io_context io;
///     kedge::client_options options;
///     options.servers = {"bot1@bus.example:2222"};
///     options.node = "worker";
///     kedge::client c{io, options};
///     c.consume("ORDERS", "billing", [&](kedge::delivery const& m) { bill(m.body); c.ack(m); });
///     c.publish("orders.new", "hello", [](kedge::result<kedge::receipt> const& r) { … });
///     io.run();
///
/// The one form is the callback: every answer comes to the handler that was given with the question, once, on the thread
/// that runs the io_context, never from within the call itself. Everything may be called at any time, connected or not.
/// Not thread-safe: other threads `boost::asio::post` to the io_context.
///
/// What it does about a lost link: it tries the servers in turn, with a growing, jittered wait; says hello, subscribes and
/// attaches again; sends what was unanswered again, in order, with its ids. With a node the server knows those ids, so each
/// message is stored once; without one, what was sent and not answered fails as `unavailable`. Messages of a consumer or of
/// the inbox that the program has finished, or still has in hand, are not shown again. Plain messages (`send`) are at most
/// once. Services are registered again; a call that was sent and not answered fails as `unavailable`, never is it sent twice.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "router/protocol/error.hpp"
#include "router/protocol/ids.hpp"
#include "router/protocol/notice.hpp"
#include "router/protocol/operation.hpp"

namespace kedge {

struct client_options {
    std::vector<std::string> servers;     ///< "USER@HOST:PORT", tried in turn
    std::vector<std::string> identities;  ///< private key files; empty: the SSH agent's, then ~/.ssh/id_*
    bool agent = true;
    std::string known_hosts;              ///< OpenSSH's format; empty: ~/.ssh/known_hosts
    bool accept_new = false;              ///< trust and remember a server that is not known yet

    std::string node;    ///< this program's durable name; needed for "exactly once in effect"
    std::string client;  ///< names the program to operators, e.g. "billing/2.1"
    bool inbox = false;  ///< this node gets the user's mail (`on_mail`), from its first hello on; needs a node

    std::chrono::milliseconds connect_timeout{10'000};
    std::chrono::milliseconds wait_min{50};      ///< before the first new try
    std::chrono::milliseconds wait_max{10'000};  ///< between rounds over all servers, at most
    /// Without a link for so long: give up (`on_ended`). 0 = never. Denied, or an unknown host key, on every server ends
    /// it at once.
    std::chrono::milliseconds give_up_after{0};
    /// How long publishes are tried again that the server refuses for a while (`store_full`, `quota`, …).
    std::chrono::milliseconds retry_for{30'000};
    std::size_t operations_max = 32'768;         ///< unsent and unanswered at once
    std::size_t bytes_max = 32 * 1024 * 1024;    ///< likewise
};

/// Where a publish was stored; `stream` is empty if no stream has its subject.
struct receipt {
    std::string stream;
    message_seq seq = 0;
    bool duplicate = false;  ///< it had been stored before, under the same id
};

using delivery = notice::msg;

struct publish_options {
    std::string id;        ///< the program's own; else one is made
    std::string reply_to;
    std::string headers;   ///< compact JSON object of strings, or empty
};

struct consume_options {
    std::string filter;  ///< pattern; empty = all. Fixed when the consumer is made, as the next two
    std::chrono::milliseconds ack_wait{0};  ///< 0 = the server's default
    std::uint32_t max_deliver = 0;          ///< 0 = no end
    op::start_position start;               ///< of a new consumer
    std::uint32_t window = 0;               ///< 0 = the server's default
};

/// A call that came to a service of this program.
struct incoming_call {
    notice::call what;
    std::uint64_t link = 0;  ///< which of the client's links brought it, for `reply`
};

/// What a service answered.
struct call_answer {
    std::string from;  ///< the instance, "USER/NODE"
    std::string body;
};

struct service_options {
    std::vector<std::string> methods;
    std::string version = "1";
    std::string description;
};

/// Who gets on a list, or leaves it: users, "~ALIAS" or "@LIST".
struct list_change {
    std::vector<std::string> add;
    std::vector<std::string> remove;
    bool drop = false;  ///< the list itself is to go
};

/// Something that happened at the server, PROTOCOL.md "System events".
struct system_event {
    std::string name;  ///< "node.join", "service.online", "dead", …: the subject without "$sys."
    std::string from;
    std::uint64_t time_ms = 0;
    std::string body;  ///< JSON; of `broadcast` whatever was said
};

class client {
public:
    using done_handler = std::function<void(result<void> const&)>;
    using publish_handler = std::function<void(result<receipt> const&)>;
    using message_handler = std::function<void(delivery const&)>;
    using call_handler = std::function<void(result<call_answer> const&)>;

    /// Begins to connect when the io_context runs. Throws std::invalid_argument if a server's address cannot be read.
    client(boost::asio::io_context&, client_options);
    /// Drops the link and everything unanswered; handlers are not called. `close` first for an orderly end.
    ~client();
    client(client const&) = delete;
    client& operator=(client const&) = delete;

    /// Publishes; the handler hears when it is committed (or, outside streams, routed). Fails at once, without a call of
    /// the handler, with `quota` when the bounds are reached (see `wants_more`), `too_large`, `bad_request`, `exists`.
    result<void> publish(std::string_view subject, std::string_view body, publish_handler, publish_options const& = {});
    /// Publishes without an answer: at most once, as fast as it goes.
    result<void> send(std::string_view subject, std::string_view body);
    /// Publishes by number: the fastest way to be sure. `stream` must be the one that has the subject. Needs a node.
    result<void> publish_numbered(std::string const& stream, std::string_view subject, std::string_view body,
                                  publish_handler);
    /// The highest number of a stream that the server said to have stored for this node.
    std::uint64_t last_stored(std::string const& stream) const;

    /// The handler gets every message of the pattern from the moment `done` hears of success.
    void subscribe(std::string pattern, message_handler, done_handler done = {}, std::string group = {});
    void unsubscribe(std::string const& pattern, std::string const& group = {});

    /// Attaches to a durable consumer. Every message shown must be finished, now or later, by one of the four below.
    void consume(std::string stream, std::string consumer, message_handler, done_handler done = {},
                 consume_options const& = {});
    void detach(std::string const& stream, std::string const& consumer);
    void ack(delivery const&);
    void nak(delivery const&, std::chrono::milliseconds delay = {});
    void term(delivery const&, std::string reason = {});
    void working(delivery const&);  ///< restarts the ack wait; does not finish it

    /// Mail of this node's user, with `client_options::inbox`: from `from`, each to be finished by one of the four above.
    void on_mail(message_handler);
    /// To users ("alice": all their nodes; "alice/laptop": one), "~ALIAS" and "@LIST"; the handler hears when it is stored
    /// for all of them. Is stored for none if one is unknown (`unknown_recipient`, the sentence names them) or has no room
    /// (`quota`). Fails at once as `publish` does.
    result<void> post(std::vector<std::string> to, std::string_view body, publish_handler, publish_options const& = {});

    /// Asks one instance of a service, or whoever subscribes to a subject. Within the timeout and a second the handler hears
    /// the answer or why there is none: `no_responders`, `timeout`, `unavailable` (the instance or the link was lost; it may
    /// have had its effect), or what the service says (a code of its own comes as `internal`, before the sentence). Fails at
    /// once as `publish` does.
    result<void> call(std::string_view service, std::string_view method, std::string_view body, call_handler,
                      std::chrono::milliseconds timeout = std::chrono::seconds{5});
    result<void> call_subject(std::string_view subject, std::string_view body, call_handler,
                              std::chrono::milliseconds timeout = std::chrono::seconds{5});

    /// Registers this program as an instance. Each call shown must be answered by `reply` or `reply_error`, now or later; one
    /// of a link that was lost since is dropped. `done` hears the name of the instance, once.
    void serve(std::string service, service_options, std::function<void(incoming_call const&)>,
               std::function<void(result<std::string> const& instance)> done = {});
    void unserve(std::string const& service);
    result<void> reply(incoming_call const&, std::string_view body);
    /// `code`: a word of the service's own, or one of the protocol's that does not end links; 1 to 64 bytes. `message`: a
    /// sentence of at most 1024 bytes.
    result<void> reply_error(incoming_call const&, std::string_view code, std::string_view message);

    /// This user's aliases.
    void alias(std::vector<std::string> add, std::vector<std::string> remove, done_handler);
    /// Makes the distribution list if there is none of this name.
    void list(std::string name, list_change, done_handler);

    /// Everything under `$sys`; needs a rule that gives it.
    void events(std::function<void(system_event const&)>, done_handler done = {});

    /// A barrier: its answer comes after everything that earlier operations caused on this link.
    void ping(done_handler);
    void who(op::who::kind, std::function<void(result<std::string> const& json)>);

    /// Backpressure: false while more should not be published; `on_room` is called when that changes.
    bool wants_more() const;
    void on_room(std::function<void()>);
    /// Stop and go for what the server sends. While paused answers wait too.
    void pause();
    void resume();

    /// A link stands (again): its `welcome`.
    void on_connected(std::function<void(notice::welcome const&)>);
    /// The link is lost or could not be made; the next try follows.
    void on_disconnected(std::function<void(std::string const& why)>);
    /// There will be no other try: replaced by another link of the same node, revoked, denied, or `give_up_after`.
    void on_ended(std::function<void(std::string const& why)>);
    /// Whatever no handler was given for: notices of the server, errors without an id.
    void on_notice(std::function<void(notice::any const&)>);

    /// As the option of that name, from now on.
    void give_up_after(std::chrono::milliseconds);

    /// Waits until everything is answered, says goodbye, then calls the handler. Nothing more is taken meanwhile.
    void close(std::function<void()>);

    /// For programs that speak operations: as it is; its answer and every message without a handler go to `on_notice`.
    result<void> submit(op::any);

private:
    struct impl;
    std::shared_ptr<impl> impl_;
};

}  // namespace kedge
