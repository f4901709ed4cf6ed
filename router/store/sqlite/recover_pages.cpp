#include "router/store/sqlite/recover_pages.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <set>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "router/store/sqlite/segment.hpp"

namespace kedge::sqlite {

namespace {

// SQLite file format, §1.5 to §2.1.
constexpr std::size_t local_max = page_bytes - 35;  // of a payload, in a leaf of a table
constexpr std::size_t local_min = (page_bytes - 12) * 32 / 255 - 23;
constexpr std::uint64_t payload_max = 64 * 1024 * 1024;

/// Bytes that may say anything.
class reader {
public:
    explicit reader(std::string_view bytes, std::size_t at = 0) : bytes_{bytes}, at_{at} {}

    std::uint64_t number(std::size_t bytes)
    {
        std::uint64_t value = 0;
        for (auto const c : take(bytes))
            value = value << 8 | static_cast<unsigned char>(c);
        return value;
    }
    /// High bits first, the ninth byte whole.
    std::uint64_t varint()
    {
        std::uint64_t value = 0;
        for (int i = 0; i < 9; ++i) {
            auto const byte = number(1);
            if (i == 8)
                return value << 8 | byte;
            value = value << 7 | (byte & 0x7f);
            if (byte < 0x80)
                break;
        }
        return value;
    }
    std::string_view take(std::uint64_t size)
    {
        if (at_ > bytes_.size() || size > bytes_.size() - at_)
            throw std::out_of_range{"cut off"};
        at_ += static_cast<std::size_t>(size);
        return bytes_.substr(at_ - static_cast<std::size_t>(size), static_cast<std::size_t>(size));
    }
    std::size_t at() const { return at_; }

private:
    std::string_view bytes_;
    std::size_t at_;
};

struct value {
    enum class kind : unsigned char { null, integer, text, blob } what = kind::null;
    std::int64_t number = 0;
    std::string_view bytes;
};

/// The values of a record, if it has so many columns as the log ever had.
std::optional<std::vector<value>> unpack(std::string_view record)
{
    constexpr std::size_t columns_min = 9;   // version 1
    constexpr std::size_t columns_max = 10;
    reader head{record};
    auto const head_end = head.varint();
    reader body{record, static_cast<std::size_t>(head_end)};
    std::vector<value> values;
    while (head.at() < head_end) {
        auto const type = head.varint();
        value next;
        if (type >= 12) {
            next.what = type % 2 == 0 ? value::kind::blob : value::kind::text;
            next.bytes = body.take((type - 12) / 2);
        } else if (type == 8 || type == 9) {
            next.what = value::kind::integer;
            next.number = type == 9;
        } else if (type >= 1 && type <= 6) {
            constexpr std::array<std::size_t, 7> sizes{0, 1, 2, 3, 4, 6, 8};
            next.what = value::kind::integer;
            next.number = static_cast<std::int64_t>(body.number(sizes[type]) << (64 - 8 * sizes[type])) >> (64 - 8 * sizes[type]);
        } else if (type != 0) {
            return std::nullopt;
        }
        values.push_back(next);
        if (values.size() > columns_max)
            return std::nullopt;
    }
    if (values.size() < columns_min)
        return std::nullopt;
    values.resize(columns_max);
    return values;
}

bool is_row(std::vector<value> const& v)
{
    using kind = value::kind;
    auto const may = [](value const& of, kind what) { return of.what == kind::null || of.what == what; };
    return v[0].what == kind::null && v[1].what == kind::integer && v[2].what == kind::integer && v[3].what == kind::integer
        && may(v[4], kind::integer) && may(v[5], kind::text) && may(v[6], kind::text) && may(v[7], kind::text) && v[8].what == kind::blob
        && may(v[9], kind::blob);
}

class page_scan {
public:
    page_scan(std::string const& damaged, database& to)
        : file_{damaged, std::ios::binary}, to_{to}, insert_{to, "INSERT OR IGNORE INTO log (id, subject, sender, time_ms, oseq, message_id,"
                                                                 " reply_to, headers, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"},
          with_posts_{to.number("SELECT count(*) FROM pragma_table_info('log') WHERE name = 'recipients'") != 0}
    {
        if (with_posts_)
            recipients_.emplace(to, "UPDATE log SET recipients = ? WHERE id = ?");
        file_.seekg(0, std::ios::end);
        pages_ = static_cast<std::uint64_t>(file_.tellg()) / page_bytes;
    }

