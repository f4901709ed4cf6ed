// A stream changes its authority while somebody publishes at a fixed rate: how long publishes are held, and what their worst wait is.
#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

#include "tests/bench/histogram.hpp"
#include "tests/bench/migration.hpp"
#include "tests/bench/publisher.hpp"

namespace kedge::bench {

namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr double rate = 20'000;

double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    return values.at(values.size() / 2);
}

struct operator_work {
    std::vector<double> there, back;  ///< ms held
    std::vector<double> under_way, copied, written;  ///< parts of these
    std::atomic<bool> done{false};
    std::exception_ptr failed;

    // Runs beside the load, on a session of its own.
    void run(mirrored_server& server, unsigned switches) noexcept
    {
        try {
            for (unsigned i = 0; i < switches; ++i) {
                there.push_back(change(server, "switch"));
                back.push_back(change(server, "reverse"));
            }
        } catch (...) {
            failed = std::current_exception();
        }
        done = true;
    }

private:
    double change(mirrored_server& server, std::string const& word)
    {
        if (auto const now = server.status(); now.at("diff").is_null() || !now.at("diff").at("clean").get<bool>())
            server.command("migrate diff BENCH");
        server.wait_until("ready", [](nlohmann::json const& s) { return s.at("ready").get<bool>(); }, 60s);
        auto const said = server.command("migrate " + word + " BENCH");
        auto const& parts = said.at("parts_ms");
        under_way.push_back(parts.at("under_way").get<double>());
        copied.push_back(parts.at("copied").get<double>());
        written.push_back(parts.at("written").get<double>());
        std::this_thread::sleep_for(200ms);  // some traffic under the new authority
        return said.at("held_ms").get<double>();
    }
};

}  // namespace

std::vector<figure> run_switches(migration_context const& c)
{
    nats_process const nats{c.nats_server, c.folder};
    mirrored_server server{c, nats.url()};
    server.start("now");

    ssh_client client{server.where()};
    bench_link& link = client.open_link();
    event_loop loop;
    loop.add(client);
    loop.until("welcome", [&] { return link.welcomes == 1; });
    publisher source{"d.switched", mirrored_body_bytes, publisher::answer::id};
    histogram waits;
    dense_check order{1};
    auto const start = clock::now() + 10ms;
    auto const due = [&](std::uint64_t number) {
        return start + std::chrono::nanoseconds{static_cast<std::int64_t>(static_cast<double>(number) * 1e9 / rate)};
    };
    link.on_frame = [&](heard_frame const& frame) {
        if (frame.what != heard::ok)
            return;
        order.heard(number_in(frame.header, "seq"));
        waits.record(static_cast<std::uint64_t>(std::max<std::int64_t>((clock::now() - due(waits.count())).count(), 0)));
    };
    operator_work work;
    std::thread hand{[&] { work.run(server, c.switches); }};
    try {
        loop.run("switching under load", std::chrono::minutes{2} + c.switches * 20s, [&] {
            auto const now = clock::now();
            bool const sending = !work.done;
            while (sending && due(source.made()) <= now)
                link.send(source.next(1));
            if (sending)
                return std::max(due(source.made()) - now, std::chrono::nanoseconds{1});
            return waits.count() == source.made() ? event_loop::done : std::chrono::nanoseconds{10ms};
        });
    } catch (...) {
        hand.join();
        throw;
    }
    hand.join();
    if (work.failed)
        std::rethrow_exception(work.failed);
    server.wait_until_placed(source.made());
    check_copy(nats.url(), "BENCH", {"d.switched"}, {source.made()});
    server.process().stop();
    auto const worst = std::max(*std::max_element(work.there.begin(), work.there.end()), *std::max_element(work.back.begin(), work.back.end()));
    return {{"messages", static_cast<double>(source.made()), ""},
            {"held by a switch, median", median(work.there), "ms", 500, true},
            {"held by a reverse, median", median(work.back), "ms", 500, true},
            {"held at most", worst, "ms"},
            {"of it for what was under way", median(work.under_way), "ms"},
            {"of it for the last copies", median(work.copied), "ms"},
            {"of it for the journal", median(work.written), "ms"},
            {"publish to ok, p99", static_cast<double>(waits.percentile(99)) / 1e6, "ms"},
            {"publish to ok, at most", static_cast<double>(waits.max()) / 1e6, "ms"}};
}

}  // namespace kedge::bench
