// How much the mirror carries: publishes that are mirrored as they come, and a backlog, each against a bare program that moves the
// same messages through the same NATS server.
#include <unistd.h>

#include "tests/bench/migration.hpp"

namespace kedge::bench {

namespace {

using clock = std::chrono::steady_clock;

std::vector<std::string> const subjects{"d.a", "d.b", "d.c", "d.d"};

double a_second(std::uint64_t messages, clock::time_point began)
{
    return static_cast<double>(messages) / std::chrono::duration<double>(clock::now() - began).count();
}

struct caught_up {
    double rate;
    std::uint64_t peak;
    double server_cpu;  ///< seconds
    double nats_cpu;
};

double seconds_of(pid_t process) { return cpu_time_of(process).count(); }
double us_each(double seconds, std::uint64_t messages) { return seconds * 1e6 / static_cast<double>(messages); }

caught_up catch_up(migration_context const& c, nats_process const& nats, std::uint64_t rows)
{
    mirrored_server server{c, nats.url()};
    fill(server.where(), subjects, rows);
    server.wait_for_link();
    server.process().forget_peak();
    double const cpu = seconds_of(server.process().pid()), nats_cpu = seconds_of(nats.pid());
    auto const began = clock::now();
    server.start("first");
    server.wait_until_placed(rows);
    caught_up const found{a_second(rows, began), server.process().peak_memory_bytes(),
                         seconds_of(server.process().pid()) - cpu, seconds_of(nats.pid()) - nats_cpu};
    check_copy(nats.url(), "BENCH", subjects, shares(subjects.size(), rows));
    server.process().stop();
    return found;
}

}  // namespace

std::vector<figure> run_mirror(migration_context const& c)
{
    double bare = 0, bare_cpu = 0, without_headers = 0, live = 0;
    {
        nats_process const nats{c.nats_server, c.folder};
        double const own = seconds_of(::getpid());
        bare = run_bare(nats.url(), {c.messages, mirrored_body_bytes, true});
        bare_cpu = seconds_of(::getpid()) - own + seconds_of(nats.pid());
    }
    {
        nats_process const nats{c.nats_server, c.folder};
        without_headers = run_bare(nats.url(), {c.messages, mirrored_body_bytes, false});
    }
    {
        nats_process const nats{c.nats_server, c.folder};
        mirrored_server server{c, nats.url()};
        server.start("now");
        auto const began = clock::now();
        fill(server.where(), subjects, c.messages);
        server.wait_until_placed(c.messages);
        live = a_second(c.messages, began);
        check_copy(nats.url(), "BENCH", subjects, shares(subjects.size(), c.messages));
        server.process().stop();
    }
    nats_process const nats{c.nats_server, c.folder};
    auto const backlog = catch_up(c, nats, c.messages);
    auto const cpu = backlog.server_cpu + backlog.nats_cpu;
    return {{"bare program", bare, "messages/s"},
            {"bare, without headers", without_headers, "messages/s"},
            {"mirrored as they come", live, "messages/s"},
            {"mirrored from a backlog", backlog.rate, "messages/s"},
            {"as they come / bare", live / bare, "", 0.8},
            {"backlog / bare", backlog.rate / bare, "", 0.8},
            {"processor time, bare", us_each(bare_cpu, c.messages), "us each"},
            {"processor time, backlog", us_each(cpu, c.messages), "us each"},
            {"processor time, bare / backlog", bare_cpu / cpu, ""}};
}

std::vector<figure> run_catch_up(migration_context const& c)
{
    nats_process const nats{c.nats_server, c.folder};
    auto const found = catch_up(c, nats, c.backlog);
    return {{"rows", static_cast<double>(c.backlog), ""},
            {"caught up", found.rate, "rows/s"},
            {"kedged, peak resident", static_cast<double>(found.peak) / (1024 * 1024), "MiB"},
            {"processor time of kedged", us_each(found.server_cpu, c.backlog), "us each"},
            {"processor time of NATS", us_each(found.nats_cpu, c.backlog), "us each"}};
}

}  // namespace kedge::bench
