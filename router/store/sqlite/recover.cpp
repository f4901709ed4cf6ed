#include "router/store/sqlite/recover.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <utility>

#include "router/store/sqlite/check.hpp"
#include "router/store/sqlite/recover_mend.hpp"
#include "router/store/sqlite/recover_pages.hpp"
#include "router/store/sqlite/recover_schema.hpp"
#include "router/store/sqlite/schema.hpp"
#include "router/store/sqlite/segment.hpp"

namespace kedge::sqlite {

namespace {

// So many neighbours of an unreadable row are tried one by one, so that no page between two damaged ones is passed over;
// then the steps grow.
constexpr int single_steps = 4096;

bool damage(error const& failed)
{
    return failed.primary() == SQLITE_CORRUPT || failed.primary() == SQLITE_IOERR || failed.primary() == SQLITE_NOTADB;
}

/// The columns of a table of the new database, in order: what is copied.
struct table_shape {
    std::string name;
    std::vector<std::string> columns;
    std::vector<std::string> key;  ///< of a table without rowid; empty = it has one
};

std::vector<table_shape> shapes_of(database& fresh)
{
    std::vector<table_shape> all;
    statement tables{fresh, "SELECT name, sql LIKE '%WITHOUT ROWID' FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"};
    auto rows = tables.query();
    while (rows.next()) {
        table_shape shape{rows.string(0), {}, {}};
        statement columns{fresh, "SELECT name, pk FROM pragma_table_info(?) ORDER BY cid"};
        auto each = columns.query(std::string_view{shape.name});
        while (each.next()) {
            shape.columns.push_back('"' + each.string(0) + '"');
            if (rows.integer(1) != 0 && each.integer(1) != 0)
                shape.key.push_back(shape.columns.back());
        }
        all.push_back(std::move(shape));
    }
    return all;
}

std::string list_of(std::vector<std::string> const& words, std::string const& after = {})
{
    std::string all;
    for (auto const& word : words)
        all += (all.empty() ? "" : ", ") + word + after;
    return all;
}

/// Copies one table, statement by statement: what a statement of SQLite's own has read before it fails is kept.
class table_copy {
public:
    table_copy(database& from, database& to, table_shape shape, recovery& report)
        : from_{from}, to_{to}, shape_{std::move(shape)}, report_{report},
          insert_{to, {"INSERT OR IGNORE INTO ", shape_.name, " (", list_of(shape_.columns), ") VALUES (", places(), ")"}}
    {
    }

    void run()
    {
        if (shape_.key.empty())
            by_rowid();
        else
            from_both_ends();
        if (copied_ != 0)
            report_.saved.push_back(shape_.name + ": " + std::to_string(copied_) + " rows");
    }

private:
    std::string places() const
    {
        std::string all = "?1";
        for (std::size_t i = 2; i <= shape_.columns.size(); ++i)
            all += ", ?" + std::to_string(i);
        return all;
    }

    /// The rows of `order`, as far as they can be read. False: not to the end. `last` becomes the first column of the last row.
    bool read(std::string const& order, std::int64_t from, std::int64_t& last)
    try {
        auto const with_rowid = shape_.key.empty();
        statement all{from_, {"SELECT ", with_rowid ? "rowid, " : "", list_of(shape_.columns), " FROM ", shape_.name, " NOT INDEXED ", order}};
        auto* const values = all.handle();
        if (with_rowid)
            sqlite3_bind_int64(values, 1, from);
        int code = SQLITE_OK;
        while ((code = sqlite3_step(values)) == SQLITE_ROW) {
            put(values, with_rowid ? 1 : 0);
            if (with_rowid)
                last = sqlite3_column_int64(values, 0);
        }
        if (code != SQLITE_DONE)
            from_.fail(code);
        return true;
    } catch (error const& failed) {
        if (!damage(failed))
            throw;
        return false;
    }

