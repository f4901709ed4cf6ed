#pragma once
/// What the contract of `pubsub_backend` is tested in: a server, in memory or real, and clients of it whose events are kept.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "migration/backend.hpp"
#include "migration/settings.hpp"
#include "tests/migration/memory_backend.hpp"
#include "tests/migration/memory_bus.hpp"
#include "tests/migration/nats_server.hpp"

namespace kedge::migration {

class bus_world {
public:
    virtual ~bus_world() = default;
    virtual std::unique_ptr<pubsub_backend> connect() = 0;
    /// Lets something happen to the client. False: it happens by itself, on other threads.
    virtual bool go_on(pubsub_backend&) = 0;

    virtual void kill() = 0;
    virtual void start() = 0;
    virtual void freeze() = 0;
    virtual void thaw() = 0;
    virtual void save() = 0;      ///< what JetStream has on disk; not while it runs
    virtual void put_back() = 0;  ///< likewise
};

class memory_world final : public bus_world {
public:
    explicit memory_world(std::uint64_t seed = 1) : bus_(seed) {}
    std::unique_ptr<pubsub_backend> connect() override;
    bool go_on(pubsub_backend&) override;
    void kill() override { bus_.stop(); }
    void start() override { bus_.start(); }
    void freeze() override { bus_.freeze(true); }
    void thaw() override { bus_.freeze(false); }
    void save() override { saved_ = bus_.directory(); }
    void put_back() override;

private:
    memory_bus bus_;
    std::map<std::string, memory_stream> saved_;
};

class nats_world final : public bus_world {
public:
    explicit nats_world(test::nats_server_options options = {}) : server_(std::move(options)) {}
    std::unique_ptr<pubsub_backend> connect() override;
    /// With these settings; the server's address is added if they name none.
    std::unique_ptr<pubsub_backend> connect(settings);
    test::nats_server& server() noexcept { return server_; }
    bool go_on(pubsub_backend&) override { return false; }
    void kill() override { server_.kill(); }
    void start() override { server_.start(); }
    void freeze() override { server_.freeze(); }
    void thaw() override { server_.thaw(); }
    void save() override { server_.save("saved"); }
    void put_back() override { server_.put_back("saved"); }

private:
    test::nats_server server_;
};

/// A client whose events are kept. The test's thread calls; the backend's threads write.
class bus_client {
public:
    explicit bus_client(bus_world&);
    bus_client(bus_world&, std::unique_ptr<pubsub_backend>);
    ~bus_client();

    void submit(backend_command::any);
    void close();
    std::uint64_t publish(std::string subject, std::string body, bus_headers = {});  ///< its ticket; on the link that stands
    void publish_many(std::string const& subject, std::size_t count, std::size_t from = 0);

    /// Goes on until it holds; false after half a minute.
    bool until(std::function<bool()> const&);
    bool until_linked(std::uint64_t connection = 1);
    /// Asks and waits for the answer.
    decltype(backend_event::answered::what) ask(backend_command::any);
    template <typename Kind>
    Kind ask_for(backend_command::any command)
    {
        auto what = ask(std::move(command));
        if (auto const* wrong = std::get_if<backend_event::problem>(&what)) throw std::runtime_error("refused: " + wrong->why);
        return std::get<Kind>(std::move(what));
    }

    // What came so far.
    template <typename Kind>
    std::vector<Kind> all() const
    {
        std::lock_guard const lock(mutex_);
        std::vector<Kind> out;
        for (auto const& each : events_)
            if (auto const* one = std::get_if<Kind>(&each)) out.push_back(*one);
        return out;
    }
    template <typename Kind>
    std::size_t count() const
    {
        std::lock_guard const lock(mutex_);
        std::size_t out = 0;
        for (auto const& each : events_) out += std::holds_alternative<Kind>(each) ? 1 : 0;
        return out;
    }
    std::vector<backend_event::any> events() const;
    std::vector<bus_message> read() const;  ///< of all readers, in the order of the sink
    std::size_t read_count() const;
    std::uint64_t linked() const;           ///< the connection that stands, or 0
    pubsub_backend& backend() noexcept { return *backend_; }
    token next_token() { return token{++last_}; }
    /// Each batch is consumed as it comes.
    void consume_by_itself(bool on) { consume_ = on; }

private:
    bus_world& world_;
    std::unique_ptr<pubsub_backend> backend_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<backend_event::any> events_;
    std::uint64_t linked_ = 0;
    std::size_t read_count_ = 0;
    std::uint64_t last_ = 0;
    std::atomic<bool> consume_ = true;
};

jet_config test_stream(std::string name = "CHAT", std::string subjects = "chat.>");

}  // namespace kedge::migration
