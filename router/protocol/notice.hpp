#pragma once
/// What the server says (PROTOCOL.md, "Server to client"), as structures. The server encodes them; clients decode them.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "router/protocol/error.hpp"
#include "router/protocol/ids.hpp"

namespace kedge::notice {

struct welcome {
    std::string id;  ///< of the `hello` that it answers; empty for the first
    std::string server;
    std::string session;
    std::string user;
    std::string node;  ///< empty = null
    std::string role;
    std::vector<std::string> servers;
    std::uint64_t max_body = 0;
    std::uint64_t dedupe_ms = 0;
    std::uint64_t dedupe_ids = 0;
    std::map<std::string, std::uint64_t> last;  ///< stream -> highest n; written only after `hello` (`has_last`)
    bool has_last = false;
    int protocol = 1;
};

struct ok {
    std::string id;
    std::string stream;   ///< empty = not of a stream
    message_seq seq = 0;
    bool dup = false;
    std::string instance;  ///< of `serve`; empty = none
};

struct pong {
    std::string id;
};

struct msg {
    std::string subject;
    std::string from;
    std::uint64_t time_ms = 0;
    std::string stream;  ///< empty = plain
    message_seq seq = 0;
    std::string consumer;  ///< not empty = wants an ack
    std::string pub_id;
    std::uint32_t tries = 0;  ///< 0 = not of a consumer
    std::string group;
    std::string reply_to;
    std::string headers;  ///< compact JSON object text; empty = none
    std::string body;
};

struct call {
    std::string call;
    std::string service;
    std::string method;
    std::string from;
    std::uint64_t left_ms = 0;
    std::string body;
};

struct stored {
    std::string stream;
    std::uint64_t n = 0;
    message_seq seq = 0;
};

struct reply {
    std::string id;
    std::string from;
    std::string body;
    std::string headers{};  ///< of a reply to a call by subject; as of `msg`
};

struct info {
    std::vector<std::string> servers;
    bool draining = false;
    std::string text;
};

struct error {
    std::string id;
    error_code code = error_code::internal;
    std::string message;
    std::vector<std::string> unknown;  ///< of `unknown_recipient`
    std::string word{};                ///< not empty: a code that is not of `error_code`, from a service or a later version
    std::string stream{};              ///< to a publish with n
    std::uint64_t n = 0;               ///< of that publish; 0 = to something else
};

struct bye {
    error_code code = error_code::quit;
    std::string message;
};

/// A notice whose `op` this version does not know; a client ignores it.
struct unknown {
    std::string op;
};

using any = std::variant<welcome, ok, pong, msg, call, stored, reply, info, error, bye, unknown>;

}  // namespace kedge::notice
