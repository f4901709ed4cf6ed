/// A stream's copy in JetStream: what waits, what is placed, what comes from there.

#include "router/store/memory_store.hpp"
#include "router/store/row_bytes.hpp"
#include "tests/store/mirror_requests.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

constexpr std::uint64_t one_row = row_bytes_fixed + 1;

std::string bodies(std::vector<row> const& rows)
{
    std::string all;
    for (auto const& each : rows)
        all += (all.empty() ? "" : " ") + std::string{each.message->body()};
    return all;
}

}  // namespace

TEST_CASE("bridges are kept as they were last put, all or none")
{
    on_both_stores([](store_fixture& f) {
        CHECK(f.load().bridges.empty());
        CHECK(of<store_event::done>(f.run({store_request::put_bridges{next_token(), R"([{"pattern":"live.>"}])"}})).size() == 1);
        f.reopen();
        CHECK(f.load().bridges == R"([{"pattern":"live.>"}])");
        f.fail(store_fixture::fault::lost);
        f.run({store_request::put_bridges{next_token(), "[]"}});
        f.heal();
        f.reopen();
        auto const kept = f.load().bridges;  // a request that is not an append is tried once more
        CHECK((kept == "[]" || kept == R"([{"pattern":"live.>"}])"));
        CHECK(of<store_event::done>(f.run({store_request::put_bridges{next_token(), "[]"}})).size() == 1);
        f.reopen();
        CHECK(f.load().bridges == "[]");
    });
}

TEST_CASE("requests about a mirror that is not there are answered, and do nothing")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        fill(f, stream, 3);
        stream_id const nowhere{77};
        CHECK(failed_code(f.run({mirror(nowhere)})) == error_code::unknown_stream);
        CHECK(failed_code(f.run({store_request::remove_mirror{next_token(), nowhere}})) == error_code::unknown_stream);
        for (auto const id : {nowhere, stream}) {
            auto const code = id == nowhere ? error_code::unknown_stream : error_code::bad_request;
            CHECK(failed_code(f.run({import(id, {native(1)})})) == code);
            CHECK(failed_code(f.run({store_request::read_waiting{next_token(), id}})) == code);
            CHECK(failed_code(f.run({store_request::read_placed{next_token(), id}})) == code);
            CHECK(failed_code(f.run({take_back(id, 0)})) == code);
        }
        INFO("to forget what is not there is no failure: the same may be asked twice");
        CHECK(of<store_event::done>(f.run({store_request::remove_mirror{next_token(), stream}})).size() == 1);
        CHECK(read_all(f, stream).size() == 3);
        CHECK(f.load().mirrors.empty());
    });
}

TEST_CASE("a mirror begins with the rows from its start waiting, and what is published later")
{
    struct {
        message_seq start;
        std::uint64_t waits;  ///< of 10 rows, of which the first two are gone
    } const cases[] = {{0, 8}, {1, 8}, {3, 8}, {4, 7}, {6, 5}, {9, 2}, {10, 1}, {11, 0}, {15, 0}};
    for (auto const& c : cases)
        on_both_stores([&](store_fixture& f) {
            INFO("start " << c.start);
            stream_config config;
            config.max_msgs = 8;
            auto const stream = add_stream(f, "S", config);
            fill(f, stream, 10);
            f.maintain();
            auto wanted = mirror(stream, c.start, false, "journal");
            wanted.mirror.checkpoint = 40;
            wanted.mirror.stamp = ~std::uint64_t{0};
            wanted.mirror.generation = 2;
            wanted.mirror.lanes = "lanes";
            wanted.mirror.waiting_rows = 999;  // is the store's to know
            wanted.mirror.floor = 999;
            CHECK(only<store_event::done>(f.run({wanted})).request == wanted.request);
            CHECK(all_waiting(f, stream).size() == c.waits);
            f.reopen();
            auto const state = mirror_of(f.load(), stream);
            CHECK(state.start == std::max<message_seq>(c.start, 1));
            CHECK(state.waiting_rows == c.waits);
            CHECK(state.waiting_bytes == c.waits * one_row);
            CHECK(state.checkpoint == 40);
            CHECK(state.stamp == ~std::uint64_t{0});
            CHECK(state.generation == 2);
            CHECK(state.lanes == "lanes");
            CHECK(state.journal == "journal");
            CHECK_FALSE(state.keep);
            CHECK(found_wrong(f) == "");

            fill(f, stream, 6);  // up to 16
            auto const later = c.start > 10 ? 17 - c.start : c.waits + 6;
            CHECK(imported(f, import(stream, {nothing(41)})).now.waiting_rows == later);
            CHECK(all_waiting(f, stream).size() == later);
            CHECK(found_wrong(f) == "");
        });
}

