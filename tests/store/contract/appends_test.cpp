/// Appends: what arrives, in which order, with which seq and time; epochs.

#include "tests/store/fixture.hpp"

using namespace kedge;
using namespace kedge::test;

TEST_CASE("rows arrive with dense seqs from 1, gathered per stream and batch")
{
    on_both_stores([](store_fixture& f) {
        auto const a = add_stream(f, "A");
        auto const b = add_stream(f, "B");
        std::vector<store_request::any> batch;
        std::vector<token> tokens;
        for (auto const to : {a, b, a, a, b}) {
            auto request = append(to, "s.x");
            tokens.push_back(request.request);
            batch.push_back(request);
        }
        auto const events = f.run(batch);
        auto const arrived = of<store_event::rows_arrived>(events);
        REQUIRE(events.size() == 2);
        REQUIRE(arrived.size() == 2);
        CHECK(arrived[0].stream == a);
        REQUIRE(arrived[0].rows.size() == 3);
        for (std::size_t i = 0; i < 3; ++i)
            CHECK(arrived[0].rows[i].stored.seq == i + 1);
        CHECK(arrived[0].rows[1].origin == tokens[2]);
        REQUIRE(arrived[1].rows.size() == 2);
        CHECK(arrived[1].rows[1].stored.seq == 2);
        CHECK(arrived[1].rows[1].origin == tokens[4]);
    });
}

TEST_CASE("every part of a row comes back, also after a restart")
{
    struct {
        char const* name;
        message::parts parts;
    } const cases[] = {
        {"all parts", {"s.all", "id-1", "reply.here", R"({"A":"ü"})", "body"}},
        {"only a subject", {"s", {}, {}, {}, {}}},
        {"octets", {"s.octets", {}, {}, {}, std::string_view{"\0\xff\n\0", 4}}},
        {"an empty body with an id", {"s.e", "1", {}, {}, {}}},
    };
    on_both_stores([&](store_fixture& f) {
        auto const stream = add_stream(f);
        for (auto const& c : cases) {
            auto request = append(stream, "s");
            request.message = message::make(c.parts);
            f.run({request});
        }
        std::string const large(3'000'000, 'L');
        f.run({append(stream, "s.large", large)});
        for (int restarts = 0; restarts < 2; ++restarts) {
            auto const rows = read_all(f, stream);
            REQUIRE(rows.size() == std::size(cases) + 1);
            for (std::size_t i = 0; i < std::size(cases); ++i) {
                INFO(cases[i].name);
                auto const& m = *rows[i].message;
                CHECK(rows[i].seq == i + 1);
                CHECK(rows[i].sender->view() == "bob/~9f2c41d07a55e8b1");
                CHECK(rows[i].time_ms == start_ms);
                CHECK(m.subject() == cases[i].parts.subject);
                CHECK(m.id() == cases[i].parts.id);
                CHECK(m.reply_to() == cases[i].parts.reply_to);
                CHECK(m.headers() == cases[i].parts.headers);
                CHECK(m.body() == cases[i].parts.body);
            }
            CHECK(rows.back().message->body() == large);
            f.reopen();
            f.load();
        }
    });
}

TEST_CASE("the stored time never falls along a stream")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        for (auto const time : {start_ms + 10, start_ms + 5, start_ms + 11}) {
            auto request = append(stream, "s");
            request.time_ms = time;
            f.run({request});
        }
        f.reopen();
        f.load();
        auto request = append(stream, "s");
        request.time_ms = start_ms;
        f.run({request});
        std::vector<std::uint64_t> times;
        for (auto const& r : read_all(f, stream))
            times.push_back(r.time_ms - start_ms);
        CHECK(times == std::vector<std::uint64_t>{10, 10, 11, 11});
    });
}

TEST_CASE("seqs are not used again: not after a restart, not after retention took all rows")
{
    on_both_stores([](store_fixture& f) {
        stream_config config;
        config.max_age_ms = 1000;
        auto const stream = add_stream(f, "S", config);
        fill(f, stream, 10);
        f.now_ms += 5000;
        f.maintain();
        REQUIRE(read_all(f, stream).empty());
        f.reopen();
        auto const state = state_of(f.load(), stream);
        CHECK(state.first == 11);
        CHECK(state.last == 10);
        CHECK(state.messages == 0);
        CHECK(state.bytes == 0);
        CHECK(only<store_event::rows_arrived>(f.run({append(stream, "s")})).rows.front().stored.seq == 11);
    });
}

TEST_CASE("an append to a stream that does not exist fails alone")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        auto const lost = append(stream_id{77}, "s");
        auto const events = f.run({append(stream, "s"), lost, append(stream, "s")});
        auto const failed = of<store_event::append_failed>(events);
        REQUIRE(failed.size() == 1);
        CHECK(failed.front().request == lost.request);
        CHECK(failed.front().why.code == error_code::unknown_stream);
        REQUIRE(of<store_event::rows_arrived>(events).size() == 1);
        CHECK(of<store_event::rows_arrived>(events).front().rows.size() == 2);
    });
}

TEST_CASE("what was pipelined behind a failed append is refused until the epoch rises")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f, "A");
        auto const other = add_stream(f, "B");
        f.run({append(stream, "s")});
        f.fail(store_fixture::fault::full);
        CHECK(only<store_event::append_failed>(f.run({append(stream, "s")})).why.code == error_code::store_full);
        f.heal();

        INFO("the same epoch, in a batch in which a higher one follows");
        auto const behind = append(stream, "s.behind");
        auto fresh = append(stream, "s.fresh");
        fresh.epoch = 2;
        auto const events = f.run({behind, fresh, append(other, "s")});
        REQUIRE(events.size() == 3);
        auto const& failed = std::get<store_event::append_failed>(events[0]);
        CHECK(failed.request == behind.request);
        CHECK(failed.why.code == error_code::store_full);
        CHECK(std::get<store_event::rows_arrived>(events[1]).rows.front().stored.seq == 2);
        CHECK(std::get<store_event::rows_arrived>(events[2]).stream == other);
        CHECK(of<store_event::append_failed>(f.run({append(stream, "s")})).size() == 1);

        INFO("epochs are the process's");
        f.reopen();
        f.load();
        CHECK(only<store_event::rows_arrived>(f.run({append(stream, "s")})).rows.front().stored.seq == 3);
    });
}

TEST_CASE("a failed batch sets the highest of its epochs as the bar")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        auto one = append(stream, "s");
        auto two = append(stream, "s");
        two.epoch = 2;
        f.fail(store_fixture::fault::lost);
        auto const failed = of<store_event::append_failed>(f.run({one, two}));
        f.heal();
        REQUIRE(failed.size() == 2);
        CHECK(failed[0].request == one.request);
        CHECK(failed[1].request == two.request);
        CHECK(failed[1].why.code == error_code::internal);
        two.request = next_token();
        CHECK(of<store_event::append_failed>(f.run({two})).size() == 1);
        auto three = append(stream, "s");
        three.epoch = 3;
        CHECK(only<store_event::rows_arrived>(f.run({three})).rows.front().stored.seq == 1);
    });
}
