/// Online backups.

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/store/fixture.hpp"
#include "tests/store/sqlite/fault_disk.hpp"
#include "tests/store/sqlite/file_fixture.hpp"

using namespace kedge;
using namespace kedge::test;

TEST_CASE("a backup is a whole database of its own, with what was committed while it was taken")
{
    file_fixture f;
    auto const stream = add_stream(f);
    REQUIRE(f.accounts().put_user({"alice", "operator", false, false, 1}).has_value());
    fill(f, stream, 3000, std::string(1000, 'x'));
    auto const path = f.folder().file("copy.db");
    store_request::backup const request{next_token(), path};
    CHECK(f.run({request}).empty());
    CHECK(failed_code(f.run({store_request::backup{next_token(), path + "2"}})) == error_code::exists);
    std::vector<store_event::any> events;
    CHECK(f.store().maintain(f.now_ms, events));
    CHECK_FALSE(std::filesystem::exists(path));
    fill(f, stream, 500);
    events = f.maintain();
    CHECK(only<store_event::done>(events).request == request.request);
    CHECK_FALSE(std::filesystem::exists(path + ".partial"));
    struct stat facts{};
    REQUIRE(::stat(path.c_str(), &facts) == 0);
    CHECK((facts.st_mode & 0777) == 0600);

    auto const original = f.load().incarnation;
    sqlite_store copy{path, limits{}};
    auto const all = copy.load(f.now_ms);
    CHECK(state_of(all, stream).last == 3500);
    CHECK(copy.load_accounts().users.size() == 1);
    INFO("it is another history from now on, and stays that one");
    CHECK(all.incarnation.size() == 16);
    CHECK(all.incarnation != original);
    CHECK(copy.load(f.now_ms).incarnation == all.incarnation);
    CHECK(f.load().incarnation == original);
    INFO("but with the same secret: it knows again what it signed");
    CHECK(all.secret.size() == 32);
    CHECK(all.secret == f.load().secret);
}

TEST_CASE("a backup replaces nothing and leaves nothing when it fails")
{
    file_fixture f;
    fill(f, add_stream(f), 3000, std::string(1000, 'x'));
    auto const path = f.folder().file("copy.db");
    SECTION("the file exists")
    {
        std::ofstream{path} << "precious";
        CHECK(failed_code(f.run({store_request::backup{next_token(), path}})) == error_code::exists);
        CHECK(std::filesystem::file_size(path) == 8);
    }
    SECTION("the folder does not exist")
    {
        f.run({store_request::backup{next_token(), f.folder().file("no/copy.db")}});
        auto const failed = only<store_event::failed>(f.maintain());
        CHECK(failed.why.message.find("cannot be written") != std::string::npos);
    }
    SECTION("the disk is full")
    {
        f.run({store_request::backup{next_token(), path}});
        fault_disk::instance().fail_change(100, SQLITE_FULL, true);
        CHECK(only<store_event::failed>(f.maintain()).why.code == error_code::store_full);
        CHECK_FALSE(std::filesystem::exists(path + ".partial"));
        CHECK_FALSE(std::filesystem::exists(path));
        fault_disk::instance().heal();
        INFO("the next one succeeds");
        f.run({store_request::backup{next_token(), path}});
        CHECK(of<store_event::done>(f.maintain()).size() == 1);
    }
    SECTION("the process ends in the middle")
    {
        f.run({store_request::backup{next_token(), path}});
        std::vector<store_event::any> events;
        CHECK(f.store().maintain(f.now_ms, events));
        f.reopen();
        CHECK_FALSE(std::filesystem::exists(path));
        CHECK_FALSE(std::filesystem::exists(path + ".partial"));
    }
}
