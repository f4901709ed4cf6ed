// kedge-bench: measures a whole server under load. Starts one for each scenario, prints the figures against the bars.
#include <sys/resource.h>

#include <libssh/libssh.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <fstream>
#include <thread>

#include "tests/bench/scenario.hpp"

namespace {

using namespace kedge::bench;

double own_cpu_seconds()
{
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    auto const seconds = [](timeval const& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct options {
    std::vector<std::string> names;
    std::string server;
    std::string folder = ".";
    std::string json;
    double seconds = 4;
};

void print(figure const& f)
{
    std::printf("  %-28s %14.1f %-13s", f.name.c_str(), f.value, f.unit.c_str());
    if (f.bar != 0)
        std::printf(" bar %s %9.0f   %5.2f x  %s", f.lower_is_better ? "<=" : ">=", f.bar, f.ratio(),
                    f.ratio() >= 1 ? "reached" : "MISSED");
    std::printf("\n");
}

nlohmann::json to_json(figure const& f)
{
    nlohmann::json made{{"name", f.name}, {"value", f.value}, {"unit", f.unit}};
    if (f.bar != 0) {
        made["bar"] = f.bar;
        made["ratio"] = f.ratio();
    }
    return made;
}

// Returns whether it ran to its end; what it measured goes into `results`.
bool run(scenario const& what, options const& o, nlohmann::json& results)
{
    std::printf("%s: %s\n", std::string{what.name}.c_str(), std::string{what.text}.c_str());
    std::fflush(stdout);
    try {
        client_key const key;
        server_process server{o.server, o.folder, key};
        context c{server, std::chrono::duration<double>{o.seconds}};
        double const own_before = own_cpu_seconds();
        auto const figures = what.run(c);
        double const server_cpu = server.cpu_time().count(), own_cpu = own_cpu_seconds() - own_before;
        server.stop();
        nlohmann::json entry{{"scenario", what.name}, {"server_cpu_s", server_cpu}, {"client_cpu_s", own_cpu}};
        for (auto const& f : figures) {
            print(f);
            entry["figures"].push_back(to_json(f));
        }
        std::printf("  (processor time: server %.1f s, generator %.1f s)\n", server_cpu, own_cpu);
        results.push_back(std::move(entry));
        return true;
    } catch (std::exception const& error) {
        std::printf("  FAILED: %s\n", error.what());
        results.push_back({{"scenario", what.name}, {"failed", error.what()}});
        return false;
    }
}

}  // namespace

int main(int argc, char** argv)
{
    options o;
    CLI::App app{"Measures kedged as a whole: starts a server for each scenario, loads it, prints what was reached."};
    app.add_option("scenario", o.names, "which to run (default: all); see --list");
    app.add_option("--server", o.server, "the kedged to measure");
    app.add_option("--folder", o.folder, "where the servers' homes go: on the disk to be measured")->capture_default_str();
    app.add_option("--seconds", o.seconds, "how long each scenario sends")->check(CLI::Range(0.1, 60.0))->capture_default_str();
    app.add_option("--json", o.json, "also write the figures to this file");
    bool list = false;
    app.add_flag("--list", list, "name the scenarios and end");
    CLI11_PARSE(app, argc, argv);

    if (list) {
        for (auto const& s : scenarios())
            std::printf("%-16s %s\n", std::string{s.name}.c_str(), std::string{s.text}.c_str());
        return 0;
    }
    if (o.server.empty()) {
        std::fprintf(stderr, "kedge-bench: --server is needed\n");
        return 2;
    }
    for (auto const& name : o.names) {
        if (std::none_of(scenarios().begin(), scenarios().end(), [&](auto const& s) { return s.name == name; })) {
            std::fprintf(stderr, "kedge-bench: no scenario `%s`; --list names them\n", name.c_str());
            return 2;
        }
    }
    std::signal(SIGPIPE, SIG_IGN);
    ssh_init();

    auto results = nlohmann::json::array();
    bool good = true;
    for (auto const& s : scenarios())
        if (o.names.empty() || std::find(o.names.begin(), o.names.end(), s.name) != o.names.end())
            good = run(s, o, results) && good;
    if (!o.json.empty()) {
        std::ofstream out{o.json};
        out << nlohmann::json{{"cores", std::thread::hardware_concurrency()}, {"seconds", o.seconds}, {"results", results}}.dump(2)
            << '\n';
        if (!out) {
            std::fprintf(stderr, "kedge-bench: cannot write %s\n", o.json.c_str());
            return 1;
        }
    }
    ssh_finalize();
    return good ? 0 : 1;
}
