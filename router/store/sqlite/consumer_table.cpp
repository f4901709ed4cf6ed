#include "router/store/sqlite/consumer_table.hpp"

#include <algorithm>

#include "router/store/batch_events.hpp"
#include "router/store/sqlite/varint.hpp"

namespace kedge::sqlite {

namespace {

constexpr std::int64_t removed_rows_max = 1000;

/// Rising seqs as distances, due times as distances from the one before.
std::string pack(std::vector<cursor::pending_row> const& pending)
{
    std::string packed;
    message_seq seq = 0;
    std::uint64_t due_ms = 0;
    for (auto const& entry : pending) {
        put_varint(packed, entry.seq - seq);
        put_varint(packed, entry.tries);
        put_signed(packed, static_cast<std::int64_t>(entry.due_ms - due_ms));
        seq = entry.seq;
        due_ms = entry.due_ms;
    }
    return packed;
}

std::vector<cursor::pending_row> unpack(std::string_view packed)
{
    std::vector<cursor::pending_row> pending;
    cursor::pending_row entry;
    for (blob_reader reader{packed}; !reader.empty();) {
        entry.seq += reader.varint();
        entry.tries = static_cast<std::uint32_t>(reader.varint());
        entry.due_ms += static_cast<std::uint64_t>(reader.signed_varint());
        pending.push_back(entry);
    }
    return pending;
}

std::string pack(std::vector<std::uint64_t> const& numbers)
{
    std::string packed;
    for (auto const each : numbers)
        put_varint(packed, each);
    return packed;
}

std::vector<std::uint64_t> unpack_numbers(std::string_view packed)
{
    std::vector<std::uint64_t> numbers;
    for (blob_reader reader{packed}; !reader.empty();)
        numbers.push_back(reader.varint());
    return numbers;
}

constexpr auto number(consumer_id id) { return static_cast<std::uint64_t>(id); }
constexpr auto number(stream_id id) { return static_cast<std::uint32_t>(id); }

constexpr char const* dead_columns = "SELECT seq, tries, died_ms, reason, time_ms, sender, subject, message_id, reply_to,"
                                     " headers, body, recipients FROM dead WHERE consumer = ?";
constexpr char const* consumer_columns = "SELECT id, stream, name, owner, filter, ack_wait_ms, max_deliver, next, dead, pending,"
                                         " backoff_ms, paused, done_messages, done_bytes FROM consumer";

consumer_config config_of(statement::rows const& rows)
{
    return {stream_id{static_cast<std::uint32_t>(rows.integer(1))}, rows.string(2), rows.string(3), rows.string(4),
            rows.number(5), rows.number(6), unpack_numbers(rows.bytes(10)), rows.integer(11) != 0};
}

}  // namespace

consumer_table::consumer_table(database& on, limits const& bounds)
    : on_{on},
      limits_{bounds},
      select_{on, consumer_columns},
      replayed_{on, "SELECT DISTINCT consumer FROM dead WHERE replayed"},
      one_{on, {consumer_columns, " WHERE id = ?"}},
      insert_{on, "INSERT INTO consumer (stream, name, owner, filter, ack_wait_ms, max_deliver, next, dead, pending, backoff_ms,"
                  " paused, done_messages, done_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, 0, x'', ?, ?, ?, ?)"},
      edit_{on, "UPDATE consumer SET ack_wait_ms = ?, max_deliver = ?, backoff_ms = ?, paused = ? WHERE id = ?"},
      remove_{on, "DELETE FROM consumer WHERE id = ?"},
      save_{on, "UPDATE consumer SET next = ?, pending = ?, done_messages = ?, done_bytes = ? WHERE id = ?"},
      save_dead_{on, "UPDATE consumer SET dead = ? WHERE id = ?"},
      insert_dead_{on, "INSERT OR REPLACE INTO dead (consumer, seq, replayed, tries, died_ms, reason, time_ms, sender, subject,"
                       " message_id, reply_to, headers, body, recipients) VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"},
      was_replayed_{on, "SELECT replayed FROM dead WHERE consumer = ? AND seq = ?"},
      list_dead_{on, {dead_columns, " AND seq > ? AND NOT replayed ORDER BY seq LIMIT ?"}},
      one_dead_{on, {dead_columns, " AND seq = ?"}},
      drop_dead_{on, "DELETE FROM dead WHERE consumer = ? AND seq = ? AND NOT replayed"},
      drop_all_dead_{on, "DELETE FROM dead WHERE consumer = ? AND NOT replayed"},
      drop_oldest_dead_{on, "DELETE FROM dead WHERE rowid = (SELECT rowid FROM dead WHERE consumer = ? AND NOT replayed"
                            " ORDER BY seq LIMIT 1)"},
      replay_dead_{on, "UPDATE dead SET replayed = 1 WHERE consumer = ? AND seq = ? AND NOT replayed"},
      replayed_seqs_{on, "SELECT seq FROM dead WHERE consumer = ? AND replayed"},
      drop_replayed_{on, "DELETE FROM dead WHERE consumer = ? AND seq = ? AND replayed"},
      garbage_{on, "INSERT OR IGNORE INTO garbage VALUES (?, ?)"},
      delete_some_{on, "DELETE FROM dead WHERE rowid IN (SELECT rowid FROM dead WHERE consumer = ? LIMIT ?)"}
{
}

void consumer_table::load()
{
    all_.clear();
    by_stream_.clear();
    lowest_.clear();
    auto rows = select_.query();
    while (rows.next()) {
        consumer_entry entry{consumer_id{rows.number(0)}, stream_id{static_cast<std::uint32_t>(rows.integer(1))}, rows.string(2),
                             rows.number(7), rows.number(8), false};
        if (blob_reader pending{rows.bytes(9)}; !pending.empty())
            entry.lowest = pending.varint();
        insert(std::move(entry));
    }
    auto copies = replayed_.query();
    while (copies.next())
        if (auto* const entry = find(consumer_id{copies.number(0)}))
            entry->replayed = true;
}

std::vector<consumer_state> consumer_table::states()
{
    std::vector<consumer_state> list;
    auto rows = select_.query();
    while (rows.next()) {
        consumer_state state;
        state.id = consumer_id{rows.number(0)};
        state.config = config_of(rows);
        state.position = {rows.number(7), unpack(rows.bytes(9)), rows.number(12), rows.number(13)};
        state.dead = rows.number(8);
        list.push_back(std::move(state));
    }
    return list;
}

consumer_entry* consumer_table::find(consumer_id id)
{
    auto const at = all_.find(id);
    return at == all_.end() ? nullptr : &at->second;
}

consumer_entry* consumer_table::find(stream_id stream, std::string_view name)
{
    for (auto const id : by_stream_[stream])
        if (auto* const entry = find(id); entry->name == name)
            return entry;
    return nullptr;
}

void consumer_table::insert(consumer_entry entry)
{
    by_stream_[entry.stream].insert(entry.id);
    lowest_[entry.stream].insert(entry.lowest);
    all_.insert_or_assign(entry.id, std::move(entry));
}

void consumer_table::move_lowest(consumer_entry& entry, message_seq to)
{
    auto& of_stream = lowest_[entry.stream];
    of_stream.erase(of_stream.find(entry.lowest));
    of_stream.insert(to);
    entry.lowest = to;
}

message_seq consumer_table::lowest_unfinished(stream_id stream) const
{
    auto const at = lowest_.find(stream);
    return at == lowest_.end() || at->second.empty() ? 0 : *at->second.begin();
}

consumer_state consumer_table::create(consumer_config const& config, cursor const& start)
{
    auto const backoff = pack(config.backoff_ms);
    insert_.run(number(config.stream), std::string_view{config.name}, std::string_view{config.owner},
                std::string_view{config.filter}, config.ack_wait_ms, config.max_deliver, start.next, blob{backoff}, config.paused,
                start.done_messages, start.done_bytes);
    consumer_state state;
    state.id = consumer_id{static_cast<std::uint64_t>(on_.last_rowid())};
    state.config = config;
    state.position = start;
    insert({state.id, config.stream, config.name, start.next, 0, false});
    return state;
}

bool consumer_table::edit(consumer_entry const& entry, consumer_config const& config)
{
    {
        auto rows = one_.query(number(entry.id));
        if (!rows.next() || !same_consumer(config_of(rows), config))
            return false;
    }
    auto const backoff = pack(config.backoff_ms);
    edit_.run(config.ack_wait_ms, config.max_deliver, blob{backoff}, config.paused, number(entry.id));
    return true;
}

void consumer_table::remove(consumer_id id)
{
    remove_.run(number(id));
    garbage_.run(static_cast<int>(garbage_kind::dead_letters), number(id));
    if (auto const* const entry = find(id)) {
        by_stream_[entry->stream].erase(id);
        auto& of_stream = lowest_[entry->stream];
        of_stream.erase(of_stream.find(entry->lowest));
        all_.erase(id);
    }
}

void consumer_table::remove(stream_id stream)
{
    auto const gone = by_stream_[stream];
    for (auto const id : gone)
        remove(id);
    by_stream_.erase(stream);
    lowest_.erase(stream);
}

void consumer_table::add_dead(consumer_entry& entry, store_request::save_cursor::death const& death, row const& stored,
                              std::uint64_t now_ms)
{
    bool counted = false;
    {
        auto rows = was_replayed_.query(number(entry.id), death.seq);
        counted = rows.next() && rows.integer(0) == 0;
    }
    auto const& m = *stored.message;
    insert_dead_.run(number(entry.id), death.seq, death.tries, now_ms, std::string_view{death.reason}, stored.time_ms,
                     stored.sender->view(), m.subject(), text_or_null{m.id()}, text_or_null{m.reply_to()},
                     text_or_null{m.headers()}, blob{m.body()},
                     text_or_null{stored.recipients == nullptr ? std::string_view{} : stored.recipients->view()});
    if (!counted)
        ++entry.dead;
}

void consumer_table::save_dead(consumer_entry const& entry)
{
    save_dead_.run(entry.dead, number(entry.id));
}

void consumer_table::save_cursor(consumer_entry& entry, stream_entry& stream, log_table& log,
                                 store_request::save_cursor const& request)
{
    for (auto const& death : request.deaths) {
        auto stored = log.fetch(stream, death.seq);
        if (stored.message == nullptr)
            stored = fetch_dead(entry.id, death.seq);
        if (stored.message != nullptr)  // else retention was faster: there is nothing left to keep
            add_dead(entry, death, stored, request.now_ms);
    }
    auto const& pending = request.position.pending;
    if (entry.replayed) {
        std::vector<message_seq> finished;
        entry.replayed = false;
        {
            auto rows = replayed_seqs_.query(number(entry.id));
            while (rows.next()) {
                auto const seq = rows.number(0);
                if (std::ranges::binary_search(pending, seq, {}, &cursor::pending_row::seq))
                    entry.replayed = true;
                else
                    finished.push_back(seq);
            }
        }
        for (auto const seq : finished)
            drop_replayed_.run(number(entry.id), seq);
    }
    for (; entry.dead > limits_.dead_letters; --entry.dead) {
        drop_oldest_dead_.run(number(entry.id));
        if (on_.changes() == 0)
            throw std::runtime_error{"the database is damaged: dead letters are missing"};
    }
    auto const packed = pack(pending);
    save_.run(request.position.next, blob{packed}, request.position.done_messages, request.position.done_bytes,
              number(entry.id));
    if (!request.deaths.empty())
        save_dead(entry);
    move_lowest(entry, pending.empty() ? request.position.next : pending.front().seq);
}

dead_letter consumer_table::take(statement::rows& rows)
{
    dead_letter letter{rows.number(0), static_cast<std::uint32_t>(rows.integer(1)), rows.number(2), rows.string(3), {}};
    letter.stored = {letter.seq, rows.number(4), shared_bytes::copy_of(rows.bytes(5)),
                     message::make({rows.bytes(6), rows.bytes(7), rows.bytes(8), rows.bytes(9), rows.bytes(10)})};
    if (auto const recipients = rows.bytes(11); !recipients.empty())
        letter.stored.recipients = shared_bytes::copy_of(recipients);
    return letter;
}

void consumer_table::list_dead(consumer_entry const& entry, store_request::list_dead const& request,
                               store_event::dead_listed& answer)
{
    answer.total = entry.dead;
    auto rows = list_dead_.query(number(entry.id), request.after, request.rows_max);
    while (rows.next())
        answer.letters.push_back(take(rows));
}

void consumer_table::drop_dead(consumer_entry& entry, std::vector<message_seq> const& seqs)
{
    if (seqs.empty()) {
        drop_all_dead_.run(number(entry.id));
        entry.dead = 0;
    }
    for (auto const seq : seqs) {
        drop_dead_.run(number(entry.id), seq);
        entry.dead -= static_cast<std::uint64_t>(on_.changes());
    }
    save_dead(entry);
}

void consumer_table::replay_dead(consumer_entry& entry, std::vector<message_seq> const& seqs)
{
    for (auto const seq : seqs) {
        replay_dead_.run(number(entry.id), seq);
        entry.dead -= static_cast<std::uint64_t>(on_.changes());
    }
    entry.replayed = true;
    save_dead(entry);
}

row consumer_table::fetch_dead(consumer_id id, message_seq seq)
{
    auto rows = one_dead_.query(number(id), seq);
    return rows.next() ? take(rows).stored : row{};
}

bool consumer_table::remove_slice(std::int64_t consumer)
{
    delete_some_.run(consumer, removed_rows_max);
    return on_.changes() != 0;
}

}  // namespace kedge::sqlite
