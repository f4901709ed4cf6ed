// Plain publishing: what the path from link to link carries when nothing is stored.
#include <algorithm>
#include <deque>

#include "tests/bench/publisher.hpp"
#include "tests/bench/scenario.hpp"

namespace kedge::bench {

namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t small_body = 128;
constexpr std::size_t unsent_max = 256 * 1024;

struct outcome {
    std::uint64_t messages = 0;
    double seconds = 0;
};

// Publishes for the scenario's time to `subscribers` links, with at most `window` messages on their way to the slowest of
// them: the server ends who does not read, and that is not what is measured.
outcome publish(context& c, std::size_t subscribers, std::size_t body_bytes, std::uint64_t window)
{
    ssh_client sender{c.server.where()};
    bench_link& pub = sender.open_link();
    std::deque<ssh_client> receivers;
    std::deque<dense_check> checks(subscribers);
    std::vector<bench_link*> subs;
    event_loop loop;
    loop.add(sender);
    for (std::size_t i = 0; i < subscribers; ++i) {
        auto& link = receivers.emplace_back(c.server.where()).open_link();
        link.send(make_frame(R"({"op":"sub","id":"s","subject":"bench.>"})"));
        link.on_frame = [&check = checks[i]](heard_frame const& frame) {
            if (frame.what == heard::msg)
                check.heard(number_of(frame.body_start));
        };
        subs.push_back(&link);
        loop.add(receivers.back());
    }
    loop.until("subscriptions", [&] {
        return pub.welcomes == 1 && std::all_of(subs.begin(), subs.end(), [](auto* sub) { return sub->oks == 1; });
    });

    auto const slowest = [&] {
        std::uint64_t least = subs.front()->msgs;
        for (auto const* sub : subs)
            least = std::min(least, sub->msgs);
        return least;
    };
    publisher source{"bench.plain", body_bytes, publisher::answer::none};
    auto const start = clock::now();
    auto const last_send = start + c.duration;
    loop.run("publishing", std::chrono::duration_cast<std::chrono::milliseconds>(c.duration) + 30s, [&] {
        auto const heard = slowest();
        if (clock::now() < last_send) {
            while (source.made() - heard + source.block() <= window && pub.unsent() < unsent_max)
                pub.send(source.next(source.block()));
            return std::chrono::nanoseconds{1ms};
        }
        return heard == source.made() ? event_loop::done : std::chrono::nanoseconds{10ms};
    });
    std::chrono::duration<double> const took = clock::now() - start;
    barrier(loop, pub);
    for (auto* sub : subs) {
        barrier(loop, *sub);
        check(sub->msgs == source.made(), "a subscriber heard more than was sent");
    }
    return {source.made(), took.count()};
}

}  // namespace

std::vector<figure> run_plain(context& c)
{
    auto const got = publish(c, 1, small_body, 16'384);
    return {{"plain 1:1", static_cast<double>(got.messages) / got.seconds, "messages/s", 400'000}};
}

std::vector<figure> run_fan_out(context& c)
{
    auto const got = publish(c, 100, small_body, 8'192);
    return {{"fan-out 1:100", static_cast<double>(got.messages) * 100 / got.seconds, "deliveries/s"}};
}

std::vector<figure> run_large_bodies(context& c)
{
    constexpr std::size_t body = 64 * 1024;
    auto const got = publish(c, 1, body, 48);
    return {{"64 KiB bodies 1:1", static_cast<double>(got.messages) * body / got.seconds / 1e6, "MB/s"}};
}

}  // namespace kedge::bench