TEST_CASE("a second put changes what retention may take and the journal, and nothing else")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        fill(f, stream, 5);
        f.run({mirror(stream, 2)});
        imported(f, import(stream, {copy_of(2, 7)}, "lanes"));
        auto again = mirror(stream, 4, true, "after");
        again.mirror.checkpoint = 1;
        again.mirror.lanes = "other";
        CHECK(only<store_event::done>(f.run({again})).request == again.request);
        f.reopen();
        auto const state = mirror_of(f.load(), stream);
        CHECK(state.start == 2);
        CHECK(state.checkpoint == 7);
        CHECK(state.lanes == "lanes");
        CHECK(state.waiting_rows == 3);
        CHECK(state.keep);
        CHECK(state.journal == "after");
    });
}

TEST_CASE("each item of an import has its own outcome")
{
    on_both_stores([](store_fixture& f) {
        stream_config config;
        config.max_msgs = 9;
        auto const stream = add_stream(f, "S", config);
        fill(f, stream, 10);
        f.maintain();  // takes row 1
        f.run({mirror(stream, 3)});
        auto again = copy_of(5, 23);
        again.message = text_message("s.again", "sent again");
        again.sender = shared_bytes::copy_of("nats");
        again.time_ms = start_ms;
        auto const answer = imported(f, import(stream, {nothing(10), copy_of(3, 11), native(12), copy_of(1, 13), copy_of(2, 14), copy_of(5, 20),
                                                        copy_of(5, 22), again, copy_of(4, 30)},
                                               "lanes"));
        using o = outcome;
        CHECK((answer.outcomes
               == std::vector{o::passed, o::placed, o::inserted, o::passed, o::placed, o::placed, o::passed, o::inserted, o::placed}));
        CHECK(answer.lacking == 0);
        CHECK(answer.now.checkpoint == 30);
        CHECK(answer.now.stamp == stamp_of(30));
        CHECK(answer.now.floor == 5);
        CHECK(answer.now.waiting_rows == 5);
        CHECK(answer.now.waiting_bytes == 5 * one_row);
        CHECK(answer.now.lanes.empty());
        CHECK(answer.now.journal.empty());
        CHECK(text_of(placed(f, stream).rows) == "11:3 12:11 14:2 20:5 23:12 30:4");
        CHECK(seqs_of(all_waiting(f, stream)) == std::vector<message_seq>{6, 7, 8, 9, 10});
        f.reopen();
        auto const state = mirror_of(f.load(), stream);
        CHECK(state.checkpoint == 30);
        CHECK(state.lanes == "lanes");
        CHECK(state.waiting_rows == 5);
        CHECK(found_wrong(f) == "");
    });
}

TEST_CASE("the same import twice does no harm, nor does one that overlaps")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        fill(f, stream, 4);
        f.run({mirror(stream)});
        auto const first = import(stream, {copy_of(1, 1), native(2), copy_of(2, 3), native(5)}, "first");
        auto const before = imported(f, first).now;
        auto const again = imported(f, first);
        CHECK((again.outcomes == std::vector(4, outcome::known)));
        CHECK(again.now.checkpoint == 5);
        CHECK(again.now.waiting_rows == before.waiting_rows);
        auto const overlap = imported(f, import(stream, {native(5), copy_of(3, 6)}, "second"));
        CHECK((overlap.outcomes == std::vector{outcome::known, outcome::placed}));
        INFO("an older one leaves the checkpoint where it is");
        CHECK(imported(f, first).now.checkpoint == 6);
        CHECK(imported(f, import(stream, {})).now.checkpoint == 6);
        f.reopen();
        auto const state = mirror_of(f.load(), stream);
        CHECK(state.checkpoint == 6);
        CHECK(state.stamp == stamp_of(6));
        CHECK(state.lanes == "second");
        CHECK((imported(f, first).outcomes == std::vector(4, outcome::known)));
        CHECK(read_all(f, stream).size() == 6);
        CHECK(found_wrong(f) == "");
    });
}

TEST_CASE("a publish that was taken before it could be read is stored below the checkpoint, once")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        f.run({mirror(stream)});
        imported(f, import(stream, {native(3), native(7)}));
        auto late = native(5, "late");
        late.origin = next_token();
        late.taken = true;
        auto request = import(stream, {late});
        request.checkpoint = 7;
        request.stamp = stamp_of(7);
        auto const events = f.run({request});
        REQUIRE(events.size() == 2);
        auto const came = std::get<store_event::rows_arrived>(events[0]);
        REQUIRE(came.rows.size() == 1);
        CHECK(came.rows[0].origin == late.origin);
        auto const answer = std::get<store_event::imported>(events[1]);
        CHECK((answer.outcomes == std::vector{outcome::inserted}));
        CHECK(answer.now.checkpoint == 7);
        CHECK(text_of(placed(f, stream).rows) == "3:1 5:3 7:2");
        CHECK((imported(f, request).outcomes == std::vector{outcome::known}));
        late.taken = false;
        late.place = 4;
        request.items = {late};
        CHECK((imported(f, request).outcomes == std::vector{outcome::known}));
        f.reopen();
        CHECK(mirror_of(f.load(), stream).checkpoint == 7);
        CHECK(read_all(f, stream).size() == 3);
        CHECK(found_wrong(f) == "");
    });
}

