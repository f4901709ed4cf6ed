/// What a mirror costs as it grows: nothing that an append, an import or a start does may depend on how much was copied before.

#include <sqlite3.h>

#include "router/store/sqlite/database.hpp"
#include "tests/store/mirror_requests.hpp"
#include "tests/store/sqlite/fault_disk.hpp"
#include "tests/store/sqlite/file_fixture.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

constexpr std::size_t rows_at_once = 1000;

/// So many rows more, each found in JetStream right after it was stored.
void mirrored_rows(file_fixture& f, stream_id stream, message_seq& last, std::size_t rows)
{
    for (std::size_t done = 0; done < rows; done += rows_at_once) {
        std::vector<store_request::any> batch;
        std::vector<item> items;
        for (std::size_t i = 0; i < rows_at_once; ++i) {
            batch.push_back(append(stream, "s.1", "some words of a message"));
            ++last;
            items.push_back(copy_of(last, last));
        }
        f.run(std::move(batch));
        REQUIRE(imported(f, import(stream, std::move(items))).now.floor == last);
        f.maintain();
    }
}

}  // namespace

TEST_CASE("appends and imports write as much of a long mirror as of a short one, and a start reads no more")
{
    file_fixture f;
    auto const stream = add_stream(f);
    f.run({mirror(stream)});
    auto& disk = fault_disk::instance();
    message_seq last = 0;
    std::uint64_t writes[2] = {};
    std::uint64_t read_at_start[2] = {};
    for (std::size_t const at : {0, 1}) {
        mirrored_rows(f, stream, last, at == 0 ? 10'000 : 150'000);
        auto before = disk.writes;
        mirrored_rows(f, stream, last, 20'000);
        writes[at] = disk.writes - before;
        f.reopen();
        before = disk.bytes_read;
        CHECK(mirror_of(f.load(), stream).waiting_rows == 0);
        f.maintain();
        read_at_start[at] = disk.bytes_read - before;
    }
    CHECK(writes[1] <= writes[0] + writes[0] / 10);
    CHECK(read_at_start[1] <= read_at_start[0] + 64 * 1024);
}

TEST_CASE("a row that JetStream never takes costs the others nothing, and what waits is found behind it")
{
    file_fixture f;
    auto const stream = add_stream(f);
    f.run({mirror(stream)});
    fill(f, stream, 60'000);
    for (message_seq seq = 2; seq < 60'000;) {
        std::vector<item> items;
        for (; items.size() < 5000 && seq < 60'000; ++seq)
            items.push_back(copy_of(seq, seq));
        REQUIRE(imported(f, import(stream, items)).now.floor == 0);
    }
    f.maintain();
    INFO("the floor stays below the first that waits; a read passes what is placed in bounded steps");
    store_request::read_waiting request{next_token(), stream, 1, 10, 1 << 20};
    std::size_t calls = 0;
    std::vector<message_seq> found;
    for (bool end = false; !end; ++calls) {
        auto const answer = only<store_event::rows_read>(f.run({request}));
        for (auto const& each : answer.rows)
            found.push_back(each.seq);
        request.from = answer.next;
        end = answer.end;
    }
    CHECK((found == std::vector<message_seq>{1, 60'000}));
    CHECK(calls > 1);
    CHECK(calls < 10);
    INFO("once it is taken, housekeeping raises the floor in slices too");
    auto const now = imported(f, import(stream, {copy_of(1, 70'000)})).now;
    CHECK(now.floor >= 1);
    CHECK(now.floor < 59'999);
    f.maintain();
    CHECK(imported(f, import(stream, {nothing(70'001)})).now.floor == 59'999);
    CHECK(found_wrong(f) == "");
}

TEST_CASE("a mirror leaves nothing behind: neither one that is removed nor rows that went")
{
    file_fixture f;
    stream_config config;
    config.max_msgs = 5000;
    auto const stream = add_stream(f, "S", config);
    f.run({mirror(stream)});
    message_seq last = 0;
    mirrored_rows(f, stream, last, 30'000);
    auto const count = [&](char const* sql) {
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
    };
    CHECK(count("SELECT count(*) FROM placed") == 5000);
    auto const pages = count("PRAGMA page_count");
    f.run({store_request::remove_mirror{next_token(), stream}});
    f.reopen();  // a process that ends in the middle goes on
    f.load();
    std::vector<store_event::any> events;
    std::size_t slices = 1;
    for (; f.store().maintain(f.now_ms, events); ++slices)
        REQUIRE(slices < 100);
    CHECK(slices >= 5);
    CHECK(count("SELECT count(*) FROM placed") == 0);
    CHECK(count("SELECT count(*) FROM mirror") == 0);
    CHECK(count("SELECT count(*) FROM mirror_note") == 0);
    CHECK(count("SELECT count(*) FROM garbage") == 0);
    CHECK(count("PRAGMA page_count") <= pages + 2);
}

TEST_CASE("the importer's notes are written when they change, not with every commit")
{
    file_fixture f;
    auto const stream = add_stream(f);
    f.run({mirror(stream, 1, false, std::string(100'000, 'j'))});
    auto& disk = fault_disk::instance();
    std::string const lanes(50'000, 'l');
    imported(f, import(stream, {nothing(1)}, lanes));
    auto const before = disk.writes;
    for (jet_place place = 2; place < 12; ++place)
        imported(f, import(stream, {nothing(place)}, lanes));
    CHECK(disk.writes - before < 10 * 12);  // a commit is a few pages, each with its header
    f.reopen();
    CHECK(mirror_of(f.load(), stream).lanes == lanes);
}

TEST_CASE("a floor that housekeeping raised does not make a reader need the disk")
{
    file_fixture f;
    stream_config config;
    config.max_msgs = 10;
    auto const stream = add_stream(f, "S", config);
    f.run({mirror(stream)});
    fill(f, stream, 100);
    f.maintain();  // takes rows that waited
    f.maintain();
    auto& disk = fault_disk::instance();
    disk.fail_change(0, SQLITE_FULL, true);
    CHECK(read_all(f, stream).size() == 10);
    CHECK(all_waiting(f, stream).size() == 10);
    CHECK_FALSE(disk.failed());
    disk.heal();
}
