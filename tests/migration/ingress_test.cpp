#include "migration/ingress.hpp"

#include <chrono>
#include <thread>

#include "tests/catch.hpp"

using namespace kedge;
using namespace kedge::migration;

namespace {

constexpr stream_id chat{1};
constexpr stream_id other{2};

struct gatehouse final : migration_host {
    std::mutex mutex;
    std::vector<store_request::append> passed;
    std::vector<store_request::append> queued;
    std::vector<store_event::append_failed> failed;
    std::size_t overflows = 0;
    ingress gates{{[this](stream_id, std::vector<store_request::append> batch) {
                       for (auto& each : batch)
                           queued.push_back(std::move(each));
                   },
                   [this](stream_id) { ++overflows; }}};
    std::uint64_t last = 0;

    gatehouse() { gates.attach(*this); }

    void append(std::vector<store_request::append> batch) override
    {
        std::lock_guard const lock{mutex};
        for (auto& each : batch)
            passed.push_back(std::move(each));
    }
    void submit(std::vector<store_request::any>) override {}
    void tell(std::vector<store_event::any> events) override
    {
        for (auto& each : events)
            failed.push_back(std::get<store_event::append_failed>(std::move(each)));
    }
    void answer(token, admin_result) override {}
    void show(migration_picture_ptr) override {}
    void announce(std::string, nlohmann::json) override {}