TEST_CASE("an import that names a row which the log lacks is refused as a whole")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        fill(f, stream, 4);
        f.run({mirror(stream)});
        auto const answer = imported(f, import(stream, {copy_of(1, 1), native(2), copy_of(5, 3), copy_of(9, 4), copy_of(2, 5)}));
        CHECK(answer.lacking == 9);
        CHECK(answer.outcomes.empty());
        CHECK(answer.now.checkpoint == 0);
        CHECK(answer.now.waiting_rows == 4);
        CHECK(read_all(f, stream).size() == 4);
        CHECK(placed(f, stream).rows.empty());
        CHECK(imported(f, import(stream, {copy_of(4, 3)})).lacking == 0);
    });
}

TEST_CASE("imported rows are told in the order of the batch, with what the core has to know of them")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        auto const other = add_stream(f, "O", {"", {"o"}});
        f.run({mirror(stream)});
        auto own = native(1, "own");
        own.message = text_message("s.own", "own", "id-1");
        own.sender = shared_bytes::copy_of("alice/laptop");
        own.named = true;
        own.n = 7;
        own.digest = 99;
        own.origin = next_token();
        auto const a = append(stream, "s.a", "a");
        auto const b = append(stream, "s.b", "b");
        auto const elsewhere = append(other, "o", "o");
        auto const read = import(stream, {own, native(2)});
        auto const last = import(stream, {copy_of(1, 3)});
        auto const events = f.run({a, read, elsewhere, b, last});
        REQUIRE(events.size() == 5);
        auto const first = std::get<store_event::rows_arrived>(events[0]);
        REQUIRE(first.rows.size() == 3);
        CHECK(first.rows[0].origin == a.request);
        CHECK_FALSE(first.rows[0].named);
        CHECK(first.rows[1].origin == own.origin);
        CHECK(first.rows[1].named);
        CHECK(first.rows[1].n == 7);
        CHECK(first.rows[1].digest == 99);
        CHECK(first.rows[1].stored.sender->view() == "alice/laptop");
        CHECK(first.rows[1].stored.message->id() == "id-1");
        CHECK(first.rows[2].origin == token::none);
        CHECK_FALSE(first.rows[2].named);
        CHECK(first.rows[2].stored.sender->view() == "nats");
        auto const answer = std::get<store_event::imported>(events[1]);
        CHECK(answer.request == read.request);
        CHECK((answer.outcomes == std::vector(2, outcome::inserted)));
        CHECK(answer.now.waiting_rows == 1);
        CHECK(std::get<store_event::rows_arrived>(events[2]).stream == other);
        INFO("what was appended after the import comes after its answer");
        auto const rest = std::get<store_event::rows_arrived>(events[3]);
        REQUIRE(rest.rows.size() == 1);
        CHECK(rest.rows[0].origin == b.request);
        CHECK(rest.rows[0].stored.seq == 4);
        CHECK((std::get<store_event::imported>(events[4]).outcomes == std::vector{outcome::placed}));
        CHECK(bodies(read_all(f, stream)) == "a own native b");
        CHECK(bodies(read_all(f, stream, "s.own")) == "own");

        INFO("ids, numbers and totals outlive the process");
        f.reopen();
        auto const all = f.load();
        REQUIRE(all.ids.size() == 1);
        CHECK(all.ids[0].id == "id-1");
        CHECK(all.ids[0].seq == 2);
        CHECK(all.ids[0].digest == 99);
        CHECK(all.ids[0].sender == "alice/laptop");
        REQUIRE(all.nodes.size() == 1);
        REQUIRE(all.nodes[0].last.size() == 1);
        CHECK(all.nodes[0].last[0].numbers.n == 7);
        CHECK(all.nodes[0].last[0].numbers.seq == 2);
        REQUIRE(all.usage.size() == 2);  // alice and bob; what NATS clients publish is nobody's
        CHECK(all.usage[0].user == "alice");
        CHECK(all.usage[0].messages == 1);
        CHECK(all.usage[1].messages == 3);
        CHECK(found_wrong(f) == "");
    });
}