    std::uint64_t run()
    {
        note_free();
        for (std::uint64_t page = 2; page <= pages_; ++page) {
            auto const bytes = read(page);
            if (bytes.front() != leaf_page || free_.contains(page))
                continue;
            auto const cells = reader{bytes, 3}.number(2);
            for (std::uint64_t i = 0; i < cells && 8 + 2 * i + 2 <= page_bytes; ++i)
                try {
                    look_at(bytes, static_cast<std::size_t>(reader{bytes, static_cast<std::size_t>(8 + 2 * i)}.number(2)));
                } catch (std::out_of_range const&) {  // a damaged cell
                }
        }
        return added_;
    }

private:
    std::string read(std::uint64_t page)
    {
        std::string bytes(page_bytes, '\0');
        if (page != 0 && page <= pages_) {
            file_.clear();
            file_.seekg(static_cast<std::streamoff>((page - 1) * page_bytes));
            file_.read(bytes.data(), page_bytes);
        }
        return bytes;
    }

    /// As far as the list can be read.
    void note_free()
    {
        auto const first = read(1);
        auto trunk = first.starts_with("SQLite format 3") ? reader{first, 32}.number(4) : 0;
        while (trunk != 0 && trunk <= pages_ && free_.insert(trunk).second) {
            auto const bytes = read(trunk);
            reader list{bytes};
            trunk = list.number(4);
            auto const leaves = list.number(4);
            for (std::uint64_t i = 0; i < leaves && list.at() < page_bytes; ++i)
                free_.insert(list.number(4));
        }
    }

    void look_at(std::string_view page, std::size_t at)
    {
        reader cell{page, at};
        auto const size = cell.varint();
        auto const key = cell.varint();
        if (size > payload_max || key >> 40 == 0 || key >> 40 > stream_id_max || seq_of(static_cast<std::int64_t>(key)) == 0)
            return;
        auto const whole = payload(cell, size);
        auto const values = unpack(whole);
        if (!values || !is_row(*values))
            return;
        auto const& v = *values;
        insert_.run(key, v[1].number, v[2].number, v[3].number, v[4].number, text_or_null{v[5].bytes}, text_or_null{v[6].bytes},
                    text_or_null{v[7].bytes}, blob{v[8].bytes});
        if (to_.changes() == 0)
            return;
        ++added_;
        if (with_posts_ && !v[9].bytes.empty())
            recipients_->run(blob{v[9].bytes}, key);
    }

    std::string payload(reader& cell, std::uint64_t size)
    {
        if (size <= local_max)
            return std::string{cell.take(size)};
        auto const fits = local_min + (size - local_min) % (page_bytes - 4);
        std::string whole{cell.take(fits <= local_max ? fits : local_min)};
        auto next = cell.number(4);
        for (std::uint64_t pages = 0; whole.size() < size; ++pages) {
            if (next < 2 || next > pages_ || pages > pages_)
                throw std::out_of_range{"cut off"};
            auto const bytes = read(next);
            reader more{bytes};
            next = more.number(4);
            whole.append(more.take(std::min<std::uint64_t>(page_bytes - 4, size - whole.size())));
        }
        return whole;
    }

    std::ifstream file_;
    database& to_;
    statement insert_;
    bool with_posts_;
    std::optional<statement> recipients_;  // not in version 1
    std::uint64_t pages_ = 0;
    std::set<std::uint64_t> free_;
    std::uint64_t added_ = 0;
};

}  // namespace

std::uint64_t add_rows_of_pages(std::string const& damaged, database& to)
{
    return page_scan{damaged, to}.run();
}

}  // namespace kedge::sqlite
