#pragma once
/// The ports of persistence. A store is a synchronous executor of batches: one call, one transaction, one sync. Who calls
/// it (a thread of its own, a simulation) is not its business. Implementations: `memory_store` (tests, simulation) and
/// `sqlite_store`; both pass tests/store/contract.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "router/account/directory.hpp"
#include "router/protocol/error.hpp"
#include "router/protocol/ids.hpp"
#include "router/protocol/limits.hpp"
#include "router/protocol/message.hpp"
#include "router/protocol/operation.hpp"
#include "router/store/mirror.hpp"
#include "router/store/number_log.hpp"

namespace kedge {

/// A stored message. `sender` is "user/node", "user/~SESSION", "$sys", or "nats" for one that was published there.
struct row {
    message_seq seq = 0;
    std::uint64_t time_ms = 0;  ///< never falls along a stream
    bytes_ptr sender;
    message_ptr message;
    bytes_ptr recipients = nullptr;  ///< of a post (row of `inbox_stream`), as in `store_request::append`; else null
};

/// The stream that holds every user's mail: no patterns, one row a post. `load` makes it if it is missing.
inline constexpr std::string_view inbox_stream = "INBOX";

/// What a stream does that has reached `max_bytes` or `max_msgs`.
enum class discard : unsigned char {
    oldest,   ///< the oldest rows go
    newest    ///< publishes are refused with `quota`
};

enum class retention : unsigned char {
    limits,   ///< until age, bytes or count say so
    interest  ///< also gone when every consumer of the stream is done with it; while there is none, only the limits hold
};

struct stream_config {
    std::string name;
    std::vector<std::string> subjects;  ///< patterns
    std::uint64_t max_age_ms = 0;       ///< 0 = no bound, here and below
    std::uint64_t max_bytes = 0;
    std::uint64_t max_msgs = 0;
    retention keep = retention::limits;
    /// Older rows of the same subject go, a moment later: 1 = the last value of each. Costs a few bytes for each row kept when
    /// one of its subject comes; a stream that refuses when it is full counts rows that are about to go.
    std::uint64_t max_msgs_per_subject = 0;
    discard when_full = discard::oldest;
    bool paused = false;  ///< its consumers are delivered nothing; publishing goes on

    friend bool operator==(stream_config const&, stream_config const&) = default;
};

struct stream_state {
    stream_id id{};
    stream_config config;
    message_seq first = 1;  ///< lowest seq that may still be there
    message_seq last = 0;   ///< highest ever given
    std::uint64_t messages = 0;  ///< at most last - first + 1: rows may be missing in between
    std::uint64_t bytes = 0;
    std::uint64_t last_ms = 0;  ///< stored time of the last row
};

struct consumer_config {
    stream_id stream{};
    std::string name;
    std::string owner;  ///< user
    std::string filter;  ///< pattern; empty = everything
    std::uint64_t ack_wait_ms = 30'000;
    std::uint64_t max_deliver = 0;  ///< 0 = no end
    /// Wait before the second, third, … delivery of what came back without a delay of its own; the last one holds for all
    /// further ones. Empty = at once.
    std::vector<std::uint64_t> backoff_ms = {};
    bool paused = false;  ///< is delivered nothing
};

/// Everything below `next` that is not in `pending` is done.
struct cursor {
    struct pending_row {
        message_seq seq = 0;
        std::uint32_t tries = 0;
        std::uint64_t due_ms = 0;  ///< wall clock; 0 = at once

        friend bool operator==(pending_row const&, pending_row const&) = default;
    };
    message_seq next = 1;
    std::vector<pending_row> pending;  ///< rising seq
    /// Of a node's inbox: how much of all mail that its user ever got (`mailbox_state`) it is done with. A consumer of
    /// `inbox_stream` that is created to start with what is new begins with its owner's totals as of then.
    std::uint64_t done_messages = 0;
    std::uint64_t done_bytes = 0;

