#include "tests/catch.hpp"

#include <ctime>

#include "router/core/id_windows.hpp"
#include "router/core/subject_index.hpp"
#include "router/core/tail.hpp"

using namespace kedge;

TEST_CASE("subject index: what matches")
{
    struct row {
        char const* subject;
        std::vector<int> found;
    };
    char const* const patterns[] = {"a.b", "a.*", "a.>", "*.b", ">", "*", "a.b.c", "a.*.c", "$sys.>", "$sys.*"};
    row const rows[] = {{"a.b", {0, 1, 2, 3, 4}}, {"a", {4, 5}},   {"a.b.c", {2, 4, 6, 7}}, {"x.b", {3, 4}},
                        {"$sys.x", {8, 9}},       {"$sys", {}},    {"a.x", {1, 2, 4}},      {"inbox.b", {}},
                        {"_x", {}}};
    subject_index<int> index;
    for (int i = 0; i < 10; ++i)
        index.add(patterns[i], i);
    for (auto const& r : rows) {
        INFO(r.subject);
        std::vector<int> found;
        index.match(r.subject, [&](int i) { found.push_back(i); });
        std::sort(found.begin(), found.end());
        CHECK(found == r.found);
    }
    SECTION("what is removed is gone, and only that")
    {
        CHECK_FALSE(index.remove("a.b", 1));
        CHECK_FALSE(index.remove("nowhere.b", 0));
        for (int i = 0; i < 10; ++i) {
            CHECK(index.remove(patterns[i], i));
            CHECK_FALSE(index.remove(patterns[i], i));
        }
        CHECK(index.size() == 0);
        index.match("a.b", [](int) { FAIL("nothing is left"); });
    }
}

TEST_CASE("subject index: a match does not look at what is unrelated")
{
    subject_index<int> index;
    for (int i = 0; i < 200'000; ++i)
        index.add("far." + std::to_string(i) + ".*", i);
    index.add("near.*", -1);
    auto const begin = std::clock();
    int found = 0;
    for (int i = 0; i < 20'000; ++i)
        index.match("near.x", [&](int) { ++found; });
    CHECK(found == 20'000);
    // Looking at each of the others would be 4 * 10^9 steps.
    CHECK(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC < 1.0);
}

TEST_CASE("id windows: age, size, least recently used")
{
    id_windows windows{{1000, 3, 5}};
    auto const has = [&](char const* node, char const* id, std::uint64_t now) { return windows.find(node, id, now) != nullptr; };
    auto const add = [&](char const* node, char const* id, message_seq seq, std::uint64_t now) {
        windows.add(node, id, {stream_id{1}, seq, 7}, now);
    };
    SECTION("an id lives for the age, and not longer")
    {
        add("a/x", "1", 1, 0);
        CHECK(has("a/x", "1", 1000));
        CHECK_FALSE(has("a/x", "1", 1001));
        CHECK_FALSE(has("b/x", "1", 0));
        windows.expire(1000, 100);
        CHECK(windows.size() == 1);
        windows.expire(1001, 100);
        CHECK(windows.size() == 0);
    }
    SECTION("an id that is stored again after it expired is the newer one")
    {
        add("a/x", "1", 1, 0);
        add("a/x", "1", 9, 1500);
        REQUIRE(has("a/x", "1", 1500));
        CHECK(windows.find("a/x", "1", 1500)->seq == 9);
        add("a/x", "2", 10, 1600);
        add("a/x", "3", 11, 1600);
        CHECK(windows.find("a/x", "1", 1600)->seq == 9);
    }
    SECTION("of one node the newest n stay")
    {
        for (auto const* id : {"1", "2", "3"})
            add("a/x", id, 1, 0);
        CHECK(has("a/x", "1", 0));
        add("a/x", "4", 1, 0);
        CHECK_FALSE(has("a/x", "1", 0));
        CHECK(has("a/x", "2", 0));
        CHECK(windows.size() == 3);
    }
    SECTION("in all, the node that was used longest ago goes")
    {
        add("a/x", "1", 1, 0);
        add("a/x", "2", 1, 0);
        add("b/x", "1", 1, 0);
        add("b/x", "2", 1, 0);
        CHECK(has("a/x", "1", 0));  // now b is the older one
        add("c/x", "1", 1, 0);
        CHECK(windows.size() == 5);
        add("c/x", "2", 1, 0);
        CHECK_FALSE(has("b/x", "1", 0));
        CHECK(has("a/x", "1", 0));
        CHECK(has("c/x", "2", 0));
    }
    SECTION("a node can be forgotten")
    {
        add("a/x", "1", 1, 0);
        add("b/x", "1", 1, 0);
        windows.forget("a/x");
        windows.forget("none/x");
        CHECK_FALSE(has("a/x", "1", 0));
        CHECK(has("b/x", "1", 0));
        CHECK(windows.size() == 1);
    }
}

TEST_CASE("tail: the newest rows, bounded in bytes, without holes")
{
    auto const made = [](message_seq seq) {
        return row{seq, 0, shared_bytes::copy_of("a/x"), message::make({"a.b", {}, {}, {}, std::string(100, 'x')})};
    };
    auto const cost = made(1).message->cost();
    tail newest;
    for (message_seq seq = 5; seq <= 9; ++seq)
        newest.push(made(seq), 3 * cost);
    CHECK(newest.find(6) == nullptr);
    REQUIRE(newest.find(7));
    CHECK(newest.find(7)->seq == 7);
    CHECK(newest.find(9)->seq == 9);
    CHECK(newest.find(10) == nullptr);
    CHECK(newest.bytes() == 3 * cost);
    newest.push(made(11), 3 * cost);
    CHECK(newest.find(9) == nullptr);
    CHECK(newest.find(11)->seq == 11);
    newest.push(made(12), 1);  // one is kept however large
    CHECK(newest.find(11) == nullptr);
    CHECK(newest.find(12)->seq == 12);
    newest.clear();
    CHECK(newest.find(12) == nullptr);
    CHECK(newest.bytes() == 0);
}
