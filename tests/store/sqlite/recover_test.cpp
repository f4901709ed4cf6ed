/// What is saved of a damaged database.

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "router/store/sqlite/check.hpp"
#include "router/store/sqlite/database.hpp"
#include "router/store/sqlite/recover.hpp"
#include "tests/store/mirror_requests.hpp"
#include "tests/store/sqlite/fault_disk.hpp"
#include "tests/store/sqlite/file_fixture.hpp"
#include "tests/store/sqlite/work_of_every_kind.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

constexpr std::size_t page_bytes = 4096;

std::string bytes_of(std::string const& path)
{
    std::ifstream in{path, std::ios::binary};
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

void overwrite(std::string const& path, std::uintmax_t page, std::string const& with)
{
    std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
    file.seekp(static_cast<std::streamoff>(page * page_bytes));
    file << with;
}

/// Everything that is in the database, as text; without what its parts count of each other's rows in their own time.
std::string content(std::string const& path)
{
    sqlite::database on{path, SQLITE_OPEN_READWRITE};
    on.run("PRAGMA locking_mode=EXCLUSIVE");
    std::string all;
    for (char const* const table :
         {"meta", "stream", "log", "subject", "sender", "posting", "consumer", "dead", "node", "node_n", "ids", "mailbox", "usage", "user",
          "user_limit", "user_key", "rule", "ban", "alias", "list", "list_member", "audit", "mirror", "mirror_note", "placed", "sqlite_sequence"}) {
        std::string columns;
        {
            sqlite::statement names{on, "SELECT name FROM pragma_table_info(?) WHERE name NOT IN ('used', 'newest', 'counted', 'count_round')"};
            auto rows = names.query(std::string_view{table});
            while (rows.next())
                columns += (columns.empty() ? "quote(\"" : " || ' ' || quote(\"") + rows.string(0) + "\")";
        }
        sqlite::statement each{on, {"SELECT ", columns, " FROM ", table, " ORDER BY 1"}};
        auto rows = each.query();
        while (rows.next())
            all += table + (' ' + rows.string(0)) + '\n';
    }
    return all;
}

std::string findings(std::string const& path)
{
    std::atomic<bool> const stop = false;
    return joined(sqlite::check_file(path, stop).findings);
}

}  // namespace

TEST_CASE("of a sound database nothing is lost, and it is not changed")
{
    file_fixture f;
    work_of_every_kind(f);
    f.close();
    auto const fresh = f.folder().file("fresh.db");
    auto const before = content(f.path());
    auto const bytes = bytes_of(f.path());
    auto const report = sqlite::recover_file(f.path(), fresh);
    CHECK(joined(report.lost) == "");
    CHECK(bytes_of(f.path()) == bytes);
    CHECK(content(fresh) == before);
    CHECK(findings(fresh) == "");
}

TEST_CASE("what the write-ahead log holds is saved too, and the log stays")
{
    file_fixture f;
    auto const stream = add_stream(f);
    fill(f, stream, 300);
    auto const left = f.folder().file("left.db");
    for (char const* const suffix : {"", "-wal"})
        std::filesystem::copy_file(f.path() + suffix, left + suffix);
    f.close();
    auto const log = bytes_of(left + "-wal");
    auto const fresh = f.folder().file("fresh.db");
    CHECK(joined(sqlite::recover_file(left, fresh).lost) == "");
    CHECK(bytes_of(left + "-wal") == log);
    sqlite_store store{fresh, limits{}};
    CHECK(state_of(store.load(start_ms), stream).messages == 300);
}

TEST_CASE("around pages that are overwritten all is saved, each row under its seq, and the rest fits together")
{
    file_fixture f;
    work_of_every_kind(f);
    f.close();
    auto const pages = std::filesystem::file_size(f.path()) / page_bytes;
    auto const harmed = f.folder().file("harmed.db");
    auto const fresh = f.folder().file("fresh.db");
    std::mt19937 chance{7};
    std::uint64_t fewest = work_rows;
    for (std::uintmax_t page = 1; page < pages; page += page < 80 ? 1 : 7) {
        std::filesystem::copy_file(f.path(), harmed, std::filesystem::copy_options::overwrite_existing);
        std::string noise(page_bytes, '\xa5');
        if (page % 2 == 0)
            for (auto& c : noise)
                c = static_cast<char>(chance());
        overwrite(harmed, page, noise);
        INFO("page " << page + 1 << " of " << pages);
        auto const report = sqlite::recover_file(harmed, fresh);
        INFO(joined(report.lost));
        REQUIRE(findings(fresh) == "");
        sqlite_store store{fresh, limits{}};
        auto const all = store.load(start_ms);
        std::uint64_t found = 0;
        std::vector<store_event::any> events;
        for (auto const& stream : all.streams) {
            if (stream.config.name == "INBOX")
                continue;
            message_seq next = 1;
            for (bool end = false; !end;) {
                store_request::read read;
                read.request = next_token();
                read.stream = stream.id;
                read.from = next;
                events.clear();
                store.execute({read}, events);
                auto const answer = only<store_event::rows_read>(events);
                for (auto const& r : answer.rows) {
                    ++found;
                    if (r.seq <= 5000 && r.message->subject() != "lost")
                        REQUIRE(r.message->subject() == "s." + std::to_string((r.seq - 1) % 7));
                }
                next = answer.next;
                end = answer.end;
            }
        }
        fewest = std::min(fewest, found);
        REQUIRE((found == work_rows || !report.lost.empty()));
    }
    INFO("at worst " << fewest << " of " << work_rows);
    CHECK(fewest > work_rows / 10 * 9);
}

