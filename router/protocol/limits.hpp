#pragma once
/// Every limit of the server, in one place: default, bounds of what may be configured, and its name in the
/// configuration (`[limits]`), in metrics (`kedge_limit{name=…}`) and in messages. PROTOCOL.md, "Limits".

#include <cstdint>
#include <span>
#include <string_view>

namespace kedge {

struct limits {
    // What one message may be.
    std::uint64_t body_bytes = 1024 * 1024;
    std::uint64_t frame_bytes = 1024 * 1024 + 64 * 1024;
    std::uint64_t line_bytes = 1'468'006 + 64 * 1024;  // 1.4 MiB + 64 KiB
    std::uint64_t header_bytes = 60 * 1024;
    // What one link may hold.
    std::uint64_t link_subscriptions = 1000;
    std::uint64_t link_unsent_bytes = 8 * 1024 * 1024;
    std::uint64_t link_inflight_bytes = 4 * 1024 * 1024;  // read from the link, not yet handled by the router
    std::uint64_t link_unanswered = 65'536;               // operations whose answer waits, e.g. for a commit
    // What one session, user or node may hold.
    std::uint64_t session_links = 16;
    std::uint64_t user_sessions = 64;
    std::uint64_t user_nodes = 64;
    std::uint64_t user_consumers = 256;
    std::uint64_t node_idle_ms = 30ull * 24 * 3600 * 1000;  // a full user's idle nodes older than this make room
    // Consumers.
    std::uint64_t consumer_window = 16'384;
    std::uint64_t consumer_pending = 65'536;  // unacknowledged of one consumer over all links
    std::uint64_t ack_seqs = 16'384;
    std::uint64_t ack_wait_ms_min = 1'000;
    std::uint64_t ack_wait_ms_max = 3'600'000;
    std::uint64_t nak_delay_ms_max = 24ull * 3600 * 1000;
    std::uint64_t dead_letters = 100'000;  // stored of one consumer; the oldest go
    // Idempotency.
    std::uint64_t dedupe_ms = 600'000;
    std::uint64_t dedupe_ids = 100'000;          // one node
    std::uint64_t dedupe_ids_total = 1'000'000;  // all nodes
    // Calls and posts.
    std::uint64_t call_timeout_ms_max = 300'000;
    std::uint64_t link_calls = 1024;
    std::uint64_t post_recipients = 256;
    std::uint64_t list_nesting = 8;
    // Services.
    std::uint64_t link_services = 64;
    std::uint64_t service_methods = 256;  // of one instance
    // What one user may do and store; 0 = no limit. Operators may give a user values of its own.
    std::uint64_t mail_messages = 10'000;             // posts that one of the user's nodes has not acknowledged yet
    std::uint64_t mail_bytes = 256ull * 1024 * 1024;
    std::uint64_t user_rate_messages = 0;             // publishes, posts and calls a second; above it the user's links are read slower
    std::uint64_t user_rate_bytes = 0;                // bytes of these a second, likewise
    std::uint64_t user_burst_ms = 5'000;              // so much of a rate may come at once
    std::uint64_t user_stored_bytes = 0;              // of its publishes in all streams
    // Aliases and lists.
    std::uint64_t user_aliases = 32;
    std::uint64_t lists = 10'000;
    std::uint64_t list_members = 10'000;
    // The server as a whole.
    std::uint64_t sessions = 10'000;
    std::uint64_t users = 100'000;
    std::uint64_t user_keys = 64;
    std::uint64_t rules = 10'000;
    std::uint64_t bans = 10'000;
    std::uint64_t audit_entries = 100'000;
    std::uint64_t streams = 1024;
    std::uint64_t stream_subjects = 64;  // patterns of one stream
    std::uint64_t store_queue_bytes = 64 * 1024 * 1024;  // appends handed to the store and not committed
    std::uint64_t tail_bytes = 16 * 1024 * 1024;         // newest rows of one stream kept in memory for its consumers
    // Migration.
    std::uint64_t mirror_sync_ms = 600'000;  // a row stays for so long after it was found in JetStream, which may lose its newest
    // Time.
    std::uint64_t idle_ms = 90'000;   // a client that asked for `keepalive`
    std::uint64_t drain_ms = 10'000;  // SIGTERM to exit
    std::uint64_t bye_ms = 1'000;     // `bye` to disconnect
    // Before authentication.
    std::uint64_t login_grace_ms = 20'000;
    std::uint64_t unauthenticated = 100;
    std::uint64_t unauthenticated_early_drop = 10;  // random early drop begins here ...
    std::uint64_t unauthenticated_early_percent = 30;  // ... at this percentage
    std::uint64_t unauthenticated_address = 10;
    std::uint64_t login_tries = 6;
    std::uint64_t login_bytes = 256 * 1024;
    std::uint64_t login_packets = 128;
    std::uint64_t penalty_ms_max = 600'000;
    std::uint64_t penalty_sources = 65'536;
    // SSH.
    std::uint64_t rekey_bytes = 1024ull * 1024 * 1024;
    std::uint64_t rekey_ms = 3'600'000;
    std::uint64_t keepalive_ms = 30'000;  // silence after which the server sends SSH_MSG_IGNORE
    std::uint64_t dead_peer_ms = 60'000;  // TCP_USER_TIMEOUT: unacknowledged for this long = gone

    friend bool operator==(limits const&, limits const&) = default;
};

struct limit_field {
    std::string_view name;
    std::uint64_t limits::*member;
    std::uint64_t min;
    std::uint64_t max;
    std::string_view text;  ///< one line for `--help` and the documented configuration
};

/// All of them, in the order of the struct.
std::span<limit_field const> limit_fields() noexcept;

/// Names of those of which a user may have a value of its own (`account_user::own_limits`).
std::span<std::string_view const> user_limit_names() noexcept;

}  // namespace kedge
