/// Nodes, their numbers, and the idempotency window.

#include "tests/store/fixture.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

std::vector<std::string> ids(store_fixture& f)
{
    std::vector<std::string> list;
    for (auto const& entry : f.load().ids)
        list.push_back(entry.sender + " " + entry.id);
    return list;
}

using strings = std::vector<std::string>;

}  // namespace

TEST_CASE("nodes and their highest n are known again after a restart")
{
    on_both_stores([](store_fixture& f) {
        auto const a = add_stream(f, "A");
        auto const b = add_stream(f, "B");
        CHECK(f.run({store_request::put_node{"alice/laptop", 5}}).empty());
        f.run({store_request::put_node{"alice/laptop", 7}, store_request::put_node{"bob/pc", 8}, append_n(a, 3), append_n(a, 9),
               append_n(b, 2), append_n(a, 10, "bob/pc")});
        f.run({append_n(a, 12)});
        f.reopen();
        auto const nodes = f.load().nodes;
        REQUIRE(nodes.size() == 2);
        CHECK(nodes[0].name == "alice/laptop");
        CHECK(nodes[0].seen_ms == 7);
        REQUIRE(nodes[0].last.size() == 2);
        CHECK(nodes[0].last[0].stream == a);
        CHECK(nodes[0].last[0].numbers.n == 12);
        CHECK(nodes[0].last[0].numbers.seq == 4);
        CHECK(nodes[0].last[1].numbers.n == 2);
        CHECK(nodes[0].last[1].numbers.seq == 1);
        CHECK(nodes[1].last[0].numbers.n == 10);
        CHECK(nodes[1].last[0].numbers.seq == 3);
    });
}

TEST_CASE("a sender without a node has no window and no numbers")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        auto request = append_id(stream, "1", "bob/~9f2c41d07a55e8b1");
        request.named = false;
        request.n = 4;
        f.run({request});
        f.reopen();
        CHECK(f.load().ids.empty());
        CHECK(f.load().nodes.empty());
    });
}

TEST_CASE("remembered ids come back whole, oldest first")
{
    on_both_stores([](store_fixture& f) {
        auto const a = add_stream(f, "A");
        auto const b = add_stream(f, "B");
        auto first = append_id(a, "one");
        first.digest = ~std::uint64_t{0};
        f.run({first, append_id(b, "two", "bob/pc"), append_id(a, "three")});
        auto late = append_id(b, "four");
        late.time_ms = start_ms + 77;
        f.run({late});
        f.reopen();
        auto const all = f.load().ids;
        REQUIRE(all.size() == 4);
        CHECK(all[0].sender == "alice/laptop");
        CHECK(all[0].id == "one");
        CHECK(all[0].stream == a);
        CHECK(all[0].seq == 1);
        CHECK(all[0].digest == ~std::uint64_t{0});
        CHECK(all[0].time_ms == start_ms);
        CHECK(all[1].sender == "bob/pc");
        CHECK(all[1].stream == b);
        CHECK(all[2].seq == 2);
        CHECK(all[3].id == "four");
        CHECK(all[3].time_ms == start_ms + 77);
    });
}

TEST_CASE("the window ends with its time, not before, and retention does not shorten it")
{
    limits bounds;
    bounds.dedupe_ms = 1000;
    on_both_stores(
        [](store_fixture& f) {
            stream_config config;
            config.max_msgs = 1;
            auto const stream = add_stream(f, "S", config);
            f.run({append_id(stream, "old")});
            auto young = append_id(stream, "young");
            young.time_ms = start_ms + 500;
            f.run({young});
            f.now_ms = start_ms + 999;
            f.maintain();
            f.reopen();
            CHECK(ids(f) == strings{"alice/laptop old", "alice/laptop young"});
            f.now_ms = start_ms + 1000;
            CHECK(ids(f) == strings{"alice/laptop young"});
            f.maintain();
            CHECK(ids(f) == strings{"alice/laptop young"});
            f.now_ms = start_ms + 1500;
            f.maintain();
            f.now_ms = start_ms;
            INFO("what is over is also gone from the disk");
            CHECK(ids(f).empty());
        },
        bounds);
}

TEST_CASE("a node's window holds dedupe_ids, all together dedupe_ids_total; the least recently used loses first")
{
    limits bounds;
    bounds.dedupe_ids = 3;
    bounds.dedupe_ids_total = 5;
    on_both_stores(
        [](store_fixture& f) {
            auto const stream = add_stream(f);
            for (char const* const id : {"1", "2", "3"})
                f.run({append_id(stream, id, "a/a")});
            CHECK(ids(f) == strings{"a/a 1", "a/a 2", "a/a 3"});
            f.run({append_id(stream, "4", "a/a")});
            CHECK(ids(f) == strings{"a/a 2", "a/a 3", "a/a 4"});
            f.run({append_id(stream, "5", "b/b"), append_id(stream, "6", "b/b")});
            CHECK(ids(f) == strings{"a/a 2", "a/a 3", "a/a 4", "b/b 5", "b/b 6"});
            f.run({append_id(stream, "7", "c/c")});
            CHECK(ids(f) == strings{"a/a 3", "a/a 4", "b/b 5", "b/b 6", "c/c 7"});
            INFO("a is used again, so b is the least recent: it goes before a's older ones");
            f.run({append_id(stream, "8", "a/a")});
            CHECK(ids(f) == strings{"a/a 3", "a/a 4", "b/b 6", "c/c 7", "a/a 8"});
        },
        bounds);
}

TEST_CASE("housekeeping bounds what is kept of ids and takes nothing that the window holds")
{
    limits bounds;
    bounds.dedupe_ids = 40;
    bounds.dedupe_ids_total = 100;
    on_both_stores(
        [](store_fixture& f) {
            auto const stream = add_stream(f);
            // A quiet node, two busy ones, and many that came once.
            f.run({append_id(stream, "quiet", "q/q")});
            for (int i = 0; i < 400; ++i) {
                f.run({append_id(stream, std::to_string(i), i % 2 == 0 ? "a/a" : "b/b")});
                if (i % 40 == 0)
                    f.run({append_id(stream, "again" + std::to_string(i), "q/q")});
                auto const before = ids(f);
                f.maintain();
                CHECK(ids(f) == before);
            }
            auto const before = ids(f);
            CHECK(before.size() == 91);  // 40 of each busy node and 11 of the quiet one
            f.reopen();
            CHECK(ids(f) == before);
        },
        bounds);
}

TEST_CASE("a removed node is forgotten: its numbers, its ids up to then")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        f.run({store_request::put_node{"alice/laptop", 5}, append_id(stream, "1"), append_id(stream, "2", "bob/pc"), append_n(stream, 4)});
        auto const events = f.run({append_id(stream, "3"), append_n(stream, 5), store_request::remove_node{next_token(), "alice/laptop"},
                                   append_id(stream, "4")});
        CHECK(of<store_event::done>(events).size() == 1);
        for (int restarts = 0; restarts < 2; ++restarts) {
            CHECK(ids(f) == strings{"bob/pc 2", "alice/laptop 4"});
            CHECK(f.load().nodes.empty());
            f.maintain();
            f.reopen();
        }
    });
}
