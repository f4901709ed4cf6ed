/// What a check finds, and how it goes on beside other work.

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "router/store/sqlite/check.hpp"
#include "router/store/sqlite/database.hpp"
#include "tests/store/fixture.hpp"
#include "tests/store/sqlite/fault_disk.hpp"
#include "tests/store/sqlite/file_fixture.hpp"
#include "tests/store/sqlite/work_of_every_kind.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

sqlite::check_report check(std::string const& path)
{
    std::atomic<bool> const stop = false;
    return sqlite::check_file(path, stop);
}

struct harm {
    char const* sql;
    char const* finding;  ///< part of one of the sentences
};

constexpr harm harms[] = {
    {"DELETE FROM log WHERE id = (2 << 40) + 50", "stream S has messages"},
    {"DELETE FROM log WHERE id = (2 << 40) + 50", "the index of stream S does not fit its rows from 1 to 4095"},
    {"DELETE FROM log WHERE id = (2 << 40) + 50", "stored of bob are messages"},
    {"UPDATE log SET body = x'00112233' WHERE id = (2 << 40) + 5", "stream S has bytes"},
    {"UPDATE log SET time_ms = 1 WHERE id = (2 << 40) + 7", "row 7 of stream S is older than the one before"},
    {"UPDATE log SET sender = 999 WHERE id = (2 << 40) + 7", "row 7 of stream S has no sender"},
    {"UPDATE log SET subject = 999 WHERE id = (2 << 40) + 7", "row 7 of stream S has no subject"},
    {"UPDATE log SET recipients = x'ff07' WHERE id = (1 << 40) + 1", "row 1 of stream INBOX has recipients that are not known"},
    {"UPDATE log SET id = (2 << 40) + 9000 WHERE id = (2 << 40) + 7", "row 9000 of stream S lies outside of the stream"},
    {"UPDATE log SET id = (9 << 40) + 7 WHERE id = (2 << 40) + 7", "1 rows belong to a stream that is not known (number 9)"},
    {"DELETE FROM subject WHERE text = 's.1'", "more faults in its rows"},
    {"UPDATE posting SET offsets = x'ff' WHERE segment = 2 << 28", "the index of stream S does not fit"},
    {"DELETE FROM posting WHERE subject = (SELECT id FROM subject WHERE text = 's.2')", "the index of stream S does not fit"},
    {"INSERT INTO posting VALUES ((2 << 28) + 5, 1, x'01')", "the index of stream S goes beyond its rows"},
    {"INSERT INTO posting VALUES ((7 << 28) + 5, 1, x'01')", "there is an index of a stream that is not known (number 7)"},
    {"UPDATE stream SET first = 6000 WHERE id = 2", "stream S has no sensible bounds"},
    {"UPDATE stream SET first = 3 WHERE id = 2", "stream S has its oldest row at 1, not 3"},
    {"UPDATE stream SET newest = 1 WHERE id = 2", "stream S has its newest row at 5002, not 1"},
    {"UPDATE stream SET last_ms = 1 WHERE id = 2", "stream S has rows that are newer than it says"},
    {"UPDATE usage SET bytes = bytes + 1 WHERE user = 'alice'", "stored of alice are"},
    {"DELETE FROM usage WHERE user = 'bob'", "what is stored of bob is not counted"},
    {"UPDATE mailbox SET messages = 1 WHERE user = 'bob'", "the mail of bob is counted as 1 messages, and more are there: 2"},
    {"DELETE FROM mailbox WHERE user = 'alice'", "the mail of alice is counted as 0 messages"},
    {"UPDATE consumer SET stream = 77", "consumer C reads a stream that is not known"},
    {"UPDATE consumer SET next = 0", "consumer C of stream S is at a place that no stream has"},
    {"UPDATE consumer SET next = 8", "consumer C of stream S waits for row 9, which cannot be"},
    {"UPDATE consumer SET pending = x'ff'", "consumer C of stream S has a damaged list of unfinished rows"},
    {"DELETE FROM dead WHERE seq = 3", "consumer C has another number of dead letters than it says"},
    {"UPDATE dead SET consumer = 5 WHERE seq = 3", "there are dead letters of a consumer that is not known (number 5)"},
    {"UPDATE node_n SET stream = 9", "node alice/laptop has numbers in a stream that is not known"},
    {"UPDATE node_n SET seq = 9999", "node alice/laptop has a number for a row beyond its stream"},
    {"UPDATE ids SET records = x'0005'", "batch 1 of the ids cannot be read"},
    {"UPDATE ids SET entries = 5", "batch 1 of the ids has 1 entries, not 5"},
    {"UPDATE mirror SET stream = 9", "mirror 1 is of a stream that is not known"},
    {"UPDATE mirror SET floor = 6000", "the mirror of stream S has no sensible bounds"},
    {"UPDATE mirror SET start = 0", "the mirror of stream S has no sensible bounds"},
    {"UPDATE mirror SET checkpoint = 1 << 40", "the mirror of stream S has no sensible bounds"},
    {"UPDATE mirror SET checkpoint = 1", "row 4002 of stream S has a place in JetStream that nobody has looked at yet"},
    {"UPDATE mirror SET floor = 4001", "the mirror of stream S passes over messages that wait"},
    {"UPDATE mirror SET waiting_rows = 5", "the mirror of stream S counts another number of messages that wait than there are"},
    {"UPDATE mirror SET waiting_bytes = waiting_bytes - 1", "the mirror of stream S counts another number of messages that wait"},
    {"DELETE FROM placed WHERE key & 4095 = 4000", "the mirror of stream S counts another number of messages that wait"},
    {"DELETE FROM log WHERE id = (2 << 40) + 4000", "row 4000 of stream S has a place in JetStream, but is not there"},
    {"UPDATE placed SET key = key + (6 << 40)", "there are places of a mirror that is not known (number 7)"},
    {"UPDATE placed SET place = place + (1 << 40)", "row 4000 of stream S has a place in JetStream that nobody has looked at yet"},
    {"UPDATE mirror_note SET mirror = 5", "there are notes of a mirror that is not known (number 5)"},
    {"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = NULL WHERE name = 'placed'", "cannot be read"},
    {"UPDATE meta SET value = 'short' WHERE key = 'secret'", "the secret is none"},
    {"DELETE FROM user WHERE name = 'bob'", "there are keys of bob, who is not a user"},
    {"DELETE FROM user WHERE name = 'alice'", "alias ~al is of nobody who is a user"},
    {"DELETE FROM user WHERE name = 'alice'", "there are limits of alice, who is not a user"},
    {"DELETE FROM list", "there are members of the list @l, which is not there"},
    {"UPDATE list SET posting = 9", "list @l does not say who may post to it"},
    {"UPDATE rule SET role = 'user'", "rule 1 makes no sense"},
    {"UPDATE ban SET user = ''", "ban 1 makes no sense"},
    {"PRAGMA user_version = 1", "the tables are of another version than this program's"},
    {"PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'subject_used'", "Page"},
    {"DROP TABLE ids", "the ids cannot be read"},
};

