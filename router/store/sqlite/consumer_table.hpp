#pragma once
/// Durable consumers, their cursors and their dead letters: tables `consumer` and `dead`.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "router/protocol/limits.hpp"
#include "router/store/sqlite/database.hpp"
#include "router/store/sqlite/log_table.hpp"
#include "router/store/store.hpp"

namespace kedge::sqlite {

/// What is kept in memory of a consumer.
struct consumer_entry {
    consumer_id id{};
    stream_id stream{};
    std::string name;
    message_seq lowest = 1;       ///< everything below is done
    std::uint64_t dead = 0;       ///< dead letters stored and not replayed
    bool replayed = false;        ///< may have copies of replayed dead letters
};

class consumer_table {
public:
    consumer_table(database&, limits const&);

    /// Reads the entries: at start, and after a transaction that did not commit.
    void load();
    /// The whole of them, for `store_contents`.
    std::vector<consumer_state> states();
    consumer_entry* find(consumer_id);
    consumer_entry* find(stream_id, std::string_view name);
    /// The lowest `lowest` of the stream's consumers; 0 if it has none. Costs the same however many there are.
    message_seq lowest_unfinished(stream_id) const;

    consumer_state create(consumer_config const&, cursor const& start);
    /// False: more differs than may be changed.
    bool edit(consumer_entry const&, consumer_config const&);
    /// The row and the entry; dead letters become garbage.
    void remove(consumer_id);
    /// All of a stream.
    void remove(stream_id);

    void save_cursor(consumer_entry&, stream_entry&, log_table&, store_request::save_cursor const&);
    void list_dead(consumer_entry const&, store_request::list_dead const&, store_event::dead_listed& answer);
    void drop_dead(consumer_entry&, std::vector<message_seq> const& seqs);
    void replay_dead(consumer_entry&, std::vector<message_seq> const& seqs);
    /// The copy of a dead or replayed row. Null message: there is none.
    row fetch_dead(consumer_id, message_seq);

    /// Deletes a slice of the dead letters of a consumer that is no more. Returns whether something is left.
    bool remove_slice(std::int64_t consumer);

private:
    void insert(consumer_entry);
    void move_lowest(consumer_entry&, message_seq to);
    void add_dead(consumer_entry&, store_request::save_cursor::death const&, row const&, std::uint64_t now_ms);
    void save_dead(consumer_entry const&);
    dead_letter take(statement::rows&);

    database& on_;
    limits const& limits_;
    statement select_;
    statement replayed_;
    statement one_;
    statement insert_;
    statement edit_;
    statement remove_;
    statement save_;
    statement save_dead_;
    statement insert_dead_;
    statement was_replayed_;
    statement list_dead_;
    statement one_dead_;
    statement drop_dead_;
    statement drop_all_dead_;
    statement drop_oldest_dead_;
    statement replay_dead_;
    statement replayed_seqs_;
    statement drop_replayed_;
    statement garbage_;
    statement delete_some_;
    std::map<consumer_id, consumer_entry> all_;
    std::map<stream_id, std::set<consumer_id>> by_stream_;
    std::map<stream_id, std::multiset<message_seq>> lowest_;  ///< of all consumers
};

/// Kinds of `garbage`: what `id` stands for.
enum class garbage_kind : int { stream_rows = 0, dead_letters = 1, places = 2 };

}  // namespace kedge::sqlite
