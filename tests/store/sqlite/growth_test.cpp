/// What bounds the file: names that nobody uses any more, ids that are over, a log that is emptied; and that a filtered read
/// does not read what does not match.

#include <sqlite3.h>

#include <filesystem>

#include "router/store/sqlite/database.hpp"
#include "router/store/sqlite/segment.hpp"
#include "tests/store/fixture.hpp"
#include "tests/store/sqlite/fault_disk.hpp"
#include "tests/store/sqlite/file_fixture.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

std::int64_t count(file_fixture& f, char const* sql)
{
    f.close();
    std::int64_t found = 0;
    {
        sqlite::database on{f.path(), SQLITE_OPEN_READWRITE};
        on.run("PRAGMA locking_mode=EXCLUSIVE");
        found = on.number(sql);
    }
    f.open();
    f.load();
    return found;
}

}  // namespace

TEST_CASE("a subject and a sender are stored once")
{
    file_fixture f;
    auto const stream = add_stream(f);
    fill(f, stream, 700);
    CHECK(count(f, "SELECT count(*) FROM subject") == 7);
    CHECK(count(f, "SELECT count(*) FROM sender") == 1);
    fill(f, stream, 700);
    CHECK(count(f, "SELECT count(*) FROM subject") == 7);
}

TEST_CASE("names that only removed rows used go, and those in use stay")
{
    file_fixture f;
    stream_config config;
    config.max_msgs = 1000;
    auto const stream = add_stream(f, "S", config);
    // Each row has a subject of its own, but every tenth is "s.often".
    constexpr std::size_t rows = 25 * sqlite::segment_rows;
    for (std::size_t i = 0; i < rows;) {
        std::vector<store_request::any> batch;
        for (; batch.size() < 2000 && i < rows; ++i)
            batch.push_back(append(stream, i % 10 == 0 ? "s.often" : "s.once" + std::to_string(i)));
        f.run(std::move(batch));
        f.maintain();
    }
    auto const kept = count(f, "SELECT count(*) FROM subject");
    CHECK(kept >= 900);
    CHECK(kept < static_cast<std::int64_t>(18 * sqlite::segment_rows));  // those of 16 segments, and what is left
    CHECK(count(f, "SELECT count(*) FROM posting") <= static_cast<std::int64_t>(2 * sqlite::segment_rows));
    CHECK(read_all(f, stream, "s.often").size() == 100);
    CHECK(read_all(f, stream).size() == 1000);
}

TEST_CASE("the journal of ids is compacted while it is written")
{
    limits bounds;
    bounds.dedupe_ids = 100;
    bounds.dedupe_ids_total = 1000;
    file_fixture f{bounds};
    auto const stream = add_stream(f);
    std::int64_t worst = 0;
    for (int i = 0; i < 100; ++i) {
        std::vector<store_request::any> batch;
        for (int k = 0; k < 100; ++k)
            batch.push_back(append_id(stream, std::to_string(i * 100 + k), "u/n" + std::to_string(k % 3)));
        f.run(std::move(batch));
        f.maintain();
        if (i % 20 == 19)
            worst = std::max(worst, count(f, "SELECT sum(entries) FROM ids"));
    }
    CHECK(worst <= 2 * 1000 + 100);
    CHECK(f.load().ids.size() == 300);
}

TEST_CASE("a removed stream leaves nothing behind")
{
    file_fixture f;
    auto const stream = add_stream(f);
    auto const consumer = add_consumer(f, stream);
    fill(f, stream, 10'000);
    std::vector<store_request::save_cursor::death> deaths;
    for (message_seq seq = 1; seq <= 1500; ++seq)
        deaths.push_back({seq, 1, "x"});
    f.run({store_request::save_cursor{next_token(), consumer, {2000, {}}, deaths, start_ms}});
    f.run({store_request::remove_stream{next_token(), stream}});
    f.reopen();
    f.load();
    f.maintain();
    for (char const* const table : {"log", "posting", "subject", "sender", "consumer", "dead", "garbage"})
        CHECK(count(f, (std::string{"SELECT count(*) FROM "} + table).c_str()) == 0);
    CHECK(count(f, "SELECT count(*) FROM stream") == 1);  // INBOX
}

TEST_CASE("a filtered read costs what matches, not what does not")
{
    file_fixture f;
    auto const stream = add_stream(f);
    constexpr std::size_t rows = 40'000;
    std::string const body(500, 'x');
    for (std::size_t i = 0; i < rows;) {
        std::vector<store_request::any> batch;
        for (; batch.size() < 2000 && i < rows; ++i)
            batch.push_back(append(stream, i % 10'000 == 77 ? "rare.one" : "s." + std::to_string(i % 50), body));
        f.run(std::move(batch));
    }
    auto const file_bytes = rows * body.size();
    for (char const* const filter : {"rare.one", "rare.>", "*.one"}) {
        INFO(filter);
        f.reopen();
        f.load();
        auto& disk = fault_disk::instance();
        auto const before = disk.bytes_read;
        CHECK(read_all(f, stream, filter).size() == 4);
        // The unfinished segment has no index yet: its rows are read once.
        CHECK(disk.bytes_read - before < file_bytes / 10 + sqlite::segment_rows * 600);
    }
}

TEST_CASE("the write-ahead log is bounded by housekeeping")
{
    file_fixture f;
    auto const stream = add_stream(f);
    std::string const body(10'000, 'x');
    std::uintmax_t worst = 0;
    for (int i = 0; i < 100; ++i) {
        fill(f, stream, 100, body);
        f.maintain();
        worst = std::max(worst, std::filesystem::file_size(f.path() + "-wal"));
    }
    CHECK(worst < 20 * 1024 * 1024);
}