    void put(sqlite3_stmt* values, int first)
    {
        auto* const to = insert_.handle();
        for (std::size_t i = 0; i < shape_.columns.size(); ++i)
            sqlite3_bind_value(to, static_cast<int>(i) + 1, sqlite3_column_value(values, first + static_cast<int>(i)));
        auto const code = sqlite3_step(to);
        sqlite3_reset(to);
        if (code == SQLITE_DONE)
            copied_ += static_cast<std::uint64_t>(to_.changes());
        else if ((code & 0xff) != SQLITE_CONSTRAINT && (code & 0xff) != SQLITE_MISMATCH)  // else: not a row of ours
            throw std::runtime_error{std::string{"the new database cannot be written: "} + sqlite3_errstr(code)};
    }

    void by_rowid()
    {
        auto last = std::numeric_limits<std::int64_t>::min();
        auto from = last;
        while (!read("WHERE rowid >= ? ORDER BY rowid", from, last)) {
            auto const gap = last == std::numeric_limits<std::int64_t>::min() ? last : last + 1;
            auto const begin = std::max<std::int64_t>(gap, 0);
            auto const next = behind(begin);
            tell_gap(begin, next);
            if (next == 0)
                break;
            from = next;
            last = next - 1;
        }
    }

    /// The first row from `gap` up that can be read again; 0: none can.
    std::int64_t behind(std::int64_t gap)
    {
        statement one{from_, {"SELECT rowid FROM ", shape_.name, " NOT INDEXED WHERE rowid >= ? ORDER BY rowid LIMIT 1"}};
        auto const try_at = [&](std::int64_t at) -> std::int64_t {
            try {
                auto rows = one.query(at);
                return rows.next() ? rows.integer(0) : 0;
            } catch (error const& failed) {
                if (!damage(failed))
                    throw;
                return -1;
            }
        };
        std::int64_t step = 1;
        std::int64_t failed_at = gap;
        for (int tried = 1;; ++tried) {
            if (failed_at > std::numeric_limits<std::int64_t>::max() - step)
                return 0;
            auto at = failed_at + step;
            auto found = try_at(at);
            if (found >= 0) {
                while (at - failed_at > 1) {  // the steps had grown: look for the first between them
                    auto const middle = failed_at + (at - failed_at) / 2;
                    if (auto const earlier = try_at(middle); earlier >= 0) {
                        at = middle;
                        found = earlier;
                    } else {
                        failed_at = middle;
                    }
                }
                return found;
            }
            failed_at = at;
            if (tried >= single_steps)
                step *= 2;
        }
    }

    /// Upwards to the damage, then downwards to it.
    void from_both_ends()
    {
        std::int64_t unused = 0;
        if (!read("ORDER BY " + list_of(shape_.key), 0, unused)) {
            read("ORDER BY " + list_of(shape_.key, " DESC"), 0, unused);
            report_.lost.push_back(shape_.name + ": some rows could not be read");
        }
    }

    void tell_gap(std::int64_t from, std::int64_t next)
    {
        auto const name = [&](std::int64_t key) {
            auto const stream = key >> 40;
            return shape_.name == "log" && stream != 0 ? "row " + std::to_string(seq_of(key)) + " of stream number " + std::to_string(stream)
                                                       : std::to_string(key);
        };
        report_.lost.push_back(shape_.name + ": could not be read from " + name(from)
                               + (next == 0 ? " to the end" : " to before " + name(next)));
    }

