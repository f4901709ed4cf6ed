// The store thread alone: what shares a transaction, and what may wait for one.

#include "tests/catch.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "router/host/store_thread.hpp"
#include "router/store/memory_store.hpp"

using namespace kedge;

namespace {

using steady = std::chrono::steady_clock;

/// Stores nothing; remembers each batch, and can be held up in one.
class noting_store final : public message_store {
public:
    struct batch {
        std::string requests;  ///< a letter each: a = append, i = import, p = put_mirror
        steady::time_point when;
    };

    store_contents load(std::uint64_t) override { return {}; }
    void execute(std::vector<store_request::any> requests, std::vector<store_event::any>&) override
    {
        std::unique_lock lock{mutex_};
        batch made{{}, steady::now()};
        for (auto const& r : requests)
            made.requests += std::holds_alternative<store_request::append>(r)            ? 'a'
                           : std::holds_alternative<store_request::import_messages>(r) ? 'i'
                                                                                       : 'p';
        batches_.push_back(std::move(made));
        wake_.notify_all();
        wake_.wait_for(lock, std::chrono::seconds{20}, [&] { return !held_; });
    }
    bool maintain(std::uint64_t, std::vector<store_event::any>&) override { return false; }
    void set_limits(limits const&) override {}

    void hold(bool on)
    {
        std::lock_guard const lock{mutex_};
        held_ = on;
        wake_.notify_all();
    }
    std::vector<batch> wait_for(std::size_t count)
    {
        std::unique_lock lock{mutex_};
        wake_.wait_for(lock, std::chrono::seconds{20}, [&] { return batches_.size() >= count; });
        return batches_;
    }

private:
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<batch> batches_;  // guarded by mutex_
    bool held_ = false;           // guarded by mutex_
};

struct store_world {
    store_world() { thread.start(); }

    void append() { thread.append(std::vector<store_request::append>(1)); }
    void import(bool may_wait)
    {
        store_request::import_messages what;
        what.may_wait = may_wait;
        thread.submit({std::move(what)});
    }
    void put() { thread.submit({store_request::put_mirror{}}); }

    noting_store store;
    memory_store accounts;
    metrics counts;
    store_thread thread{store, accounts, counts, [](store_thread::results) {}};
};

}  // namespace

TEST_CASE("store thread: what gathers while a batch is carried out is the next one, in its order")
{
    store_world w;
    w.store.hold(true);
    w.append();
    REQUIRE(w.store.wait_for(1).size() == 1);
    w.append();
    w.import(true);
    w.append();
    w.put();
    w.import(true);
    w.import(false);
    w.store.hold(false);
    auto const batches = w.store.wait_for(2);
    REQUIRE(batches.size() == 2);
    CHECK(batches[0].requests == "a");
    CHECK(batches[1].requests == "aiapii");
}

TEST_CASE("store thread: an import that may wait does so for its time, and is then carried out by itself")
{
    store_world w;
    auto const began = steady::now();
    w.import(true);
    auto const first = w.store.wait_for(1);
    REQUIRE(first.size() == 1);
    CHECK(first[0].requests == "i");
    CHECK(first[0].when >= began + places_wait);

    auto const again = steady::now();  // the time of the first is not that of the second
    w.import(true);
    auto const second = w.store.wait_for(2);
    REQUIRE(second.size() == 2);
    CHECK(second[1].when >= again + places_wait);
}

TEST_CASE("store thread: what comes behind an import that may wait does not overtake it")
{
    for (auto const what : {'a', 'p', 'i'}) {
        store_world w;
        w.import(true);
        if (what == 'a')
            w.append();
        else if (what == 'p')
            w.put();
        else
            w.import(false);
        std::string all;
        for (std::size_t i = 1; all.size() < 2; ++i) {
            all.clear();
            auto const batches = w.store.wait_for(i);
            REQUIRE(batches.size() >= i);
            for (auto const& b : batches)
                all += b.requests;
        }
        CHECK(all == std::string{"i"} + what);
    }
}

TEST_CASE("store thread: a stop carries out what may wait")
{
    store_world w;
    w.import(true);
    w.thread.stop();
    auto const batches = w.store.wait_for(1);
    REQUIRE(batches.size() == 1);
    CHECK(batches[0].requests == "i");
}
