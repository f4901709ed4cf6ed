#include "migration/nats/nats_backend.hpp"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "migration/nats/connector.hpp"
#include "migration/nats/js_api.hpp"
#include "migration/nats/outlet.hpp"
#include "migration/nats/reader.hpp"
#include "migration/nats/requests.hpp"
#include "migration/nats/session.hpp"
#include "router/thread_name.hpp"

namespace kedge::migration {

namespace {

template <typename Command>
concept asks_for_answer = requires(Command const& command) { command.request; };

}  // namespace

struct nats_backend::impl {
    explicit impl(settings given)
        : config(std::move(given)), out(std::make_shared<outlet>()), api(js_api::prefix(config.domain)),
          asked(out, api, [this](std::function<void()> job) { later(std::move(job)); })
    {
    }

    // -- any thread

    void submit(std::vector<backend_command::any> commands)
    {
        std::lock_guard const lock(mutex);
        if (stopping || !opened) return;
        for (auto const& each : commands)
            if (auto const* const plain = std::get_if<backend_command::send>(&each)) unsent += plain->what.bytes();
        if (queue.empty()) queue = std::move(commands);
        else std::move(commands.begin(), commands.end(), std::back_inserter(queue));
        wake.notify_one();
    }
    void later(std::function<void()> job)
    {
        std::lock_guard const lock(mutex);
        jobs.push_back(std::move(job));
        wake.notify_one();
    }

    // -- the worker

    void run()
    {
        auto next = session::clock::time_point::max();
        for (;;) {
            std::vector<backend_command::any> commands;
            std::vector<std::function<void()>> work;
            bool last = false;
            {
                std::unique_lock lock(mutex);
                auto const ready = [&] { return stopping || !queue.empty() || !jobs.empty() || poked; };
                if (next == session::clock::time_point::max()) wake.wait(lock, ready);
                else wake.wait_until(lock, next, ready);
                commands.swap(queue);
                work.swap(jobs);
                poked = false;
                last = stopping;
            }
            for (auto& job : work) job();
            carry_out(std::move(commands));
            if (last) return;
            auto const link = out->standing();
            next = link ? link->expire(session::clock::now()) : session::clock::time_point::max();
            std::erase_if(ending, [](auto const& each) { return each->finished(); });
        }
    }

    void carry_out(std::vector<backend_command::any> commands)
    {
        std::vector<backend_command::publish> publishes;
        auto const send_off = [&] {
            if (!publishes.empty()) publish(std::exchange(publishes, {}));
        };
        for (auto& command : commands) {
            if (auto* const one = std::get_if<backend_command::publish>(&command)) {
                publishes.push_back(std::move(*one));
                continue;
            }
            send_off();
            std::visit([&](auto& each) { carry_out(each); }, command);
        }
        send_off();
    }

    void publish(std::vector<backend_command::publish> const& all)
    {
        if (auto const link = out->standing()) return link->publish(all);
        std::lock_guard const lock(out->mutex);
        for (auto const& each : all) out->tell(backend_event::refused{each.ticket, each.connection, false, false, 0, "no link to NATS"});
    }
    void carry_out(backend_command::publish&) {}  // gathered above

    template <asks_for_answer Request>
    void carry_out(Request& what)
    {
        if (auto const link = out->standing()) return asked.carry_out(link, what);
        std::lock_guard const lock(out->mutex);
        out->tell(backend_event::answered{what.request, backend_event::problem{0, "no link to NATS", true, false}});
    }

    void carry_out(backend_command::read& what)
    {
        auto made = std::make_unique<reader>(what, out, api, [this] { poke(); });
        made->offer(out->standing());
        retire(std::exchange(readers[what.reader], std::move(made)));
    }
    void carry_out(backend_command::stop_reading& what)
    {
        if (auto found = readers.extract(what.reader); !found.empty()) retire(std::move(found.mapped()));
    }
    void retire(std::unique_ptr<reader> which)
    {
        if (!which) return;
        which->stop();
        ending.push_back(std::move(which));
    }
    void carry_out(backend_command::consumed& what)
    {
        if (auto const found = readers.find(what.reader); found != readers.end()) found->second->consumed(what.messages, what.bytes);
    }

