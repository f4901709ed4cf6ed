// Latency at a fixed rate. Open loop: the time of each message counts from when it was due, not from when the generator
// came to send it; a server that stalls is charged for every message that the stall held up.
#include "tests/bench/histogram.hpp"
#include "tests/bench/publisher.hpp"
#include "tests/bench/scenario.hpp"

namespace kedge::bench {

namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t body_bytes = 128;

class schedule {
public:
    schedule(clock::time_point start, double rate) : start_{start}, interval_ns_{1e9 / rate} {}
    clock::time_point due(std::uint64_t number) const
    {
        return start_ + std::chrono::nanoseconds{static_cast<std::int64_t>(static_cast<double>(number) * interval_ns_)};
    }

private:
    clock::time_point start_;
    double interval_ns_;
};

// `heard()`: messages whose latency is recorded.
void send_on_schedule(context& c, event_loop& loop, bench_link& link, publisher& source, schedule const& plan,
                      std::uint64_t total, std::function<std::uint64_t()> const& heard)
{
    loop.run("open loop", std::chrono::duration_cast<std::chrono::milliseconds>(c.duration) + 30s, [&] {
        auto const now = clock::now();
        while (source.made() < total && plan.due(source.made()) <= now)
            link.send(source.next(1));
        if (source.made() < total)
            return std::max(plan.due(source.made()) - now, std::chrono::nanoseconds{1});
        return heard() == total ? event_loop::done : std::chrono::nanoseconds{10ms};
    });
}

std::vector<figure> figures_of(histogram const& h, std::string const& name)
{
    auto const us = [](std::uint64_t ns) { return static_cast<double>(ns) / 1000; };
    return {{name + " p50", us(h.percentile(50)), "us"},
            {name + " p99", us(h.percentile(99)), "us"},
            {name + " p99.9", us(h.percentile(99.9)), "us"},
            {name + " max", us(h.max()), "us"}};
}

std::uint64_t nanoseconds_since(clock::time_point then)
{
    return static_cast<std::uint64_t>(std::max<std::int64_t>((clock::now() - then).count(), 0));
}

}  // namespace

std::vector<figure> run_latency_plain(context& c)
{
    constexpr double rate = 20'000;
    ssh_client sender{c.server.where()}, receiver{c.server.where()};
    bench_link &pub = sender.open_link(), &sub = receiver.open_link();
    event_loop loop;
    loop.add(sender);
    loop.add(receiver);
    sub.send(make_frame(R"({"op":"sub","id":"s","subject":"bench.>"})"));
    loop.until("subscription", [&] { return pub.welcomes == 1 && sub.oks == 1; });

    publisher source{"bench.latency", body_bytes, publisher::answer::none};
    schedule const plan{clock::now() + 10ms, rate};
    histogram h;
    dense_check order;
    sub.on_frame = [&](heard_frame const& frame) {
        if (frame.what != heard::msg)
            return;
        order.heard(number_of(frame.body_start));
        h.record(nanoseconds_since(plan.due(order.next() - 1)));
    };
    send_on_schedule(c, loop, pub, source, plan, static_cast<std::uint64_t>(rate * c.duration.count()),
                     [&] { return h.count(); });
    return figures_of(h, "plain at 20,000/s");
}

std::vector<figure> run_latency_durable(context& c)
{
    constexpr double rate = 10'000;
    ssh_client{c.server.where()}.exec("stream add BENCH --subjects d.>");
    ssh_client client{c.server.where()};
    bench_link& link = client.open_link();
    event_loop loop;
    loop.add(client);
    loop.until("welcome", [&] { return link.welcomes == 1; });

    publisher source{"d.latency", body_bytes, publisher::answer::id};
    schedule const plan{clock::now() + 10ms, rate};
    histogram h;
    dense_check order{1};
    link.on_frame = [&](heard_frame const& frame) {
        if (frame.what != heard::ok)
            return;
        order.heard(number_in(frame.header, "seq"));
        h.record(nanoseconds_since(plan.due(h.count())));
    };
    send_on_schedule(c, loop, link, source, plan, static_cast<std::uint64_t>(rate * c.duration.count()),
                     [&] { return h.count(); });
    return figures_of(h, "durable at 10,000/s");
}

}  // namespace kedge::bench
