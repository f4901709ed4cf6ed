/// What bounds the file: names that nobody uses any more, ids that are over, a log that is emptied; and that a filtered read
/// does not read what does not match.

#include <sqlite3.h>

#include <filesystem>
#include <set>

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

TEST_CASE("a post costs its recipients, not the nodes that are away")
{
    constexpr std::size_t posts = 6000;
    constexpr std::size_t members = 50;
    std::uint64_t writes[2] = {};
    for (std::size_t const away : {0, 1}) {
        file_fixture f;
        stream_id inbox{};
        for (auto const& s : f.load().streams)
            inbox = s.id;
        std::vector<store_request::any> nodes;
        for (std::size_t i = 0; away != 0 && i < 1500; ++i) {
            consumer_config config;
            config.stream = inbox;
            config.owner = "user" + std::to_string(i % 500);
            config.name = config.owner + "/node" + std::to_string(i / 500);
            config.filter = "inbox." + config.owner;
            nodes.push_back(store_request::create_consumer{next_token(), config, {}});
        }
        f.run(std::move(nodes));
        auto& disk = fault_disk::instance();
        auto const before = disk.writes;
        for (std::size_t i = 0; i < posts;) {
            std::vector<store_request::any> batch;
            for (; batch.size() < 200; ++i) {
                std::set<std::string> to;
                for (std::size_t k = 0; k < members; ++k)
                    to.insert("user" + std::to_string((i % 10) * members + k));
                std::string recipients;
                for (auto const& name : to)
                    recipients += (recipients.empty() ? "" : " ") + name;
                auto request = append(inbox, {}, std::string(100, 'x'));
                request.recipients = shared_bytes::copy_of(recipients);
                batch.push_back(request);
            }
            f.run(std::move(batch));
            f.maintain();
        }
        writes[away] = disk.writes - before;
        CHECK(read_all(f, inbox, "inbox.user7").size() == posts / 10);
        CHECK(count(f, "SELECT count(*) FROM log") == posts);
        CHECK(count(f, "SELECT max(length(recipients)) FROM log") <= static_cast<std::int64_t>(2 * members));
        CHECK(count(f, "SELECT count(*) FROM posting") == 500);
        CHECK(count(f, "SELECT sum(messages) FROM mailbox") == static_cast<std::int64_t>(posts * members));
    }
    CHECK(writes[1] <= writes[0] + writes[0] / 50);
}

TEST_CASE("a stream of last values is as large as its subjects are many, and reads no more than that")
{
    file_fixture f;
    stream_config config;
    config.max_msgs_per_subject = 1;
    auto const stream = add_stream(f, "S", config);
    constexpr std::size_t rows = 60'000;
    std::string const body(300, 'x');
    for (std::size_t i = 0; i < rows;) {
        std::vector<store_request::any> batch;
        for (; batch.size() < 1000 && i < rows; ++i)
            batch.push_back(append(stream, i % 5 == 0 ? "s.busy" : "s." + std::to_string(i % 300), body));
        f.run(std::move(batch));
        f.maintain();
    }
    CHECK(count(f, "SELECT count(*) FROM log") == 241);
    CHECK(count(f, "SELECT sum(length(offsets)) FROM posting") <= 2 * 241);
    CHECK(count(f, "SELECT max(length(newest)) FROM subject") <= 6);
    CHECK(count(f, "PRAGMA page_count") * 4096 < 3 * 1000 * 1000);  // of 18 MB that were published
    auto& disk = fault_disk::instance();
    auto const before = disk.bytes_read;
    CHECK(read_all(f, stream, "s.*").size() == 241);
    CHECK(read_all(f, stream).size() == 241);
    CHECK(disk.bytes_read - before < 1'000'000);
}

TEST_CASE("a purge goes in slices, between which others are served")
{
    file_fixture f;
    auto const stream = add_stream(f);
    fill(f, stream, 30'000);
    for (std::string const filter : {"s.1", ""}) {
        f.run({store_request::purge{next_token(), stream, filter, 0}});
        std::vector<store_event::any> events;
        std::size_t slices = 0;
        std::uint64_t worst = 0;
        for (auto before = state_of(f.load(), stream).messages; f.store().maintain(f.now_ms, events); ++slices) {
            auto const now = of<store_event::stream_trimmed>(events);
            if (!now.empty()) {
                worst = std::max(worst, before - now.back().messages);
                before = now.back().messages;
            }
            CHECK(only<store_event::rows_read>(f.run({store_request::read_seqs{next_token(), stream, {}, {1}}})).end);
        }
        CHECK(slices >= 1);
        CHECK(worst <= 3000);
        CHECK(of<store_event::purged>(events).size() == 1);
    }
    CHECK(read_all(f, stream).empty());
    CHECK(count(f, "SELECT count(*) FROM posting") == 0);
}