TEST_CASE("several pages of the log are lost: what lies between them is saved")
{
    file_fixture f;
    auto const stream = add_stream(f);
    fill(f, stream, 3000, std::string(1000, 'x'));
    f.close();
    auto const pages = std::filesystem::file_size(f.path()) / page_bytes;
    for (auto const part : {pages / 4, pages / 4 + 2, pages / 2, pages / 2 + 1, pages / 4 * 3})
        overwrite(f.path(), part, std::string(page_bytes, '\0'));
    auto const fresh = f.folder().file("fresh.db");
    auto const report = sqlite::recover_file(f.path(), fresh);
    INFO(joined(report.lost));
    CHECK(joined(report.lost).find("stream S: ") != std::string::npos);
    CHECK(findings(fresh) == "");
    sqlite_store store{fresh, limits{}};
    auto const state = state_of(store.load(start_ms), stream);
    CHECK(state.messages >= 3000 - 5 * 4);
    CHECK(state.messages < 3000);
    CHECK(state.last == 3000);
    std::vector<store_event::any> events;
    store.execute({append(stream, "s.1")}, events);
    CHECK(only<store_event::rows_arrived>(events).rows.front().stored.seq == 3001);
}

TEST_CASE("of a mirror what fits is saved, and the rest waits to be copied again")
{
    struct {
        char const* harm;
        std::uint64_t waiting;   ///< rows, in the end; of 10 of which 1 to 5 are placed
        message_seq floor;
        bool lost;
    } const cases[] = {
        {"UPDATE mirror SET waiting_rows = 77, waiting_bytes = 1, floor = 9", 5, 5, false},
        {"DELETE FROM placed WHERE key & 255 = 3", 6, 2, false},
        {"UPDATE placed SET place = place + 100 WHERE key & 255 = 4", 6, 3, true},
        {"UPDATE placed SET key = key + 100 WHERE key & 255 = 2", 6, 1, true},
        {"UPDATE mirror SET checkpoint = 4", 6, 4, true},
        {"INSERT INTO placed VALUES ((9 << 40) + 1, (9 << 40) + 1, 1)", 5, 5, true},
        {"DELETE FROM log WHERE id & 255 = 5", 5, 5, true},
    };
    for (auto const& c : cases) {
        INFO(c.harm);
        file_fixture f;
        auto const stream = add_stream(f);
        fill(f, stream, 10);
        f.run({mirror(stream, 1, true, "journal")});
        f.run({import(stream, {copy_of(1, 1), copy_of(2, 2), copy_of(3, 3), copy_of(4, 4), copy_of(5, 5)}, "lanes")});
        auto const secret = f.load().secret;
        f.close();
        {
            sqlite::database on{f.path(), SQLITE_OPEN_READWRITE};
            on.run("PRAGMA locking_mode=EXCLUSIVE");
            on.run(c.harm);
        }
        auto const fresh = f.folder().file("fresh.db");
        auto const report = sqlite::recover_file(f.path(), fresh);
        CHECK(findings(fresh) == "");
        CHECK(report.lost.empty() != c.lost);
        sqlite_store store{fresh, limits{}};
        auto const all = store.load(start_ms);
        auto const state = mirror_of(all, stream);
        CHECK(state.waiting_rows == c.waiting);
        CHECK(state.floor == c.floor);
        CHECK(state.keep);
        CHECK(state.journal == "journal");
        CHECK(state.lanes == "lanes");
        CHECK(all.secret == secret);
    }
}

TEST_CASE("a secret that is damaged is drawn anew")
{
    file_fixture f;
    auto const secret = f.load().secret;
    f.close();
    {
        sqlite::database on{f.path(), SQLITE_OPEN_READWRITE};
        on.run("PRAGMA locking_mode=EXCLUSIVE");
        on.run("UPDATE meta SET value = x'00' WHERE key = 'secret'");
    }
    CHECK(findings(f.path()) == "the secret is none\n");
    auto const fresh = f.folder().file("fresh.db");
    CHECK(sqlite::recover_file(f.path(), fresh).lost.size() == 1);
    sqlite_store store{fresh, limits{}};
    auto const drawn = store.load(start_ms).secret;
    CHECK(drawn.size() == 32);
    CHECK(drawn != secret);
}

TEST_CASE("the first page is lost: what it said is known")
{
    file_fixture f;
    work_of_every_kind(f);
    f.close();
    auto const before = content(f.path());
    overwrite(f.path(), 0, std::string(page_bytes, '\xa5'));
    auto const fresh = f.folder().file("fresh.db");
    auto const report = sqlite::recover_file(f.path(), fresh);
    CHECK(report.lost.size() == 1);
    CHECK(findings(fresh) == "");
    CHECK(content(fresh) == before);
    for (char const* const suffix : {".source", ".source-wal", ".source.new"})
        CHECK_FALSE(std::filesystem::exists(fresh + suffix));
}

TEST_CASE("what cannot be recovered is refused with a sentence, and leaves nothing")
{
    scratch_folder folder;
    fault_disk::instance();
    auto const fresh = folder.file("fresh.db");
    auto const path = folder.file("x.db");
    auto const refusal = [&] {
        try {
            sqlite::recover_file(path, fresh);
        } catch (std::runtime_error const& refused) {
            return std::string{refused.what()};
        }
        return std::string{};
    };
    CHECK(refusal().find(path + " cannot be recovered") == 0);
    std::ofstream{path} << std::string(10'000, 'n');
    CHECK(refusal().find(path + " cannot be recovered") == 0);
    CHECK_FALSE(std::filesystem::exists(fresh));
    std::filesystem::remove(path);
    {
        sqlite::database other{path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE};
        other.run("CREATE TABLE t (x)");
    }
    CHECK(refusal().find("another program") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(fresh));
}
