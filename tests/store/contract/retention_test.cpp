/// Retention: age, bytes, count, interest.

#include "router/store/row_bytes.hpp"
#include "tests/store/fixture.hpp"

using namespace kedge;
using namespace kedge::test;

TEST_CASE("retention keeps what a stream's bounds allow and no more")
{
    struct {
        char const* name;
        stream_config config;
        std::size_t left;  ///< of 3,000 rows of one byte, one a second
    } const cases[] = {
        {"no bound", {}, 3000},
        {"count", {"", {}, 0, 0, 7}, 7},
        {"exactly the count", {"", {}, 0, 0, 3000}, 3000},
        {"one fewer", {"", {}, 0, 0, 2999}, 2999},
        {"bytes", {"", {}, 0, 10 * (row_bytes_fixed + 1), 0}, 10},
        {"one byte less", {"", {}, 0, 10 * (row_bytes_fixed + 1) - 1, 0}, 9},
        {"age", {"", {}, 100'000, 0, 0}, 100},
        {"one more millisecond", {"", {}, 100'001, 0, 0}, 101},
        {"the tightest of all", {"", {}, 100'000, 40 * (row_bytes_fixed + 1), 50}, 40},
    };
    on_both_stores([&](store_fixture& f) {
        std::size_t number = 0;
        for (auto const& c : cases) {
            INFO(c.name);
            auto const stream = add_stream(f, "S" + std::to_string(number++), c.config);
            std::vector<store_request::any> batch;
            for (std::uint64_t i = 0; i < 3000; ++i) {
                auto request = append(stream, "s." + std::to_string(i % 3));
                request.time_ms = start_ms + (i + 1) * 1000;
                batch.push_back(request);
            }
            f.run(std::move(batch));
            f.now_ms = start_ms + 3'000'000;
            auto const trimmed = of<store_event::stream_trimmed>(f.maintain());
            auto const first = 3001 - c.left;
            if (c.left != 3000) {
                REQUIRE_FALSE(trimmed.empty());
                CHECK(trimmed.back().stream == stream);
                CHECK(trimmed.back().first == first);
                CHECK(trimmed.back().messages == c.left);
                CHECK(trimmed.back().bytes == c.left * (row_bytes_fixed + 1));
            } else {
                CHECK(trimmed.empty());
            }
            auto const rows = read_all(f, stream);
            CHECK(rows.size() == c.left);
            CHECK(rows.front().seq == first);
            f.reopen();
            auto const state = state_of(f.load(), stream);
            CHECK(state.first == first);
            CHECK(state.last == 3000);
            CHECK(state.messages == c.left);
            CHECK(state.bytes == c.left * (row_bytes_fixed + 1));
            INFO("a filter still finds what is left");
            CHECK(read_all(f, stream, "s.1").size() == read_all(f, stream, "*.1").size());
        }
    });
}

TEST_CASE("an interest stream keeps what some consumer has not finished")
{
    on_both_stores([](store_fixture& f) {
        stream_config config;
        config.keep = retention::interest;
        auto const stream = add_stream(f, "S", config);
        fill(f, stream, 100);
        INFO("without consumers nobody is done with anything: only the limits take rows");
        CHECK(f.maintain().empty());
        CHECK(read_all(f, stream).size() == 100);

        auto const slow = add_consumer(f, stream, "slow", {op::start_position::kind::first, 0});
        auto const fast = add_consumer(f, stream, "fast", {op::start_position::kind::first, 0});
        f.run({store_request::save_cursor{token::none, fast, {101, {}}, {}, start_ms}});
        f.maintain();
        CHECK(read_all(f, stream).size() == 100);
        f.run({store_request::save_cursor{token::none, slow, {51, {{30, 1, 0}, {40, 1, 0}}}, {}, start_ms}});
        f.maintain();
        CHECK(read_all(f, stream).front().seq == 30);
        f.reopen();
        f.load();
        f.maintain();
        CHECK(read_all(f, stream).front().seq == 30);
        f.run({store_request::save_cursor{token::none, slow, {51, {}}, {}, start_ms}});
        f.maintain();
        CHECK(read_all(f, stream).front().seq == 51);
        f.run({store_request::remove_consumer{next_token(), slow}});
        f.maintain();
        CHECK(read_all(f, stream).empty());
        CHECK(only<store_event::rows_arrived>(f.run({append(stream, "s")})).rows.front().stored.seq == 101);
    });
}

TEST_CASE("an edited bound holds at the next housekeeping")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        fill(f, stream, 10);
        f.maintain();
        stream_config config{"S", {">"}, 0, 0, 4};
        f.run({store_request::edit_stream{next_token(), stream, config}});
        f.maintain();
        CHECK(seqs_of(read_all(f, stream)) == std::vector<message_seq>{7, 8, 9, 10});
    });
}
