// The service with its threads, SQLite in a file, and a real nats-server.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "migration/nats/nats_backend.hpp"
#include "migration/service.hpp"
#include "router/host/clock.hpp"
#include "router/host/store_thread.hpp"
#include "router/store/sqlite/sqlite_store.hpp"
#include "tests/migration/nats_server.hpp"
#include "tests/migration/sequencer_contract/side.hpp"
#include "tests/store/fixture.hpp"

namespace kedge::test {

namespace {

using namespace std::chrono_literals;

class nats_side final : public ordering_side {
public:
    explicit nats_side(side_options const& o)
    {
        bounds_.servers = {server_.url()};
        bounds_.hold_ms = o.hold_ms;
        if (o.room)
            bounds_.hold_bytes = o.room * desk::plain()->cost();
        open();
        store_->load(read_clock().wall_ms);
        std::vector<store_event::any> events;
        for (auto const& [name, subject] : {std::pair{"CHAT", "chat.>"}, std::pair{"OTHER", "other.>"}}) {
            stream_config config;
            config.name = name;
            config.subjects = {subject};
            store_->execute({store_request::create_stream{token{1}, config}}, events);
        }
        chat = std::get<store_event::stream_created>(events.at(0)).stream.id;
        other = std::get<store_event::stream_created>(events.at(1)).stream.id;
        begin();
        must("start");
        must("switch");
        std::lock_guard const lock{mutex_};
        heard_.clear();
    }
    ~nats_side() override
    {
        if (service_)
            end();
    }

    void append(std::vector<store_request::append> batch) override { service_->append(std::move(batch)); }
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
    void trouble() override
    {
        server_.kill();
        linked("down");
    }
    void heal() override
    {
        server_.start();
        linked("up");
        read();
    }
    void narrow() override { trouble(); }
    void widen() override { heal(); }
    void end() override
    {
        service_->stop();
        thread_->stop();
        service_.reset();
        thread_.reset();
    }
    void begin() override
    {
        open();
        auto const all = store_->load(read_clock().wall_ms);
        streams_ = all.streams;
        auto backend = std::make_unique<migration::nats_backend>(bounds_);
        service_ = std::make_unique<migration::service>(bounds_, std::move(backend), limits{}, migration::stored_mirrors::of(all), counts_);
        thread_ = std::make_unique<store_thread>(*store_, *store_, counts_, [this](store_thread::results r) {
            service_->stored(r.events);
            hear(std::move(r.events));
        });
        service_->start(host_);
        thread_->start();
        linked("up");
    }
    store_contents contents() override
    {
        open();
        return store_->load(read_clock().wall_ms);
    }
    std::vector<row> log(stream_id stream) override
    {
        auto const request = token{++last_token_};
        thread_->submit(std::vector<store_request::any>{store_request::read{request, stream, 1, {}, 10'000, 1 << 30}});
        std::unique_lock lock{mutex_};
        store_event::rows_read const* found = nullptr;
        changed_.wait_for(lock, 30s, [&] {
            for (auto const& each : heard_)
                if (auto const* const read = std::get_if<store_event::rows_read>(&each); read && read->request == request)
                    found = read;
            return found != nullptr;
        });
        if (!found)
            throw std::runtime_error("the log is not read");
        return found->rows;
    }

private:
    /// What the service sees of the router.
    struct router final : migration_host {
        explicit router(nats_side& s) : side{s} {}
        nats_side& side;
        void append(std::vector<store_request::append> batch) override { side.thread_->append(std::move(batch)); }
        void submit(std::vector<store_request::any> batch) override { side.thread_->submit(std::move(batch)); }
        void tell(std::vector<store_event::any> events) override { side.hear(std::move(events)); }
        void answer(token request, admin_result result) override
        {
            std::lock_guard const lock{side.mutex_};
            side.answers_.emplace(request, std::move(result));
            side.changed_.notify_all();
        }
        void show(migration_picture_ptr) override {}
        void announce(std::string, nlohmann::json) override {}
    };

    void open()
    {
        store_.reset();
        store_ = std::make_unique<sqlite_store>(folder_.file("kedge.db"), limits{});
    }
    void hear(std::vector<store_event::any> events)
    {
        std::lock_guard const lock{mutex_};
        for (auto& each : events)
            heard_.push_back(std::move(each));
        changed_.notify_all();
    }
    admin_result run(std::string const& verb)
    {
        migration_request what;
        what.request = token{++last_token_};
        what.call = {"migrate " + verb, {{"stream", "CHAT"}}};
        what.user = "olga";
        for (auto const& each : streams_)
            if (each.id == chat)
                what.streams.push_back({each, each.last + 1, 0});
        auto const request = what.request;
        service_->ask(std::move(what));
        std::unique_lock lock{mutex_};
        if (!changed_.wait_for(lock, 60s, [&] { return answers_.contains(request); }))
            throw std::runtime_error(verb + ": no answer");
        return answers_.at(request);
    }
    /// A switch is refused until what JetStream held was read.
    void must(std::string const& verb)
    {
        auto const end = std::chrono::steady_clock::now() + 30s;
        for (auto done = run(verb); done.exit_status != 0; done = run(verb)) {
            if (std::chrono::steady_clock::now() > end)
                throw std::runtime_error(verb + ": " + done.error);
            go_on();
        }
    }
    void linked(std::string const& state)
    {
        await("the link is never " + state, [&](nlohmann::json const& status) { return status["link"]["state"] == state; });
    }
    /// Until what JetStream held when the link came is read: a publish before that waits for it, and no longer than the hold.
    void read()
    {
        await("JetStream's stream is never read", [](nlohmann::json const& status) { return status["streams"][0]["lag"]["known"] == true; });
    }
    template <class Holds>
    void await(std::string const& otherwise, Holds const& holds)
    {
        for (auto const end = std::chrono::steady_clock::now() + 30s; !holds(run("status").data); go_on())
            if (std::chrono::steady_clock::now() > end)
                throw std::runtime_error(otherwise);
    }

    nats_server server_{{true, "max_payload: 2097152\n"}};
    migration::settings bounds_;
    metrics counts_;
    scratch_folder folder_;
    std::unique_ptr<sqlite_store> store_;
    std::vector<stream_state> streams_;
    router host_{*this};
    std::uint64_t last_token_ = std::uint64_t{1} << 40;  // beyond the desk's
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<store_event::any> heard_;     // guarded by mutex_
    std::map<token, admin_result> answers_;   // guarded by mutex_
    std::unique_ptr<migration::service> service_;
    std::unique_ptr<store_thread> thread_;
};

}  // namespace

void on_nats_server(side_options const& options, side_case const& body)
{
    nats_side side{options};
    body(side);
}

}  // namespace kedge::test
