#include "tests/migration/backend_contract/world.hpp"

#include <chrono>
#include <utility>

#include "migration/nats/nats_backend.hpp"
#include "migration/settings.hpp"

namespace kedge::migration {

using namespace std::chrono_literals;

std::unique_ptr<pubsub_backend> memory_world::connect()
{
    return std::make_unique<memory_backend>(bus_);
}

bool memory_world::go_on(pubsub_backend& backend)
{
    auto& client = static_cast<memory_backend&>(backend);
    // Nothing to do: time is what is waited for.
    if (client.run(1000) == 0) bus_.advance(100);
    return true;
}

void memory_world::put_back()
{
    bus_.restore(saved_);
    bus_.stop();
}

std::unique_ptr<pubsub_backend> nats_world::connect()
{
    return connect(settings{});
}

std::unique_ptr<pubsub_backend> nats_world::connect(settings set)
{
    if (set.servers.empty()) set.servers = {server_.url()};
    return std::make_unique<nats_backend>(std::move(set));
}

bus_client::bus_client(bus_world& world) : bus_client(world, world.connect()) {}

bus_client::bus_client(bus_world& world, std::unique_ptr<pubsub_backend> backend) : world_(world), backend_(std::move(backend))
{
    backend_->open([this](backend_event::any event) {
        std::optional<backend_command::consumed> consumed;
        {
            std::lock_guard const lock(mutex_);
            if (auto const* up = std::get_if<backend_event::link_up>(&event)) linked_ = up->connection;
            if (std::holds_alternative<backend_event::link_down>(event)) linked_ = 0;
            if (auto const* batch = std::get_if<backend_event::messages>(&event)) {
                read_count_ += batch->batch.size();
                std::size_t bytes = 0;
                for (auto const& each : batch->batch) bytes += each.bytes();
                if (consume_) consumed = backend_command::consumed{batch->reader, batch->batch.size(), bytes};
            }
            events_.push_back(std::move(event));
            changed_.notify_all();
        }
        if (consumed) submit(*consumed);
    });
}

bus_client::~bus_client()
{
    close();
}

void bus_client::close()
{
    backend_->close();
}

void bus_client::submit(backend_command::any command)
{
    std::vector<backend_command::any> one;
    one.push_back(std::move(command));
    backend_->submit(std::move(one));
}

std::uint64_t bus_client::publish(std::string subject, std::string body, bus_headers headers)
{
    backend_command::publish command;
    command.ticket = ++last_;
    command.connection = linked();
    command.what.subject = std::move(subject);
    command.what.body = std::move(body);
    command.what.headers = std::move(headers);
    auto const ticket = command.ticket;
    submit(std::move(command));
    return ticket;
}

void bus_client::publish_many(std::string const& subject, std::size_t count, std::size_t from)
{
    std::vector<backend_command::any> all;
    auto const connection = linked();
    for (std::size_t i = 0; i < count; ++i) {
        backend_command::publish command;
        command.ticket = ++last_;
        command.connection = connection;
        command.what.subject = subject;
        command.what.body = std::to_string(from + i);
        all.emplace_back(std::move(command));
    }
    backend_->submit(std::move(all));
}

bool bus_client::until(std::function<bool()> const& holds)
{
    auto const deadline = std::chrono::steady_clock::now() + 30s;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        if (world_.go_on(*backend_)) continue;
        // The condition may be about another client too.
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, 2ms);
    }
    return true;
}

bool bus_client::until_linked(std::uint64_t connection)
{
    return until([&] { return linked() >= connection; });
}

decltype(backend_event::answered::what) bus_client::ask(backend_command::any command)
{
    auto const request = next_token();
    std::visit(
        [&](auto& each) {
            if constexpr (requires { each.request; }) each.request = request;
        },
        command);
    submit(std::move(command));
    decltype(backend_event::answered::what) out = backend_event::problem{0, "never answered", false, false};
    std::size_t seen = 0;
    until([&] {
        std::lock_guard const lock(mutex_);
        for (; seen < events_.size(); ++seen)
            if (auto const* answer = std::get_if<backend_event::answered>(&events_[seen]); answer != nullptr && answer->request == request) {
                out = answer->what;
                return true;
            }
        return false;
    });
    return out;
}

std::vector<backend_event::any> bus_client::events() const
{
    std::lock_guard const lock(mutex_);
    return events_;
}

std::vector<bus_message> bus_client::read() const
{
    std::lock_guard const lock(mutex_);
    std::vector<bus_message> out;
    for (auto const& each : events_)
        if (auto const* batch = std::get_if<backend_event::messages>(&each)) out.insert(out.end(), batch->batch.begin(), batch->batch.end());
    return out;
}

std::size_t bus_client::read_count() const
{
    std::lock_guard const lock(mutex_);
    return read_count_;
}

std::uint64_t bus_client::linked() const
{
    std::lock_guard const lock(mutex_);
    return linked_;
}

jet_config test_stream(std::string name, std::string subjects)
{
    jet_config out;
    out.name = std::move(name);
    out.description = "of a test";
    out.subjects = {std::move(subjects)};
    return out;
}

}  // namespace kedge::migration
