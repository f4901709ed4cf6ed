/// The file: its rights, what it may be, versions of its schema, what start-up costs.

#include <sqlite3.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "router/store/sqlite/schema.hpp"
#include "router/store/sqlite/sqlite_store.hpp"
#include "tests/store/fixture.hpp"
#include "tests/store/sqlite/fault_disk.hpp"
#include "tests/store/sqlite/file_fixture.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

/// The sentence with which opening or loading the file fails; empty if it does not.
std::string refusal(std::string const& path)
{
    try {
        sqlite_store store{path, limits{}};
        store.load(start_ms);
    } catch (std::runtime_error const& refused) {
        return refused.what();
    }
    return {};
}

void write_file(std::string const& path, std::string const& text)
{
    std::ofstream{path, std::ios::binary} << text;
}

void run_sql(std::string const& path, char const* sql)
{
    sqlite::database on{path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE};
    on.run("PRAGMA locking_mode=EXCLUSIVE");
    on.run(sql);
}

unsigned mode(std::string const& path)
{
    struct stat facts{};
    REQUIRE(::stat(path.c_str(), &facts) == 0);
    return facts.st_mode & 0777;
}

}  // namespace

TEST_CASE("the database and its log are for their owner alone")
{
    auto const before = ::umask(0);
    file_fixture f;
    fill(f, add_stream(f), 3);
    CHECK(mode(f.path()) == 0600);
    CHECK(mode(f.path() + "-wal") == 0600);
    ::umask(before);
}

TEST_CASE("after an orderly end there is one file")
{
    file_fixture f;
    fill(f, add_stream(f), 3);
    f.close();
    CHECK(std::filesystem::exists(f.path()));
    CHECK_FALSE(std::filesystem::exists(f.path() + "-wal"));
    CHECK_FALSE(std::filesystem::exists(f.path() + "-shm"));
}

TEST_CASE("what is not a sound database of ours is refused with a sentence that names it")
{
    scratch_folder folder;
    auto const path = folder.file("kedge.db");
    SECTION("not a database")
    {
        write_file(path, std::string(5000, 'n'));
        CHECK(refusal(path).find(path + " is not a database") == 0);
    }
    SECTION("another program's")
    {
        run_sql(path, "CREATE TABLE t (x)");
        CHECK(refusal(path) == path + " cannot be opened: it is a database of another program");
    }
    SECTION("another program's, empty but marked")
    {
        run_sql(path, "PRAGMA application_id=7; VACUUM");
        CHECK(refusal(path) == path + " cannot be opened: it is a database of another program");
    }
    SECTION("a newer version's")
    {
        CHECK(refusal(path).empty());
        run_sql(path, "PRAGMA user_version=99");
        CHECK(refusal(path).find("it has schema version 99, and this program knows up to 3") != std::string::npos);
    }
    SECTION("in use")
    {
        sqlite_store first{path, limits{}};
        CHECK(refusal(path) == path + " is in use by another process");
    }
    SECTION("in a folder that does not exist")
    {
        CHECK(refusal(folder.file("no/kedge.db")).find("cannot be opened: No such file or directory") != std::string::npos);
    }
    SECTION("an empty file is a new database")
    {
        write_file(path, "");
        CHECK(refusal(path).empty());
    }
}

TEST_CASE("a damaged file is refused, or the damage is outside of what start-up looks at: no crash, no wrong row")
{
    std::mt19937 chance{20};
    for (int round = 0; round < 40; ++round) {
        file_fixture f;
        auto const stream = add_stream(f);
        fill(f, stream, 2000, "sound");
        f.close();
        auto const size = std::filesystem::file_size(f.path());
        if (round % 2 == 0) {
            std::fstream file{f.path(), std::ios::in | std::ios::out | std::ios::binary};
            file.seekp(static_cast<std::streamoff>(chance() % (size / 4096) * 4096));
            std::string noise(4096, '\0');
            for (auto& c : noise)
                c = static_cast<char>(chance());
            file << noise;
        } else {
            std::filesystem::resize_file(f.path(), chance() % (size / 4096) * 4096);
        }
        INFO("round " << round);
        try {
            sqlite_store store{f.path(), limits{}};
            store.load(start_ms);
            std::vector<store_event::any> events;
            store_request::read request;
            request.request = next_token();
            request.stream = stream;
            request.rows_max = 5000;
            store.execute({request}, events);
            REQUIRE(events.size() == 1);
            if (auto const* const answer = std::get_if<store_event::rows_read>(&events.front()))
                for (auto const& r : answer->rows)
                    CHECK(r.message->body() == "sound");
            else
                CHECK(std::holds_alternative<store_event::failed>(events.front()));
        } catch (std::runtime_error const& refused) {
            CHECK(std::string{refused.what()}.size() > 10);
        }
    }
}

