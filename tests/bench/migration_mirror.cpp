// How much the mirror carries: publishes that are mirrored as they come, and a backlog, each against a bare program that moves the
// same messages through the same NATS server.
#include <cstdio>

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
};

caught_up catch_up(migration_context const& c, nats_process const& nats, std::uint64_t rows)
{
    mirrored_server server{c, nats.url()};
    fill(server.where(), subjects, rows);
    server.wait_for_link();
    server.process().forget_peak();
    auto const cpu = server.process().cpu_time();
    auto const began = clock::now();
    server.start("first");
    server.wait_until_placed(rows);
    caught_up const found{a_second(rows, began), server.process().peak_memory_bytes(), (server.process().cpu_time() - cpu).count()};
    check_copy(nats.url(), "BENCH", subjects, shares(subjects.size(), rows));
    server.process().stop();
    return found;
}

}  // namespace

std::vector<figure> run_mirror(migration_context const& c)
{
    double bare = 0, without_headers = 0, live = 0, backlog = 0;
    {
        nats_process const nats{c.nats_server, c.folder};
        bare = run_bare(nats.url(), {c.messages, mirrored_body_bytes, true});
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
    {
        nats_process const nats{c.nats_server, c.folder};
        backlog = catch_up(c, nats, c.messages).rate;
    }
    return {{"bare program", bare, "messages/s"},
            {"bare, without headers", without_headers, "messages/s"},
            {"mirrored as they come", live, "messages/s"},
            {"mirrored from a backlog", backlog, "messages/s"},
            {"as they come / bare", live / bare, "", 0.8},
            {"backlog / bare", backlog / bare, "", 0.8}};
}

std::vector<figure> run_catch_up(migration_context const& c)
{
    nats_process const nats{c.nats_server, c.folder};
    auto const found = catch_up(c, nats, c.backlog);
    return {{"rows", static_cast<double>(c.backlog), ""},
            {"caught up", found.rate, "rows/s"},
            {"kedged, peak resident", static_cast<double>(found.peak) / (1024 * 1024), "MiB"},
            {"kedged, processor time", found.server_cpu, "s"}};
}

}  // namespace kedge::bench
