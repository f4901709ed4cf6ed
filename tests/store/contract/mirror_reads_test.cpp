/// What is read of a mirror: rows that wait, rows by their place; and places that are taken back.

#include "tests/store/mirror_requests.hpp"

using namespace kedge;
using namespace kedge::test;

TEST_CASE("what waits is read along the places, in parts of any size")
{
    struct {
        char const* name;
        std::vector<message_seq> places;  ///< of 10 rows
        std::vector<message_seq> waits;
    } const cases[] = {
        {"none", {}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
        {"all", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {}},
        {"the first", {1}, {2, 3, 4, 5, 6, 7, 8, 9, 10}},
        {"the last", {10}, {1, 2, 3, 4, 5, 6, 7, 8, 9}},
        {"every other", {2, 4, 6, 8, 10}, {1, 3, 5, 7, 9}},
        {"all but one", {1, 2, 3, 4, 6, 7, 8, 9, 10}, {5}},
    };
    for (auto const& c : cases)
        on_both_stores([&](store_fixture& f) {
            INFO(c.name);
            auto const stream = add_stream(f);
            fill(f, stream, 10);
            f.run({mirror(stream)});
            std::vector<item> items;
            for (auto const seq : c.places)
                items.push_back(copy_of(seq, items.size() + 1));
            auto const now = imported(f, import(stream, items)).now;
            CHECK(now.floor == (c.waits.empty() ? 10 : c.waits.front() - 1));
            CHECK(now.waiting_rows == c.waits.size());
            for (std::size_t const rows_max : {1, 2, 3, 100})
                CHECK(seqs_of(all_waiting(f, stream, 1, rows_max)) == c.waits);
            std::vector<message_seq> later;
            for (auto const seq : c.waits)
                if (seq >= 6)
                    later.push_back(seq);
            CHECK(seqs_of(all_waiting(f, stream, 6)) == later);
            CHECK(all_waiting(f, stream, 11).empty());
            store_request::read_waiting small{next_token(), stream, 1, 100, 1};
            CHECK(only<store_event::rows_read>(f.run({small})).rows.size() == (c.waits.empty() ? 0 : 1));
            CHECK(found_wrong(f) == "");
        });
}

TEST_CASE("placed rows are read by place in both directions, within bounds")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        fill(f, stream, 5);
        auto const other = add_stream(f, "O", {"", {"o.>"}});
        fill(f, other, 2);
        f.run({mirror(stream), mirror(other)});
        imported(f, import(stream, {copy_of(2, 10), copy_of(1, 20), native(30, "n"), copy_of(5, jet_place_max)}));
        imported(f, import(other, {copy_of(1, 10), copy_of(2, 20)}));
        CHECK(text_of(placed(f, stream).rows) == "10:2 20:1 30:6 1099511627775:5");
        CHECK(text_of(placed(f, stream, 1, jet_place_max, true).rows) == "1099511627775:5 30:6 20:1 10:2");
        CHECK(text_of(placed(f, stream, 11, 30).rows) == "20:1 30:6");
        CHECK(text_of(placed(f, stream, 20, 20, true).rows) == "20:1");
        CHECK(placed(f, stream, 11, 19).rows.empty());
        CHECK(placed(f, stream, 30, 20).rows.empty());
        CHECK(placed(f, stream, 30, 20, true).end);
        CHECK(text_of(placed(f, other).rows) == "10:1 20:2");
        auto const some = placed(f, stream, 1, jet_place_max, false, 3);
        CHECK(some.rows.size() == 3);
        CHECK_FALSE(some.end);
        CHECK(placed(f, stream, 1, jet_place_max, false, 4).end);
        CHECK_FALSE(placed(f, stream, 1, jet_place_max, true, 1).end);
        CHECK(some.rows[2].message->body() == "n");
        CHECK(some.rows[2].sender->view() == "nats");
        CHECK(some.rows[2].stamp == stamp_of(30));
        CHECK(some.rows[2].time_ms == start_ms);
        store_request::read_placed small{next_token(), stream, 1, jet_place_max, 100, 1, false};
        CHECK(only<store_event::placed_read>(f.run({small})).rows.size() == 1);
        INFO("a place beyond what can be kept");
        CHECK(failed_code(f.run({import(stream, {native(jet_place_max + 1)})})) == error_code::store_full);
    });
}

