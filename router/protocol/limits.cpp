#include "router/protocol/limits.hpp"

#include <array>

namespace kedge {
namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;
constexpr std::uint64_t gib = 1024 * mib;
constexpr std::uint64_t second = 1000;
constexpr std::uint64_t hour = 3600 * second;
constexpr std::uint64_t day = 24 * hour;

// A delivery's header is the publisher's headers and a few names more, and its size must be told in four hex digits:
// therefore `header_bytes` cannot be raised.
constexpr std::array fields{
    limit_field{"body_bytes", &limits::body_bytes, 1 * kib, 64 * mib, "bytes of one message body"},
    limit_field{"frame_bytes", &limits::frame_bytes, 2 * kib, 65 * mib, "bytes of one frame; a longer one ends the link"},
    limit_field{"line_bytes", &limits::line_bytes, 2 * kib, 96 * mib, "bytes of one JSON line"},
    limit_field{"header_bytes", &limits::header_bytes, 1 * kib, 60 * kib, "bytes of the JSON header of one frame, and of a message's headers"},

    limit_field{"link_subscriptions", &limits::link_subscriptions, 1, 1'000'000, "plain subscriptions of one link"},
    limit_field{"link_unsent_bytes", &limits::link_unsent_bytes, 64 * kib, 1 * gib, "bytes waiting to be read by one link's peer"},
    limit_field{"link_inflight_bytes", &limits::link_inflight_bytes, 64 * kib, 1 * gib, "bytes read from one link and not yet handled"},
    limit_field{"link_unanswered", &limits::link_unanswered, 16, 10'000'000, "operations of one link whose answer is still to come"},

    limit_field{"session_links", &limits::session_links, 1, 1024, "channels of one session"},
    limit_field{"user_sessions", &limits::user_sessions, 1, 100'000, "sessions of one user"},
    limit_field{"user_nodes", &limits::user_nodes, 1, 100'000, "nodes of one user"},
    limit_field{"user_consumers", &limits::user_consumers, 1, 100'000, "durable consumers of one user"},
    limit_field{"node_idle_ms", &limits::node_idle_ms, 100, 3650 * day, "milliseconds after which an unused node makes room for a new one"},

    limit_field{"consumer_window", &limits::consumer_window, 1, 1'000'000, "unacknowledged messages on one link of a consumer, at most"},
    limit_field{"consumer_pending", &limits::consumer_pending, 1, 10'000'000, "unacknowledged messages of one consumer over all its links"},
    limit_field{"ack_seqs", &limits::ack_seqs, 1, 1'000'000, "numbers in one ack"},
    limit_field{"ack_wait_ms_min", &limits::ack_wait_ms_min, 10, 1 * hour, "shortest ack wait of a consumer, milliseconds"},
    limit_field{"ack_wait_ms_max", &limits::ack_wait_ms_max, 1 * second, 7 * day, "longest ack wait of a consumer, milliseconds"},
    limit_field{"nak_delay_ms_max", &limits::nak_delay_ms_max, 0, 30 * day, "longest delay of a nak, milliseconds"},
    limit_field{"dead_letters", &limits::dead_letters, 1, 100'000'000, "dead letters kept of one consumer; the oldest go"},

    limit_field{"dedupe_ms", &limits::dedupe_ms, 1 * second, 7 * day, "milliseconds for which a publish id is remembered"},
    limit_field{"dedupe_ids", &limits::dedupe_ids, 1, 10'000'000, "publish ids remembered of one node"},
    limit_field{"dedupe_ids_total", &limits::dedupe_ids_total, 1, 100'000'000, "publish ids remembered of all nodes together"},

    limit_field{"call_timeout_ms_max", &limits::call_timeout_ms_max, 1 * second, 1 * day, "longest timeout of a call, milliseconds"},
    limit_field{"link_calls", &limits::link_calls, 1, 1'000'000, "open calls of one link"},
    limit_field{"post_recipients", &limits::post_recipients, 1, 10'000, "recipients of one post"},
    limit_field{"list_nesting", &limits::list_nesting, 1, 64, "levels of lists within lists"},

    limit_field{"link_services", &limits::link_services, 1, 10'000, "services that one link serves"},
    limit_field{"service_methods", &limits::service_methods, 1, 10'000, "methods of one service instance"},

    limit_field{"mail_messages", &limits::mail_messages, 1, 100'000'000, "posts stored for one user that a node of the user has not acknowledged"},
    limit_field{"mail_bytes", &limits::mail_bytes, 1, 1024 * gib, "bytes of posts stored for one user that a node of the user has not acknowledged"},
    limit_field{"user_rate_messages", &limits::user_rate_messages, 0, 100'000'000, "publishes, posts and calls a second of one user; above it the user's links are read slower (0: no limit)"},
    limit_field{"user_rate_bytes", &limits::user_rate_bytes, 0, 1024 * gib, "bytes of publishes, posts and calls a second of one user; above it the user's links are read slower (0: no limit)"},
    limit_field{"user_burst_ms", &limits::user_burst_ms, 10, 1 * hour, "milliseconds of the two rates that may come at once"},
    limit_field{"user_stored_bytes", &limits::user_stored_bytes, 0, 1024 * gib, "bytes of one user's publishes stored in all streams (0: no limit)"},

    limit_field{"user_aliases", &limits::user_aliases, 0, 10'000, "aliases of one user"},
    limit_field{"lists", &limits::lists, 0, 1'000'000, "distribution lists"},
    limit_field{"list_members", &limits::list_members, 1, 1'000'000, "members of one distribution list"},

    limit_field{"sessions", &limits::sessions, 1, 1'000'000, "sessions of all users"},
    limit_field{"users", &limits::users, 1, 10'000'000, "users"},
    limit_field{"user_keys", &limits::user_keys, 1, 10'000, "keys of one user"},
    limit_field{"rules", &limits::rules, 1, 1'000'000, "rules of all roles and users"},
    limit_field{"bans", &limits::bans, 1, 1'000'000, "bans"},
    limit_field{"audit_entries", &limits::audit_entries, 1, 100'000'000, "entries of the audit log; the oldest go"},
    limit_field{"streams", &limits::streams, 1, 100'000, "streams"},
    limit_field{"stream_subjects", &limits::stream_subjects, 1, 10'000, "subject patterns of one stream"},
    limit_field{"store_queue_bytes", &limits::store_queue_bytes, 1 * mib, 16 * gib, "bytes handed to the store and not yet committed"},
    limit_field{"tail_bytes", &limits::tail_bytes, 64 * kib, 16 * gib, "bytes of the newest messages of one stream kept in memory"},

    limit_field{"mirror_sync_ms", &limits::mirror_sync_ms, 0, 30 * day, "milliseconds for which retention spares a message of a mirrored stream once it was found in JetStream"},

    limit_field{"idle_ms", &limits::idle_ms, 1 * second, 1 * day, "silence after which a client that asked for keepalive is dropped, milliseconds"},
    limit_field{"drain_ms", &limits::drain_ms, 0, 10 * 60 * second, "from SIGTERM to exit at most, milliseconds"},
    limit_field{"bye_ms", &limits::bye_ms, 10, 60 * second, "from `bye` to disconnect at most, milliseconds"},

    limit_field{"login_grace_ms", &limits::login_grace_ms, 1 * second, 10 * 60 * second, "time to log in, milliseconds"},
    limit_field{"unauthenticated", &limits::unauthenticated, 1, 100'000, "connections that have not logged in yet"},
    limit_field{"unauthenticated_early_drop", &limits::unauthenticated_early_drop, 1, 100'000, "connections not logged in from which on new ones are dropped at random"},
    limit_field{"unauthenticated_early_percent", &limits::unauthenticated_early_percent, 0, 100, "percentage dropped where random early drop begins"},
    limit_field{"unauthenticated_address", &limits::unauthenticated_address, 1, 100'000, "connections of one address that have not logged in yet"},
    limit_field{"login_tries", &limits::login_tries, 1, 100, "refused login attempts of one connection"},
    limit_field{"login_bytes", &limits::login_bytes, 32 * kib, 16 * mib, "bytes taken from a connection before it has logged in"},
    limit_field{"login_packets", &limits::login_packets, 16, 10'000, "packets taken from a connection before it has logged in"},
    limit_field{"penalty_ms_max", &limits::penalty_ms_max, 0, 1 * day, "longest time for which an address is refused after failures, milliseconds"},
    limit_field{"penalty_sources", &limits::penalty_sources, 16, 10'000'000, "addresses whose failures are remembered"},

    limit_field{"rekey_bytes", &limits::rekey_bytes, 1 * mib, 64 * gib, "bytes after which a session's keys are exchanged anew"},
    limit_field{"rekey_ms", &limits::rekey_ms, 1 * second, 1 * day, "time after which a session's keys are exchanged anew, milliseconds"},
    limit_field{"keepalive_ms", &limits::keepalive_ms, 1 * second, 1 * hour, "silence after which the server sends a keepalive, milliseconds"},
    limit_field{"dead_peer_ms", &limits::dead_peer_ms, 1 * second, 1 * hour, "time without TCP acknowledgement after which a peer is gone, milliseconds"},
};

// A limit that is left out here could be neither configured nor seen.
static_assert(fields.size() * sizeof(std::uint64_t) == sizeof(limits));

}  // namespace

std::span<limit_field const> limit_fields() noexcept { return fields; }

std::span<std::string_view const> user_limit_names() noexcept
{
    static constexpr std::array<std::string_view, 6> names{"mail_messages",   "mail_bytes",    "user_rate_messages",
                                                           "user_rate_bytes", "user_burst_ms", "user_stored_bytes"};
    return names;
}

}  // namespace kedge
