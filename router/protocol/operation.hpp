#pragma once
/// What a client asks for (PROTOCOL.md, "Client to server"), decoded and checked for syntax. An empty `id` means that the
/// client gave none. Values whose bounds are configured (windows, waits) are checked by the router.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "router/protocol/error.hpp"
#include "router/protocol/ids.hpp"
#include "router/protocol/message.hpp"

namespace kedge::op {

struct hello {
    std::string id;
    std::string node;    ///< empty = none
    std::string client;  ///< free text that names the program
    bool inbox = false;
    bool keepalive = false;
};

struct subscribe {
    std::string id;
    std::string pattern;
    std::string group;  ///< empty = none
};

struct unsubscribe {
    std::string id;
    std::string pattern;
    std::string group;
};

/// The id, if any, is `message->id()`.
struct publish {
    message_ptr message;
    std::uint64_t n = 0;  ///< 0 = absent
};

struct post {
    std::vector<std::string> to;
    message_ptr message;  ///< its subject is empty
};

/// Where a new consumer begins.
struct start_position {
    enum class kind : unsigned char { new_only, first, seq, time } at = kind::new_only;
    std::uint64_t value = 0;  ///< a seq, or milliseconds since 1970
};

struct consume {
    std::string id;
    std::string stream;
    std::string consumer;
    std::optional<std::string> filter;
    start_position start;
    std::optional<std::uint64_t> window;
    std::optional<std::uint64_t> ack_wait_ms;
    std::optional<std::uint64_t> max_deliver;
};

struct detach {
    std::string id;
    std::string consumer;
    std::string stream;  ///< empty unless given
};

/// Exactly one of `seqs` (not empty) and `upto` (not 0).
struct ack {
    std::string id;
    std::string consumer;
    std::string stream;
    std::vector<message_seq> seqs;
    message_seq upto = 0;
};

struct nak {
    std::string id;
    std::string consumer;
    std::string stream;
    message_seq seq = 0;
    std::uint64_t delay_ms = 0;
};

struct working {
    std::string id;
    std::string consumer;
    std::string stream;
    message_seq seq = 0;
};

struct term {
    std::string id;
    std::string consumer;
    std::string stream;
    message_seq seq = 0;
    std::string reason;
};

struct call {
    std::string service;  ///< with `method`; or empty, and the message has the subject
    std::string method;
    std::uint64_t timeout_ms = 0;  ///< 0 = default
    message_ptr message;           ///< id and body; subject if not a service
};

struct serve {
    std::string id;
    std::string service;
    std::string version;
    std::vector<std::string> methods;
    std::string description;
};

struct unserve {
    std::string id;
    std::string service;
};

struct reply {
    std::string call;
    std::string error_code;  ///< empty = success
    std::string error_message;
    message_ptr message;  ///< body only
};

struct alias {
    std::string id;
    std::vector<std::string> add;
    std::vector<std::string> remove;
};

struct list {
    std::string id;
    std::string name;
    std::vector<std::string> add;
    std::vector<std::string> remove;
    bool drop = false;
};

struct who {
    enum class kind : unsigned char { nodes, services, streams, consumers, lists } what = kind::nodes;
    std::string id;
};

struct ping {
    std::string id;
};

struct quit {};

/// Something that is not an operation: answered by an error in its turn. `subject`, if it could be read, keeps the order
/// of the answers of a stream.
struct malformed {
    std::string id;
    std::string subject;
    failure why;
    bool post = false;  ///< it was to be a `post`: its answer stands among those
};

using any = std::variant<hello, subscribe, unsubscribe, publish, post, consume, detach, ack, nak, working, term, call, serve,
                         unserve, reply, alias, list, who, ping, quit, malformed>;

}  // namespace kedge::op
