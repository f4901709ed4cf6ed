// The service with its threads, a store thread and a real nats-server: appends as the router gives them, commands as it hands them on.

#include "migration/service.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "migration/nats/nats_backend.hpp"
#include "router/host/clock.hpp"
#include "router/host/store_thread.hpp"
#include "router/store/memory_store.hpp"
#include "tests/catch.hpp"
#include "tests/migration/nats_server.hpp"

using namespace kedge;
using namespace std::chrono_literals;

namespace {

class small_router final : public migration_host {
public:
    explicit small_router(memory_store& s, migration::settings bounds, bool configured = true) : store_{s}
    {
        auto contents = store_.load(read_clock().wall_ms);
        stream = *std::ranges::find(contents.streams, std::string{"CHAT"}, [](auto const& each) { return each.config.name; });
        auto made = configured ? std::make_unique<migration::nats_backend>(bounds) : nullptr;
        service = std::make_unique<migration::service>(bounds, std::move(made), limits{}, migration::stored_mirrors::of(contents), counts);
        service->start(*this);
        thread_.start();
    }
    ~small_router() override
    {
        service->stop();
        thread_.stop();
    }

    void append(std::vector<store_request::append> batch) override { thread_.append(std::move(batch)); }
    void submit(std::vector<store_request::any> batch) override { thread_.submit(std::move(batch)); }
    void tell(std::vector<store_event::any> events) override { hear(events); }
    void answer(token request, admin_result result) override
    {
        std::lock_guard const lock{mutex_};
        answers_.emplace(request, std::move(result));
        changed_.notify_all();
    }
    void show(migration_picture_ptr picture) override
    {
        std::lock_guard const lock{mutex_};
        picture_ = std::move(picture);
        changed_.notify_all();
    }
    void announce(std::string, nlohmann::json) override {}

    template <class Done>
    bool wait(Done&& done, std::chrono::seconds most = 30s)
    {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, most, std::forward<Done>(done));
    }
    admin_result run(std::string const& verb, nlohmann::json args = nlohmann::json::object())
    {
        args["stream"] = "CHAT";
        migration_request what;
        what.request = token{++last_token_};
        what.call = {"migrate " + verb, std::move(args)};
        what.user = "olga";
        {
            std::lock_guard const lock{mutex_};
            what.streams.push_back({stream, stream.last + 1, 0});
        }
        auto const request = what.request;
        service->ask(std::move(what));
        REQUIRE(wait([&] { return answers_.contains(request); }, 60s));
        std::lock_guard const lock{mutex_};
        return answers_.at(request);
    }
    nlohmann::json must(std::string const& verb, nlohmann::json args = nlohmann::json::object())
    {
        auto const result = run(verb, std::move(args));
        INFO(verb << ": " << result.error << ' ' << result.data.dump());
        REQUIRE(result.exit_status == 0);
        return result.data;
    }
    nlohmann::json status() { return must("status")["streams"].at(0); }
    bool level()
    {
        return until([&] {
            auto const s = status();
            return s["lag"]["known"] == true && s["lag"]["messages"] == 0;
        });
    }
    template <class Done>
    static bool until(Done&& done, std::chrono::seconds most = 30s)
    {
        auto next = std::chrono::steady_clock::now();
        for (auto const end = next + most; next < end; std::this_thread::sleep_until(next += 20ms))
            if (done())
                return true;
        return done();
    }

    /// Router thread.
    void publish(std::size_t messages)
    {
        std::vector<store_request::append> batch;
        for (std::size_t i = 0; i < messages; ++i) {
            store_request::append a;
            a.request = token{++last_token_};
            a.stream = stream.id;
            a.epoch = epoch_.load();
            a.time_ms = read_clock().wall_ms;
            a.sender = shared_bytes::copy_of("alice/one");
            a.message = message::make({"chat.room", {}, {}, {}, std::to_string(++published) + std::string(250, ' ')});
            batch.push_back(std::move(a));
        }
        asked += messages;
        service->append(std::move(batch));
    }
    bool answered() { return wait([&] { return accepted + refused == asked.load(); }); }

    metrics counts;
    stream_state stream;
    std::unique_ptr<migration::service> service;
    std::atomic<std::uint64_t> asked{0};
    std::uint64_t published = 0;
    std::uint64_t accepted = 0, refused = 0;  // guarded by mutex_
    std::vector<failure> failures;            // guarded by mutex_

private:
    void hear(std::vector<store_event::any> const& events)
    {
        std::lock_guard const lock{mutex_};
        for (auto const& event : events)
            if (auto const* const rows = std::get_if<store_event::rows_arrived>(&event)) {
                for (auto const& each : rows->rows)
                    accepted += each.origin != token::none;
                stream.last = rows->rows.back().stored.seq;
            } else if (auto const* const failed = std::get_if<store_event::append_failed>(&event)) {
                ++refused;
                failures.push_back(failed->why);
                ++epoch_;
            }
        changed_.notify_all();
    }

