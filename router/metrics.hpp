#pragma once
/// What the server counts, in one table. Writers touch their own members from any thread (relaxed atomics); the HTTP
/// listener and `status` read them. To add one: a line here and the place that counts.

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>

#include "router/mirror_samples.hpp"
#include "router/protocol/error.hpp"

namespace kedge {

class metric {
public:
    void add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
    void subtract(std::uint64_t n = 1) noexcept { value_.fetch_sub(n, std::memory_order_relaxed); }
    void set(std::uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
    std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }
    /// Cheaper than `add` for a member that only one thread writes.
    void add_alone(std::uint64_t n = 1) noexcept { value_.store(get() + n, std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

// kind, member, help. The name on the page is kedge_<member>, with _total for counters.
#define KEDGE_METRICS(X)                                                                              \
    X(gauge, sessions, "SSH sessions that are logged in")                                             \
    X(gauge, sessions_unauthenticated, "connections that have not logged in yet")                     \
    X(counter, logins, "successful logins")                                                           \
    X(counter, bytes_in, "bytes read from links")                                                     \
    X(counter, bytes_out, "bytes of links' outputs written")                                          \
    X(gauge, links, "open links")                                                                     \
    X(counter, operations, "operations handled by the router")                                        \
    X(counter, published, "plain messages published")                                                 \
    X(counter, published_durable, "messages stored")                                                  \
    X(counter, delivered, "deliveries put into outboxes")                                             \
    X(counter, duplicates, "publishes answered by an earlier seq")                                    \
    X(counter, acks, "deliveries acknowledged")                                                       \
    X(counter, acks_ignored, "acknowledged seqs that were not pending")                               \
    X(counter, redeliveries, "deliveries with tries above 1")                                         \
    X(counter, dead_letters, "messages moved to dead letters")                                        \
    X(counter, slow_consumers, "links ended because they did not read")                               \
    X(gauge, subscriptions, "plain subscriptions")                                                    \
    X(gauge, streams, "streams")                                                                      \
    X(gauge, consumers, "durable consumers")                                                          \
    X(gauge, nodes, "nodes known")                                                                    \
    X(counter, nodes_retired, "nodes forgotten because they stayed away")                             \
    X(counter, posts, "posts stored")                                                                 \
    X(gauge, inboxes, "nodes with an inbox")                                                          \
    X(gauge, aliases, "aliases of users")                                                             \
    X(gauge, lists, "distribution lists")                                                             \
    X(gauge, book_changes_waiting, "changes of aliases and lists that wait for their turn")           \
    X(gauge, remembered_ids, "ids in the idempotency windows")                                        \
    X(gauge, users, "users, with those of the key file and those that were removed")                  \
    X(gauge, keys, "keys of users, with those of the key file")                                       \
    X(gauge, rules, "rules that operators added")                                                     \
    X(gauge, penalised_sources, "addresses whose failures are remembered")                            \
    X(gauge, router_inbox_events, "events that wait for the router thread")                           \
    X(gauge, router_inbox_bytes, "bytes of links' input that wait for the router thread")             \
    X(gauge, inflight_bytes, "bytes of links' input that the router has and has not handled")         \
    X(gauge, inflight_bytes_largest, "the same of the link that has most")                            \
    X(gauge, links_stalled, "links that are read no more until they have read, or were answered")     \
    X(gauge, links_throttled, "links that wait for their user's rates")                                \
    X(counter, throttles, "times that a link had to wait for its user's rates")                        \
    X(gauge, operations_held, "operations held back by what must come before them")                   \
    X(gauge, operations_held_bytes, "bytes of operations held back")                                  \
    X(gauge, operations_unanswered, "operations whose answer is still to come")                       \
    X(gauge, operations_unanswered_largest, "the same of the link that has most")                     \
    X(gauge, unsent_bytes, "bytes put out for links and not written to their peers yet")              \
    X(gauge, unsent_bytes_largest, "the same of the link that has most")                              \
    X(gauge, outputs_waiting, "outputs that wait for the transport threads")                          \
    X(gauge, outbox_bytes, "bytes in the outboxes of channels, of links and of commands")             \
    X(gauge, deliveries_pending, "deliveries of consumers that are not acknowledged")                 \
    X(gauge, deliveries_pending_largest, "the same of the consumer that has most")                    \
    X(gauge, dead_letters_kept, "dead letters that can be listed")                                    \
    X(gauge, appends_waiting, "publishes handed to the store and not answered by it")                 \
    X(gauge, tail_bytes, "bytes of newest messages in memory, of all streams")                        \
    X(gauge, routes, "subjects whose subscribers are looked up already")                              \
    X(gauge, admin_waiting, "administrative commands that wait for their turn")                       \
    X(gauge, store_requests_waiting, "requests that wait for the store thread")                       \
    X(counter, calls, "calls given to an instance or to subscribers")                                 \
    X(counter, calls_unhandled, "calls that nobody answers: no instance, method or subscriber")       \
    X(counter, replies_dropped, "replies that came too late, or from elsewhere")                      \
    X(gauge, calls_open, "calls that are not answered yet")                                           \
    X(gauge, calls_open_largest, "the same of the link that has most")                                \
    X(gauge, services, "services with an instance")                                                   \
    X(gauge, service_instances, "instances of services")                                              \
    X(gauge, store_queue_bytes, "bytes of appends that wait for their commit")                        \
    X(counter, store_commits, "transactions committed and synced")                                    \
    X(counter, store_failures, "batches that the store could not commit")                             \
    X(gauge, store_rows, "rows in all streams")                                                       \
    X(gauge, store_bytes, "bytes of rows in all streams")                                             \
    X(gauge, nats_link_up, "1 while there is a link to NATS")                                         \
    X(counter, bridge_out, "plain messages and replies that crossed to NATS")                          \
    X(counter, bridge_in, "plain messages and replies that came from NATS")                            \
    X(counter, bridge_dropped, "plain messages and replies that could not cross")                      \
    X(gauge, mirrors, "streams that are copied to JetStream or ordered by it")                        \
    X(gauge, mirrors_broken, "the same that cannot go on without an operator")                        \
    X(gauge, mirror_held, "publishes that wait for a switch or for NATS")                             \
    X(gauge, mirror_held_bytes, "bytes of these")                                                     \
    X(counter, mirror_copied, "messages copied to JetStream and read back")                           \
    X(counter, mirror_imported, "messages of NATS clients stored")                                    \
    X(counter, mirror_own_publishes, "publishes that JetStream ordered, stored")                      \
    X(counter, mirror_refusals, "messages that the NATS server refused")                              \
    X(counter, mirror_duplicates, "messages that JetStream had already")                              \
    X(counter, mirror_reordered, "messages that arrived in JetStream behind later ones")              \
    X(counter, mirror_parked, "messages of JetStream that kedge cannot represent")                    \
    X(counter, mirror_taken_back, "messages that JetStream lost and gets again")                      \
    X(gauge, log_lines_waiting, "log lines that wait to be written")                                  \
    X(counter, log_lines_dropped, "log lines dropped because standard error did not keep up")

struct metrics {
#define KEDGE_X(kind, name, help) metric name;
    KEDGE_METRICS(KEDGE_X)
#undef KEDGE_X
    /// Errors sent, by code.
    std::array<metric, error_code_count> errors;
    /// Connections refused or ended before authentication, by reason (sshd-transport/gate.hpp names them).
    static constexpr std::size_t refusals_max = 16;
    std::array<metric, refusals_max> refused;
    /// What has a stream for its label.
    mirror_samples each_mirror;
};

enum class metric_kind : unsigned char { counter, gauge };
struct metric_field {
    std::string_view name;
    metric_kind kind;
    std::string_view help;
    metric metrics::*member;
};

/// The named ones, in the order of the table.
inline std::span<metric_field const> metric_fields() noexcept
{
    static constexpr metric_field fields[] = {
#define KEDGE_X(kind, name, help) {#name, metric_kind::kind, help, &metrics::name},
        KEDGE_METRICS(KEDGE_X)
#undef KEDGE_X
    };
    return fields;
}

}  // namespace kedge
