#include "router/host/router_host.hpp"

#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "router/core/core.hpp"
#include "router/host/clock.hpp"
#include "router/host/store_thread.hpp"
#include "router/thread_name.hpp"

namespace kedge {

namespace {

// Outputs leave after so many events at the latest, however large the batch that has gathered.
constexpr std::size_t events_a_turn = 1024;

bool is_answer_to_migration(store_event::any const& e)
{
    return std::visit(
        [](auto const& what) {
            if constexpr (requires { what.request; })
                return is_migration_token(what.request);
            else
                return false;
        },
        e);
}

store_contents what_migration_needs(store_contents const& all)
{
    store_contents some;
    some.incarnation = all.incarnation;
    some.secret = all.secret;
    some.streams = all.streams;
    some.mirrors = all.mirrors;
    some.bridges = all.bridges;
    return some;
}

/// The operating system's.
std::uint64_t random_bits()
{
    thread_local std::random_device device;
    return std::uint64_t{device()} << 32 | device();
}

}  // namespace

struct router_host::impl final : migration_host {
    impl(router_config c, store_ports p, metrics& m)
        : config{std::move(c)},
          ports{p},
          counts{m},
          stored{p.messages->load(read_clock().wall_ms)},
          of_migration{what_migration_needs(stored)},
          store{*p.messages, *p.accounts, m, [this](store_thread::results r) { take(std::move(r)); }}
    {
    }

    router_config const config;
    store_ports const ports;
    metrics& counts;
    std::vector<transport_port*> transports;  // constant after attach
    migration_port* migration = nullptr;      // constant after attach

    // Router thread only, once it runs.
    store_contents stored;
    store_contents const of_migration;
    std::unique_ptr<class core> core;
    std::function<void()> drained;
    actions todo;

    // What waits for the router thread.
    struct inbox {
        std::vector<link_event::any> links;
        std::vector<store_event::any> stores;
        std::vector<account_result> accounts;
        std::vector<std::function<void(instant, actions&)>> calls;

        std::uint64_t link_bytes = 0;  // of input, in `links`

        std::size_t size() const { return links.size() + stores.size() + accounts.size() + calls.size(); }
        bool empty() const { return size() == 0; }
    };
    std::mutex mutex;
    std::condition_variable wake;
    inbox waiting;          // guarded by mutex
    bool stopping = false;  // guarded by mutex
    std::thread thread;

    // For readers on other threads.
    mutable std::mutex picture_mutex;
    directory_ptr directory;  // guarded by picture_mutex
    std::string not_ready;    // guarded by picture_mutex

    store_thread store;

    /// The accounts are read as late as possible: the first start adds some in between.
    class core& the_core()
    {
        if (!core) {
            core = std::make_unique<class core>(core_config{config.limits, config.server_name, config.servers, config.home, random_bits},
                                                std::move(stored), ports.accounts->load_accounts(), counts, read_clock());
            directory = core->directory();
        }
        return *core;
    }

    template <class Put>
    void put(Put&& into)
    {
        bool idle = false;
        {
            std::lock_guard const lock{mutex};
            idle = waiting.empty();
            into(waiting);
            show_waiting();
        }
        if (idle)
            wake.notify_one();
    }

    /// With the mutex held.
    void show_waiting()
    {
        counts.router_inbox_events.set(waiting.size());
        counts.router_inbox_bytes.set(waiting.link_bytes);
    }

    template <class T>
    static void join(std::vector<T>& to, std::vector<T>&& from)
    {
        if (to.empty())
            to = std::move(from);
        else
            to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
    }

    /// Store thread.
    void take(store_thread::results r)
    {
        if (migration && !r.events.empty()) {
            migration->stored(r.events);
            std::erase_if(r.events, is_answer_to_migration);
            if (r.events.empty() && r.accounts.empty())
                return;
        }
        put([&](inbox& in) {
            join(in.stores, std::move(r.events));
            join(in.accounts, std::move(r.accounts));
        });
    }

    // What the migration is offered. Any thread.
    void append(std::vector<store_request::append> batch) override { store.append(std::move(batch)); }
    void submit(std::vector<store_request::any> batch) override { store.submit(std::move(batch)); }
    void tell(std::vector<store_event::any> events) override
    {
        put([&](inbox& in) { join(in.stores, std::move(events)); });
    }
    void answer(token request, admin_result result) override
    {
        call([this, request, result = std::move(result)](instant, actions& out) mutable {
            core->migration_answered(request, std::move(result), out);
        });
    }
    void show(migration_picture_ptr picture) override
    {
        call([this, picture = std::move(picture)](instant, actions&) { core->set_migration(picture); });
    }
    void announce(std::string stream, nlohmann::json what) override
    {
        call([this, stream = std::move(stream), what = std::move(what)](instant now, actions& out) {
            core->announce_migration(stream, what, now, out);
        });
    }
    void say(std::vector<link_event::any> batch) override
    {
        put([&](inbox& in) { join(in.links, std::move(batch)); });
    }
    template <class Call>
    void call(Call&& what)
    {
        put([&](inbox& in) { in.calls.emplace_back(std::forward<Call>(what)); });
    }

