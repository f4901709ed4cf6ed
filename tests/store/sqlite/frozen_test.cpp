/// Databases of older schema versions, as their releases left them.

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "router/store/sqlite/check.hpp"
#include "router/store/sqlite/schema.hpp"
#include "router/store/sqlite/sqlite_store.hpp"
#include "tests/store/mirror_requests.hpp"
#include "tests/store/sqlite/fault_disk.hpp"
#include "tests/store/sqlite/file_fixture.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

constexpr std::uint64_t frozen_ms = 1'795'263'930'000;  // a few seconds after its last row

/// A database file out of tests/store/frozen.
std::string thaw(scratch_folder const& folder, std::string const& name)
{
    auto const from = std::filesystem::path{__FILE__}.parent_path().parent_path() / "frozen" / name;
    std::ifstream in{from, std::ios::binary};
    INFO(from.string());
    REQUIRE(in);
    std::stringstream text;
    text << in.rdbuf();
    auto const path = folder.file("kedge.db");
    sqlite::database on{path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE};
    on.run(text.str());
    return path;
}

template <class List, class Match>
auto const& find(List const& list, Match const& match)
{
    auto const at = std::find_if(list.begin(), list.end(), match);
    REQUIRE(at != list.end());
    return *at;
}

auto named(std::string name)
{
    return [name = std::move(name)](auto const& of) { return of.config.name == name; };
}

}  // namespace

TEST_CASE("a database of version 1 is upgraded with all that is in it")
{
    fault_disk::instance();
    scratch_folder folder;
    auto const path = thaw(folder, "version1.sql");
    {
        sqlite_store store{path, limits{}};
        auto const all = store.load(frozen_ms);
        CHECK(all.incarnation == "33b901cd356157ed");

        REQUIRE(all.streams.size() == 4);
        auto const& work = find(all.streams, named("WORK"));
        CHECK((work.config.subjects == std::vector<std::string>{"work.>", "jobs.*"}));
        CHECK(work.config.max_msgs == 60);
        CHECK(work.config.max_msgs_per_subject == 0);
        CHECK(work.config.when_full == discard::oldest);
        CHECK_FALSE(work.config.paused);
        CHECK(work.first == 4057);
        CHECK(work.last == 4116);
        CHECK(work.messages == 60);
        CHECK(work.bytes == 2220);
        auto const& chat = find(all.streams, named("CHAT"));
        CHECK(chat.config.keep == retention::interest);
        CHECK(chat.config.max_age_ms == 7'776'000'000'000);
        CHECK(chat.messages == 2);
        INFO("the stream that had the name of the server's own keeps its rows under another");
        auto const& moved = find(all.streams, named("INBOX-1"));
        CHECK((moved.config.subjects == std::vector<std::string>{"old.>"}));
        CHECK(moved.last == 1);
        auto const& inbox = find(all.streams, named("INBOX"));
        CHECK(inbox.id != moved.id);
        CHECK(inbox.last == 0);

        REQUIRE(all.consumers.size() == 2);
        auto const& half = find(all.consumers, named("half"));
        CHECK(half.config.stream == chat.id);
        CHECK(half.config.owner == "bob");
        CHECK(half.config.ack_wait_ms == 3'600'000);
        CHECK(half.config.backoff_ms.empty());
        CHECK(half.position.next == 6);
        CHECK((half.position.pending == std::vector<cursor::pending_row>{{4, 1, 0}}));
        CHECK(half.dead == 2);
        auto const& tail = find(all.consumers, named("tail"));
        CHECK(tail.position.next == 4103);
        CHECK(tail.position.pending.size() == 3);

        REQUIRE(all.nodes.size() == 2);
        CHECK(all.nodes[0].name == "alice/laptop");
        REQUIRE(all.nodes[0].last.size() == 1);
        CHECK(all.nodes[0].last[0].numbers.n == 4116);
        CHECK(all.mail.empty());
        REQUIRE(all.usage.size() == 1);
        CHECK(all.usage[0].user == "alice");
        CHECK(all.usage[0].messages == 63);
        CHECK(all.usage[0].bytes == 2220 + 124 + 39);
        REQUIRE(all.ids.size() == 6);
        CHECK(all.ids[0].id == "c1");
        CHECK(all.ids[5].stream == moved.id);

        std::vector<store_event::any> events;
        store.execute({store_request::list_dead{next_token(), half.id}}, events);
        auto const dead = only<store_event::dead_listed>(events).letters;
        REQUIRE(dead.size() == 2);
        CHECK(dead[1].reason == "unreadable too");
        CHECK(dead[1].stored.message->headers() == R"({"Number":"5"})");

        INFO("rows by subject, over the end of a segment");
        for (char const* const filter : {"", "work.1"}) {
            events.clear();
            store_request::read read;
            read.request = next_token();
            read.stream = work.id;
            read.from = 4000;
            read.filter = filter;
            store.execute({read}, events);
            auto const rows = only<store_event::rows_read>(events).rows;
            CHECK(rows.size() == (*filter == 0 ? 60 : 20));
            CHECK(rows.front().message->body() == "w4057");
            CHECK(rows.front().recipients == nullptr);
        }

        auto const people = store.load_accounts();
        REQUIRE(people.users.size() == 4);
        CHECK(people.users[2].removed);
        CHECK(people.users[1].own_limits.empty());
        CHECK(people.keys.size() == 3);
        REQUIRE(people.rules.size() == 4);
        CHECK((people.rules[0] == rule{1, rule::effect::deny, rule::act::publish, "bob", "", "secret.>"}));

        INFO("and it goes on from there");
        events.clear();
        store.execute({append(work.id, "work.9")}, events);
        CHECK(only<store_event::rows_arrived>(events).rows.front().stored.seq == 4117);
        CHECK(*store.add_rule({0, rule::effect::deny, rule::act::call, "", "bot", "x"}) == 5);
    }
    std::atomic<bool> const stop = false;
    auto const checked = sqlite::check_file(path, stop);
    CHECK(checked.rows == 64);
    CHECK(joined(checked.findings) == "");
}

