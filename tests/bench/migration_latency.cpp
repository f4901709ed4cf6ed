// What the mirror costs those who publish over SSH: two servers side by side, one with a mirror, take turns at the same load.
#include <algorithm>

#include "tests/bench/histogram.hpp"
#include "tests/bench/migration.hpp"
#include "tests/bench/publisher.hpp"

namespace kedge::bench {

namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr unsigned turns = 7;

class measured {
public:
    measured(endpoint const& where, double rate) : rate_{rate}, client_{where}, link_{client_.open_link()}
    {
        loop_.add(client_);
        loop_.until("welcome", [&] { return link_.welcomes == 1; });
    }

    histogram turn(std::chrono::duration<double> seconds)
    {
        histogram waits;
        auto const first = source_.made(), last = first + static_cast<std::uint64_t>(rate_ * seconds.count());
        auto const start = clock::now() + 10ms;
        auto const due = [&](std::uint64_t number) {
            return start + std::chrono::nanoseconds{static_cast<std::int64_t>(static_cast<double>(number - first) * 1e9 / rate_)};
        };
        link_.on_frame = [&](heard_frame const& frame) {
            if (frame.what != heard::ok)
                return;
            order_.heard(number_in(frame.header, "seq"));
            waits.record(static_cast<std::uint64_t>(std::max<std::int64_t>((clock::now() - due(first + waits.count())).count(), 0)));
        };
        loop_.run("open loop", std::chrono::duration_cast<std::chrono::milliseconds>(seconds) + 30s, [&] {
            auto const now = clock::now();
            while (source_.made() < last && due(source_.made()) <= now)
                link_.send(source_.next(1));
            if (source_.made() < last)
                return std::max(due(source_.made()) - now, std::chrono::nanoseconds{1});
            return waits.count() == last - first ? event_loop::done : std::chrono::nanoseconds{10ms};
        });
        return waits;
    }
    std::uint64_t sent() const noexcept { return source_.made(); }

private:
    double const rate_;
    ssh_client client_;
    bench_link& link_;
    event_loop loop_;
    publisher source_{"d.latency", mirrored_body_bytes, publisher::answer::id};
    dense_check order_{1};
};

double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    return values.at(values.size() / 2);
}

}  // namespace

std::vector<figure> run_mirror_latency(migration_context const& c)
{
    nats_process const nats{c.nats_server, c.folder};
    mirrored_server with{c, nats.url()}, without{c, nats.url()};
    with.start("now");
    measured mirrored{with.where(), c.rate}, plain{without.where(), c.rate};
    std::vector<double> on, off, ratios;
    histogram all_on, all_off;
    mirrored.turn(std::chrono::duration<double>{0.5});  // both warm
    plain.turn(std::chrono::duration<double>{0.5});
    for (unsigned i = 0; i < turns; ++i) {
        auto const w = plain.turn(c.seconds), m = mirrored.turn(c.seconds);
        with.wait_until_placed(mirrored.sent());
        auto const p99 = [](histogram const& h) { return static_cast<double>(h.percentile(99)) / 1e6; };
        on.push_back(p99(m));
        off.push_back(p99(w));
        ratios.push_back(on.back() / off.back());
        all_on.merge(m);
        all_off.merge(w);
    }
    check_copy(nats.url(), "BENCH", {"d.latency"}, {mirrored.sent()});
    with.process().stop();
    without.process().stop();
    auto const ms = [](histogram const& h, double percent) { return static_cast<double>(h.percentile(percent)) / 1e6; };
    return {{"mirror off, p50", ms(all_off, 50), "ms"},
            {"mirror on, p50", ms(all_on, 50), "ms"},
            {"mirror off, p99, median", median(off), "ms"},
            {"mirror on, p99, median", median(on), "ms"},
            {"p99 on / off, median", median(ratios), "", 1.2, true},
            {"p99 on / off, lowest", *std::min_element(ratios.begin(), ratios.end()), ""},
            {"p99 on / off, highest", *std::max_element(ratios.begin(), ratios.end()), ""}};
}

}  // namespace kedge::bench
