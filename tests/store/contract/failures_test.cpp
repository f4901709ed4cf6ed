/// Disks that are full or broken: every request is answered once, nothing is acknowledged that is not stored, and the store
/// goes on when the cause is gone.

#include <set>

#include "tests/store/fixture.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

std::vector<store_request::any> mixed_batch(stream_id stream, consumer_id consumer)
{
    store_request::read read;
    read.request = next_token();
    read.stream = stream;
    return {append(stream, "s.1"), store_request::save_cursor{next_token(), consumer, {3, {}}, {}, start_ms}, read,
            append(stream, "s.2"), store_request::create_stream{next_token(), {"NEW", {"new"}}},
            store_request::put_node{"alice/laptop", 5}, store_request::list_dead{next_token(), consumer},
            store_request::remove_node{next_token(), "x/y"}};
}

/// The tokens of all events; an event must have one.
std::multiset<std::uint64_t> answered(std::vector<store_event::any> const& events)
{
    std::multiset<std::uint64_t> tokens;
    for (auto const& event : events)
        std::visit(
            [&](auto const& e) {
                using type = std::decay_t<decltype(e)>;
                if constexpr (std::is_same_v<type, store_event::rows_arrived>) {
                    for (auto const& r : e.rows)
                        tokens.insert(static_cast<std::uint64_t>(r.origin));
                } else if constexpr (requires { e.request; }) {
                    tokens.insert(static_cast<std::uint64_t>(e.request));
                }
            },
            event);
    return tokens;
}

std::multiset<std::uint64_t> asked(std::vector<store_request::any> const& batch)
{
    std::multiset<std::uint64_t> tokens;
    for (auto const& request : batch)
        std::visit(
            [&](auto const& r) {
                if constexpr (requires { r.request; })
                    tokens.insert(static_cast<std::uint64_t>(r.request));
            },
            request);
    return tokens;
}

}  // namespace

TEST_CASE("when a commit fails every request has one answer, and only what needs the disk fails")
{
    struct {
        char const* name;
        store_fixture::fault what;
        error_code code;
        bool others_fail;
    } const cases[] = {
        {"full", store_fixture::fault::full, error_code::store_full, false},
        {"write failed", store_fixture::fault::lost, error_code::internal, false},
        {"sync failed", store_fixture::fault::stored, error_code::internal, false},
        {"all fails", store_fixture::fault::broken, error_code::internal, true},
    };
    for (auto const& c : cases)
        on_both_stores([&](store_fixture& f) {
            INFO(c.name);
            auto const stream = add_stream(f);
            auto const consumer = add_consumer(f, stream);
            fill(f, stream, 5);
            auto const batch = mixed_batch(stream, consumer);
            f.fail(c.what);
            auto const events = f.run(batch);
            CHECK(answered(events) == asked(batch));
            for (auto const& failed : of<store_event::append_failed>(events))
                CHECK(failed.why.code == c.code);
            CHECK(of<store_event::append_failed>(events).size() == 2);
            CHECK(of<store_event::rows_arrived>(events).empty());
            CHECK(of<store_event::failed>(events).size() == (c.others_fail ? 5 : 0));
            CHECK(of<store_event::stream_created>(events).size() == (c.others_fail ? 0 : 1));
            f.heal();

            INFO("recovered");
            auto again = append(stream, "s.3");
            again.epoch = 2;
            CHECK(only<store_event::rows_arrived>(f.run({again})).rows.front().stored.seq == 6);
            f.reopen();
            auto const all = f.load();
            CHECK(state_of(all, stream).last == 6);
            CHECK(all.streams.size() == (c.others_fail ? 2 : 3));  // INBOX, S, NEW
            CHECK(all.consumers.front().position.next == (c.others_fail ? 1 : 3));
            CHECK(all.nodes.size() == (c.others_fail ? 0 : 1));
        });
}

TEST_CASE("after a failed write a crash shows nothing, after a failed sync perhaps all: never a part")
{
    struct {
        store_fixture::fault what;
        bool there;
    } const cases[] = {{store_fixture::fault::full, false}, {store_fixture::fault::lost, false}, {store_fixture::fault::stored, true}};
    for (auto const& c : cases)
        on_both_stores([&](store_fixture& f) {
            auto const stream = add_stream(f);
            fill(f, stream, 5);
            f.fail(c.what);
            CHECK(of<store_event::append_failed>(f.run({append_id(stream, "1"), append_n(stream, 3), append_id(stream, "2")})).size() == 3);
            f.reopen();
            auto const all = f.load();
            CHECK(state_of(all, stream).last == (c.there ? 8 : 5));
            CHECK(all.ids.size() == (c.there ? 2 : 0));
            CHECK(all.nodes.size() == (c.there ? 1 : 0));
            CHECK(read_all(f, stream).size() == (c.there ? 8 : 5));
        });
}

TEST_CASE("what failed at the sync does not come back once another commit followed")
{
    on_both_stores([](store_fixture& f) {
        auto const stream = add_stream(f);
        fill(f, stream, 5);
        f.fail(store_fixture::fault::stored);
        CHECK(of<store_event::append_failed>(f.run({append(stream, "s.ghost"), append(stream, "s.ghost")})).size() == 2);
        auto next = append(stream, "s.next");
        next.epoch = 2;
        CHECK(only<store_event::rows_arrived>(f.run({next})).rows.front().stored.seq == 6);
        f.reopen();
        f.load();
        auto const rows = read_all(f, stream);
        REQUIRE(rows.size() == 6);
        CHECK(rows.back().message->subject() == "s.next");
    });
}
