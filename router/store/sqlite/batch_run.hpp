#pragma once
/// Inside of `sqlite_store`: the tables, and how one batch of requests is carried out on them.

#include <deque>
#include <optional>

#include "router/store/batch_events.hpp"
#include "router/store/sqlite/consumer_table.hpp"
#include "router/store/sqlite/id_journal.hpp"
#include "router/store/sqlite/log_table.hpp"
#include "router/store/sqlite/mirror_table.hpp"
#include "router/store/sqlite/node_table.hpp"
#include "router/store/sqlite/stream_table.hpp"
#include "router/store/sqlite/user_totals.hpp"

namespace kedge::sqlite {

/// Everything but accounts.
struct tables {
    tables(database& on, limits const& bounds)
        : mail{on, "mailbox"}, usage{on, "usage"}, streams{on}, mirrors{on, bounds}, log{on, usage, mirrors}, consumers{on, bounds},
          nodes{on}, ids{on, bounds}
    {
    }
    /// Reads what is kept in memory: at start, and after a transaction that did not commit.
    void load();

    user_totals mail;
    user_totals usage;
    stream_table streams;
    mirror_table mirrors;
    log_table log;
    consumer_table consumers;
    node_table nodes;
    id_journal ids;
};

/// Visits the requests of one transaction. A request that cannot be carried out answers for itself; a database that cannot
/// throws, and then the whole transaction goes.
class batch_run {
public:
    /// What housekeeping goes on with after the batch.
    struct left_over {
        struct purge_run {
            store_request::purge asked;
            message_seq next = 1;     ///< everything below was looked at
            std::uint64_t taken = 0;  ///< rows
        };
        std::optional<store_request::backup> backup;  ///< waits for its turn
        bool backup_running = false;
        std::optional<store_request::check> check;  ///< waits for its turn
        bool check_running = false;
        std::deque<purge_run> purges;  ///< under way, and those that wait for it
    };

    batch_run(database& on, tables& all, epoch_gate& gate, left_over& later, std::vector<store_event::any>& out);

    void operator()(store_request::append const&);
    void operator()(store_request::create_stream const&);
    void operator()(store_request::edit_stream const&);
    void operator()(store_request::remove_stream const&);
    void operator()(store_request::create_consumer const&);
    void operator()(store_request::edit_consumer const&);
    void operator()(store_request::remove_consumer const&);
    void operator()(store_request::purge const&);
    void operator()(store_request::check const&);
    void operator()(store_request::save_cursor const&);
    void operator()(store_request::read const&);
    void operator()(store_request::read_seqs const&);
    void operator()(store_request::list_dead const&);
    void operator()(store_request::drop_dead const&);
    void operator()(store_request::replay_dead const&);
    void operator()(store_request::put_node const&);
    void operator()(store_request::put_number const&);
    void operator()(store_request::remove_node const&);
    void operator()(store_request::backup const&);
    void operator()(store_request::put_mirror const&);
    void operator()(store_request::remove_mirror const&);
    void operator()(store_request::import_messages const&);
    void operator()(store_request::read_waiting const&);
    void operator()(store_request::read_placed const&);
    void operator()(store_request::take_back const&);
    void operator()(store_request::put_bridges const&);

    /// Writes what the requests gathered; before the commit.
    void finish();

private:
    /// Of a stream that is known and has one; else answers, and both are null.
    std::pair<stream_entry*, mirror_entry*> mirrored(stream_id, token request);
    /// What is remembered of a row that a node published: its id, its number.
    void remember(bytes_ptr const& sender, stream_id, message const&, chained_number const&, std::uint64_t time_ms);
    store_event::imported::outcome import(stream_entry&, store_request::import_messages::item const&);

    database& on_;
    tables& all_;
    epoch_gate& gate_;
    left_over& later_;
    batch_events events_;
};

}  // namespace kedge::sqlite
