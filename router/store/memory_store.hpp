#pragma once
/// Both ports of persistence in memory, for tests and the simulation: the same contract as `sqlite_store`, deterministic, with
/// faults and crashes on demand. No clock, no randomness, no I/O.

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "router/protocol/limits.hpp"
#include "router/store/batch_events.hpp"
#include "router/store/floor_marks.hpp"
#include "router/store/store.hpp"

namespace kedge {

/// One thread at a time. What it holds is as durable as the object: "committed" means that `crash` does not take it.
class memory_store final : public message_store, public account_store {
public:
    explicit memory_store(limits const& = {}, std::string incarnation = "memory", std::string secret = std::string(32, 's'));

    /// What becomes of a commit.
    enum class fault : unsigned char {
        none,
        full,       ///< no room: appends fail with `store_full`, other requests of the batch are carried out
        lost,       ///< `internal`, and a crash shows that nothing was stored
        stored,     ///< `internal`, but a crash before the next commit shows that it was stored
        broken,     ///< every request of the batch fails, reads and cursors too (`internal`); nothing is stored
    };
    /// The commit after `skip` others meets the fault. One fault at a time: a second call replaces the first.
    void fail(fault, unsigned skip = 0);

    /// The process dies and starts again: what is left is what was committed. Call `load` next. Faults are disarmed.
    void crash();

    /// Becomes what a backup (`store_request::backup`) holds, as another history; then as after a crash. False: there is no such backup.
    bool restore(std::string const& path, std::string incarnation);

    /// Batches committed since the start.
    std::uint64_t commits() const noexcept { return commits_; }

    store_contents load(std::uint64_t now_ms) override;
    void execute(std::vector<store_request::any> batch, std::vector<store_event::any>& out) override;
    bool maintain(std::uint64_t now_ms, std::vector<store_event::any>& out) override;
    void set_limits(limits const& bounds) override { limits_ = bounds; }

    contents load_accounts() override;
    result<void> put_user(account_user const&) override;
    result<void> remove_user(std::string const& name) override;
    result<void> put_key(account_key const&) override;
    result<void> remove_key(std::string const& user, std::string const& fingerprint) override;
    result<std::uint64_t> add_rule(rule const&) override;
    result<void> remove_rule(std::uint64_t id) override;
    result<std::uint64_t> add_ban(account_ban const&) override;
    result<void> remove_ban(std::uint64_t id) override;
    result<void> put_alias(account_alias const&) override;
    result<void> remove_alias(std::string const& alias) override;
    result<void> put_list(account_list const&) override;
    result<void> remove_list(std::string const& name) override;
    result<void> add_audit(audit_entry const&) override;
    std::vector<audit_entry> read_audit(std::uint64_t before, std::size_t most) override;

private:
    struct stream {
        stream_state state;
        std::deque<row> rows;          ///< rising seq
        bool subjects_checked = true;  ///< none has more rows than `max_msgs_per_subject` allows
    };
    struct dead_copy {
        dead_letter letter;
        bool replayed = false;
    };
    struct consumer {
        consumer_state state;
        std::map<message_seq, dead_copy> dead;
    };
    struct node {
        std::uint64_t seen_ms = 0;
        std::map<stream_id, number_log> last;
    };
    struct mirror {
        struct placed {
            jet_place place = 0;
            std::uint64_t stamp = 0;
        };
        mirror_state state;
        std::map<message_seq, placed> rows;
        std::map<jet_place, message_seq> places;
    };
    struct contents_of_disk {
        std::map<stream_id, stream> streams;
        std::map<stream_id, mirror> mirrors;
        std::string bridges;
        std::map<consumer_id, consumer> consumers;
        std::map<std::string, node> nodes;
        std::map<std::string, mailbox_state, std::less<>> mail;
        std::map<std::string, usage_state, std::less<>> usage;
        std::deque<remembered_id> ids;  ///< oldest first
        std::uint32_t last_stream = 0;
        std::uint64_t last_consumer = 0;
        contents accounts;
        std::uint64_t last_rule = 0;
        std::uint64_t last_ban = 0;
        std::uint64_t last_audit = 0;
        std::vector<audit_entry> audit;  ///< rising id
    };
    class batch_run;  // memory_batch.hpp: one batch against `disk_`

    fault next_fault();
    void refuse(store_request::any const&, failure const& why, batch_events&);
    using users = std::set<std::string, std::less<>>;
    static row const* find_row(stream const&, message_seq);
    void remove_rows(stream&, std::function<bool(row const&)> const& gone);
    void count_out(stream&, row const&);
    void drop_older_of_subjects(stream&, message_seq may_go);
    mirror* mirror_of(stream_id);
    static void raise_floor(mirror&, stream const&);
    void count_out(mirror&, row const&);
    message_seq may_go_up_to(stream const&, std::uint64_t now_ms);
    bool trim(stream&, std::uint64_t now_ms, std::vector<store_event::any>& out);
    bool purge_slice(std::vector<store_event::any>& out);
    void tell_usage(std::vector<store_event::any>& out);
    contents& change_accounts();
    message_seq lowest_unfinished(stream const&) const;
    store_event::checked check(token request) const;

    limits limits_;
    std::string incarnation_;
    std::string secret_;
    contents_of_disk disk_;
    std::optional<contents_of_disk> after_crash_;  ///< what a crash would show instead, after `fault::stored`
    users usage_due_;  ///< of whom rows went that `maintain` has not told of
    epoch_gate gate_;
    std::map<stream_id, floor_marks> marks_;
    std::map<std::string, contents_of_disk> backups_;
    std::vector<std::pair<token, std::string>> backups_due_;
    std::deque<std::pair<store_request::purge, std::uint64_t>> purges_;  ///< under way or waiting, and the rows taken so far
    fault fault_ = fault::none;
    unsigned fault_in_ = 0;
    std::uint64_t commits_ = 0;
};

}  // namespace kedge
