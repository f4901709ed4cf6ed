#include "sshd-transport/metrics_page.hpp"

#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include "router/protocol/error.hpp"

namespace kedge {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

ClientMetric sample(MetricType type, double value, std::vector<ClientMetric::Label> labels = {})
{
    ClientMetric out;
    out.label = std::move(labels);
    if (type == MetricType::Counter)
        out.counter.value = value;
    else
        out.gauge.value = value;
    return out;
}

MetricFamily family(std::string name, std::string help, MetricType type, std::vector<ClientMetric> samples)
{
    MetricFamily out;
    out.name = std::move(name);
    out.help = std::move(help);
    out.type = type;
    out.metric = std::move(samples);
    return out;
}

/// A family has the streams of which it is known; without one it is not on the page.
void add_mirrors(std::vector<MetricFamily>& out, std::vector<mirror_sample> const& mirrors)
{
    auto const add = [&](char const* name, char const* help, auto&& value) {
        std::vector<ClientMetric> samples;
        for (auto const& each : mirrors)
            if (std::optional<double> const known = value(each)) samples.push_back(sample(MetricType::Gauge, *known, {{"stream", each.stream}}));
        if (!samples.empty()) out.push_back(family(name, help, MetricType::Gauge, std::move(samples)));
    };
    auto const of_lag = [](auto member) {
        return [member](mirror_sample const& m) { return m.behind ? std::optional{static_cast<double>((*m.behind).*member)} : std::nullopt; };
    };
    auto const of_diff = [](auto value) {
        return [value](mirror_sample const& m) { return m.compared ? std::optional{static_cast<double>(value(*m.compared))} : std::nullopt; };
    };
    std::vector<ClientMetric> states;
    for (auto const& each : mirrors)
        states.push_back(sample(MetricType::Gauge, 1, {{"stream", each.stream}, {"state", each.state}}));
    if (!states.empty()) out.push_back(family("kedge_mirror_state", "1: the state that the stream is in", MetricType::Gauge, std::move(states)));
    add("kedge_mirror_broken", "1 if it cannot go on without an operator", [](mirror_sample const& m) { return std::optional{m.broken ? 1.0 : 0.0}; });
    add("kedge_mirror_ready", "1 if nothing speaks against a switch or reverse", [](mirror_sample const& m) { return std::optional{m.ready ? 1.0 : 0.0}; });
    add("kedge_mirror_lag_known", "1 if it is known what both sides hold; else there are no lag metrics of the stream",
        [](mirror_sample const& m) { return std::optional{m.behind ? 1.0 : 0.0}; });
    add("kedge_mirror_lag_messages", "messages that wait to be copied and read back", of_lag(&mirror_sample::lag::messages));
    add("kedge_mirror_lag_bytes", "bytes of these", of_lag(&mirror_sample::lag::bytes));
    add("kedge_mirror_lag_ms", "age of the oldest of these", of_lag(&mirror_sample::lag::ms));
    add("kedge_mirror_unread", "messages of the JetStream stream that are not read yet, as last heard", of_lag(&mirror_sample::lag::unread));
    add("kedge_mirror_diff_found", "differences that the last whole comparison found", of_diff([](mirror_sample::diff const& d) { return d.found; }));
    add("kedge_mirror_diff_time_seconds", "when it ended, since 1970", of_diff([](mirror_sample::diff const& d) { return d.at_ms / 1000; }));
}

/// The names and meanings that Prometheus' own clients use for a process.
void add_process(std::vector<MetricFamily>& out)
{
    auto const one = [&](char const* name, char const* help, MetricType type, double value) {
        out.push_back(family(name, help, type, {sample(type, value)}));
    };
    auto const ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
    std::ifstream stat("/proc/self/stat");
    std::string text;
    std::getline(stat, text);
    // The second field is the program's name in parentheses and may hold anything.
    std::istringstream rest(text.substr(text.rfind(')') + 1));
    std::vector<std::string> fields{"pid", "name"};
    for (std::string word; rest >> word;) fields.push_back(word);
    if (fields.size() > 23) {
        one("process_cpu_seconds_total", "user and system time", MetricType::Counter,
            (std::stod(fields[13]) + std::stod(fields[14])) / ticks);
        one("process_threads", "threads", MetricType::Gauge, std::stod(fields[19]));
        one("process_virtual_memory_bytes", "address space", MetricType::Gauge, std::stod(fields[22]));
        one("process_resident_memory_bytes", "memory in RAM", MetricType::Gauge,
            std::stod(fields[23]) * static_cast<double>(::sysconf(_SC_PAGESIZE)));
        timespec uptime{};
        timespec wall{};
        ::clock_gettime(CLOCK_BOOTTIME, &uptime);
        ::clock_gettime(CLOCK_REALTIME, &wall);
        one("process_start_time_seconds", "start, since 1970", MetricType::Gauge,
            static_cast<double>(wall.tv_sec - uptime.tv_sec) + std::stod(fields[21]) / ticks);
    }
    std::error_code error;
    double open = 0;
    for (std::filesystem::directory_iterator each("/proc/self/fd", error), end; !error && each != end; each.increment(error))
        ++open;
    one("process_open_fds", "open file descriptors", MetricType::Gauge, open);
    rlimit descriptors{};
    ::getrlimit(RLIMIT_NOFILE, &descriptors);
    one("process_max_fds", "file descriptors that may be open", MetricType::Gauge, static_cast<double>(descriptors.rlim_cur));
}

}  // namespace

std::string metrics_page(metrics const& counters, limits const& limit, std::span<std::string_view const> refusals)
{
    std::vector<MetricFamily> families;
    for (auto const& field : metric_fields()) {
        bool const counter = field.kind == metric_kind::counter;
        auto const type = counter ? MetricType::Counter : MetricType::Gauge;
        families.push_back(family("kedge_" + std::string(field.name) + (counter ? "_total" : ""), std::string(field.help), type,
                                  {sample(type, static_cast<double>((counters.*field.member).get()))}));
    }

    add_mirrors(families, counters.each_mirror.get());

    std::vector<ClientMetric> errors;
    for (unsigned code = 0; code < error_code_count; ++code)
        errors.push_back(sample(MetricType::Counter, static_cast<double>(counters.errors[code].get()),
                                {{"code", std::string(wire_word(static_cast<error_code>(code)))}}));
    families.push_back(family("kedge_errors_total", "errors and byes sent, by code", MetricType::Counter, std::move(errors)));

    std::vector<ClientMetric> refused;
    for (std::size_t i = 0; i < refusals.size() && i < metrics::refusals_max; ++i)
        refused.push_back(sample(MetricType::Counter, static_cast<double>(counters.refused[i].get()),
                                 {{"reason", std::string(refusals[i])}}));
    families.push_back(family("kedge_refused_total", "connections refused or ended before authentication, by reason",
                              MetricType::Counter, std::move(refused)));

    std::vector<ClientMetric> bounds;
    for (auto const& field : limit_fields())
        bounds.push_back(sample(MetricType::Gauge, static_cast<double>(limit.*field.member), {{"name", std::string(field.name)}}));
    families.push_back(family("kedge_limit", "every limit as configured now", MetricType::Gauge, std::move(bounds)));

    families.push_back(family("kedge_build_info", "version of this server", MetricType::Gauge,
                              {sample(MetricType::Gauge, 1, {{"version", KEDGE_VERSION}})}));
    add_process(families);
    return prometheus::TextSerializer().Serialize(families);
}

}  // namespace kedge
