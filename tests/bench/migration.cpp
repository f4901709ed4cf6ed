#include "tests/bench/migration.hpp"

#include <stdexcept>
#include <thread>

#include "tests/bench/publisher.hpp"

namespace kedge::bench {

namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t unsent_max = 256 * 1024;
constexpr std::uint64_t unanswered_max = 32'768;

std::string nats_config(std::string const& url, std::string const& settings)
{
    return "[nats]\nservers = [\"" + url + "\"]\n" + settings + "\n";
}

}  // namespace

std::span<migration_scenario const> migration_scenarios() noexcept
{
    static constexpr migration_scenario table[] = {
        {"mirror", "messages published by SSH clients and mirrored, against a bare libnats program with the same messages", run_mirror},
        {"catch-up", "a backlog is mirrored from its first row", run_catch_up, true},
        {"switch", "there and back under 20,000 messages a second, open loop", run_switches, true},
        {"latency", "publish to ok of SSH clients, open loop at --rate, with the mirror on and off by turns", run_mirror_latency, true},
    };
    return table;
}

mirrored_server::mirrored_server(migration_context const& c, std::string const& nats_url)
    : process_{c.server, c.folder, c.key, nats_config(nats_url, c.settings)}, control_{process_.where()}
{
    control_.exec("stream add BENCH --subjects d.>");
}

nlohmann::json mirrored_server::command(std::string const& words)
{
    auto const said = control_.exec(words + " --json");
    auto parsed = nlohmann::json::parse(said, nullptr, false);
    if (parsed.is_discarded())
        throw std::runtime_error{words + " answered " + said};
    return parsed;
}

void mirrored_server::wait_until(std::string_view what, std::function<bool(nlohmann::json const&)> const& good, std::chrono::seconds limit)
{
    auto const end = clock::now() + limit;
    for (;;) {
        auto const now = status();
        if (good(now))
            return;
        if (clock::now() > end)
            throw std::runtime_error{"not " + std::string{what} + " in time: " + now.dump()};
        std::this_thread::sleep_for(100ms);
    }
}

void mirrored_server::start(std::string_view from)
{
    wait_for_link();
    command("migrate start BENCH --from " + std::string{from});
}

void mirrored_server::wait_for_link()
{
    auto const end = clock::now() + 20s;
    while (command("migrate status").at("link").at("state") != "up") {
        if (clock::now() > end)
            throw std::runtime_error{"kedged does not reach NATS: " + command("migrate status").dump()};
        std::this_thread::sleep_for(20ms);
    }
}

void mirrored_server::wait_until_placed(std::uint64_t rows, std::chrono::seconds limit)
{
    std::uint64_t checkpoint = 0;
    auto moved = clock::now();
    for (;;) {
        auto const now = status();
        if (now.at("last") >= rows && now.at("floor") >= rows)
            return;
        if (auto const reached = now.at("checkpoint").get<std::uint64_t>(); reached != checkpoint) {
            checkpoint = reached;
            moved = clock::now();
        } else if (clock::now() - moved > limit) {
            throw std::runtime_error{"the mirror stands still: " + now.dump()};
        }
        std::this_thread::sleep_for(100ms);  // a command costs the server a millisecond
    }
}

std::vector<std::uint64_t> shares(std::size_t subjects, std::uint64_t messages)
{
    std::vector<std::uint64_t> made(subjects, messages / subjects);
    made.front() += messages % subjects;
    return made;
}

void fill(endpoint const& where, std::vector<std::string> const& subjects, std::uint64_t messages)
{
    struct source {
        bench_link* link;
        publisher messages;
        std::uint64_t wanted;
        std::uint64_t answered = 0;
    };
    ssh_client client{where};
    std::vector<source> sources;
    auto const wanted = shares(subjects.size(), messages);
    sources.reserve(subjects.size());
    for (std::size_t i = 0; i < subjects.size(); ++i)
        sources.push_back({&client.open_link(), publisher{subjects[i], mirrored_body_bytes, publisher::answer::n}, wanted[i]});
    event_loop loop;
    loop.add(client);
    for (std::size_t i = 0; i < sources.size(); ++i) {
        auto& s = sources[i];
        s.link->send(make_frame(R"({"op":"hello","id":"h","node":"f)" + std::to_string(i) + R"("})"));
        s.link->on_frame = [&s](heard_frame const& frame) {
            if (frame.what != heard::stored)
                return;
            auto const up_to = number_in(frame.header, "n") - publisher::first_number + 1;
            check(up_to > s.answered && up_to <= s.messages.made(), "`stored` with an n that does not rise or was never sent");
            s.answered = up_to;
        };
    }
    loop.until("hello", [&] { return std::all_of(sources.begin(), sources.end(), [](source const& s) { return s.link->welcomes == 2; }); });
    loop.run("filling", std::chrono::milliseconds{30'000 + messages / 5}, [&] {
        bool idle = true;
        for (auto& s : sources) {
            while (s.messages.made() < s.wanted && s.messages.made() - s.answered + s.messages.block() <= unanswered_max
                   && s.link->unsent() < unsent_max)
                s.link->send(s.messages.next(std::min<std::uint64_t>(s.messages.block(), s.wanted - s.messages.made())));
            idle = idle && s.answered == s.wanted;
        }
        return idle ? event_loop::done : std::chrono::nanoseconds{1ms};
    });
}

}  // namespace kedge::bench