    friend bool operator==(cursor const&, cursor const&) = default;
};

struct consumer_state {
    consumer_id id{};
    consumer_config config;
    cursor position;
    std::uint64_t dead = 0;  ///< dead letters stored
};

struct dead_letter {
    message_seq seq = 0;
    std::uint32_t tries = 0;
    std::uint64_t died_ms = 0;
    std::string reason;
    row stored;  ///< a copy that outlives the stream's retention
};

/// What is known of a `user/node`.
struct node_state {
    std::string name;  ///< "user/node"
    std::uint64_t seen_ms = 0;
    struct progress {
        stream_id stream{};
        number_log numbers;
    };
    std::vector<progress> last;  ///< of publishes with `n`
};

/// All mail that a user ever got, in posts of `inbox_stream`. `bytes` as `row_bytes` counts them.
struct mailbox_state {
    std::string user;
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
};

/// What is stored of a user's publishes in all streams but `inbox_stream`.
struct usage_state {
    std::string user;
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
};

/// One publish with an id, for the idempotency window.
struct remembered_id {
    std::string sender;
    std::string id;
    stream_id stream{};
    message_seq seq = 0;
    std::uint64_t digest = 0;
    std::uint64_t time_ms = 0;
};

namespace store_request {

/// `epoch`: after an append to a stream failed, the store refuses every append of that stream with an epoch that is not
/// above the failed one, so that what was pipelined behind a failure cannot be stored out of order.
/// `named`: the sender is a `user/node`; its id (if any) is remembered and its `n` (if any) raised.
struct append {
    token request{};
    stream_id stream{};
    std::uint64_t epoch = 0;
    std::uint64_t time_ms = 0;
    bytes_ptr sender;
    bool named = false;
    std::uint64_t n = 0;
    std::uint64_t previous_n = 0;  ///< what its node sent to the stream before it: `chained_number`
    std::uint64_t digest = 0;
    message_ptr message;
    /// Of a post: "alice" (all her nodes) and "alice/laptop" entries, each once, sorted, separated by one space. The row is
    /// found by reads with the filter `inbox.USER` of each user in it, and counts in each one's `mailbox_state`.
    bytes_ptr recipients = nullptr;
};

struct create_stream {
    token request{};
    stream_config config;
};
struct edit_stream {
    token request{};
    stream_id stream{};
    stream_config config;
};
/// Removes the stream, its rows, consumers and their dead letters. Rows go in slices (`maintain`).
struct remove_stream {
    token request{};
    stream_id stream{};
};

struct create_consumer {
    token request{};
    consumer_config config;
    op::start_position start;
};
/// Changes `ack_wait_ms`, `max_deliver`, `backoff_ms`, `paused`; the rest must be as it was.
struct edit_consumer {
    token request{};
    consumer_id consumer{};
    consumer_config config;
};
struct remove_consumer {
    token request{};
    consumer_id consumer{};
};
/// Replaces the cursor; moves the named pending rows to the dead letters (copying the row; one that retention took before
/// is left out). With a token: answered by `done`.
struct save_cursor {
    struct death {
        message_seq seq = 0;
        std::uint32_t tries = 0;
        std::string reason;
    };
    token request{};
    consumer_id consumer{};
    cursor position;
    std::vector<death> deaths;
    std::uint64_t now_ms = 0;
};

/// Rows from `from` up that match `filter` (empty = all): at most `rows_max`, and about `bytes_max` (at least one row).
/// Answered by `rows_read`, whose `next` says from where to go on. One read looks at a bounded part of the stream: with a filter
/// that matches little there may be few rows or none, and `end` is false.
struct read {
    token request{};
    stream_id stream{};
    message_seq from = 1;
    std::string filter;
    std::size_t rows_max = 256;
    std::size_t bytes_max = 1024 * 1024;
};
/// Deletes the rows with a seq up to `up_to` (0 = the last one as of now) that match `filter` (empty = all). Goes on in slices
/// (`maintain`), one purge of a stream at a time; answered by `purged`. A crash may end it half-way.
struct purge {
    token request{};
    stream_id stream{};
    std::string filter;
    message_seq up_to = 0;
};

/// Reads the whole store and says what contradicts what. Goes on in the background; answered by `checked`.
struct check {
    token request{};
};

/// Just these rows; a row that retention took is looked for in the consumer's dead letters (replay), else left out.
struct read_seqs {
    token request{};
    stream_id stream{};
    consumer_id consumer{};
    std::vector<message_seq> seqs;
};

/// Dead letters with a seq above `after`, at most `rows_max`.
struct list_dead {
    token request{};
    consumer_id consumer{};
    message_seq after = 0;
    std::size_t rows_max = 100;
};
/// Empty `seqs` = all.
struct drop_dead {
    token request{};
    consumer_id consumer{};
    std::vector<message_seq> seqs;
};
/// Marks dead letters as replayed: they leave the list, but their copies stay readable by `read_seqs` until a saved cursor
/// no longer has them pending. The caller puts them into the cursor's `pending` in the same batch.
struct replay_dead {
    token request{};
    consumer_id consumer{};
    std::vector<message_seq> seqs;
};

struct put_node {
    std::string name;
    std::uint64_t seen_ms = 0;
};
/// A number that comes to be known without a row of its own: its node gave it up, or gave up what is missing before it.
struct put_number {
    std::string node;
    stream_id stream{};
    chained_number number;
};
/// Forgets the node: its `n`, its remembered ids.
struct remove_node {
    token request{};
    std::string name;
};

/// An online copy of the database into a new file; fails if the file exists. Goes on in slices (`maintain`), one at a time.
struct backup {
    token request{};
    std::string path;
};

using any = std::variant<append, save_cursor, read, read_seqs, create_stream, edit_stream, remove_stream, create_consumer,
                         edit_consumer, remove_consumer, purge, check, list_dead, drop_dead, replay_dead, put_node, put_number, remove_node,
                         backup, put_mirror, remove_mirror, import_messages, read_waiting, read_placed, take_back,
                         put_bridges>;

}  // namespace store_request

namespace store_event {

/// The one event that makes deliveries and `ok`: rows that are committed and synced. `origin` = the append's token, or
/// `none` for a row that was not born from an append of this process. The rest as in the append, or as in `import_messages`.
struct rows_arrived {
    struct arrival {
        row stored;
        token origin{};
        bool named = false;
        std::uint64_t n = 0;
        std::uint64_t previous_n = 0;
        std::uint64_t digest = 0;
    };
    stream_id stream{};
    std::vector<arrival> rows;
};
/// `why.code`: `store_full`, `quota` (the stream is full and keeps the old), `internal` (unknown outcome) or `unknown_stream`.
/// Not stored, unless `internal`.
struct append_failed {
    token request{};
    stream_id stream{};
    failure why;
};
struct done {
    token request{};
};
struct failed {
    token request{};
    failure why;
};
/// Whether the store itself is not well, not just a request that cannot be met: the same may work later.
inline bool is_trouble(error_code code) noexcept { return code == error_code::store_full || code == error_code::internal; }
struct stream_created {
    token request{};
    stream_state stream;
};
struct consumer_created {
    token request{};
    consumer_state consumer;
};
struct rows_read {
    token request{};
    std::vector<row> rows;
    message_seq next = 0;  ///< the next `from`: everything below was looked at
    bool end = false;      ///< the end of the stream was reached
};
struct dead_listed {
    token request{};
    std::vector<dead_letter> letters;
    std::uint64_t total = 0;
};
struct purged {
    token request{};
    std::uint64_t messages = 0;
};
struct checked {
    token request{};
    std::uint64_t rows = 0;              ///< looked at
    std::vector<std::string> findings;   ///< a sentence each; empty = sound. At most `findings_max`, the last one says so
    static constexpr std::size_t findings_max = 1000;
};
/// Retention or a purge took rows of these users: what is stored of them now.
struct usage_changed {
    std::vector<usage_state> users;
};
/// Retention or a purge took rows.
struct stream_trimmed {
    stream_id stream{};
    message_seq first = 0;
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
};

using any = std::variant<rows_arrived, append_failed, done, failed, stream_created, consumer_created, rows_read, dead_listed,
                         purged, checked, usage_changed, stream_trimmed, imported, placed_read, taken_back>;

}  // namespace store_event

/// What a store holds when it is opened, but for the rows.
struct store_contents {
    std::string incarnation;  ///< random; new whenever a database is created or restored
    std::string secret;       ///< 32 random bytes, drawn when a database is created; a restored one keeps them
    std::vector<stream_state> streams;
    std::vector<consumer_state> consumers;
    std::vector<node_state> nodes;
    std::vector<mailbox_state> mail;
    std::vector<usage_state> usage;
    std::vector<mirror_state> mirrors;
    std::string bridges;      ///< as last put; empty = never
    std::vector<remembered_id> ids;  ///< within the idempotency window, oldest first, at most the configured total
};

/// Messages, streams, consumers, nodes. One thread at a time.
class message_store {
public:
    virtual ~message_store() = default;