TEST_CASE("a database of version 2 is upgraded with all that is in it")
{
    fault_disk::instance();
    scratch_folder folder;
    auto const path = thaw(folder, "version2.sql");
    std::string secret;
    {
        sqlite_store store{path, limits{}};
        auto const all = store.load(start_ms + 1000);
        secret = all.secret;
        CHECK(secret.size() == 32);
        CHECK(all.mirrors.empty());
        REQUIRE(all.streams.size() == 4);
        auto const& work = find(all.streams, named("WORK"));
        CHECK(work.first == 4057);
        CHECK(work.last == 4116);
        auto const& chat = find(all.streams, named("CHAT"));
        CHECK(chat.config.paused);
        CHECK(chat.config.keep == retention::interest);
        auto const& values = find(all.streams, named("LAST"));
        CHECK(values.config.max_msgs_per_subject == 2);
        CHECK(values.config.when_full == discard::newest);
        CHECK(values.messages == 4);
        CHECK(values.last == 9);
        auto const& half = find(all.consumers, named("half"));
        CHECK((half.config.backoff_ms == std::vector<std::uint64_t>{100, 2000}));
        CHECK((half.position.pending == std::vector<cursor::pending_row>{{3, 0, 0}, {4, 1, 0}}));
        CHECK(half.dead == 2);
        CHECK(all.nodes.size() == 2);
        CHECK(all.ids.size() == 5);
        REQUIRE(all.mail.size() == 2);
        CHECK(all.mail[1].user == "bob");
        REQUIRE(all.usage.size() == 2);
        CHECK(all.usage[0].messages == 63);
        auto const people = store.load_accounts();
        CHECK(people.users.size() == 3);
        CHECK(people.bans.size() == 1);
        CHECK(people.aliases.size() == 1);
        REQUIRE(people.lists.size() == 1);
        CHECK(people.lists[0].members.size() == 2);
        CHECK(store.read_audit(0, 9).size() == 1);

        INFO("and it goes on from there");
        std::vector<store_event::any> events;
        store.execute({mirror(work.id, 4100), append(work.id, "work.9"), import(work.id, {copy_of(4100, 1), native(2)})}, events);
        CHECK(of<store_event::imported>(events).at(0).now.waiting_rows == 17);
    }
    std::atomic<bool> const stop = false;
    CHECK(joined(sqlite::check_file(path, stop).findings) == "");
    sqlite_store store{path, limits{}};
    CHECK(store.load(start_ms + 1000).secret == secret);
}

TEST_CASE("an upgraded database has the tables of a new one")
{
    fault_disk::instance();
    scratch_folder folder;
    auto const path = thaw(folder, "version1.sql");
    auto const tables = [](std::string const& of) {
        auto const on = sqlite::open_database(of);
        sqlite::statement asked{*on, "SELECT m.name, c.name, c.type, c.\"notnull\", c.pk FROM sqlite_schema AS m, pragma_table_info(m.name) AS c"
                                     " ORDER BY m.name, c.name"};
        std::string all;
        auto rows = asked.query();
        while (rows.next()) {
            for (int i = 0; i < 5; ++i)
                all += rows.string(i) + " ";
            all += "\n";
        }
        return all;
    };
    CHECK(tables(path) == tables(folder.file("new.db")));
}
