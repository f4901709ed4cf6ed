/// Consumers: where they start, their cursors, their dead letters.

#include "tests/store/fixture.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

consumer_state consumer_of(store_contents const& all, consumer_id id)
{
    for (auto const& state : all.consumers)
        if (state.id == id)
            return state;
    FAIL("the consumer is gone");
    return {};
}

store_event::dead_listed dead(store_fixture& f, consumer_id consumer, message_seq after = 0, std::size_t rows_max = 100)
{
    return only<store_event::dead_listed>(f.run({store_request::list_dead{next_token(), consumer, after, rows_max}}));
}

std::vector<message_seq> dead_seqs(store_fixture& f, consumer_id consumer)
{
    std::vector<message_seq> seqs;
    for (auto const& letter : dead(f, consumer).letters)
        seqs.push_back(letter.seq);
    return seqs;
}

void save(store_fixture& f, consumer_id consumer, cursor position, std::vector<store_request::save_cursor::death> deaths = {})
{
    only<store_event::done>(f.run({store_request::save_cursor{next_token(), consumer, position, deaths, f.now_ms}}));
}

using seqs = std::vector<message_seq>;

}  // namespace

TEST_CASE("a consumer begins where its start says")
{
    on_both_stores([](store_fixture& f) {
        stream_config config;
        config.max_msgs = 8;
        auto const stream = add_stream(f, "S", config);
        for (std::uint64_t i = 1; i <= 10; ++i) {  // times 10, 10, 20, 20, …
            auto request = append(stream, "s");
            request.time_ms = start_ms + (i + 1) / 2 * 10;
            f.run({request});
        }
        f.maintain();  // first is 3
        using at = op::start_position::kind;
        struct {
            char const* name;
            op::start_position start;
            message_seq next;
        } const cases[] = {
            {"new", {at::new_only, 0}, 11},
            {"first", {at::first, 0}, 3},
            {"seq", {at::seq, 7}, 7},
            {"seq that retention took", {at::seq, 2}, 3},
            {"seq 0", {at::seq, 0}, 3},
            {"seq to come", {at::seq, 50}, 50},
            {"seq beyond all", {at::seq, std::uint64_t{1} << 50}, message_seq_max},
            {"time of a row", {at::time, start_ms + 30}, 5},
            {"time between rows", {at::time, start_ms + 31}, 7},
            {"time before all", {at::time, 0}, 3},
            {"time after all", {at::time, start_ms + 51}, 11},
        };
        for (auto const& c : cases) {
            INFO(c.name);
            auto const id = add_consumer(f, stream, c.name, c.start);
            CHECK(consumer_of(f.load(), id).position == cursor{c.next, {}});
        }
    });
}

TEST_CASE("a consumer is known again after a restart; its name is taken once a stream")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f, "A");
        auto const other = add_stream(f, "B");
        consumer_config const config{stream, "C", "alice", "s.*", 5000, 7};
        auto const made
            = only<store_event::consumer_created>(f.run({store_request::create_consumer{next_token(), config, {}}})).consumer;
        CHECK(failed_code(f.run({store_request::create_consumer{next_token(), config, {}}})) == error_code::exists);
        auto const elsewhere = add_consumer(f, other, "C");
        CHECK(elsewhere != made.id);
        CHECK(failed_code(f.run({store_request::create_consumer{next_token(), {stream_id{99}, "C", "a", "", 1, 0}, {}}}))
              == error_code::unknown_stream);
        f.reopen();
        auto const state = consumer_of(f.load(), made.id);
        CHECK(state.config.stream == stream);
        CHECK(state.config.name == "C");
        CHECK(state.config.owner == "alice");
        CHECK(state.config.filter == "s.*");
        CHECK(state.config.ack_wait_ms == 5000);
        CHECK(state.config.max_deliver == 7);

        only<store_event::done>(f.run({store_request::remove_consumer{next_token(), made.id}}));
        CHECK(failed_code(f.run({store_request::remove_consumer{next_token(), made.id}})) == error_code::unknown_consumer);
        f.reopen();
        CHECK(f.load().consumers.size() == 1);
        CHECK(add_consumer(f, stream, "C") != made.id);
    });
}

