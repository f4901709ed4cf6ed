/// How fast the port is by itself: a measurement, run by name only.

#include <chrono>
#include <cstdio>

#include "migration/nats/nats_backend.hpp"
#include "tests/migration/backend_contract/contract.hpp"

namespace kedge::migration {
namespace {

using namespace backend_event;

TEST_CASE("throughput of nats_backend: publish and read back", "[.throughput]")
{
    nats_world world;
    bus_client setup(world);
    REQUIRE(setup.until_linked());
    setup.ask_for<jet_info>(backend_command::create_stream{{}, test_stream()});

    constexpr std::uint64_t count = 400'000, window = 4096;
    struct {
        std::mutex mutex;
        std::condition_variable changed;
        std::uint64_t connection = 0, acked = 0, read = 0, batches = 0;
    } state;
    auto backend = world.connect();
    auto* const self = backend.get();
    backend->open([&](any event) {
        std::lock_guard const lock(state.mutex);
        if (auto const* up = std::get_if<link_up>(&event)) state.connection = up->connection;
        else if (std::holds_alternative<acked>(event)) ++state.acked;
        else if (auto const* batch = std::get_if<messages>(&event)) {
            state.read += batch->batch.size();
            ++state.batches;
            std::size_t bytes = 0;
            for (auto const& each : batch->batch) bytes += each.bytes();
            self->submit({backend_command::consumed{batch->reader, batch->batch.size(), bytes}});
        } else return;
        state.changed.notify_one();
    });
    std::unique_lock lock(state.mutex);
    state.changed.wait(lock, [&] { return state.connection != 0; });
    backend->submit({backend_command::read{reader_id{1}, "CHAT", 1, 8192, 16 * 1024 * 1024}});
    auto const began = std::chrono::steady_clock::now();
    std::string const body(256, 'x');
    for (std::uint64_t sent = 0; sent < count;) {
        // What is under way counts until it is read back, as in the pump.
        state.changed.wait(lock, [&] { return sent - std::min(state.acked, state.read) < window; });
        auto const room = std::min(window - (sent - std::min(state.acked, state.read)), count - sent);
        lock.unlock();
        std::vector<backend_command::any> commands;
        commands.reserve(room);
        for (std::uint64_t i = 0; i < room; ++i) {
            backend_command::publish one;
            one.ticket = ++sent;
            one.connection = 1;
            one.what.subject = "chat.room";
            one.what.headers = {{"Nats-Msg-Id", "0123456789abcdef.CHAT." + std::to_string(sent)}, {"Kedge-Row", "r 0123456789abcdef " + std::to_string(sent)}};
            one.what.body = body;
            commands.emplace_back(std::move(one));
        }
        backend->submit(std::move(commands));
        lock.lock();
    }
    state.changed.wait(lock, [&] { return state.acked == count && state.read == count; });
    auto const seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    std::printf("%.0f messages/s (%llu in %.2f s, %.0f a batch)\n", count / seconds, static_cast<unsigned long long>(count), seconds,
                static_cast<double>(state.read) / static_cast<double>(state.batches));
    lock.unlock();
    backend->close();
}

}  // namespace
}  // namespace kedge::migration