    /// Once, before anything else. `now_ms` bounds the idempotency window.
    virtual store_contents load(std::uint64_t now_ms) = 0;

    /// Carries out the batch in order, commits and syncs once, and appends what came of it to `out`: the events of a
    /// stream's appends in their order, `rows_arrived` gathered per stream and batch at the place of the first row. Reads see
    /// the writes that stand before them in the batch. Every request with a token has exactly one answer.
    /// Never throws for a full disk or an I/O error: the appends fail, the other requests are tried once more without them,
    /// and a later batch may succeed again.
    virtual void execute(std::vector<store_request::any> batch, std::vector<store_event::any>& out) = 0;

    /// One slice of housekeeping: retention, removed streams, the idempotency journal, a running backup, the WAL checkpoint.
    /// Returns whether more is to be done at once.
    virtual bool maintain(std::uint64_t now_ms, std::vector<store_event::any>& out) = 0;

    /// Holds for what comes; what is there and beyond a lowered limit goes when the next of its kind is added, or stays.
    virtual void set_limits(limits const&) = 0;
};

/// A rule of who may do what. Deny goes before allow.
struct rule {
    std::uint64_t id = 0;      ///< given by the store, from 1
    enum class effect : unsigned char { deny, allow } what = effect::allow;
    enum class act : unsigned char {
        publish,    ///< subjects
        subscribe,  ///< subjects
        serve,      ///< `SERVICE`
        call,       ///< `SERVICE.METHOD`, or the subject of a call by subject
        post,       ///< `USER` or `@LIST`
        create      ///< `stream.NAME` or `list.NAME`
    } action = act::publish;
    static constexpr unsigned act_count = 6;
    std::string user;          ///< exactly one of user, role and key is set
    std::string role;
    std::string pattern;       ///< may hold `{user}` and `{role}`
    std::string key = {};      ///< fingerprint, "SHA256:…"