    void carry_out(backend_command::subscribe& what)
    {
        auto& made = plains[what.id];
        made = {};
        made.pattern = what.pattern;
        subscribe(what.id, made, out->standing());
    }
    void carry_out(backend_command::unsubscribe& what)
    {
        auto const at = plains.find(what.id);
        if (at == plains.end()) return;
        if (auto const link = out->standing(); link && link->number() == at->second.connection) link->keep(std::move(at->second.subscription));
        plains.erase(at);
    }
    void carry_out(backend_command::send& what)
    {
        if (auto const link = out->standing()) link->send(what.what);
        unsent -= what.what.bytes();
    }

    struct plain {
        std::string pattern;
        std::uint64_t connection = 0;
        nats_subscription_handle subscription;
    };
    void subscribe(plain_id id, plain& what, std::shared_ptr<session> const& link)
    {
        if (!link || what.connection == link->number()) return;
        what.connection = link->number();
        what.subscription = link->subscribe(id, what.pattern, config.bridge_bytes);
    }
    void link_stands(std::shared_ptr<session> const& link)
    {
        for (auto& [id, each] : readers) each->offer(link);
        for (auto& [id, each] : plains) subscribe(id, each, link);
    }

    /// A deadline has come up that the worker does not know of.
    void poke()
    {
        std::lock_guard const lock(mutex);
        poked = true;
        wake.notify_one();
    }

    void close()
    {
        {
            std::lock_guard const lock(mutex);
            if (!opened || stopping) return;
            stopping = true;
            wake.notify_one();
        }
        // First: all that waits for the server gets its answer, and nobody waits for the server any more.
        if (auto const link = out->standing()) link->end("closed");
        worker.join();
        connecting.reset();
        for (auto& [id, each] : readers) each->stop();
        readers.clear();
        ending.clear();
        plains.clear();
        for (auto& job : std::exchange(jobs, {})) job();  // the second half of a request: it ends as the first would have
        std::lock_guard const lock(out->mutex);
        out->sink = nullptr;
    }

    settings const config;
    std::shared_ptr<outlet> const out;
    std::string const api;
    requests asked;

    std::atomic<std::uint64_t> unsent{0};  ///< bytes of `send`s in `queue`, and of those that the worker has taken from it
    std::mutex mutex;
    std::condition_variable wake;
    // Guarded by mutex.
    std::vector<backend_command::any> queue;
    std::vector<std::function<void()>> jobs;
    bool poked = false;
    bool opened = false;
    bool stopping = false;

    // The worker's.
    std::map<reader_id, std::unique_ptr<reader>> readers;
    std::vector<std::unique_ptr<reader>> ending;
    std::map<plain_id, plain> plains;

    std::unique_ptr<connector> connecting;
    std::thread worker;
};

nats_backend::nats_backend(settings given) : impl_(std::make_unique<impl>(std::move(given))) {}

nats_backend::~nats_backend()
{
    impl_->close();
}

void nats_backend::open(sink sink)
{
    auto& self = *impl_;
    self.out->sink = std::move(sink);
    self.opened = true;
    self.worker = std::thread([&self] {
        name_thread("nats-send");
        self.run();
    });
    self.connecting = std::make_unique<connector>(self.config, self.out, [&self](std::shared_ptr<session> link) {
        self.later([&self, link = std::move(link)] { self.link_stands(link); });
    });
}

void nats_backend::close()
{
    impl_->close();
}

void nats_backend::submit(std::vector<backend_command::any> commands)
{
    impl_->submit(std::move(commands));
}

std::uint64_t nats_backend::unsent_bytes() const noexcept
{
    return impl_->unsent;
}

}  // namespace kedge::migration