TEST_CASE("a log that does not end where its stream says is refused")
{
    file_fixture f;
    auto const stream = add_stream(f);
    fill(f, stream, 10);
    f.close();
    run_sql(f.path(), "DELETE FROM log WHERE id IN (SELECT max(id) FROM log)");
    CHECK(refusal(f.path()) == "the database is damaged: the log of stream S does not end at 10");
}

TEST_CASE("a database is upgraded step by step, each in one transaction")
{
    scratch_folder folder;
    sqlite::database on{folder.file("u.db"), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE};
    char const* const steps[] = {"CREATE TABLE a (x)", "INSERT INTO a VALUES (7)", "CREATE TABLE b (y); INSERT INTO nowhere VALUES (1)",
                                 "CREATE TABLE c (z)"};
    sqlite::upgrade(on, {steps, 1});
    CHECK(on.number("PRAGMA user_version") == 1);
    sqlite::upgrade(on, {steps, 2});
    CHECK(on.number("PRAGMA user_version") == 2);
    CHECK(on.number("SELECT x FROM a") == 7);
    INFO("a step that fails leaves the version before it, whole");
    CHECK_THROWS_AS(sqlite::upgrade(on, steps), sqlite::error);
    CHECK(on.number("PRAGMA user_version") == 2);
    CHECK(on.number("SELECT count(*) FROM sqlite_schema") == 1);
    CHECK_THROWS_AS(sqlite::upgrade(on, {steps, 1}), std::runtime_error);
}

TEST_CASE("what start-up reads does not grow with the log")
{
    auto& disk = fault_disk::instance();
    std::uint64_t read[2] = {};
    for (int large = 0; large < 2; ++large) {
        file_fixture f;
        auto const stream = add_stream(f);
        fill(f, stream, large != 0 ? 60'000 : 6'000, std::string(200, 'x'));
        f.close();
        auto const before = disk.bytes_read;
        f.open();
        f.load();
        read[large] = disk.bytes_read - before;
    }
    INFO(read[0] << " and " << read[1]);
    CHECK(read[1] <= read[0] + 3 * 4096);  // a level or two more of the tree
}

TEST_CASE("a stream that a user of version 1 had named INBOX gets another name, and what is stored is counted")
{
    scratch_folder folder;
    auto const path = folder.file("kedge.db");
    {
        sqlite::database on{path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE};
        on.run("PRAGMA locking_mode=EXCLUSIVE");
        on.run("PRAGMA application_id=1801806951");  // "kedg"
        sqlite::upgrade(on, sqlite::schema_steps().first(1));
        on.run("INSERT INTO stream VALUES (1, 'INBOX-1', 'a', 0, 0, 0, 0, 1, 0, 0, 0, 0), (2, 'INBOX', 'b', 0, 0, 0, 0, 2, 4, 4, 70, 9)");
        on.run("INSERT INTO subject VALUES (1, 2, 'b', 0)");
        on.run("INSERT INTO sender VALUES (1, 2, 'alice/laptop', 0), (2, 2, '$sys', 0)");
        on.run("INSERT INTO log VALUES (2199023255554, 1, 1, 7, 2, 'id', NULL, NULL, x'0102'),"
               " (2199023255555, 1, 2, 8, 3, NULL, NULL, NULL, x'03'), (2199023255556, 1, 1, 9, 4, NULL, NULL, NULL, x'04')");
    }
    sqlite_store store{path, limits{}};
    auto const all = store.load(start_ms);
    std::vector<std::string> names;
    for (auto const& s : all.streams)
        names.push_back(s.config.name);
    CHECK(names == std::vector<std::string>{"INBOX-1", "INBOX-2", "INBOX"});
    CHECK(all.streams[1].messages == 3);
    REQUIRE(all.usage.size() == 1);
    CHECK(all.usage.front().user == "alice");
    CHECK(all.usage.front().messages == 2);
    CHECK(all.usage.front().bytes == 2 * 32 + 2 + 2 + 1);
}
