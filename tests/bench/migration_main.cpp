// kedge-bench-migration: measures the mirror to NATS with a kedged and a nats-server of its own. Each scenario runs several rounds;
// printed are the median, the lowest and the highest.
#include <libssh/libssh.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <thread>

#include "tests/bench/migration.hpp"

namespace {

using namespace kedge::bench;

struct series {
    figure what;
    std::vector<double> values;
};

void print(series& s)
{
    std::sort(s.values.begin(), s.values.end());
    s.what.value = s.values[s.values.size() / 2];
    std::printf("  %-31s %12.*f %-11s", s.what.name.c_str(), s.what.value < 100 ? 2 : 0, s.what.value, s.what.unit.c_str());
    if (s.values.size() > 1)
        std::printf(" (%.*f to %.*f)", s.what.value < 100 ? 2 : 0, s.values.front(), s.what.value < 100 ? 2 : 0, s.values.back());
    if (s.what.bar != 0)
        std::printf("  bar %s %g  %s", s.what.lower_is_better ? "<=" : ">=", s.what.bar, s.what.ratio() >= 1 ? "reached" : "MISSED");
    std::printf("\n");
}

bool run(migration_scenario const& what, migration_context const& c, unsigned rounds, nlohmann::json& results)
{
    std::printf("%s: %s\n", std::string{what.name}.c_str(), std::string{what.text}.c_str());
    std::fflush(stdout);
    std::vector<series> gathered;
    try {
        for (unsigned i = 0; i < (what.once ? 1 : rounds); ++i) {
            auto const figures = what.run(c);
            gathered.resize(figures.size());
            for (std::size_t k = 0; k < figures.size(); ++k) {
                gathered[k].what = figures[k];
                gathered[k].values.push_back(figures[k].value);
            }
        }
    } catch (std::exception const& error) {
        std::printf("  FAILED: %s\n", error.what());
        results.push_back({{"scenario", what.name}, {"failed", error.what()}});
        return false;
    }
    nlohmann::json entry{{"scenario", what.name}};
    for (auto& s : gathered) {
        print(s);
        entry["figures"].push_back({{"name", s.what.name}, {"unit", s.what.unit}, {"median", s.what.value}, {"values", s.values}, {"bar", s.what.bar}});
    }
    std::fflush(stdout);
    results.push_back(std::move(entry));
    return true;
}

}  // namespace

int main(int argc, char** argv)
{
    std::vector<std::string> names;
    std::string server, nats_server = "nats-server", folder = ".", settings, json;
    std::uint64_t messages = 300'000, backlog = 1'000'000;
    double seconds = 3;
    double rate = 5'000;
    unsigned rounds = 5, switches = 10;
    bool list = false;
    CLI::App app{"Measures the mirror to NATS: servers of its own for each round, loaded over SSH; prints what was reached."};
    app.add_option("scenario", names, "which to run (default: all); see --list");
    app.add_option("--server", server, "the kedged to measure");
    app.add_option("--nats-server", nats_server, "the nats-server beside it")->capture_default_str();
    app.add_option("--folder", folder, "where the homes go: on the disk to be measured")->capture_default_str();
    app.add_option("--set", settings, "a line of [nats], such as 'pump_messages = 16384'");
    app.add_option("--messages", messages, "of each measurement of throughput")->check(CLI::Range(1'000u, 100'000'000u))->capture_default_str();
    app.add_option("--backlog", backlog, "rows to catch up")->check(CLI::Range(1'000u, 100'000'000u))->capture_default_str();
    app.add_option("--rounds", rounds, "of each scenario that does not repeat itself")->check(CLI::Range(1u, 100u))->capture_default_str();
    app.add_option("--switches", switches, "there and back")->check(CLI::Range(1u, 100u))->capture_default_str();
    app.add_option("--seconds", seconds, "of each turn of a measurement of latency")->check(CLI::Range(0.1, 60.0))->capture_default_str();
    app.add_option("--rate", rate, "messages a second while latency is measured")->check(CLI::Range(10.0, 100'000.0))->capture_default_str();
    app.add_option("--json", json, "also write the figures to this file");
    app.add_flag("--list", list, "name the scenarios and end");
    CLI11_PARSE(app, argc, argv);

    if (list) {
        for (auto const& s : migration_scenarios())
            std::printf("%-10s %s\n", std::string{s.name}.c_str(), std::string{s.text}.c_str());
        return 0;
    }
    if (server.empty()) {
        std::fprintf(stderr, "kedge-bench-migration: --server is needed\n");
        return 2;
    }
    for (auto const& name : names) {
        if (std::none_of(migration_scenarios().begin(), migration_scenarios().end(), [&](auto const& s) { return s.name == name; })) {
            std::fprintf(stderr, "kedge-bench-migration: no scenario `%s`; --list names them\n", name.c_str());
            return 2;
        }
    }
    std::signal(SIGPIPE, SIG_IGN);
    ssh_init();
    client_key const key;
    migration_context const c{server, nats_server, folder, settings, messages, backlog, std::chrono::duration<double>{seconds}, rate, switches, key};
    auto results = nlohmann::json::array();
    bool good = true;
    for (auto const& s : migration_scenarios())
        if (names.empty() || std::find(names.begin(), names.end(), s.name) != names.end())
            good = run(s, c, rounds, results) && good;
    if (!json.empty()) {
        std::ofstream out{json};
        out << nlohmann::json{{"cores", std::thread::hardware_concurrency()}, {"results", results}}.dump(2) << '\n';
        if (!out) {
            std::fprintf(stderr, "kedge-bench-migration: cannot write %s\n", json.c_str());
            good = false;
        }
    }
    ssh_finalize();
    return good ? 0 : 1;
}