bool says(sqlite::check_report const& report, std::string const& part)
{
    for (auto const& sentence : report.findings)
        if (sentence.find(part) != std::string::npos)
            return true;
    return false;
}

}  // namespace

TEST_CASE("a sound database has no findings, and each contradiction is found")
{
    file_fixture f;
    work_of_every_kind(f);
    f.close();
    auto const sound = check(f.path());
    CHECK(joined(sound.findings) == "");
    CHECK(sound.rows == work_rows + work_posts);
    auto const copy = f.folder().file("harmed.db");
    for (auto const& each : harms) {
        std::filesystem::copy_file(f.path(), copy, std::filesystem::copy_options::overwrite_existing);
        {
            sqlite::database on{copy, SQLITE_OPEN_READWRITE};
            on.run("PRAGMA locking_mode=EXCLUSIVE");
            on.run("PRAGMA journal_mode=DELETE");
            on.run(each.sql);
        }
        auto const report = check(copy);
        INFO(each.sql << " -> " << (report.findings.empty() ? "nothing" : report.findings.front()));
        CHECK(says(report, each.finding));
    }
}

TEST_CASE("pages that are overwritten are found, wherever they are")
{
    file_fixture f;
    work_of_every_kind(f);
    f.close();
    auto const pages = std::filesystem::file_size(f.path()) / 4096;
    auto const copy = f.folder().file("harmed.db");
    for (std::uintmax_t page = 0; page < pages; page += 1 + pages / 40) {
        std::filesystem::copy_file(f.path(), copy, std::filesystem::copy_options::overwrite_existing);
        std::fstream file{copy, std::ios::in | std::ios::out | std::ios::binary};
        file.seekp(static_cast<std::streamoff>(page * 4096));
        file << std::string(4096, '\xa5');
        file.close();
        INFO("page " << page + 1 << " of " << pages);
        CHECK_FALSE(check(copy).findings.empty());
    }
    INFO("a file that is not there, and one that is none of ours");
    CHECK(check(f.folder().file("none.db")).findings.size() == 1);
    std::ofstream{copy, std::ios::trunc} << "not a database at all";
    CHECK_FALSE(check(copy).findings.empty());
}