    memory_store& store_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<token, admin_result> answers_;   // guarded by mutex_
    migration_picture_ptr picture_;           // guarded by mutex_
    std::atomic<std::uint64_t> last_token_{0};
    std::atomic<std::uint64_t> epoch_{1};
    store_thread thread_{store_, store_, counts, [this](store_thread::results r) {
                             service->stored(r.events);
                             hear(r.events);
                         }};
};

struct place {
    place()
    {
        stream_config config;
        config.name = "CHAT";
        config.subjects = {"chat.>"};
        store.load(1);
        std::vector<store_event::any> events;
        store.execute({store_request::create_stream{token{1}, config}}, events);
        bounds.servers = {server.url()};
    }
    test::nats_server server{{true, "max_payload: 2097152\n"}};
    memory_store store;
    migration::settings bounds;
};

}  // namespace

TEST_CASE("the service moves a stream there and back, and goes on after a restart in each state")
{
    place p;
    std::uint64_t sent = 0;
    for (auto const* const verb : {"start", "switch", "reverse", "switch"}) {
        small_router r{p.store, p.bounds};
        r.published = sent;
        REQUIRE(r.until([&] { return r.must("status")["link"]["state"] == "up"; }));
        if (std::string{verb} != "start")
            REQUIRE(r.level());
        r.publish(100);
        REQUIRE(r.answered());
        if (std::string{verb} != "start")
            REQUIRE(r.level());
        r.must(verb);
        r.publish(100);
        REQUIRE(r.answered());
        CHECK(r.accepted == 200);
        REQUIRE(r.level());
        sent = r.published;
        CHECK(r.counts.nats_link_up.get() == 1);
        CHECK(r.counts.mirrors.get() == 1);
    }
    small_router r{p.store, p.bounds};
    REQUIRE(r.until([&] { return r.must("status")["link"]["state"] == "up"; }));
    CHECK(r.status()["state"] == "NATS");
    REQUIRE(r.level());
    auto const diff = r.must("diff");
    REQUIRE(r.until([&] { return r.must("diff", {{"follow", true}})["running"] == false; }));
    auto const done = r.must("diff", {{"follow", true}});
    INFO(done.dump());
    CHECK(done["clean"] == true);
}

TEST_CASE("a plan tries what could fail and leaves nothing behind")
{
    place p;
    small_router r{p.store, p.bounds};
    REQUIRE(r.until([&] { return r.must("status")["link"]["state"] == "up"; }));
    auto const plan = r.must("plan");
    INFO(plan.dump(1));
    CHECK(plan["ok"] == true);
    CHECK(r.must("plan")["ok"] == true);
}

TEST_CASE("without NATS a stream that it orders answers unavailable, and says what is missing")
{
    place p;
    {
        small_router r{p.store, p.bounds};
        REQUIRE(r.until([&] { return r.must("status")["link"]["state"] == "up"; }));
        r.must("start");
        REQUIRE(r.level());
        r.must("switch");
    }
    auto bounds = p.bounds;
    bounds.servers.clear();
    bounds.hold_ms = 300;
    small_router r{p.store, bounds, false};
    CHECK(r.must("status")["link"]["state"] == "none");
    r.publish(3);
    REQUIRE(r.answered());
    CHECK(r.refused == 3);
    REQUIRE(!r.failures.empty());
    INFO(r.failures.front().message);
    CHECK(r.failures.front().code == error_code::unavailable);
    CHECK(r.failures.front().message.find("[nats]") != std::string::npos);
}

TEST_CASE("a stream under load is switched and reversed, and nothing is lost or refused")
{
    place p;
    p.bounds.hold_ms = 30'000;  // how long it takes is measured elsewhere (tests/bench)
    small_router r{p.store, p.bounds};
    REQUIRE(r.until([&] { return r.must("status")["link"]["state"] == "up"; }));
    r.must("start");
    REQUIRE(r.level());
    std::atomic<bool> stop{false};
    constexpr std::size_t a_second = 3'000;
    std::thread publisher{[&] {
        auto const begin = std::chrono::steady_clock::now();
        auto next = begin;
        for (std::size_t sent = 0; !stop.load(); std::this_thread::sleep_until(next += 2ms)) {
            auto const due = static_cast<std::size_t>(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() * a_second);
            if (due > sent) {
                r.publish(due - sent);
                sent = due;
            }
        }
    }};
    std::vector<std::uint64_t> held;
    std::string parts, why;
    for (int i = 0; i < 4; ++i) {
        auto const* const verb = i % 2 == 0 ? "switch" : "reverse";
        // On a machine that is busy elsewhere the lag may be too large for a moment: then it is refused, and changes nothing.
        bool const done = r.until([&] {
            auto const result = r.run(verb);
            why = result.error;
            if (result.exit_status != 0)
                return false;
            held.push_back(result.data["held_ms"].get<std::uint64_t>());
            parts += ' ' + result.data["parts_ms"].dump();
            return true;
        });
        if (!done)
            break;
    }
    stop.store(true);
    publisher.join();
    CHECK(why == "");
    CHECK(held.size() == 4);
    REQUIRE(r.answered());
    CHECK(r.refused == 0);
    INFO(parts);
    REQUIRE(r.level());
    CHECK(r.status()["last"] == r.accepted);
}
