/// Streams: creating, editing, removing; what is known of them after a restart.

#include "router/store/row_bytes.hpp"
#include "tests/store/fixture.hpp"

using namespace kedge;
using namespace kedge::test;

TEST_CASE("a stream is known again after a restart, with all of its configuration and state")
{
    on_both_stores([](store_fixture& f) {
        stream_config config{"ORDERS", {"orders.>", "refunds.*"}, 86'400'000, 1 << 30, 1'000'000, retention::interest};
        auto const created
            = only<store_event::stream_created>(f.run({store_request::create_stream{next_token(), config}})).stream;
        CHECK(created.config == config);
        CHECK(created.first == 1);
        CHECK(created.last == 0);
        f.run({append(created.id, "orders.1", "abc"), append(created.id, "orders.2", "")});
        f.reopen();
        auto const state = state_of(f.load(), created.id);
        CHECK(state.config == config);
        CHECK(state.first == 1);
        CHECK(state.last == 2);
        CHECK(state.messages == 2);
        CHECK(state.bytes == 2 * row_bytes_fixed + 3);
        CHECK(state.last_ms == start_ms);
    });
}

TEST_CASE("a stream is edited but keeps its name; a name is taken once")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f, "A");
        add_stream(f, "B");
        CHECK(failed_code(f.run({store_request::create_stream{next_token(), {"A", {"x"}}}})) == error_code::exists);
        stream_config edited{"A", {"a.*"}, 1, 2, 3, retention::interest};
        only<store_event::done>(f.run({store_request::edit_stream{next_token(), stream, edited}}));
        f.reopen();
        CHECK(state_of(f.load(), stream).config == edited);
        edited.name = "C";
        CHECK(failed_code(f.run({store_request::edit_stream{next_token(), stream, edited}})) == error_code::bad_request);
        CHECK(failed_code(f.run({store_request::edit_stream{next_token(), stream_id{99}, edited}})) == error_code::unknown_stream);
        CHECK(failed_code(f.run({store_request::remove_stream{next_token(), stream_id{99}}})) == error_code::unknown_stream);
    });
}

TEST_CASE("removing a stream takes its rows, consumers, ids and numbers; its number is not used again")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f, "A");
        auto const other = add_stream(f, "B");
        fill(f, stream, 3000);
        f.run({append_id(stream, "1"), append_n(stream, 5), append_id(other, "2"), append_n(other, 6)});
        auto const consumer = add_consumer(f, stream);
        f.run({store_request::save_cursor{next_token(), consumer, {10, {}}, {{3, 1, "bad"}}, start_ms}});
        only<store_event::done>(f.run({store_request::remove_stream{next_token(), stream}}));
        CHECK(failed_code(f.run({store_request::list_dead{next_token(), consumer}})) == error_code::unknown_consumer);
        CHECK(of<store_event::append_failed>(f.run({append(stream, "s")})).size() == 1);
        auto const again = add_stream(f, "A");
        CHECK(again != stream);
        CHECK(read_all(f, again).empty());
        f.maintain();
        f.reopen();
        auto const all = f.load();
        CHECK(all.streams.size() == 3);  // INBOX too
        CHECK(all.consumers.empty());
        REQUIRE(all.ids.size() == 1);
        CHECK(all.ids.front().id == "2");
        REQUIRE(all.nodes.size() == 1);
        REQUIRE(all.nodes.front().last.size() == 1);
        CHECK(all.nodes.front().last.front().numbers.n == 6);
        f.maintain();
        CHECK(read_all(f, other).size() == 2);
    });
}

TEST_CASE("the incarnation stays the same over restarts")
{
    on_both_stores([](store_fixture& f) {
        auto const first = f.load().incarnation;
        CHECK_FALSE(first.empty());
        f.reopen();
        CHECK(f.load().incarnation == first);
    });
}