    void carry_out()
    {
        if (!todo.outputs.empty()) {
            std::vector<std::vector<link_output::any>> batches(transports.size());
            std::vector<link_output::any> of_migration_links;
            for (auto& o : todo.outputs)
                if (auto const t = transport_of(o.link); t < batches.size())
                    batches[t].push_back(std::move(o));
                else if (t == migration_transport)
                    of_migration_links.push_back(std::move(o));
            if (migration && !of_migration_links.empty())
                migration->deliver(std::move(of_migration_links));
            for (std::size_t t = 0; t < batches.size(); ++t)
                if (!batches[t].empty())
                    transports[t]->deliver(std::move(batches[t]));
            todo.outputs.clear();
        }
        // Requests first: a consumer that was asked for before a publish must not begin behind it.
        if (!todo.requests.empty())
            store.submit(std::exchange(todo.requests, {}));
        if (!todo.appends.empty())
            (migration ? static_cast<sequencer&>(*migration) : store).append(std::exchange(todo.appends, {}));
        for (auto& request : std::exchange(todo.migration, {}))
            migration->ask(std::move(request));
        for (auto const gone : std::exchange(todo.removed, {}))
            if (migration)
                migration->removed(gone);
        if (!todo.accounts.empty())
            store.submit(std::exchange(todo.accounts, {}));
        if (todo.directory) {
            {
                std::lock_guard const lock{picture_mutex};
                directory = todo.directory;
            }
            for (auto* const t : transports)
                t->accounts_changed(todo.directory);
            todo.directory.reset();
        }
        if (std::exchange(todo.drained, false) && drained)
            std::exchange(drained, nullptr)();
    }

    void finish()
    {
        core->finish(read_clock(), todo);
        carry_out();
    }

    void run()
    {
        for (;;) {
            inbox batch;
            bool last = false;
            {
                std::unique_lock lock{mutex};
                auto const woken = [&] { return stopping || !waiting.empty(); };
                if (auto const due = core->due_ms()) {
                    auto const now = read_clock().steady_ms;
                    wake.wait_for(lock, std::chrono::milliseconds{*due > now ? *due - now : 0}, woken);
                } else {
                    wake.wait(lock, woken);
                }
                std::swap(batch, waiting);
                show_waiting();
                last = stopping;
            }
            auto const now = read_clock();
            for (auto& call : batch.calls)
                call(now, todo);
            for (auto& r : batch.accounts)
                core->step(std::move(r), now, todo);
            for (auto& e : batch.stores)
                core->step(std::move(e), now, todo);
            std::size_t turn = 0;
            for (auto& e : batch.links) {
                core->step(std::move(e), now, todo);
                if (++turn % events_a_turn == 0)
                    finish();
            }
            if (auto const due = core->due_ms(); due && *due <= now.steady_ms)
                core->tick(now, todo);
            if (last)
                core->save_positions(now, todo);
            finish();
            {
                std::lock_guard const lock{picture_mutex};
                not_ready = core->not_ready_because();
            }
            if (last)
                return;
        }
    }
};

router_host::router_host(router_config config, store_ports ports, metrics& counts)
    : impl_{std::make_unique<impl>(std::move(config), ports, counts)}
{
}

router_host::~router_host() { stop(); }

void router_host::attach(std::vector<transport_port*> transports) { impl_->transports = std::move(transports); }

void router_host::attach(migration_port& migration) { impl_->migration = &migration; }

store_contents const& router_host::migration_contents() const noexcept { return impl_->of_migration; }

migration_host& router_host::for_migration() noexcept { return *impl_; }

void router_host::start()
{
    auto& core = impl_->the_core();
    if (impl_->migration)
        core.attach_migration();
    impl_->store.start();
    impl_->thread = std::thread{[i = impl_.get()] {
        name_thread("router");
        i->run();
    }};
}

void router_host::stop()
{
    if (impl_->thread.joinable()) {
        {
            std::lock_guard const lock{impl_->mutex};
            impl_->stopping = true;
        }
        impl_->wake.notify_one();
        impl_->thread.join();
        if (impl_->migration)
            impl_->migration->stop();
    }
    impl_->store.stop();
}

void router_host::submit(std::vector<link_event::any> batch)
{
    std::uint64_t bytes = 0;
    for (auto const& e : batch)
        if (auto const* const operation = std::get_if<link_event::operation>(&e.what))
            bytes += operation->bytes;
    impl_->put([&](impl::inbox& in) {
        impl::join(in.links, std::move(batch));
        in.link_bytes += bytes;
    });
}

void router_host::set_file_accounts(std::vector<account_user> users, std::vector<account_key> keys)
{
    auto apply = [i = impl_.get(), users = std::move(users), keys = std::move(keys)](instant now, actions& out) {
        i->core->set_file_accounts(users, keys, now, out);
    };
    if (impl_->thread.joinable()) {
        impl_->put([&](impl::inbox& in) { in.calls.emplace_back(std::move(apply)); });
        return;
    }
    impl_->the_core();
    apply(read_clock(), impl_->todo);
    impl_->carry_out();
}

directory_ptr router_host::directory() const
{
    if (!impl_->thread.joinable())
        impl_->the_core();
    std::lock_guard const lock{impl_->picture_mutex};
    return impl_->directory;
}

void router_host::set_limits(limits const& l)
{
    impl_->put([&](impl::inbox& in) {
        in.calls.emplace_back([i = impl_.get(), l](instant, actions&) {
            i->core->set_limits(l);
            i->store.set_limits(l);
        });
    });
}

void router_host::drain(std::function<void()> drained)
{
    impl_->put([&](impl::inbox& in) {
        in.calls.emplace_back([i = impl_.get(), drained = std::move(drained)](instant now, actions& out) mutable {
            i->drained = std::move(drained);
            i->core->drain(now, out);
        });
    });
}

std::string router_host::not_ready_because() const
{
    std::lock_guard const lock{impl_->picture_mutex};
    return impl_->not_ready;
}

account_store& router_host::accounts_before_start() { return *impl_->ports.accounts; }

}  // namespace kedge
