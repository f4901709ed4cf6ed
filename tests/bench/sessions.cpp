// Logging in, and what a session costs while nothing happens.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <stdexcept>
#include <thread>

#include "tests/bench/scenario.hpp"

namespace kedge::bench {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::uint64_t logins_max = 1'000'000;

// A login = connected, keys exchanged, public key accepted; then disconnected.
double logins_per_second(context& c, unsigned at_a_time)
{
    std::atomic<std::uint64_t> made{0};
    std::atomic<bool> failed{false};
    std::string why;
    std::mutex why_guard;
    auto const start = clock::now();
    auto const end = start + c.duration;
    auto const work = [&] {
        try {
            while (clock::now() < end && !failed && made < logins_max) {
                ssh_client client{c.server.where()};
                ++made;
            }
        } catch (std::exception const& error) {
            std::lock_guard const lock{why_guard};
            failed = true;
            why = error.what();
        }
    };
    if (at_a_time == 1) {
        work();
    } else {
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < at_a_time; ++i)
            threads.emplace_back(work);
        for (auto& thread : threads)
            thread.join();
    }
    check(!failed, "after " + std::to_string(made) + " logins: " + why);
    return static_cast<double>(made) / std::chrono::duration<double>{clock::now() - start}.count();
}

void raise_file_limit(rlim_t wanted)
{
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    check(files.rlim_cur >= wanted, "too few open files are allowed here");
}

}  // namespace

std::vector<figure> run_logins(context& c)
{
    return {{"logins, one after another", logins_per_second(c, 1), "logins/s", 250}};
}

std::vector<figure> run_parallel_logins(context& c)
{
    return {{"logins, 16 at a time", logins_per_second(c, 16), "logins/s"}};
}

std::vector<figure> run_idle_sessions(context& c)
{
    constexpr std::size_t count = 1'000;
    raise_file_limit(count + 100);
    auto const before = c.server.memory_bytes();
    std::deque<ssh_client> clients;
    std::vector<bench_link*> links;
    event_loop loop;
    for (std::size_t i = 0; i < count; ++i) {
        auto& link = clients.emplace_back(c.server.where()).open_link();
        link.send(make_frame(R"({"op":"sub","id":"s","subject":"idle.)" + std::to_string(i) + R"(.>"})"));
        links.push_back(&link);
        loop.add(clients.back());
    }
    loop.until("subscriptions", [&] {
        return std::all_of(links.begin(), links.end(), [](auto* link) { return link->oks == 1; });
    });
    auto const after = c.server.memory_bytes();
    for (auto* link : links)
        link->send(make_frame(R"({"op":"ping","id":"p"})"));
    loop.until("pongs", [&] {
        return std::all_of(links.begin(), links.end(), [](auto* link) { return link->pongs == 1; });
    });
    return {{"1,000 idle sessions", static_cast<double>(after - std::min(before, after)) / (1024 * 1024), "MiB", 40, true},
            {"no session", static_cast<double>(before) / (1024 * 1024), "MiB"}};
}

}  // namespace kedge::bench
