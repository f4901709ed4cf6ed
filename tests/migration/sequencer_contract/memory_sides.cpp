// The store behind its thread, both kinds of store; and a mirror in state NATS with everything around it in memory.

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "router/host/store_thread.hpp"
#include "tests/migration/mirror_world.hpp"
#include "tests/migration/sequencer_contract/side.hpp"
#include "tests/store/fixture.hpp"

namespace kedge::test {

namespace {

using namespace std::chrono_literals;

class store_side final : public ordering_side {
public:
    store_side(store_fixture& f, side_options const& o) : store_{f}, room_{o.room}
    {
        chat = add_stream(store_, "CHAT", chat_config());
        stream_config config;
        config.subjects = {"other.>"};
        other = add_stream(store_, "OTHER", config);
        begin_thread();
    }

    void append(std::vector<store_request::append> batch) override
    {
        thread_->append(std::move(batch));
        if (std::exchange(waiting_, false))
            thread_->start();
    }
    void go_on() override
    {
        std::unique_lock lock{mutex_};
        changed_.wait_for(lock, 5ms);
    }
    std::vector<store_event::any> heard() const override
    {
        std::lock_guard const lock{mutex_};
        return heard_;
    }

    // The fault is the next commit's: no housekeeping may come before the append.
    void trouble() override
    {
        thread_->stop();
        store_.fail(store_fixture::fault::full);
        make_thread();
    }
    void heal() override
    {
        thread_->stop();
        store_.heal();
        begin_thread();
    }
    void narrow() override { edit(log(chat).size() + room_); }
    void widen() override { edit(0); }
    void end() override
    {
        thread_->stop();
        store_.reopen();
        contents_ = store_.load();
    }
    void begin() override { begin_thread(); }
    store_contents contents() override { return contents_; }
    std::vector<row> log(stream_id stream) override
    {
        thread_->stop();
        auto rows = read_all(store_, stream);
        begin_thread();
        return rows;
    }

private:
    static stream_config chat_config()
    {
        stream_config config;
        config.name = "CHAT";
        config.subjects = {"chat.>"};
        return config;
    }
    void edit(std::uint64_t most)
    {
        auto config = chat_config();
        config.max_msgs = most;
        config.when_full = discard::newest;
        thread_->submit(std::vector<store_request::any>{store_request::edit_stream{next_token(), chat, config}});
    }
    void make_thread()
    {
        thread_ = std::make_unique<store_thread>(store_.store(), store_.accounts(), counts_, [this](store_thread::results r) {
            std::lock_guard const lock{mutex_};
            for (auto& each : r.events)
                heard_.push_back(std::move(each));
            changed_.notify_all();
        });
        waiting_ = true;
    }
    void begin_thread()
    {
        make_thread();
        waiting_ = false;
        thread_->start();
    }

    store_fixture& store_;
    std::size_t const room_;
    store_contents contents_;
    metrics counts_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<store_event::any> heard_;  // guarded by mutex_
    bool waiting_ = false;                 // the thread begins with the next append
    std::unique_ptr<store_thread> thread_;
};

class memory_jet_side final : public ordering_side {
public:
    explicit memory_jet_side(side_options const& o) : world_{1, settings_of(o)}
    {
        stream_config config;
        config.name = "OTHER";
        config.subjects = {"other.>"};
        std::vector<store_event::any> events;
        world_.store.execute({store_request::create_stream{token{1}, config}}, events);
        other = std::get<store_event::stream_created>(events.at(0)).stream.id;
        chat = world_.stream.id;
        world_.settle();
        must("start");
        world_.settle();
        must("switch");
        world_.on_core_hears = [this](store_event::any const& event) { heard_.push_back(event); };
    }

    void append(std::vector<store_request::append> batch) override { world_.alive->gates.append(std::move(batch)); }
    void go_on() override
    {
        world_.settle();
        world_.advance(50);
    }
    std::vector<store_event::any> heard() const override { return heard_; }
    void trouble() override { world_.bus.stop(); }
    void heal() override { world_.bus.start(); }
    void narrow() override
    {
        world_.bus.stop();
        world_.settle();
    }
    void widen() override { world_.bus.start(); }
    void end() override
    {
        world_.settle();
        world_.crash();
    }
    void begin() override { world_.boot(); }
    store_contents contents() override { return world_.store.load(world_.bus.now_ms()); }
    std::vector<row> log(stream_id stream) override
    {
        std::vector<store_event::any> events;
        world_.store.execute({store_request::read{token{1}, stream, 1, {}, 10'000, 1 << 30}}, events);
        return std::get<store_event::rows_read>(events.at(0)).rows;
    }

private:
    static migration::settings settings_of(side_options const& o)
    {
        migration::settings bounds;
        bounds.hold_ms = o.hold_ms;
        if (o.room)
            bounds.hold_bytes = o.room * desk::plain()->cost();
        return bounds;
    }
    void must(std::string const& verb)
    {
        auto const done = world_.run(verb);
        if (!done || done->exit_status != 0)
            throw std::runtime_error(verb + ": " + (done ? done->error : "no answer"));
    }

    migration::mirror_world world_;
    std::vector<store_event::any> heard_;
};

}  // namespace

void on_stores(side_options const& options, side_case const& body)
{
    on_both_stores([&](store_fixture& f) {
        store_side side{f, options};
        body(side);
    });
}

void on_jetstream_in_memory(side_options const& options, side_case const& body)
{
    memory_jet_side side{options};
    body(side);
}

}  // namespace kedge::test