TEST_CASE("findings are bounded, and the last one says how many there are more")
{
    file_fixture f;
    for (int i = 0; i < 1001; ++i)
        add_stream(f, "S" + std::to_string(i), {});
    f.close();
    {
        sqlite::database on{f.path(), SQLITE_OPEN_READWRITE};
        on.run("PRAGMA locking_mode=EXCLUSIVE");
        on.run("UPDATE stream SET messages = 5 WHERE name <> 'INBOX'");
    }
    auto const findings = check(f.path()).findings;
    REQUIRE(findings.size() == store_event::checked::findings_max);
    CHECK(findings.back() == "and 2 more");
}

TEST_CASE("a store checks itself while it goes on, one check at a time")
{
    file_fixture f;
    work_of_every_kind(f);
    store_request::check const request{next_token()};
    CHECK(f.run({request}).empty());
    CHECK(failed_code(f.run({store_request::check{next_token()}})) == error_code::exists);
    std::vector<store_event::any> events;
    std::size_t appended = 0;
    for (int slices = 0; of<store_event::checked>(events).empty(); ++slices) {
        REQUIRE(slices < 1'000'000);
        if (appended < 50)
            appended += of<store_event::rows_arrived>(f.run({append(work_stream, "s.1")})).size();
        f.store().maintain(f.now_ms, events);
        std::this_thread::yield();
    }
    auto const done = of<store_event::checked>(events).front();
    CHECK(done.request == request.request);
    CHECK(joined(done.findings) == "");
    CHECK(done.rows >= 4990);
    CHECK_FALSE(std::filesystem::exists(f.path() + ".check"));
    CHECK_FALSE(std::filesystem::exists(f.path() + ".check.partial"));
    SECTION("the next one is taken, and a store that ends in its middle leaves no copy")
    {
        CHECK(f.run({store_request::check{next_token()}}).empty());
        for (int slices = 0; !std::filesystem::exists(f.path() + ".check"); ++slices) {
            REQUIRE(slices < 10'000);
            f.store().maintain(f.now_ms, events);
        }
        f.close();
        CHECK_FALSE(std::filesystem::exists(f.path() + ".check"));
    }
    SECTION("what a killed process left is no obstacle")
    {
        std::ofstream{f.path() + ".check"} << "half";
        CHECK(f.run({store_request::check{next_token()}}).empty());
        f.store().maintain(f.now_ms, events);
        CHECK(of<store_event::failed>(events).empty());
    }
    SECTION("a full disk is told")
    {
        CHECK(f.run({store_request::check{next_token()}}).empty());
        fault_disk::instance().fail_change(5, SQLITE_FULL, true);
        events.clear();
        for (int slices = 0; events.empty(); ++slices) {
            REQUIRE(slices < 10'000);
            f.store().maintain(f.now_ms, events);
        }
        CHECK(only<store_event::failed>(events).why.code == error_code::store_full);
        CHECK_FALSE(std::filesystem::exists(f.path() + ".check"));
        CHECK_FALSE(std::filesystem::exists(f.path() + ".check.partial"));
    }
}

TEST_CASE("both stores find themselves sound after work of every kind")
{
    on_both_stores([](store_fixture& f) {
        work_of_every_kind(f);
        store_request::check const request{next_token()};
        auto events = f.run({request});
        for (int slices = 0; of<store_event::checked>(events).empty(); ++slices) {
            REQUIRE(slices < 1'000'000);
            f.store().maintain(f.now_ms, events);
            std::this_thread::yield();
        }
        auto const done = only<store_event::checked>(events);
        CHECK(done.request == request.request);
        CHECK(done.rows == work_rows + work_posts);
        CHECK(joined(done.findings) == "");
    });
}