TEST_CASE("the time of an imported row never falls")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        fill(f, stream, 1);
        f.run({mirror(stream, 2)});
        auto late = native(1);
        late.time_ms = start_ms + 500;
        auto early = native(2);
        early.time_ms = start_ms + 3;
        imported(f, import(stream, {late, early}));
        auto const rows = read_all(f, stream);
        CHECK(rows[1].time_ms == start_ms + 500);
        CHECK(rows[2].time_ms == start_ms + 500);
        fill(f, stream, 1);
        CHECK(read_all(f, stream).back().time_ms == start_ms + 500);
    });
}

TEST_CASE("an import does not close the gate for appends, and a full stream refuses appends alone")
{
    on_both_stores([](store_fixture& f) {
        stream_config config;
        config.max_msgs = 2;
        config.when_full = discard::newest;
        auto const stream = add_stream(f, "S", config);
        fill(f, stream, 2);
        f.run({mirror(stream)});
        CHECK(only<store_event::append_failed>(f.run({append(stream, "s.x")})).why.code == error_code::quota);
        INFO("what JetStream has taken is stored whatever the bound says");
        CHECK((imported(f, import(stream, {native(1)})).outcomes == std::vector{outcome::inserted}));
        CHECK(read_all(f, stream).size() == 3);
        CHECK(found_wrong(f) == "");
    });
}

TEST_CASE("a mirror that is removed is forgotten, also by one that is made at once after it")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        fill(f, stream, 2500);
        f.run({mirror(stream)});
        std::vector<item> items;
        for (message_seq seq = 1; seq <= 2500; ++seq)
            items.push_back(copy_of(seq, seq));
        imported(f, import(stream, items));
        store_request::remove_mirror const remove{next_token(), stream};
        auto const events = f.run({remove, mirror(stream, 2001)});
        CHECK(of<store_event::done>(events).size() == 2);
        CHECK(placed(f, stream).rows.empty());
        CHECK(all_waiting(f, stream).size() == 500);
        CHECK((imported(f, import(stream, {copy_of(2001, 1), native(2)})).outcomes == std::vector{outcome::placed, outcome::inserted}));
        f.maintain();
        CHECK(text_of(placed(f, stream).rows) == "1:2001 2:2501");
        CHECK(found_wrong(f) == "");
        f.reopen();
        CHECK(mirror_of(f.load(), stream).waiting_rows == 499);
        INFO("a removed stream takes it along");
        CHECK(of<store_event::done>(f.run({store_request::remove_stream{next_token(), stream}})).size() == 1);
        f.maintain();
        CHECK(found_wrong(f) == "");
        CHECK(f.load().mirrors.empty());
        auto const anew = add_stream(f);
        CHECK(failed_code(f.run({import(anew, {native(1)})})) == error_code::bad_request);
    });
}

TEST_CASE("a restored database keeps its secret, and two databases have two")
{
    on_both_stores([](store_fixture& f) {
        auto const first = f.load();
        CHECK(first.secret.size() == 32);
        f.reopen();
        auto const second = f.load();
        CHECK(second.secret == first.secret);
        CHECK(second.incarnation == first.incarnation);
    });
}

TEST_CASE("a store in memory that is put back to a backup is another history with the same secret")
{
    memory_store store;
    std::vector<store_event::any> events;
    auto const run = [&](store_request::any request) {
        events.clear();
        store.execute({std::move(request)}, events);
    };
    auto const before = store.load(start_ms);
    run(store_request::create_stream{next_token(), {"S", {"s.>"}}});
    auto const stream = only<store_event::stream_created>(events).stream.id;
    run(append(stream, "s.1"));
    run(store_request::backup{next_token(), "copy"});
    store.maintain(start_ms, events);
    run(append(stream, "s.2"));
    CHECK_FALSE(store.restore("other", "restored"));
    CHECK(store.restore("copy", "restored"));
    auto const after = store.load(start_ms);
    CHECK(after.incarnation == "restored");
    CHECK(after.secret == before.secret);
    CHECK(state_of(after, stream).last == 1);
}

TEST_CASE("the bridges are kept as they were put last")
{
    on_both_stores([](store_fixture& f) {
        CHECK(f.load().bridges.empty());
        for (std::string const text : {"one", "", "[{\"pattern\":\"live.>\"}]"}) {
            store_request::put_bridges const put{next_token(), text};
            CHECK(only<store_event::done>(f.run({put})).request == put.request);
            f.reopen();
            CHECK(f.load().bridges == text);
        }
        f.fail(store_fixture::fault::broken);
        CHECK(of<store_event::failed>(f.run({store_request::put_bridges{next_token(), "lost"}})).size() == 1);
        f.heal();
        f.reopen();
        CHECK(f.load().bridges == "[{\"pattern\":\"live.>\"}]");
    });
}
