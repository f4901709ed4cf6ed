#pragma once
/// What the grammar fills in and makes commands of. Internal to router/command.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "router/command/command.hpp"
#include "router/command/text.hpp"

namespace kedge {

struct publish_settings {
    std::string subject;
    std::optional<std::string> text;  ///< absent = an empty body; "-" = standard input
    std::uint64_t chunk_bytes = 0;    ///< 0 = a message a line
    std::vector<std::string> headers; ///< "Name: value"
    std::string reply_to;
    std::string node;
    std::string id_prefix;
    bool json = false;
    bool quiet = false;
};

struct subscribe_settings {
    std::vector<std::string> patterns;
    std::string group;
    std::uint64_t count = 0;  ///< 0 = without end
    bool json = false;
    bool raw = false;
    bool quiet = false;
};

struct consume_settings {
    std::string node;  ///< not empty: the inbox of the caller's user, as this node, instead of a consumer
    std::string stream;
    std::string consumer;
    std::optional<std::string> filter;
    op::start_position start;
    std::uint64_t count = 0;  ///< 0 = without end
    std::optional<std::uint64_t> window;
    std::optional<std::uint64_t> ack_wait_ms;
    std::optional<std::uint64_t> max_deliver;
    std::string exec;
    std::uint64_t retry_delay_ms = 1000;
    bool json = false;
    bool raw = false;
    bool quiet = false;
};

struct ask_settings {
    std::optional<op::who::kind> who;  ///< absent = ping
    std::uint64_t count = 1;           ///< of pings
    bool json = false;
};

struct admin_settings {
    admin_call call;
    bool json = false;
};

std::unique_ptr<command> make_publish(publish_settings, command_environment const&);
std::unique_ptr<command> make_subscribe(subscribe_settings, command_environment const&);
std::unique_ptr<command> make_consume(consume_settings, command_environment const&);
std::unique_ptr<command> make_ask(ask_settings, command_environment const&);
std::unique_ptr<command> make_admin(admin_settings, command_environment const&);

/// "Name: value" (or "Name:value") lines -> the compact JSON object of a message; a sentence if one is not valid.
result<std::string> headers_json(std::vector<std::string> const&);

/// What is shown of an administrative answer to people; `name` as in `admin_call`.
std::string render_admin(admin_call const&, nlohmann::json const& data, command_environment const&);
/// The answer to `who`, for people.
std::string render_who(op::who::kind, nlohmann::json const& data, command_environment const&);
/// The one screen of `status`.
std::string render_status(nlohmann::json const& data, command_environment const&);

/// "kedge: " and a sentence, with its end of line.
std::string complaint(std::string_view sentence, command_environment const&);
/// The same for an error or `bye` of the server: its code and what it says.
std::string complaint(error_code, std::string_view message, command_environment const&);

}  // namespace kedge
