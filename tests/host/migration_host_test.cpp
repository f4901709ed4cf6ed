// The router's threads with a migration in between.

#include "tests/catch.hpp"

#include <atomic>

#include "tests/host/host_fixture.hpp"

using namespace kedge;
using namespace kedge::host_tests;

namespace {

/// A migration that does what it is told, and notes what it hears and on which thread.
class scripted_migration final : public migration_port {
public:
    explicit scripted_migration(migration_host& host) : host_{host} {}

    void append(std::vector<store_request::append> batch) override
    {
        std::lock_guard const lock{mutex_};
        router_thread = std::this_thread::get_id();
        appended += batch.size();
        if (hold)
            held.insert(held.end(), std::make_move_iterator(batch.begin()), std::make_move_iterator(batch.end()));
        else
            host_.append(std::move(batch));
        wake_.notify_all();
    }
    void stored(std::vector<store_event::any> const& events) override
    {
        std::lock_guard const lock{mutex_};
        store_thread = std::this_thread::get_id();
        for (auto const& e : events)
            if (auto const* const rows = std::get_if<store_event::rows_arrived>(&e))
                rows_heard += rows->rows.size();
            else if (auto const* const d = std::get_if<store_event::done>(&e); d && is_migration_token(d->request))
                answers.push_back(d->request);
            else if (auto const* const r = std::get_if<store_event::rows_read>(&e); r && is_migration_token(r->request))
                answers.push_back(r->request);
        if (before_router)
            before_router();
        wake_.notify_all();
    }
    void ask(migration_request r) override
    {
        std::lock_guard const lock{mutex_};
        asked.push_back(std::move(r));
        wake_.notify_all();
    }
    void removed(stream_id id) override
    {
        std::lock_guard const lock{mutex_};
        gone.push_back(id);
        wake_.notify_all();
    }
    void stop() override
    {
        std::lock_guard const lock{mutex_};
        ++stopped;
        if (at_stop)
            at_stop();
    }
    template <class Ready>
    bool wait(Ready&& ready)
    {
        std::unique_lock lock{mutex_};
        return wake_.wait_for(lock, std::chrono::seconds{20}, [&] { return ready(); });
    }

    // Guarded by mutex_ while the host runs.
    bool hold = false;
    std::vector<store_request::append> held;
    std::size_t appended = 0;
    std::size_t rows_heard = 0;
    std::size_t stopped = 0;
    std::vector<token> answers;
    std::vector<migration_request> asked;
    std::vector<stream_id> gone;
    std::thread::id router_thread, store_thread;
    std::function<void()> before_router;
    std::function<void()> at_stop;

private:
    migration_host& host_;
    std::mutex mutex_;
    std::condition_variable wake_;
};

struct migrating : fixture {
    migrating() : migration{host->for_migration()}
    {
        host->attach(migration);
    }
    ~migrating() { host->stop(); }
    void begin()
    {
        host->start();
        open(root, "root", "operator", false);
        CHECK(admin(root, "stream add", {{"name", "CHAT"}, {"subjects", {"chat.>"}}}).exit_status == 0);
        open(ann, "ann");
    }
    /// Sends the command; the answer comes when the migration gives one.
    void ask(std::string name, nlohmann::json args)
    {
        std::vector<link_event::any> batch;
        batch.push_back({root, link_event::admin_request{token{++requests}, {std::move(name), std::move(args)}}});
        host->submit(std::move(batch));
    }

    link_id const root = link_on(0, 1);
    link_id const ann = link_on(0, 2);
    scripted_migration migration;
};

}  // namespace

TEST_CASE("host with a migration: appends go through it, results come to it before the router has them")
{
    migrating f;
    std::atomic<std::size_t> oks_before{0};
    f.begin();
    f.migration.before_router = [&] { oks_before += f.counts.published_durable.get(); };
    f.publish(f.ann, "1", "chat.a");
    CHECK(f.first.wait_for<notice::ok>(f.ann, 1).size() == 1);
    CHECK(f.migration.wait([&] { return f.migration.appended == 1 && f.migration.rows_heard == 1; }));
    CHECK(oks_before == 0);
    CHECK(f.migration.router_thread != f.migration.store_thread);
    CHECK(f.migration.store_thread != std::this_thread::get_id());
}

TEST_CASE("host with a migration: what is held waits, is let go later, or fails")
{
    migrating f;
    f.begin();
    f.migration.wait([&] { return f.migration.hold = true; });
    f.publish(f.ann, "1", "chat.a");
    f.publish(f.ann, "2", "chat.a");
    f.say(f.ann, op::ping{"p"});
    CHECK(f.first.wait_for<notice::pong>(f.ann, 1).size() == 1);
    CHECK(f.migration.wait([&] { return f.migration.held.size() == 2; }));
    CHECK(f.counts.published_durable.get() == 0);
    SECTION("let go")
    {
        f.host->for_migration().append(std::exchange(f.migration.held, {}));
        auto const oks = f.first.wait_for<notice::ok>(f.ann, 2);
        REQUIRE(oks.size() == 2);
        CHECK(oks[0].seq == 1);
        CHECK(oks[1].seq == 2);
    }
    SECTION("failed")
    {
        std::vector<store_event::any> failed;
        for (auto const& a : f.migration.held)
            failed.emplace_back(store_event::append_failed{a.request, a.stream, {error_code::unavailable, "NATS is away"}});
        f.host->for_migration().tell(std::move(failed));
        auto const errors = f.first.wait_for<notice::error>(f.ann, 2);
        REQUIRE(errors.size() == 2);
        CHECK(errors[0].code == error_code::unavailable);
        CHECK(f.host->not_ready_because().empty());
    }
}