TEST_CASE("what JetStream lost waits again, native rows too, and comes in anew")
{
    for (std::size_t const rows_max : {1, 2, 3, 4, 100})
        on_both_stores([&](store_fixture& f) {
            INFO(rows_max << " rows a request");
            auto const stream = add_stream(f);
            fill(f, stream, 4);
            f.run({mirror(stream, 2)});
            imported(f, import(stream, {copy_of(1, 1), copy_of(2, 2), copy_of(3, 3), native(4, "four"), copy_of(4, 5), native(6, "six")}));
            std::uint64_t rows = 0;
            for (int requests = 0;; ++requests) {
                REQUIRE(requests < 10);
                auto const request = take_back(stream, 2, rows_max);
                auto const answer = only<store_event::taken_back>(f.run({request}));
                CHECK(answer.request == request.request);
                rows += answer.rows;
                CHECK(answer.now.generation == (answer.end ? 1 : 0));
                CHECK(answer.now.checkpoint == (answer.end ? 2 : 6));
                CHECK(answer.now.waiting_rows == rows);
                if (answer.end) {
                    CHECK(answer.now.floor == 2);
                    CHECK(answer.now.stamp == stamp_of(2));
                    break;
                }
                CHECK(answer.rows == rows_max);
            }
            CHECK(rows == 4);
            CHECK(seqs_of(all_waiting(f, stream)) == std::vector<message_seq>{3, 4, 5, 6});
            CHECK(text_of(placed(f, stream).rows) == "1:1 2:2");
            f.reopen();
            CHECK(mirror_of(f.load(), stream).lanes == "back");
            CHECK(found_wrong(f) == "");
            INFO("and goes out again");
            auto const answer = imported(f, import(stream, {copy_of(3, 3), copy_of(4, 4), native(5), copy_of(5, 6), copy_of(6, 7)}));
            CHECK(answer.now.waiting_rows == 0);
            CHECK(answer.now.floor == 7);
            INFO("nothing to take back: the checkpoint moves all the same");
            auto const none = only<store_event::taken_back>(f.run({take_back(stream, 7)}));
            CHECK(none.end);
            CHECK(none.rows == 0);
            CHECK(none.now.generation == 2);
            CHECK(found_wrong(f) == "");
        });
}

TEST_CASE("a copy that was taken before it could be read gives its row a place below the checkpoint, once")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        fill(f, stream, 5);
        f.run({mirror(stream)});
        imported(f, import(stream, {copy_of(1, 3), native(7)}));
        auto const below = [&](std::vector<item> items) {
            auto request = import(stream, std::move(items));
            request.checkpoint = 9;
            request.stamp = stamp_of(9);
            return imported(f, request);
        };
        auto const first = below({copy_of(3, 4), copy_of(2, 5)});
        CHECK((first.outcomes == std::vector{outcome::placed, outcome::placed}));
        CHECK(first.now.checkpoint == 9);
        CHECK(first.now.floor == 3);
        CHECK(first.now.waiting_rows == 2);
        // Again, also at another place: without the message there is nothing to insert.
        CHECK((below({copy_of(3, 4)}).outcomes == std::vector{outcome::known}));
        auto const twice = below({copy_of(3, 6)});
        CHECK(twice.outcomes.size() == 1);
        CHECK(twice.outcomes.front() != outcome::inserted);
        CHECK(twice.now.waiting_rows == 2);
        CHECK(text_of(placed(f, stream).rows) == "3:1 4:3 5:2 7:6");
        // A place that another row has is nobody else's.
        auto const taken = below({copy_of(4, 7)});
        CHECK(taken.outcomes.front() == outcome::known);
        CHECK(seqs_of(all_waiting(f, stream)) == std::vector<message_seq>{4, 5});
        f.reopen();
        f.load();
        CHECK(text_of(placed(f, stream).rows) == "3:1 4:3 5:2 7:6");
        CHECK(read_all(f, stream).size() == 6);
        CHECK(found_wrong(f) == "");
    });
}
