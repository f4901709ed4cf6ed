#include "router/store/sqlite/name_table.hpp"

#include <limits>

namespace kedge::sqlite {

namespace {

constexpr std::size_t cached_max = 65'536;  // names in each direction: about 10 MB at usual lengths

}  // namespace

name_table::name_table(database& on, std::string_view table)
    : on_{on},
      find_{on, {"SELECT id, used FROM ", table, " WHERE stream = ? AND text = ?"}},
      insert_{on, {"INSERT INTO ", table, " (stream, text, used) VALUES (?, ?, ?)"}},
      touch_{on, {"UPDATE ", table, " SET used = ? WHERE id = ?"}},
      text_{on, {"SELECT text FROM ", table, " WHERE id = ?"}},
      drop_unused_{on, {"DELETE FROM ", table, " WHERE id IN (SELECT id FROM ", table,
                        " WHERE stream = ? AND used < ? LIMIT ?)"}},
      drop_all_{on, {"DELETE FROM ", table, " WHERE id IN (SELECT id FROM ", table, " WHERE stream = ? LIMIT ?)"}}
{
}

name_table::known* name_table::cached(stream_id stream, std::string_view text)
{
    auto const in = by_text_.find(stream);
    if (in == by_text_.end())
        return nullptr;
    auto const at = in->second.find(text);
    return at == in->second.end() ? nullptr : &at->second;
}

void name_table::remember(stream_id stream, std::string_view text, known entry)
{
    if (texts_ >= cached_max) {
        by_text_.clear();
        texts_ = 0;
    }
    if (by_text_[stream].insert_or_assign(std::string{text}, entry).second)
        ++texts_;
}

name_id name_table::intern(stream_id stream, std::string_view text, std::uint64_t segment)
{
    auto* entry = cached(stream, text);
    if (entry == nullptr) {
        known found;
        {
            auto rows = find_.query(static_cast<std::uint32_t>(stream), text);
            if (rows.next())
                found = {static_cast<name_id>(rows.integer(0)), rows.number(1)};
        }
        if (found.id == 0) {
            insert_.run(static_cast<std::uint32_t>(stream), text, segment);
            if (on_.last_rowid() > std::numeric_limits<name_id>::max())
                throw std::runtime_error{"the database has too many names"};
            found = {static_cast<name_id>(on_.last_rowid()), segment};
        }
        remember(stream, text, found);
        entry = cached(stream, text);
    }
    if (segment >= entry->used + touch_segments) {
        touch_.run(segment, entry->id);
        entry->used = segment;
    }
    return entry->id;
}

name_id name_table::find(stream_id stream, std::string_view text)
{
    if (auto const* const entry = cached(stream, text))
        return entry->id;
    auto rows = find_.query(static_cast<std::uint32_t>(stream), text);
    return rows.next() ? static_cast<name_id>(rows.integer(0)) : 0;
}

bytes_ptr const& name_table::text(name_id id)
{
    if (auto const at = by_id_.find(id); at != by_id_.end())
        return at->second;
    ++texts_read_;
    auto rows = text_.query(id);
    if (!rows.next())
        throw std::runtime_error{"the database lacks a name that its rows use"};
    if (by_id_.size() >= cached_max)
        by_id_.clear();
    return by_id_.emplace(id, shared_bytes::copy_of(rows.bytes(0))).first->second;
}

std::int64_t name_table::drop_unused(stream_id stream, std::uint64_t first_segment, std::int64_t limit)
{
    if (first_segment < touch_segments)
        return 0;
    // A name with `used` u may stand in rows of up to u + touch_segments - 1.
    drop_unused_.run(static_cast<std::uint32_t>(stream), first_segment - touch_segments + 1, limit);
    auto const dropped = on_.changes();
    if (dropped != 0)
        forget();
    return dropped;
}

std::int64_t name_table::drop_all(stream_id stream, std::int64_t limit)
{
    drop_all_.run(static_cast<std::uint32_t>(stream), limit);
    auto const dropped = on_.changes();
    if (dropped != 0)
        forget();
    return dropped;
}

void name_table::forget()
{
    by_text_.clear();
    texts_ = 0;
    by_id_.clear();
}

}  // namespace kedge::sqlite