    friend bool operator==(rule const&, rule const&) = default;
};

/// A name under which a user is reached by `post`, without its `~`.
struct account_alias {
    std::string alias;
    std::string user;

    friend bool operator==(account_alias const&, account_alias const&) = default;
};

/// A distribution list, without its `@`.
struct account_list {
    std::string name;
    std::string owner;                 ///< user
    enum class posting : unsigned char { anyone, members, owners } who = posting::anyone;  ///< who may post to it
    std::vector<std::string> members;  ///< users, "~ALIAS", "@LIST"; sorted, each once

    friend bool operator==(account_list const&, account_list const&) = default;
};

/// What was done by an operator's command.
struct audit_entry {
    std::uint64_t id = 0;  ///< given by the store, rising
    std::uint64_t time_ms = 0;
    std::string user;
    std::string key;      ///< fingerprint
    std::string command;  ///< "user add"
    std::string args;     ///< JSON text
    std::string outcome;  ///< "done", or the sentence of the refusal

    friend bool operator==(audit_entry const&, audit_entry const&) = default;
};

/// Users, keys, rules, bans, aliases, lists, the audit log. One thread at a time (the store thread's). Each call is one synced transaction.
class account_store {
public:
    virtual ~account_store() = default;

    struct contents {
        std::vector<account_user> users;  ///< removed ones too
        std::vector<account_key> keys;
        std::vector<rule> rules;
        std::vector<account_ban> bans;
        std::vector<account_alias> aliases;
        std::vector<account_list> lists;
    };
    virtual contents load_accounts() = 0;

    /// Adds the user or changes its role and limits; clears `removed`.
    virtual result<void> put_user(account_user const&) = 0;
    /// Marks the user as removed and drops its keys, rules, aliases and places in lists; its lists belong to operators then.
    virtual result<void> remove_user(std::string const& name) = 0;
    virtual result<void> put_key(account_key const&) = 0;
    virtual result<void> remove_key(std::string const& user, std::string const& fingerprint) = 0;
    virtual result<std::uint64_t> add_rule(rule const&) = 0;
    virtual result<void> remove_rule(std::uint64_t id) = 0;
    virtual result<std::uint64_t> add_ban(account_ban const&) = 0;
    virtual result<void> remove_ban(std::uint64_t id) = 0;
    /// `exists` if it is another user's.
    virtual result<void> put_alias(account_alias const&) = 0;
    virtual result<void> remove_alias(std::string const& alias) = 0;
    /// Creates the list or replaces what it was.
    virtual result<void> put_list(account_list const&) = 0;
    virtual result<void> remove_list(std::string const& name) = 0;
    /// Keeps the newest `limits::audit_entries`.
    virtual result<void> add_audit(audit_entry const&) = 0;
    /// The newest first, with an id below `before` (0 = no bound), at most `most`.
    virtual std::vector<audit_entry> read_audit(std::uint64_t before, std::size_t most) = 0;

    /// As message_store's; one object that is both stores has one function.
    virtual void set_limits(limits const&) = 0;
};

}  // namespace kedge
