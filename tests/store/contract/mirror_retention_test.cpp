/// What retention may take of a mirrored stream, and that rows take their places along.

#include "router/store/row_bytes.hpp"
#include "tests/store/mirror_requests.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

std::vector<item> copies(message_seq from, message_seq to)
{
    std::vector<item> items;
    for (auto seq = from; seq <= to; ++seq)
        items.push_back(copy_of(seq, seq));
    return items;
}

std::vector<message_seq> all_from(message_seq first, message_seq last)
{
    std::vector<message_seq> seqs;
    for (; first <= last; ++first)
        seqs.push_back(first);
    return seqs;
}

}  // namespace

TEST_CASE("a mirror that keeps holds what waits and what was placed a moment ago, whatever the bounds say")
{
    limits bounds;
    bounds.mirror_sync_ms = 1000;
    struct {
        char const* name;
        stream_config config;
        message_seq left;  ///< lowest row in the end
    } const cases[] = {
        {"count", {"", {}, 0, 0, 3}, 18},
        {"bytes", {"", {}, 0, 3 * (row_bytes_fixed + 1), 0}, 18},
        {"age", {"", {}, 500, 0, 0}, 21},
        {"per subject", {"", {}, 0, 0, 0, retention::limits, 1}, 14},
    };
    for (auto const& c : cases)
        on_both_stores(
            [&](store_fixture& f) {
                INFO(c.name);
                auto const stream = add_stream(f, "S", c.config);
                f.run({mirror(stream, 1, true)});
                fill(f, stream, 20);
                auto const firsts = [&](std::uint64_t later_ms) {
                    f.now_ms += later_ms;
                    f.maintain();
                    return read_all(f, stream).empty() ? 21 : read_all(f, stream).front().seq;
                };
                CHECK(firsts(0) == 1);
                CHECK(firsts(5000) == 1);
                INFO("rows 1 to 10 are placed, and 12: it waits behind 11");
                auto some = copies(1, 10);
                some.push_back(copy_of(12, 12));
                imported(f, import(stream, some));
                CHECK(firsts(0) == 1);
                CHECK(firsts(999) == 1);
                auto const by_subject = c.config.max_msgs_per_subject != 0;
                CHECK(firsts(1) == (by_subject ? 4 : 11));
                CHECK(seqs_of(all_waiting(f, stream)) == std::vector<message_seq>{11, 13, 14, 15, 16, 17, 18, 19, 20});
                CHECK(firsts(100'000) == (by_subject ? 4 : 11));
                CHECK(found_wrong(f) == "");
                INFO("after a start all is kept for as long again");
                auto rest = copies(13, 20);
                rest.insert(rest.begin(), copy_of(11, 13));
                for (std::size_t i = 0; i < rest.size(); ++i)
                    rest[i].place = 13 + i;
                auto const now = imported(f, import(stream, rest)).now;
                CHECK(now.waiting_rows == 0);
                CHECK(now.floor == 20);
                f.maintain();
                f.now_ms += 999;
                f.reopen();
                f.load();
                CHECK(firsts(1) == (by_subject ? 4 : 11));
                CHECK(firsts(999) == (by_subject ? 4 : 11));
                CHECK(firsts(1) == c.left);
                CHECK(found_wrong(f) == "");
                INFO("the places went with the rows");
                auto const left = read_all(f, stream).size();
                CHECK(placed(f, stream).rows.size() == left);
            },
            bounds);
}

TEST_CASE("an interest stream keeps what its mirror has not copied")
{
    limits bounds;
    bounds.mirror_sync_ms = 0;
    on_both_stores(
        [](store_fixture& f) {
            stream_config config;
            config.keep = retention::interest;
            auto const stream = add_stream(f, "S", config);
            auto const consumer = add_consumer(f, stream, "C", {op::start_position::kind::first, 0});
            fill(f, stream, 10);
            f.run({mirror(stream, 1, true), store_request::save_cursor{token::none, consumer, {11, {}}, {}, start_ms}});
            f.maintain();
            CHECK(read_all(f, stream).size() == 10);
            imported(f, import(stream, copies(1, 4)));
            f.maintain();
            CHECK(seqs_of(read_all(f, stream)) == all_from(5, 10));
            INFO("unless it is told to let go");
            f.run({mirror(stream, 1, false)});
            f.maintain();
            CHECK(read_all(f, stream).empty());
            CHECK(found_wrong(f) == "");
        },
        bounds);
}

TEST_CASE("what JetStream lost may not go any more")
{
    limits bounds;
    bounds.mirror_sync_ms = 1000;
    on_both_stores(
        [](store_fixture& f) {
            stream_config config;
            config.max_msgs = 1;
            auto const stream = add_stream(f, "S", config);
            f.run({mirror(stream, 1, true)});
            fill(f, stream, 10);
            imported(f, import(stream, copies(1, 10)));
            f.maintain();
            f.now_ms += 999;
            f.maintain();
            f.run({take_back(stream, 6)});
            f.now_ms += 100'000;
            f.maintain();
            CHECK(seqs_of(read_all(f, stream)) == all_from(7, 10));
            CHECK(found_wrong(f) == "");
        },
        bounds);
}

TEST_CASE("a clock that is put back makes retention wait anew, no longer")
{
    limits bounds;
    bounds.mirror_sync_ms = 1000;
    on_both_stores(
        [](store_fixture& f) {
            stream_config config;
            config.max_msgs = 1;
            auto const stream = add_stream(f, "S", config);
            f.run({mirror(stream, 1, true)});
            fill(f, stream, 10);
            imported(f, import(stream, copies(1, 10)));
            f.maintain();
            f.now_ms -= 1'000'000;
            f.maintain();
            f.now_ms += 999;
            f.maintain();
            CHECK(read_all(f, stream).size() == 10);
            f.now_ms += 1;
            f.maintain();
            CHECK(seqs_of(read_all(f, stream)) == all_from(10, 10));
        },
        bounds);
}

TEST_CASE("without keep rows that wait go too, and nothing counts them any more")
{
    on_both_stores([](store_fixture& f) {
        stream_config config;
        config.max_msgs = 4000;
        config.max_msgs_per_subject = 600;
        auto const stream = add_stream(f, "S", config);
        f.run({mirror(stream, 3)});
        fill(f, stream, 9000);  // over segments and slices
        std::vector<item> items;
        for (message_seq seq = 1; seq <= 9000; seq += 3)
            items.push_back(copy_of(seq, seq));
        imported(f, import(stream, items));
        f.maintain();
        auto const rows = read_all(f, stream);
        CHECK(rows.size() <= 4000);
        std::size_t there = 0;
        for (auto const& each : rows)
            there += each.seq % 3 == 1 ? 1 : 0;
        CHECK(placed(f, stream, 1, jet_place_max, false, 10'000).rows.size() == there);
        CHECK(all_waiting(f, stream).size() == rows.size() - there);
        auto const now = imported(f, import(stream, {native(9100), copy_of(1, 9101)})).now;
        CHECK(now.waiting_rows == rows.size() - there);
        CHECK(now.waiting_bytes == (rows.size() - there) * (row_bytes_fixed + 1));
        CHECK(found_wrong(f) == "");
    });
}

TEST_CASE("a mirrored stream is not purged; a purge that is under way goes on")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        fill(f, stream, 8000);
        store_request::purge const before{next_token(), stream, "", 7000};
        CHECK(f.run({before, mirror(stream)}).size() == 1);
        auto const purge = store_request::purge{next_token(), stream, "s.1", 0};
        CHECK(failed_code(f.run({purge})) == error_code::bad_request);
        auto const done = of<store_event::purged>(f.maintain());
        REQUIRE(done.size() == 1);
        CHECK(done[0].messages == 7000);
        CHECK(imported(f, import(stream, {nothing(1)})).now.waiting_rows == 1000);
        CHECK(found_wrong(f) == "");
        f.run({store_request::remove_mirror{next_token(), stream}});
        CHECK(f.run({purge}).empty());
        CHECK(of<store_event::purged>(f.maintain()).size() == 1);
    });
}
