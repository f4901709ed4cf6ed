#include "router/store/sqlite/mirror_table.hpp"

#include <algorithm>
#include <stdexcept>

#include "router/store/sqlite/consumer_table.hpp"
#include "router/store/sqlite/segment.hpp"

namespace kedge::sqlite {

namespace {

constexpr std::size_t floor_look_max = 16'384;    // placed rows that one slice passes: some milliseconds
constexpr std::int64_t removed_places_max = 1000;
constexpr int journal_note = 0;
constexpr int lanes_note = 1;

void lower(std::uint64_t& count, std::uint64_t by) { count -= std::min(count, by); }

}  // namespace

mirror_table::mirror_table(database& on, limits const& bounds)
    : on_{on},
      limits_{bounds},
      select_{on, "SELECT id, stream, start, checkpoint, stamp, generation, floor, waiting_rows, waiting_bytes, keep,"
                  " (SELECT text FROM mirror_note WHERE mirror = id AND kind = 0), (SELECT text FROM mirror_note WHERE mirror = id AND kind = 1)"
                  " FROM mirror"},
      insert_{on, "INSERT INTO mirror (stream, start, checkpoint, stamp, generation, floor, waiting_rows, waiting_bytes, keep)"
                  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"},
      save_{on, "UPDATE mirror SET checkpoint = ?, stamp = ?, generation = ?, floor = ?, waiting_rows = ?, waiting_bytes = ?, keep = ?"
                " WHERE id = ?"},
      remove_{on, "DELETE FROM mirror WHERE id = ?"},
      note_{on, "INSERT OR REPLACE INTO mirror_note VALUES (?, ?, ?)"},
      remove_notes_{on, "DELETE FROM mirror_note WHERE mirror = ?"},
      garbage_{on, "INSERT OR IGNORE INTO garbage VALUES (?, ?)"},
      delete_some_{on, "DELETE FROM placed WHERE key IN (SELECT key FROM placed WHERE key BETWEEN ? AND ? LIMIT ?)"},
      place_{on, "INSERT OR IGNORE INTO placed VALUES (?, ?, ?)"},
      knows_{on, "SELECT 1 FROM placed WHERE place = ?"},
      seq_known_{on, "SELECT 1 FROM placed WHERE key = ?"},
      keys_{on, "SELECT key FROM placed WHERE key BETWEEN ? AND ? ORDER BY key"},
      next_row_{on, "SELECT id FROM log WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1"},
      delete_rows_{on, "DELETE FROM placed WHERE key BETWEEN ? AND ?"},
      delete_places_{on, "DELETE FROM placed WHERE place BETWEEN ? AND ?"},
      upwards_{on, "SELECT key, place, stamp FROM placed WHERE place BETWEEN ? AND ? ORDER BY place LIMIT ?"},
      downwards_{on, "SELECT key, place, stamp FROM placed WHERE place BETWEEN ? AND ? ORDER BY place DESC LIMIT ?"}
{
}

void mirror_table::load(stream_table& streams)
{
    all_.clear();
    auto rows = select_.query();
    while (rows.next()) {
        auto* const of = streams.find(stream_id{static_cast<std::uint32_t>(rows.integer(1))});
        if (of == nullptr)
            continue;
        auto& entry = all_[of->state.id];
        entry.number = rows.number(0);
        entry.state = {of->state.id,   rows.number(2), rows.number(3), rows.number(4),      rows.number(5), rows.number(6),
                       rows.number(7), rows.number(8), rows.integer(9) != 0, rows.string(10), rows.string(11)};
        entry.behind = true;
        marks_[entry.number].lower(entry.state.floor);
        spare(entry);
        of->mirror = &entry;
    }
}

std::vector<mirror_state> mirror_table::states() const
{
    std::vector<mirror_state> list;
    for (auto const& [id, entry] : all_)
        list.push_back(entry.state);
    return list;
}

void mirror_table::create(stream_entry& of, mirror_state const& wanted, count waiting)
{
    auto const id = of.state.id;
    insert_.run(static_cast<std::uint32_t>(id), wanted.start, wanted.checkpoint, wanted.stamp, wanted.generation, wanted.start - 1,
                waiting.rows, waiting.bytes, wanted.keep);
    if (static_cast<std::uint64_t>(on_.last_rowid()) > stream_id_max)
        throw std::runtime_error{"the database has given out its last number of a mirror"};
    auto& entry = all_[id] = {static_cast<std::uint64_t>(on_.last_rowid()), wanted};
    entry.state.stream = id;
    entry.state.floor = wanted.start - 1;
    entry.state.waiting_rows = waiting.rows;
    entry.state.waiting_bytes = waiting.bytes;
    put_note(entry, journal_note, wanted.journal);
    put_note(entry, lanes_note, wanted.lanes);
    of.mirror = &entry;
    spare(entry);
}

void mirror_table::edit(mirror_entry& entry, bool keep, std::string const& journal)
{
    entry.state.keep = keep;
    entry.changed = true;
    spare(entry);
    if (entry.state.journal != journal) {
        put_note(entry, journal_note, journal);
        entry.state.journal = journal;
    }
}

void mirror_table::remove(stream_entry& of)
{
    auto const number = of.mirror->number;
    remove_.run(number);
    remove_notes_.run(number);
    garbage_.run(static_cast<int>(garbage_kind::places), number);
    marks_.erase(number);
    all_.erase(of.state.id);
    of.mirror = nullptr;
}

bool mirror_table::remove_slice(std::int64_t number)
{
    delete_some_.run(number << 40, (number + 1) << 40, removed_places_max);
    return on_.changes() == removed_places_max;
}

void mirror_table::put_note(mirror_entry const& of, int kind, std::string const& text)
{
    note_.run(of.number, kind, std::string_view{text});
}

void mirror_table::save()
{
    for (auto& [id, entry] : all_) {
        if (!entry.changed)
            continue;
        auto const& state = entry.state;
        save_.run(state.checkpoint, state.stamp, state.generation, state.floor, state.waiting_rows, state.waiting_bytes, state.keep,
                  entry.number);
        entry.changed = false;
    }
}

mirror_table::met mirror_table::place(mirror_entry& of, message_seq seq, std::uint64_t bytes, jet_place place, std::uint64_t stamp)
{
    place_.run(key(of, seq), key(of, place), stamp);
    if (on_.changes() == 0)
        return knows(of, place) ? met::known : met::taken;
    auto& state = of.state;
    if (seq >= state.start) {
        lower(state.waiting_rows, 1);
        lower(state.waiting_bytes, bytes);
    }
    if (seq == state.floor + 1)
        state.floor = seq;
    of.changed = true;
    return met::placed;
}

bool mirror_table::place_next(mirror_entry& of, message_seq seq, jet_place place, std::uint64_t stamp)
{
    place_.run(key(of, seq), key(of, place), stamp);
    if (on_.changes() == 0)
        return false;
    if (of.state.waiting_rows == 0)
        of.state.floor = seq;
    of.changed = true;
    return true;
}

bool mirror_table::knows(mirror_entry const& of, jet_place place)
{
    auto rows = knows_.query(key(of, place));
    return rows.next();
}

void mirror_table::move_checkpoint(mirror_entry& of, jet_place to, std::uint64_t stamp, std::string const& lanes)
{
    of.state.checkpoint = to;
    of.state.stamp = stamp;
    of.changed = true;
    if (of.state.lanes != lanes) {
        put_note(of, lanes_note, lanes);
        of.state.lanes = lanes;
    }
}

void mirror_table::raise_floor(mirror_entry& of, message_seq last)
{
    auto& floor = of.state.floor;
    of.behind = false;
    if (of.state.waiting_rows == 0) {
        floor = std::max(floor, last);
    } else {
        // Placed rows are passed one by one; rows that are gone by asking the log for the next that is there.
        auto const next_there = [&](message_seq from) {
            auto rows = next_row_.query(row_key(of.state.stream, from), row_key(of.state.stream, last));
            return rows.next() ? seq_of(rows.integer(0)) : last + 1;
        };
        std::size_t looked = 0;
        bool stopped = false;
        each_placed(of, floor + 1, last, [&](message_seq placed) {
            if (placed != floor + 1) {
                floor = next_there(floor + 1) - 1;
                stopped = floor + 1 < placed;
                if (stopped)
                    return false;
            }
            floor = placed;
            of.behind = ++looked == floor_look_max;
            return !of.behind;
        });
        if (!stopped && !of.behind)
            floor = next_there(floor + 1) - 1;
    }
}

void mirror_table::leaves(mirror_entry& of, message_seq seq, std::uint64_t bytes)
{
    auto& state = of.state;
    if (seq < state.start || seq <= state.floor)
        return;
    auto rows = seq_known_.query(key(of, seq));
    if (rows.next())
        return;
    lower(state.waiting_rows, 1);
    lower(state.waiting_bytes, bytes);
    of.changed = true;
}

void mirror_table::left(mirror_entry& of, message_seq from, message_seq to)
{
    delete_rows_.run(key(of, from), key(of, to));
    of.changed = of.behind = true;
}

std::vector<mirror_table::found> mirror_table::places(mirror_entry const& of, jet_place from, jet_place to, std::size_t most, bool downwards)
{
    std::vector<found> list;
    if (from > to || from > jet_place_max)
        return list;
    auto rows = (downwards ? downwards_ : upwards_).query(key(of, from), key(of, std::min(to, jet_place_max)), most);
    while (rows.next())
        list.push_back({static_cast<std::uint64_t>(rows.integer(1)) & jet_place_max, rows.number(2), seq_of(rows.integer(0))});
    return list;
}

void mirror_table::take_back(mirror_entry& of, jet_place lowest, message_seq lowest_row, count waiting)
{
    delete_places_.run(key(of, lowest), key(of, jet_place_max));
    auto& state = of.state;
    state.waiting_rows += waiting.rows;
    state.waiting_bytes += waiting.bytes;
    state.floor = std::max(std::min(state.floor, lowest_row - 1), state.start - 1);
    marks_[of.number].lower(state.floor);
    spare(of);
    of.changed = true;
}

void mirror_table::note_floors(std::uint64_t now_ms)
{
    for (auto& [id, entry] : all_) {
        marks_[entry.number].note(now_ms, entry.state.floor, limits_.mirror_sync_ms);
        spare(entry);
    }
}

void mirror_table::spare(mirror_entry& of)
{
    of.may_go_up_to = of.state.keep ? marks_[of.number].up_to() : message_seq_max;
}

mirror_entry* mirror_table::behind()
{
    auto const at = std::ranges::find_if(all_, [](auto const& each) { return each.second.behind; });
    return at == all_.end() ? nullptr : &at->second;
}

}  // namespace kedge::sqlite
