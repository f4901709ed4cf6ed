#include "router/store/sqlite/id_journal.hpp"

#include <algorithm>
#include <limits>

#include "router/store/dedupe_window.hpp"
#include "router/store/sqlite/varint.hpp"

namespace kedge::sqlite {

namespace {

constexpr std::size_t slice_entries = 8192;
constexpr std::uint64_t overgrown = 2;   // times the total: when a pass begins
constexpr std::uint64_t read_factor = 4; // times the total: what `window` looks at, at most

}  // namespace

id_journal::id_journal(database& on, limits const& bounds)
    : on_{on},
      limits_{bounds},
      select_{on, "SELECT batch, entries, records FROM ids WHERE batch < ? ORDER BY batch DESC"},
      insert_{on, "INSERT INTO ids (newest_ms, entries, records) VALUES (?, ?, ?)"},
      replace_{on, "UPDATE ids SET newest_ms = ?, entries = ?, records = ? WHERE batch = ?"},
      delete_{on, "DELETE FROM ids WHERE batch = ?"},
      oldest_{on, "SELECT batch, newest_ms, entries FROM ids ORDER BY batch LIMIT 1"},
      totals_{on, "SELECT coalesce(sum(entries), 0) FROM ids"}
{
}

void id_journal::writer::add(record const& added)
{
    // [sender number; 0 = a new one, its text follows][stream; 0 = forget, nothing follows][seq][id][digest][time step]
    if (last_number_ == 0 || added.sender != last_sender_) {
        auto const [at, fresh] = senders_.try_emplace(std::string{added.sender}, senders_.size() + 1);
        last_sender_ = at->first;
        last_number_ = at->second;
        put_varint(bytes_, fresh ? 0 : last_number_);
        if (fresh)
            put_string(bytes_, added.sender);
    } else {
        put_varint(bytes_, last_number_);
    }
    put_varint(bytes_, static_cast<std::uint32_t>(added.stream));
    ++entries_;
    if (added.stream == stream_id{})
        return;
    put_varint(bytes_, added.seq);
    put_string(bytes_, added.id);
    put_fixed64(bytes_, added.digest);
    put_signed(bytes_, static_cast<std::int64_t>(added.time_ms - time_ms_));
    time_ms_ = added.time_ms;
    newest_ms_ = std::max(newest_ms_, added.time_ms);
}

void id_journal::writer::clear()
{
    bytes_.clear();
    senders_.clear();
    last_number_ = entries_ = newest_ms_ = time_ms_ = 0;
}

std::vector<id_journal::record> id_journal::unpack(std::string_view bytes)
{
    std::vector<record> records;
    std::vector<std::string_view> senders;
    std::uint64_t time_ms = 0;
    for (blob_reader reader{bytes}; !reader.empty();) {
        record next;
        auto const number = reader.varint();
        if (number == 0)
            senders.push_back(reader.string());
        else if (number > senders.size())
            throw std::runtime_error{"the database is damaged: an id without a sender"};
        next.sender = senders[number == 0 ? senders.size() - 1 : number - 1];
        next.stream = stream_id{static_cast<std::uint32_t>(reader.varint())};
        if (next.stream != stream_id{}) {
            next.seq = reader.varint();
            next.id = reader.string();
            next.digest = reader.fixed64();
            next.time_ms = time_ms += static_cast<std::uint64_t>(reader.signed_varint());
        }
        records.push_back(next);
    }
    return records;
}

std::vector<id_journal::batch> id_journal::older(std::int64_t below)
{
    std::vector<batch> found;
    std::size_t entries = 0;
    auto rows = select_.query(below);
    while (entries < slice_entries && rows.next()) {
        batch next{rows.integer(0), rows.string(2), {}};
        found.push_back(std::move(next));
        found.back().records = unpack(found.back().bytes);
        entries += found.back().records.size();
    }
    return found;
}

void id_journal::load()
{
    gathered_.clear();
    end_pass();
    auto rows = totals_.query();
    entries_ = rows.next() ? rows.number(0) : 0;
    oldest_ms_ = 0;
}

std::vector<remembered_id> id_journal::window(std::uint64_t now_ms, std::function<bool(stream_id)> const& known)
{
    // Entries that their own sender has outrun are left out while reading: a journal that waits for its pass must not
    // become as many strings.
    struct use {
        std::uint64_t count = 0;
        bool forgotten = false;
    };
    std::unordered_map<std::string, use> uses;
    std::vector<remembered_id> newest_first;
    std::uint64_t looked = 0;
    auto rows = select_.query(std::numeric_limits<std::int64_t>::max());
    while (looked < read_factor * limits_.dedupe_ids_total && rows.next()) {
        auto const records = unpack(rows.bytes(2));
        looked += records.size();
        use* last = nullptr;
        std::string_view last_sender;
        for (auto r = records.rbegin(); r != records.rend(); ++r) {
            if (last == nullptr || r->sender != last_sender) {
                last = &uses[std::string{r->sender}];
                last_sender = r->sender;
            }
            if (r->stream == stream_id{})
                last->forgotten = true;
            else if (!last->forgotten && r->time_ms + limits_.dedupe_ms > now_ms && known(r->stream)
                     && ++last->count <= limits_.dedupe_ids)
                newest_first.push_back({std::string{r->sender}, std::string{r->id}, r->stream, r->seq, r->digest, r->time_ms});
        }
    }
    return dedupe_window(std::move(newest_first), limits_, now_ms);
}

void id_journal::forget_sender(std::string_view name)
{
    gathered_.add({name, stream_id{}, 0, 0, 0, {}});
}

void id_journal::save()
{
    if (gathered_.entries() == 0)
        return;
    insert_.run(gathered_.newest_ms(), gathered_.entries(), blob{gathered_.bytes()});
    entries_ += gathered_.entries();
    gathered_.clear();
}

bool id_journal::idle(std::uint64_t now_ms) const
{
    return pass_ == pass::none && entries_ <= pass_due()
        && (entries_ == 0 || (oldest_ms_ != 0 && oldest_ms_ + limits_.dedupe_ms > now_ms));
}

std::uint64_t id_journal::pass_due() const
{
    // What a pass could not take away (entries that came meanwhile) must double before the next is worth its while.
    return overgrown * std::max(limits_.dedupe_ids_total, left_by_pass_);
}

bool id_journal::maintain(std::uint64_t now_ms)
{
    if (drop_expired(now_ms))
        return true;
    switch (pass_) {
    case pass::none:
        if (entries_ <= pass_due())
            return false;
        pass_ = pass::counting;
        pass_top_ = pass_below_ = on_.number("SELECT coalesce(max(batch), 0) + 1 FROM ids");
        return true;
    case pass::counting: return count_step(now_ms);
    case pass::rewriting: return rewrite_step(now_ms);
    }
    return false;
}

bool id_journal::drop_expired(std::uint64_t now_ms)
{
    // From the oldest end only: a record that forgets a sender must outlive what it forgets.
    for (std::size_t dropped = 0; dropped < slice_entries;) {
        std::int64_t number = 0;
        std::uint64_t entries = 0;
        {
            auto rows = oldest_.query();
            if (!rows.next()) {
                entries_ = oldest_ms_ = 0;
                return false;
            }
            number = rows.integer(0);
            oldest_ms_ = std::max<std::uint64_t>(rows.number(1), 1);
            entries = rows.number(2);
        }
        if (oldest_ms_ + limits_.dedupe_ms > now_ms)
            return false;
        delete_.run(number);
        entries_ -= std::min(entries_, entries);
        dropped += entries + 1;
    }
    return true;
}

bool id_journal::count_step(std::uint64_t now_ms)
{
    auto const batches = older(pass_below_);
    for (auto const& b : batches) {
        for (auto r = b.records.rbegin(); r != b.records.rend(); ++r) {
            auto const [at, fresh] = senders_.try_emplace(std::string{r->sender}, sender_use{allowed_.size(), false});
            if (fresh)
                allowed_.push_back(0);
            auto& use = at->second;
            if (r->stream == stream_id{})
                use.forgotten = true;
            else if (!use.forgotten && r->time_ms + limits_.dedupe_ms > now_ms && allowed_[use.place] < limits_.dedupe_ids)
                ++allowed_[use.place];
        }
        pass_below_ = b.number;
    }
    if (!batches.empty())
        return true;
    auto room = limits_.dedupe_ids_total;
    for (auto& count : allowed_) {
        count = std::min(count, room);
        room -= count;
    }
    pass_ = pass::rewriting;
    pass_below_ = pass_top_;
    return true;
}

bool id_journal::rewrite_step(std::uint64_t now_ms)
{
    auto const batches = older(pass_below_);
    if (batches.empty()) {
        end_pass();
        left_by_pass_ = entries_;
        return false;
    }
    std::vector<record> kept;  // newest first
    for (auto const& b : batches) {
        for (auto r = b.records.rbegin(); r != b.records.rend(); ++r) {
            auto const at = senders_.find(std::string{r->sender});
            if (r->stream == stream_id{}) {
                kept.push_back(*r);  // until its time is over: what it forgets may stand below
                continue;
            }
            if (at == senders_.end() || allowed_[at->second.place] == 0 || r->time_ms + limits_.dedupe_ms <= now_ms)
                continue;
            --allowed_[at->second.place];
            kept.push_back(*r);
        }
        entries_ -= std::min(entries_, static_cast<std::uint64_t>(b.records.size()));
    }
    writer merged;
    for (auto r = kept.rbegin(); r != kept.rend(); ++r)
        merged.add(*r);
    for (auto const& b : batches)
        if (&b != &batches.front() || merged.entries() == 0)
            delete_.run(b.number);
    if (merged.entries() != 0)
        replace_.run(std::max<std::uint64_t>(merged.newest_ms(), 1), merged.entries(), blob{merged.bytes()},
                     batches.front().number);
    entries_ += merged.entries();
    oldest_ms_ = 0;
    pass_below_ = batches.back().number;
    return true;
}

void id_journal::end_pass()
{
    pass_ = pass::none;
    senders_.clear();
    allowed_.clear();
}

}  // namespace kedge::sqlite
