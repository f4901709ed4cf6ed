#include "tests/catch.hpp"

#include "tests/host/host_fixture.hpp"

using namespace kedge;
using namespace kedge::host_tests;

TEST_CASE("host: outputs go to the transport that owns the link")
{
    fixture f;
    f.host->start();
    auto const a = link_on(0, 1);
    auto const b = link_on(1, 1);
    f.open(a, "ann");
    f.open(b, "bob");
    CHECK(f.first.wait_for<notice::welcome>(a, 1).size() == 1);
    CHECK(f.second.wait_for<notice::welcome>(b, 1).size() == 1);
    f.say(b, op::subscribe{"1", "x", {}});
    CHECK(f.second.wait_for<notice::ok>(b, 1).size() == 1);
    f.publish(a, "2", "x");
    CHECK(f.second.wait_for<notice::msg>(b, 1).size() == 1);
    CHECK(f.first.wait_for<notice::ok>(a, 1).size() == 1);
    CHECK(f.host->not_ready_because().empty());
}

TEST_CASE("host: every operation of a flood is answered and credited, commits are shared, and a stop keeps all")
{
    constexpr std::size_t messages = 5000;
    fixture f;
    f.host->start();
    auto const root = link_on(0, 1);
    f.open(root, "root", "operator", false);
    CHECK(f.admin(root, "stream add", {{"name", "CHAT"}, {"subjects", {"chat.>"}}}).exit_status == 0);
    auto const a = link_on(0, 2);
    auto const b = link_on(1, 2);
    f.open(a, "ann");
    f.open(b, "bob");
    std::thread other{[&] {
        for (std::size_t i = 0; i < messages; ++i)
            f.publish(b, std::to_string(i), "chat.b");
    }};
    for (std::size_t i = 0; i < messages; ++i)
        f.publish(a, std::to_string(i), "chat.a");
    other.join();
    auto const oks = f.first.wait_for<notice::ok>(a, messages);
    CHECK(f.second.wait_for<notice::ok>(b, messages).size() == messages);
    REQUIRE(oks.size() == messages);
    for (std::size_t i = 1; i < messages; ++i)
        REQUIRE(oks[i].seq > oks[i - 1].seq);
    CHECK(f.first.wait([&](auto const& outputs) {
        std::size_t bytes = 0;
        for (auto const& o : outputs)
            if (auto const* const credit = std::get_if<link_output::credit>(&o.what); credit && o.link == a)
                bytes += credit->bytes;
        return bytes == 10 * messages;
    }));
    CHECK(f.disk.commits() < 2 * messages);
    for (std::size_t i = 0; i < 100; ++i)
        f.publish(a, std::to_string(i), "chat.a");
    f.host->stop();
    auto const stored = f.disk.load(0);
    auto const chat = std::find_if(stored.streams.begin(), stored.streams.end(), [](auto const& s) { return s.config.name == "CHAT"; });
    REQUIRE(chat != stored.streams.end());
    CHECK(chat->last == 2 * messages + 100);
    f.host->stop();
}

TEST_CASE("host: accounts of the file and of the store, before and after the start")
{
    fixture f;
    CHECK(f.host->directory()->find_user("root"));
    f.host->set_file_accounts({{"eve", "bot", false, true, 0}}, {});
    CHECK(f.host->directory()->find_user("eve"));
    f.host->start();
    f.host->set_file_accounts({{"dan", "bot", false, true, 0}}, {});
    auto const directory = f.second.wait_for_user("dan");
    REQUIRE(directory);
    CHECK_FALSE(directory->find_user("eve"));
    auto const root = link_on(0, 1);
    f.open(root, "root", "operator", false);
    CHECK(f.admin(root, "user add", {{"name", "ann"}, {"keys", nlohmann::json::array()}}).exit_status == 0);
    CHECK(f.first.wait_for_user("ann"));
    CHECK(f.second.wait_for_user("ann"));
    CHECK(f.host->directory()->find_user("ann"));
}

TEST_CASE("host: new limits reach the store")
{
    fixture f;
    limits tight = f.bounds;
    tight.users = 2;
    f.disk.set_limits(tight);
    f.host->start();
    auto const root = link_on(0, 1);
    f.open(root, "root", "operator", false);
    auto const add = [&](char const* name) { return f.admin(root, "user add", {{"name", name}, {"keys", nlohmann::json::array()}}); };
    CHECK(add("ann").exit_status == 0);
    CHECK(add("bob").exit_status == 1);  // the router would let him in: the store does not
    tight.users = 3;
    f.host->set_limits(tight);
    CHECK(add("bob").exit_status == 0);
    CHECK(add("cat").exit_status == 1);
}

TEST_CASE("host: what waits for its threads is counted, and nothing waits in the end")
{
    fixture f;
    f.host->start();
    auto const root = link_on(0, 1);
    f.open(root, "root", "operator", false);
    // The router thread is held up, so that what is submitted meanwhile must wait.
    std::mutex gate;
    std::unique_lock closed{gate};
    f.first.before_deliver = [&] { std::lock_guard const pass{gate}; };
    f.open(link_on(0, 2), "ann");
    REQUIRE(f.first.entered());
    for (int i = 0; i < 3; ++i)
        f.publish(link_on(0, 2), std::to_string(i), "x");
    CHECK(f.counts.router_inbox_events.get() == 3);
    CHECK(f.counts.router_inbox_bytes.get() == 30);
    closed.unlock();
    CHECK(f.first.wait_for<notice::ok>(link_on(0, 2), 3).size() == 3);
    CHECK(f.counts.router_inbox_bytes.get() == 0);
    f.host->stop();
    CHECK(f.counts.router_inbox_events.get() == 0);
    CHECK(f.counts.store_requests_waiting.get() == 0);
}

TEST_CASE("host: draining ends when the last link is gone; limits can change")
{
    fixture f;
    f.host->start();
    auto const a = link_on(0, 1);
    f.open(a, "ann");
    auto fewer = f.bounds;
    fewer.link_subscriptions = 0;
    f.host->set_limits(fewer);
    f.say(a, op::subscribe{"1", "x", {}});
    CHECK(f.first.wait_for<notice::error>(a, 1).size() == 1);

    std::mutex mutex;
    std::condition_variable wake;
    bool drained = false;
    f.host->drain([&] {
        std::lock_guard const lock{mutex};
        drained = true;
        wake.notify_all();
    });
    CHECK(f.first.wait_for<notice::bye>(a, 1).size() == 1);
    {
        std::lock_guard const lock{mutex};
        CHECK_FALSE(drained);
    }
    std::vector<link_event::any> batch;
    batch.push_back({a, link_event::closed{}});
    f.host->submit(std::move(batch));
    std::unique_lock lock{mutex};
    CHECK(wake.wait_for(lock, std::chrono::seconds{20}, [&] { return drained; }));
    lock.unlock();
    f.host->stop();
    CHECK(f.host->not_ready_because() == "the server is draining");
}