    database& from_;
    database& to_;
    table_shape shape_;
    recovery& report_;
    statement insert_;
    std::uint64_t copied_ = 0;
};

/// Numbers that were given are not given again.
void copy_counters(database& from, database& to)
try {
    statement given{from, "SELECT name, seq FROM sqlite_sequence"};
    statement raise{to, "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1"};
    statement begin{to, "INSERT INTO sqlite_sequence SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1)"};
    auto rows = given.query();
    while (rows.next()) {
        raise.run(rows.bytes(0), rows.integer(1));
        begin.run(rows.bytes(0), rows.integer(1));
    }
} catch (error const& failed) {
    if (!damage(failed))
        throw;
}

/// Where the tables begin is not known.
class schema_lost : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

bool knows(database& from, std::string const& table)
try {
    statement const probe{from, {"SELECT 1 FROM ", table}};
    return true;
} catch (error const&) {
    return false;
}

/// `partly`: tables that are not known are left out.
void copy(database& from, std::string const& fresh, bool partly, recovery& report)
{
    report = {};
    ::unlink(fresh.c_str());
    database to{fresh, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE};
    to.run("PRAGMA page_size=4096");
    to.run("PRAGMA journal_mode=MEMORY");  // of no use before it is whole
    to.run("PRAGMA synchronous=OFF");
    auto const version = from.number("PRAGMA user_version");
    auto const steps = schema_steps();
    if (version < 1 || version > static_cast<std::int64_t>(steps.size()))
        throw std::runtime_error{"it has schema version " + std::to_string(version) + ", and this program knows 1 to "
                                 + std::to_string(steps.size())};
    upgrade(to, steps.first(static_cast<std::size_t>(version)));
    to.run("PRAGMA application_id=" + std::to_string(application_id));
    {
        transaction whole{to, transaction::kind::write};
        for (auto& shape : shapes_of(to)) {
            if (shape.name == "posting")  // made again
                continue;
            if (knows(from, shape.name)) {
                table_copy one{from, to, shape, report};
                one.run();
            } else if (partly) {
                report.lost.push_back(shape.name + ": where it begins is not known any more");
            } else {
                throw schema_lost{"the list of its tables is damaged"};
            }
        }
        copy_counters(from, to);
        auto const gap = [](auto const& each) { return each.starts_with("log: "); };
        if (std::ranges::any_of(report.lost, gap))
            if (auto const more = add_rows_of_pages(from.text("SELECT file FROM pragma_database_list WHERE name = 'main'"), to); more != 0)
                report.saved.push_back("log: " + std::to_string(more) + " more rows, of pages that no other leads to");
        whole.commit();
    }
    upgrade(to, steps);
    mend(to, report);
}

/// Opened for reading alone, whatever is wrong with it.
std::unique_ptr<database> open_damaged(std::string const& path)
{
    auto from = std::make_unique<database>(path, SQLITE_OPEN_READWRITE);
    sqlite3_db_config(from->handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    from->run("PRAGMA locking_mode=EXCLUSIVE");
    from->run("PRAGMA writable_schema=ON");  // a schema that is damaged in part is used in part
    if (from->number("PRAGMA application_id") != application_id)
        throw std::runtime_error{"it is a database of another program"};
    return from;
}

/// A file that is there as long as the object; with its log.
class spare_file {
public:
    explicit spare_file(std::string path) : path_{std::move(path)} {}
    ~spare_file()
    {
        for (char const* const suffix : {"", "-wal"})
            ::unlink((path_ + suffix).c_str());
    }
    spare_file(spare_file const&) = delete;
    spare_file& operator=(spare_file const&) = delete;
    std::string const& path() const { return path_; }

private:
    std::string path_;
};

void copy_with_new_list(std::string const& damaged, std::string const& fresh, recovery& report)
{
    spare_file const whole{fresh + ".source"};
    copy_with_new_schema(damaged, whole.path());
    auto const from = open_damaged(whole.path());
    copy(*from, fresh, false, report);
    report.lost.push_back("the list of tables could not be read: a new database's was taken");
}

}  // namespace

recovery recover_file(std::string const& damaged, std::string const& fresh)
{
    recovery report;
    try {
        std::string why;
        try {
            auto const from = open_damaged(damaged);
            copy(*from, fresh, false, report);
        } catch (schema_lost const& lost) {
            why = lost.what();
        } catch (error const& failed) {
            if (!damage(failed))
                throw;
            why = failed.what();
        }
        if (!why.empty()) {
            try {
                copy_with_new_list(damaged, fresh, report);
            } catch (std::runtime_error const&) {
                auto const from = open_damaged(damaged);
                copy(*from, fresh, true, report);
            }
        }
        std::atomic<bool> const stop = false;
        for (auto const& finding : check_file(fresh, stop).findings)
            report.lost.push_back("still wrong: " + finding);
        return report;
    } catch (error const& failed) {
        ::unlink(fresh.c_str());
        throw std::runtime_error{damaged + " cannot be recovered: " + failed.what() + ". Put a backup in its place"};
    } catch (std::runtime_error const& failed) {
        ::unlink(fresh.c_str());
        throw std::runtime_error{damaged + " cannot be recovered: " + failed.what()};
    }
}

}  // namespace kedge::sqlite
