/// What is asked of single rows and of the whole log of a stream without reading messages: times, sizes, the ends.

#include <algorithm>
#include <stdexcept>

#include "router/store/row_bytes.hpp"
#include "router/store/sqlite/log_table.hpp"

namespace kedge::sqlite {

std::optional<std::uint64_t> log_table::bytes_of(stream_entry const& entry, message_seq seq)
{
    auto rows = one_size_.query(row_key(entry.state.id, seq));
    if (!rows.next())
        return std::nullopt;
    return rows.number(0) + row_bytes_fixed;
}

mirror_table::count log_table::count_from(stream_entry const& entry, message_seq from)
{
    auto const& state = entry.state;
    auto const between = [&](message_seq first, message_seq last) {
        mirror_table::count found;
        if (first > last)
            return found;
        auto rows = totals_.query(row_key(state.id, first), row_key(state.id, last));
        if (rows.next())
            found = {rows.number(0), rows.number(1) + rows.number(0) * row_bytes_fixed};
        return found;
    };
    if (from > state.first && state.last - std::min(from, state.last) < from - state.first)
        return between(from, state.last);
    auto const below = between(state.first, from - 1);
    return {state.messages - below.rows, state.bytes - below.bytes};
}

std::uint64_t log_table::time_of(stream_entry const& entry, message_seq seq)
{
    auto rows = time_.query(row_key(entry.state.id, seq));
    if (!rows.next())
        throw std::runtime_error{"the database is damaged: a row is missing"};
    return rows.number(0);
}

message_seq log_table::first_at(stream_entry const& entry, std::uint64_t time_ms)
{
    // Times never fall along a stream: look by halves. Where rows are missing the next one stands for them.
    auto const end = entry.state.last + 1;
    auto low = entry.state.first;
    auto high = end;
    auto found = end;
    while (low < high) {
        auto const middle = low + (high - low) / 2;
        auto rows = at_or_after_.query(row_key(entry.state.id, middle), row_key(entry.state.id, high - 1));
        if (!rows.next()) {
            high = middle;
        } else if (rows.number(1) < time_ms) {
            low = seq_of(rows.integer(0)) + 1;
        } else {
            found = seq_of(rows.integer(0));
            high = middle;
        }
    }
    return found;
}

void log_table::check_newest(stream_entry const& entry)
{
    auto const& state = entry.state;
    auto rows = newest_.query(row_key(state.id, 0), row_key(state.id, message_seq_max));
    auto const found = rows.next() ? seq_of(rows.integer(0)) : 0;
    if (found != entry.newest || (found == 0) != (state.messages == 0))
        throw std::runtime_error{"the database is damaged: the log of stream " + state.config.name + " does not end at "
                                 + std::to_string(entry.newest)};
    if (state.messages != 0)
        time_of(entry, state.first);
}

}  // namespace kedge::sqlite
