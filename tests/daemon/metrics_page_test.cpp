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

TEST_CASE("a mirrored stream is on the page with what is known of it")
{
    metrics counters;
    limits const limit;
    std::array<std::string_view, 0> const refusals{};
    CHECK(metrics_page(counters, limit, refusals).find("kedge_mirror_lag") == std::string::npos);
    mirror_sample known{"CHAT", "MIRRORING", false, true, mirror_sample::lag{3, 200, 40, 1}, mirror_sample::diff{1'795'248'000'000, 2}};
    mirror_sample const unknown{"JOBS", "NATS", true, false, {}, {}};
    counters.each_mirror.set({known, unknown});
    auto const page = metrics_page(counters, limit, refusals);
    INFO(page);
    for (auto const* line : {"kedge_mirror_state{stream=\"CHAT\",state=\"MIRRORING\"} 1\n", "kedge_mirror_state{stream=\"JOBS\",state=\"NATS\"} 1\n",
                             "kedge_mirror_ready{stream=\"CHAT\"} 1\n", "kedge_mirror_broken{stream=\"JOBS\"} 1\n",
                             "kedge_mirror_lag_known{stream=\"JOBS\"} 0\n", "kedge_mirror_lag_messages{stream=\"CHAT\"} 3\n",
                             "kedge_mirror_lag_ms{stream=\"CHAT\"} 40\n", "kedge_mirror_unread{stream=\"CHAT\"} 1\n",
                             "kedge_mirror_diff_found{stream=\"CHAT\"} 2\n"}) {
        INFO(line);
        CHECK(page.find(line) != std::string::npos);
    }
    CHECK(page.find("kedge_mirror_lag_messages{stream=\"JOBS\"}") == std::string::npos);
    CHECK(page.find("kedge_mirror_unread{stream=\"JOBS\"}") == std::string::npos);
    known.behind.reset();
    counters.each_mirror.set({known});
    CHECK(metrics_page(counters, limit, refusals).find("kedge_mirror_lag_messages") == std::string::npos);
}

}  // namespace
}  // namespace kedge