    store_request::append make(stream_id to, std::uint64_t epoch = 1, std::size_t body = 10)
    {
        store_request::append a;
        a.request = token{++last};
        a.stream = to;
        a.epoch = epoch;
        a.sender = shared_bytes::copy_of("alice/one");
        a.message = message::make({"chat.room", {}, {}, {}, std::string(body, 'x')});
        return a;
    }
    std::vector<std::uint64_t> numbers(std::vector<store_request::append> const& of) const
    {
        std::vector<std::uint64_t> out;
        for (auto const& each : of)
            out.push_back(static_cast<std::uint64_t>(each.request));
        return out;
    }
    void publish(std::vector<store_request::append> batch) { gates.append(std::move(batch)); }
};

using list = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("appends of streams that nobody watches pass as they are")
{
    gatehouse g;
    g.publish({g.make(chat), g.make(other)});
    CHECK(g.numbers(g.passed) == list{1, 2});
    CHECK(g.gates.look(chat).in_flight == 0);
    g.gates.watch(chat, ingress::way::store);
    g.publish({g.make(chat), g.make(other)});
    CHECK(g.gates.look(chat).in_flight == 1);
    g.gates.arrived(chat, std::vector{token{1}, token{3}});  // the first was not counted
    CHECK(g.gates.look(chat).in_flight == 0);
}

TEST_CASE("what is held goes on in its order, before what comes later, and holds up no other stream")
{
    gatehouse g;
    g.gates.watch(chat, ingress::way::store);
    g.publish({g.make(chat)});
    g.gates.hold(chat, 1 << 20, "too much");
    g.publish({g.make(other), g.make(chat), g.make(other), g.make(chat)});
    CHECK(g.numbers(g.passed) == list{1, 2, 4});
    CHECK(g.gates.look(chat).held == 2);
    CHECK(g.gates.look(chat).in_flight == 1);
    SECTION("to the store again")
    {
        g.gates.open(chat, ingress::way::store, {});
        g.publish({g.make(chat)});
        CHECK(g.numbers(g.passed) == list{1, 2, 4, 3, 5, 6});
        CHECK(g.gates.look(chat).in_flight == 4);
    }
    SECTION("to JetStream")
    {
        g.gates.open(chat, ingress::way::jetstream, {});
        g.publish({g.make(chat), g.make(other)});
        CHECK(g.numbers(g.queued) == list{3, 5, 6});
        CHECK(g.numbers(g.passed) == list{1, 2, 4, 7});
        CHECK(g.gates.look(chat).in_flight == 4);
        CHECK(g.gates.look(chat).held_bytes == 0);
    }
    SECTION("nowhere, because the stream is gone")
    {
        g.gates.removed(chat);
        REQUIRE(g.failed.size() == 2);
        CHECK(g.failed[0].why.code == error_code::unknown_stream);
        CHECK(!g.gates.watches(chat));
    }
    SECTION("nowhere, because the server ends")
    {
        g.gates.close();
        REQUIRE(g.failed.size() == 2);
        CHECK(g.failed[0].why.code == error_code::unavailable);
    }
    SECTION("to the store, when nobody watches any more")
    {
        g.gates.forget(chat);
        CHECK(g.numbers(g.passed) == list{1, 2, 4, 3, 5});
        CHECK(!g.gates.watches(chat));
    }
}

TEST_CASE("a publish that was just read from JetStream does not go to the store a second time")
{
    gatehouse g;
    g.gates.watch(chat, ingress::way::jetstream);
    g.gates.hold(chat, 1 << 20, "too much");
    auto again = g.make(chat, 1);
    again.named = true;
    again.time_ms = 1000;
    recent_reads just_read;
    just_read.add(again.sender->view(), again.message->id(), again.n, 1000);
    auto behind = g.make(chat, 1), other_epoch = g.make(chat, 2);
    auto same_id_later = again;
    same_id_later.request = token{9};
    same_id_later.epoch = 3;
    same_id_later.time_ms = 1000 + recent_reads::kept_ms;
    SECTION("held until then")
    {
        g.publish({again, behind, other_epoch});
        g.gates.open(chat, ingress::way::store, just_read);
    }
    SECTION("or on its way to here")
    {
        g.gates.open(chat, ingress::way::store, just_read);
        g.publish({again, behind, other_epoch});
    }
    REQUIRE(g.failed.size() == 2);  // with what was pipelined behind it
    CHECK(g.failed[0].why == just_stored());
    CHECK(g.numbers(g.passed) == list{3});
    g.publish({same_id_later});
    CHECK(g.numbers(g.passed) == list{3, 9});
}

TEST_CASE("a held append that finds no room ends, and with it what was pipelined behind it")
{
    gatehouse g;
    g.gates.watch(chat, ingress::way::store);
    auto const cost = g.make(chat).message->cost();
    g.gates.hold(chat, 2 * cost, "no room");
    g.publish({g.make(chat), g.make(chat)});
    CHECK(!g.gates.look(chat).overflowed);
    g.publish({g.make(chat), g.make(chat)});
    CHECK(g.gates.look(chat).overflowed);
    CHECK(g.overflows == 1);
    REQUIRE(g.failed.size() == 2);
    CHECK(g.failed[0].why == failure{error_code::unavailable, "no room"});
    g.gates.open(chat, ingress::way::store, {});
    CHECK(g.numbers(g.passed) == list{});  // what was held is of the epoch that was lost
    CHECK(g.failed.size() == 4);
    g.publish({g.make(chat, 1), g.make(chat, 2)});
    CHECK(g.numbers(g.passed) == list{7});
    CHECK(g.gates.look(chat).in_flight == 1);
}

TEST_CASE("an append that the store failed bars what is held behind it from JetStream")
{
    gatehouse g;
    g.gates.watch(chat, ingress::way::store);
    g.publish({g.make(chat, 5)});
    g.gates.hold(chat, 1 << 20, "too much");
    g.publish({g.make(chat, 5), g.make(chat, 6)});
    g.gates.failed(chat, token{1}, {error_code::store_full, "full"});
    CHECK(g.gates.look(chat).in_flight == 0);
    g.gates.open(chat, ingress::way::jetstream, {});
    CHECK(g.numbers(g.queued) == list{3});
    REQUIRE(g.failed.size() == 1);
    CHECK(g.failed[0].why.code == error_code::store_full);
}

TEST_CASE("what was queued behind a lost append is not admitted, nor what comes with its epoch")
{
    gatehouse g;
    g.gates.watch(chat, ingress::way::jetstream);
    g.publish({g.make(chat), g.make(chat)});
    g.gates.lose(std::vector{lost_append{token{1}, chat, 1, {error_code::unavailable, "gone"}}});
    auto admitted = g.gates.admit({g.queued[1]});
    CHECK(admitted.empty());
    g.publish({g.make(chat, 1)});
    CHECK(g.failed.size() == 3);
    CHECK(g.gates.look(chat).in_flight == 0);
    g.gates.forget(chat);
    CHECK(g.gates.watches(chat));  // the store would not know of what is barred
    g.publish({g.make(chat, 1), g.make(chat, 2)});
    CHECK(g.failed.size() == 4);
    CHECK(g.numbers(g.passed) == list{5});
}

TEST_CASE("a gate that is made while appends pass misses none of those that come after it")
{
    // A gate that is there sees everything: whatever the router thread passed uncounted was with the store before `watch` returned.
    for (int round = 0; round < 50; ++round) {
        gatehouse g;
        std::atomic<bool> stop{false};
        std::thread router{[&] {
            while (!stop.load())
                g.publish({g.make(chat)});
        }};
        g.gates.watch(chat, ingress::way::store);
        std::size_t uncounted = 0;
        {
            std::lock_guard const lock{g.mutex};
            uncounted = g.passed.size();
        }
        g.gates.hold(chat, 1 << 30, "too much");
        stop.store(true);
        router.join();
        auto const seen = g.gates.look(chat);
        CHECK(g.passed.size() + seen.held == g.last);
        CHECK(g.passed.size() - seen.in_flight <= uncounted);
    }
}

TEST_CASE("the way past the gates costs next to nothing", "[.][bench]")
{
    gatehouse g;
    constexpr int rounds = 2'000'000;
    auto const measure = [&](char const* what) {
        auto const begin = std::chrono::steady_clock::now();
        for (int i = 0; i < rounds; ++i)
            g.gates.append({});
        auto const ns = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count() / rounds;
        WARN(what << ": " << ns << " ns a batch");
    };
    measure("no stream is watched");
    g.gates.watch(chat, ingress::way::store);
    measure("one is");
}

TEST_CASE("a gate that stays for what it bars counts nothing that nobody follows")
{
    gatehouse g;
    g.gates.watch(chat, ingress::way::store);
    g.publish({g.make(chat, 1), g.make(chat, 1)});
    g.gates.failed(chat, token{1}, {error_code::unavailable, "it failed"});
    g.gates.forget(chat);
    CHECK(g.gates.watches(chat));
    CHECK(g.gates.look(chat).in_flight == 0);
    g.publish({g.make(chat, 1), g.make(chat, 2)});
    CHECK(g.failed.size() == 1);  // pipelined behind it
    CHECK(g.numbers(g.passed) == list{1, 2, 4});
    CHECK(g.gates.look(chat).in_flight == 0);
    g.gates.watch(chat, ingress::way::store);
    g.publish({g.make(chat, 2)});
    CHECK(g.gates.look(chat).in_flight == 1);
    g.gates.arrived(chat, std::vector{token{5}});
    CHECK(g.gates.look(chat).in_flight == 0);
}