TEST_CASE("host with a migration: its own requests are answered to it alone, its rows to all")
{
    migrating f;
    f.begin();
    f.publish(f.ann, "1", "chat.a");
    CHECK(f.first.wait_for<notice::ok>(f.ann, 1).size() == 1);
    f.say(f.ann, op::subscribe{"s", "chat.>", {}});
    CHECK(f.first.wait_for<notice::ok>(f.ann, 2).size() == 2);
    stream_id chat{};
    f.ask("migrate status", {{"stream", "CHAT"}});
    CHECK(f.migration.wait([&] { return f.migration.asked.size() == 1; }));
    for (auto const& s : f.migration.asked.front().streams)
        if (s.state.config.name == "CHAT")
            chat = s.state.id;

    auto const mine = token{migration_token + 1};
    std::vector<store_request::any> batch;
    store_request::read read;
    read.request = mine;
    read.stream = chat;
    batch.emplace_back(std::move(read));
    f.host->for_migration().submit(std::move(batch));
    CHECK(f.migration.wait([&] { return f.migration.answers == std::vector{mine}; }));

    store_request::append native;  // as an import: nobody in the router waits for it
    native.stream = chat;
    native.epoch = 1000;
    native.sender = shared_bytes::copy_of("nats");
    native.message = message::make({"chat.a", {}, {}, {}, "from afar"});
    f.host->for_migration().append({native});
    auto const heard = f.first.wait_for<notice::msg>(f.ann, 1);
    REQUIRE(heard.size() == 1);
    CHECK(heard[0].from == "nats");
    CHECK(heard[0].seq == 2);
}

TEST_CASE("host with a migration: commands, pictures, announcements and removed streams")
{
    migrating f;
    auto picture = std::make_shared<migration_picture>();
    picture->bridges = {"live.>"};
    f.host->for_migration().show(picture);  // before the start: it holds from the first event
    f.begin();
    CHECK(f.admin(f.root, "stream add", {{"name", "LIVE"}, {"subjects", {"live.tv"}}}).exit_status == 1);
    auto const listener = link_on(1, 5);
    f.open(listener, "root", "operator");
    f.say(listener, op::subscribe{"s", "$sys.migration.*", {}});
    CHECK(f.second.wait_for<notice::ok>(listener, 1).size() == 1);
    f.host->for_migration().announce("CHAT", {{"state", "MIRRORING"}});
    auto const told = f.second.wait_for<notice::msg>(listener, 1);
    REQUIRE(told.size() == 1);
    CHECK(told[0].subject == "$sys.migration.CHAT");
    CHECK(told[0].body == R"({"state":"MIRRORING"})");

    f.ask("migrate start", {{"stream", "CHAT"}});
    CHECK(f.migration.wait([&] { return f.migration.asked.size() == 1; }));
    f.host->for_migration().answer(f.migration.asked.front().request, {0, {{"state", "MIRRORING"}}, {}});
    CHECK(f.first.wait([&](auto const& outputs) {
        return std::any_of(outputs.begin(), outputs.end(), [](auto const& o) {
            auto const* const answer = std::get_if<link_output::admin_answer>(&o.what);
            return answer && answer->result.data == nlohmann::json{{"state", "MIRRORING"}};
        });
    }));
    CHECK(f.admin(f.root, "stream remove", {{"name", "CHAT"}}).exit_status == 0);
    CHECK(f.migration.wait([&] { return f.migration.gone.size() == 1; }));
}

TEST_CASE("host with a migration: it stops between the router and the store, which still carries out what it was given")
{
    migrating f;
    f.begin();
    f.publish(f.ann, "1", "chat.a");
    CHECK(f.first.wait_for<notice::ok>(f.ann, 1).size() == 1);
    f.migration.at_stop = [&] {
        std::vector<store_request::any> batch;
        store_request::put_node node;
        node.name = "late/comer";
        node.seen_ms = 1;
        batch.emplace_back(std::move(node));
        f.host->for_migration().submit(std::move(batch));
    };
    f.host->stop();
    CHECK(f.migration.stopped == 1);
    auto const nodes = f.disk.load(0).nodes;
    CHECK(std::any_of(nodes.begin(), nodes.end(), [](auto const& n) { return n.name == "late/comer"; }));
    f.host->stop();
    CHECK(f.migration.stopped == 1);
}

TEST_CASE("host: what a migration needs of the store is told before the start")
{
    migrating f;
    auto const& contents = f.host->migration_contents();
    auto const loaded = f.disk.load(0);
    CHECK(contents.incarnation == loaded.incarnation);
    CHECK(contents.secret == loaded.secret);
    CHECK(contents.streams.size() == loaded.streams.size());
    CHECK(contents.nodes.empty());
}
