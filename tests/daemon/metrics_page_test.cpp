#include "sshd-transport/metrics_page.hpp"

#include <array>
#include <string>

#include "tests/catch.hpp"

namespace kedge {
namespace {

TEST_CASE("everything that is counted or bounded is on the page")
{
    metrics counters;
    counters.links.set(7);
    counters.logins.add(3);
    counters.unsent_bytes.set(9);
    counters.log_lines_dropped.set(4);
    counters.errors[static_cast<unsigned>(error_code::denied)].add(2);
    counters.refused[1].add(5);
    limits limit;
    limit.streams = 12;
    std::array<std::string_view, 2> const refusals{"first", "second"};
    auto const page = metrics_page(counters, limit, refusals);
    auto const has = [&](std::string const& text) { return page.find(text) != std::string::npos; };

    CHECK(has("\nkedge_links 7\n"));
    CHECK(has("\nkedge_logins_total 3\n"));
    CHECK(has("\nkedge_unsent_bytes 9\n"));
    CHECK(has("\nkedge_log_lines_dropped_total 4\n"));
    CHECK(has("kedge_errors_total{code=\"denied\"} 2\n"));
    CHECK(has("kedge_refused_total{reason=\"first\"} 0\n"));
    CHECK(has("kedge_refused_total{reason=\"second\"} 5\n"));
    CHECK(has("kedge_limit{name=\"streams\"} 12\n"));
    CHECK(has("kedge_build_info{version=\"" KEDGE_VERSION "\"} 1\n"));
    for (auto const& field : metric_fields()) {
        INFO(field.name);
        CHECK(has("# HELP kedge_" + std::string(field.name)));
    }
    // What waits at each place between a client's socket, the disk and the way back.
    for (auto const* name : {"outbox_bytes", "unsent_bytes", "unsent_bytes_largest", "inflight_bytes", "inflight_bytes_largest",
                             "router_inbox_events", "router_inbox_bytes", "outputs_waiting", "operations_held",
                             "operations_held_bytes", "links_stalled", "operations_unanswered", "operations_unanswered_largest",
                             "appends_waiting", "store_requests_waiting", "store_queue_bytes", "deliveries_pending",
                             "deliveries_pending_largest", "admin_waiting", "log_lines_waiting"}) {
        INFO(name);
        CHECK(has("# TYPE kedge_" + std::string(name) + " gauge\n"));
    }
    for (auto const& field : limit_fields()) {
        INFO(field.name);
        CHECK(has("kedge_limit{name=\"" + std::string(field.name) + "\"} "));
    }
    for (auto const* name : {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_virtual_memory_bytes",
                             "process_open_fds", "process_max_fds", "process_start_time_seconds", "process_threads"}) {
        INFO(name);
        CHECK(has("# TYPE " + std::string(name) + " "));
    }
}

}  // namespace
}  // namespace kedge