TEST_CASE("a cursor comes back as it was saved")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        fill(f, stream, 20);
        auto const consumer = add_consumer(f, stream);
        cursor large{message_seq_max, {}};
        for (message_seq i = 0; i < 16'384; ++i)
            large.pending.push_back({1 + i * 3, static_cast<std::uint32_t>(i), i % 2 == 0 ? 0 : start_ms + i});
        for (auto const& position : {cursor{7, {}}, cursor{12, {{3, 1, start_ms}, {5, 4'000'000'000u, 0}, {9, 0, start_ms - 5}}}, large}) {
            save(f, consumer, position);
            f.reopen();
            CHECK((consumer_of(f.load(), consumer).position == position));
        }
        INFO("without a token nobody is answered");
        CHECK(f.run({store_request::save_cursor{token::none, consumer, {8, {}}, {}, start_ms}}).empty());
        CHECK(failed_code(f.run({store_request::save_cursor{next_token(), consumer_id{99}, {}, {}, 0}})) == error_code::unknown_consumer);
    });
}

TEST_CASE("dead letters keep a copy that outlives the stream's retention")
{
    on_both_stores([](store_fixture& f) {
        stream_config config;
        config.max_msgs = 2;
        auto const stream = add_stream(f, "S", config);
        auto request = append(stream, "s.dead");
        request.message = message::make({"s.dead", "id", "re", R"({"A":"b"})", "corpse"});
        f.run({request});
        fill(f, stream, 9);
        auto const consumer = add_consumer(f, stream);
        save(f, consumer, {4, {}}, {{1, 5, "tired"}, {3, 1, "bad"}});
        f.maintain();  // rows 1 to 8 go
        for (int restarts = 0; restarts < 2; ++restarts) {
            auto const listed = dead(f, consumer);
            CHECK(listed.total == 2);
            REQUIRE(listed.letters.size() == 2);
            auto const& letter = listed.letters.front();
            CHECK(letter.seq == 1);
            CHECK(letter.tries == 5);
            CHECK(letter.died_ms == start_ms);
            CHECK(letter.reason == "tired");
            CHECK(letter.stored.seq == 1);
            CHECK(letter.stored.time_ms == start_ms);
            CHECK(letter.stored.sender->view() == "bob/~9f2c41d07a55e8b1");
            CHECK(letter.stored.message->subject() == "s.dead");
            CHECK(letter.stored.message->id() == "id");
            CHECK(letter.stored.message->reply_to() == "re");
            CHECK(letter.stored.message->headers() == R"({"A":"b"})");
            CHECK(letter.stored.message->body() == "corpse");
            CHECK(consumer_of(f.load(), consumer).dead == 2);
            f.reopen();
            f.load();
        }
        CHECK(dead(f, consumer, 1).letters.size() == 1);
        CHECK(dead(f, consumer, 0, 1).letters.size() == 1);
        CHECK(dead(f, consumer, 3).letters.empty());
        INFO("a row that is gone leaves nothing to keep");
        save(f, consumer, {5, {}}, {{4, 1, "late"}});
        CHECK(dead_seqs(f, consumer) == seqs{1, 3});
        CHECK(failed_code(f.run({store_request::list_dead{next_token(), consumer_id{99}}})) == error_code::unknown_consumer);
    });
}

TEST_CASE("dead letters are dropped by seq or all at once")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        fill(f, stream, 9);
        auto const consumer = add_consumer(f, stream);
        save(f, consumer, {9, {}}, {{1, 1, "a"}, {2, 1, "b"}, {3, 1, "c"}});
        only<store_event::done>(f.run({store_request::drop_dead{next_token(), consumer, {2, 77}}}));
        CHECK(dead_seqs(f, consumer) == seqs{1, 3});
        only<store_event::done>(f.run({store_request::drop_dead{next_token(), consumer, {}}}));
        CHECK(dead_seqs(f, consumer).empty());
        f.reopen();
        CHECK(consumer_of(f.load(), consumer).dead == 0);
        CHECK(failed_code(f.run({store_request::drop_dead{next_token(), consumer_id{99}, {}}})) == error_code::unknown_consumer);
    });
}

TEST_CASE("a replayed dead letter stays readable until it is done, or dies again")
{
    on_both_stores([](store_fixture& f) {
        stream_config config;
        config.max_msgs = 1;
        auto const stream = add_stream(f, "S", config);
        fill(f, stream, 9);
        auto const consumer = add_consumer(f, stream);
        save(f, consumer, {10, {}}, {{1, 1, "a"}, {2, 1, "b"}, {3, 1, "c"}});
        f.maintain();
        auto const readable = [&] {
            return seqs_of(only<store_event::rows_read>(
                               f.run({store_request::read_seqs{next_token(), stream, consumer, {1, 2, 3, 9}}})).rows);
        };
        CHECK(readable() == seqs{1, 2, 3, 9});

        f.run({store_request::replay_dead{next_token(), consumer, {1, 2}},
               store_request::save_cursor{next_token(), consumer, {10, {{1, 0, 0}, {2, 0, 0}}}, {}, start_ms}});
        CHECK(dead_seqs(f, consumer) == seqs{3});
        CHECK(dead(f, consumer).total == 1);
        f.reopen();
        CHECK(consumer_of(f.load(), consumer).dead == 1);
        CHECK(readable() == seqs{1, 2, 3, 9});

        INFO("1 is done, 2 dies again");
        save(f, consumer, {10, {{2, 1, 0}}});
        CHECK(readable() == seqs{2, 3, 9});
        save(f, consumer, {10, {}}, {{2, 2, "again"}});
        auto const listed = dead(f, consumer);
        REQUIRE(listed.letters.size() == 2);
        CHECK(listed.letters.front().reason == "again");
        CHECK(listed.total == 2);
        save(f, consumer, {10, {}});
        CHECK(readable() == seqs{2, 3, 9});
        CHECK(failed_code(f.run({store_request::replay_dead{next_token(), consumer_id{99}, {1}}})) == error_code::unknown_consumer);
    });
}

TEST_CASE("dead letters are bounded, the oldest go")
{
    limits bounds;
    bounds.dead_letters = 3;
    on_both_stores(
        [](store_fixture& f) {
            auto const stream = add_stream(f);
            fill(f, stream, 9);
            auto const consumer = add_consumer(f, stream);
            save(f, consumer, {9, {}}, {{1, 1, ""}, {2, 1, ""}, {3, 1, ""}});
            CHECK(dead_seqs(f, consumer) == seqs{1, 2, 3});
            save(f, consumer, {9, {}}, {{4, 1, ""}, {5, 1, ""}});
            CHECK(dead_seqs(f, consumer) == seqs{3, 4, 5});
            CHECK(consumer_of(f.load(), consumer).dead == 3);
            INFO("one that dies again is not counted twice");
            save(f, consumer, {9, {}}, {{4, 2, "twice"}});
            CHECK(dead_seqs(f, consumer) == seqs{3, 4, 5});
        },
        bounds);
}
