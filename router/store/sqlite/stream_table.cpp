#include "router/store/sqlite/stream_table.hpp"

#include "router/store/sqlite/word_list.hpp"

namespace kedge::sqlite {

namespace {

constexpr char between_subjects = ' ';  // patterns hold no spaces

}  // namespace

stream_table::stream_table(database& on)
    : on_{on},
      select_{on, "SELECT id, name, subjects, max_age_ms, max_bytes, max_msgs, keep, max_msgs_per_subject, discard, paused,"
                  " first, last, newest, oseq, messages, bytes, last_ms, counted, count_round FROM stream"},
      insert_{on, "INSERT INTO stream (name, subjects, max_age_ms, max_bytes, max_msgs, keep, max_msgs_per_subject, discard, paused,"
                  " first, last, oseq, bytes, last_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0, 0, 0)"},
      edit_{on, "UPDATE stream SET subjects = ?, max_age_ms = ?, max_bytes = ?, max_msgs = ?, keep = ?, max_msgs_per_subject = ?,"
                " discard = ?, paused = ? WHERE id = ?"},
      remove_{on, "DELETE FROM stream WHERE id = ?"},
      save_{on, "UPDATE stream SET first = ?, last = ?, newest = ?, oseq = ?, messages = ?, bytes = ?, last_ms = ?, counted = ?,"
                " count_round = ? WHERE id = ?"}
{
}

void stream_table::load()
{
    all_.clear();
    changed_.clear();
    auto rows = select_.query();
    while (rows.next()) {
        stream_entry entry;
        auto& state = entry.state;
        state.id = stream_id{static_cast<std::uint32_t>(rows.integer(0))};
        state.config.name = rows.string(1);
        state.config.subjects = split(rows.bytes(2), between_subjects);
        state.config.max_age_ms = rows.number(3);
        state.config.max_bytes = rows.number(4);
        state.config.max_msgs = rows.number(5);
        state.config.keep = rows.integer(6) == 0 ? retention::limits : retention::interest;
        state.config.max_msgs_per_subject = rows.number(7);
        state.config.when_full = rows.integer(8) == 0 ? discard::oldest : discard::newest;
        state.config.paused = rows.integer(9) != 0;
        state.first = rows.number(10);
        state.last = rows.number(11);
        entry.newest = rows.number(12);
        entry.oseq = rows.number(13);
        state.messages = rows.number(14);
        state.bytes = rows.number(15);
        state.last_ms = rows.number(16);
        entry.counted = rows.number(17);
        entry.count_round = rows.number(18);
        if (state.first == 0 || state.first > state.last + 1 || state.last > message_seq_max
            || state.messages > state.last + 1 - state.first || entry.newest > state.last)
            throw std::runtime_error{"the database is damaged: stream " + state.config.name + " has no sensible bounds"};
        all_.emplace(state.id, std::move(entry));
    }
}

stream_entry* stream_table::find(stream_id id)
{
    auto const at = all_.find(id);
    return at == all_.end() ? nullptr : &at->second;
}

stream_entry* stream_table::find(std::string_view name)
{
    for (auto& [id, entry] : all_)
        if (entry.state.config.name == name)
            return &entry;
    return nullptr;
}

stream_entry& stream_table::create(stream_config const& config)
{
    auto const subjects = joined(config.subjects, between_subjects);
    insert_.run(std::string_view{config.name}, std::string_view{subjects}, config.max_age_ms, config.max_bytes,
                config.max_msgs, static_cast<int>(config.keep), config.max_msgs_per_subject,
                static_cast<int>(config.when_full), config.paused);
    if (static_cast<std::uint64_t>(on_.last_rowid()) > stream_id_max)
        throw std::runtime_error{"the database has given out its last stream number"};
    stream_entry entry;
    entry.state.id = stream_id{static_cast<std::uint32_t>(on_.last_rowid())};
    entry.state.config = config;
    return all_.insert_or_assign(entry.state.id, std::move(entry)).first->second;
}

void stream_table::edit(stream_entry& entry, stream_config const& config)
{
    auto const subjects = joined(config.subjects, between_subjects);
    edit_.run(std::string_view{subjects}, config.max_age_ms, config.max_bytes, config.max_msgs, static_cast<int>(config.keep),
              config.max_msgs_per_subject, static_cast<int>(config.when_full), config.paused,
              static_cast<std::uint32_t>(entry.state.id));
    if (config.max_msgs_per_subject != entry.state.config.max_msgs_per_subject) {  // count afresh, from the oldest row
        entry.counted = 0;
        ++entry.count_round;
        changed(entry);
    }
    entry.state.config = config;
}

void stream_table::remove(stream_id id)
{
    remove_.run(static_cast<std::uint32_t>(id));
    all_.erase(id);
}

void stream_table::changed(stream_entry& entry)
{
    if (!entry.changed) {
        entry.changed = true;
        changed_.push_back(entry.state.id);
    }
}

void stream_table::save()
{
    for (auto const id : changed_) {
        auto* const entry = find(id);
        if (entry == nullptr)
            continue;  // removed in the same transaction
        auto const& state = entry->state;
        save_.run(state.first, state.last, entry->newest, entry->oseq, state.messages, state.bytes, state.last_ms,
                  entry->counted, entry->count_round, static_cast<std::uint32_t>(id));
        entry->changed = false;
    }
    changed_.clear();
}

}  // namespace kedge::sqlite
