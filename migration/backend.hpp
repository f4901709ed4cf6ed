#pragma once
/// The port to a publish-subscribe server with a durable log: NATS with JetStream. Commands never block; what comes of them
/// is an event, given to the sink on a thread of the backend's own, in the order of one connection. Implementations:
/// `nats_backend` (nats/), and the one in memory that tests use; both pass tests/migration/backend_contract.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "router/protocol/ids.hpp"
#include "router/store/mirror.hpp"

namespace kedge::migration {

using bus_headers = std::vector<std::pair<std::string, std::string>>;  ///< in the order of the wire

/// A message as NATS has it.
struct bus_message {
    std::string subject;
    std::string reply;        ///< empty = none
    bus_headers headers;
    std::string body;
    jet_place place = 0;      ///< its sequence number, if it was read from a stream
    std::uint64_t time_ns = 0;  ///< when the stream stored it; 0 = not from a stream

    std::size_t bytes() const noexcept
    {
        auto sum = subject.size() + reply.size() + body.size();
        for (auto const& [name, value] : headers)
            sum += name.size() + value.size() + 4;
        return sum;
    }
};

/// A JetStream stream, of which kedge uses limits retention, file storage, discard old, no deny flags.
struct jet_config {
    std::string name;
    std::string description;            ///< says whose it is (see owner.hpp)
    std::vector<std::string> subjects;
    std::uint64_t max_age_ms = 0;       ///< 0 = no bound, here and below
    std::uint64_t max_bytes = 0;
    std::uint64_t max_msgs = 0;
    std::uint64_t max_msgs_per_subject = 0;
    std::uint64_t max_msg_bytes = 0;
    std::uint64_t duplicates_ms = 120'000;
    unsigned replicas = 1;
};
struct jet_info {
    jet_config config;
    bool limits_retention = true;
    bool discard_old = true;
    bool deny_delete = false;
    bool deny_purge = false;
    bool sealed = false;
    bool mirror_or_sources = false;     ///< it takes its messages from another stream
    jet_place first = 0;
    jet_place last = 0;
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
    std::uint64_t created_ns = 0;       ///< another number = another stream of the same name
};

enum class reader_id : std::uint64_t {};
enum class plain_id : std::uint64_t {};

namespace backend_command {

/// To JetStream; answered by one `acked` or `refused` with the ticket. Order within a connection is kept. Not sent at all if the link
/// has changed since `connection` (then `refused` with `sent` = false).
struct publish {
    std::uint64_t ticket = 0;
    std::uint64_t connection = 0;
    bus_message what;
};
/// Every message of the stream from `from` up, in order, own ones too, until `stop_reading`: an ordered consumer. At most
/// `window` messages and `window_bytes` are on their way to the sink before `consumed` says that they were dealt with.
struct read {
    reader_id reader{};
    std::string stream;
    jet_place from = 1;
    std::size_t window = 8192;
    std::size_t window_bytes = 16 * 1024 * 1024;
};
struct stop_reading {
    reader_id reader{};
};
struct consumed {
    reader_id reader{};
    std::size_t messages = 0;
    std::size_t bytes = 0;
};
/// Answered by `answered` with the token. All but `send` and `ping` go to the stream's leader.
struct stream_info { token request{}; std::string stream; };
struct create_stream { token request{}; jet_config config; };
struct update_stream { token request{}; jet_config config; };
struct delete_stream { token request{}; std::string stream; };
struct list_streams { token request{}; };
/// By its sequence number, from the leader, never by direct get. `or_next`: if there is none, the first one behind it.
struct get_message { token request{}; std::string stream; jet_place place = 0; bool or_next = false; };
struct account { token request{}; };
/// Services of the NATS micro protocol that answer `$SRV.INFO` within `wait_ms`.
struct find_services { token request{}; std::uint64_t wait_ms = 500; };

/// Plain messages. Those that this connection sent do not come back.
struct subscribe { plain_id id{}; std::string pattern; };
struct unsubscribe { plain_id id{}; };
struct send { bus_message what; };

using any = std::variant<publish, read, stop_reading, consumed, stream_info, create_stream, update_stream, delete_stream, list_streams,
                         get_message, account, find_services, subscribe, unsubscribe, send>;

}  // namespace backend_command

namespace backend_event {

struct link_up {
    std::uint64_t connection = 0;  ///< rises with each connection, from 1
    std::string url;
    std::string server_id;
    std::string server_name;
    std::string version;           ///< "2.9.10"
    std::uint64_t max_payload = 0; ///< of one message, headers and body
    bool jetstream = false;
    bool headers = false;
};
/// After it nothing of that connection comes: publishes and requests that were open have been answered just before.
struct link_down {
    std::uint64_t connection = 0;
    std::string why;               ///< a sentence
};
/// A try to connect that failed: told each time the reason changes, while there is no link.
struct link_failed {
    std::string why;
};
struct acked {
    std::uint64_t ticket = 0;
    std::uint64_t connection = 0;
    jet_place place = 0;
    bool duplicate = false;        ///< the stream knew the message id; `place` is the first one's
};
struct refused {
    std::uint64_t ticket = 0;
    std::uint64_t connection = 0;
    bool sent = true;              ///< false: it certainly is not in the stream. True with `answered` false: it may be
    bool answered = false;         ///< the server said no: it is not in the stream
    int code = 0;                  ///< JetStream's error code, e.g. 10077; 503 = no stream takes the subject; 0 = none
    std::string why;
};
struct messages {
    reader_id reader{};
    std::vector<bus_message> batch;
    std::uint64_t behind = 0;      ///< how many more the server had when it sent the last of them
};
/// The reader is over, or was never one: the stream is gone (deleted, or another of that name), the right is missing, the stream ends
/// below what was read (it has gone back), or its server was away while the link stood (it may have gone back). After a
/// `link_down` readers do not end: they go on where they were on the next link.
/// Batches that were under way may still come after `stop_reading`.
struct reader_ended {
    reader_id reader{};
    std::string why;
    bool gone = false;             ///< there is no such stream
};
struct problem {
    int code = 0;                  ///< JetStream's, or 0
    std::string why;               ///< a sentence
    bool away = false;             ///< no link, or no answer in time: the outcome is unknown
    bool missing = false;          ///< there is no such stream or message
};
struct account_info {
    bool jetstream = false;
    std::uint64_t storage = 0;     ///< bytes used
    std::int64_t storage_max = -1; ///< -1 = no bound, here and below
    std::int64_t streams_max = -1;
    std::uint64_t streams = 0;
};
struct bus_service {
    std::string name;
    std::vector<std::string> subjects;
};
struct answered {
    token request{};
    std::variant<problem, std::monostate, jet_info, std::vector<jet_info>, bus_message, account_info, std::vector<bus_service>> what;
};
/// A header `Status` of `503` and no body: nobody listens to what was sent with this subject as its reply.
struct plain {
    plain_id id{};
    bus_message what;
};

/// The server does not allow what was sent or subscribed to: of plain messages there is no other answer.
struct denied {
    std::string subject;           ///< or pattern
    bool publishing = false;       ///< false: it is the subscription
    std::string why;               ///< the server's words
};

using any = std::variant<link_up, link_down, link_failed, acked, refused, messages, reader_ended, answered, plain, denied>;

}  // namespace backend_event

class pubsub_backend {
public:
    virtual ~pubsub_backend() = default;  ///< `close()`
    using sink = std::function<void(backend_event::any)>;
    /// Once. Connects, and connects again for ever. The sink may be called until `close` has returned.
    virtual void open(sink) = 0;
    /// What is open is answered on the way out. Within a second, whatever the server does.
    virtual void close() = 0;
    /// Any thread; never blocks. What needs a link while there is none is answered with a `problem` or `refused`; subscriptions
    /// and readers are taken up when it comes.
    virtual void submit(std::vector<backend_command::any>) = 0;
    /// Bytes of `send`s that were taken and wait for a server that does not read. Any thread. Who sends bounds them.
    virtual std::uint64_t unsent_bytes() const noexcept { return 0; }
};

}  // namespace kedge::migration
