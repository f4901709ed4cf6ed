#include "clients/cli/doctor.hpp"

#include <libssh/libssh.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "clients/cli/run.hpp"
#include "clients/cli/target.hpp"
#include "clients/cli/terminal.hpp"
#include "clients/lib/remote_command.hpp"
#include "router/command/migrate_commands.hpp"
#include "router/command/units.hpp"

namespace fs = std::filesystem;

namespace kedge::cli {
namespace {

constexpr std::uint64_t clock_off_ms = 2'000;
constexpr std::uint64_t descriptors_min = 256;
/// Of a limit that is nearly reached.
constexpr double nearly = 0.8;
/// A copy that is further behind is looked at.
constexpr double lag_seconds_unsure = 10;

/// What a command of the server's said.
struct said {
    std::optional<int> status;  ///< nothing: there was no connection
    std::string out;
    std::string error;
    std::uint64_t took_ms = 0;
};

said ask(client_options const& options, std::string line)
{
    using namespace std::chrono;
    boost::asio::io_context io{1};
    said answer;
    auto const begun = steady_clock::now();
    remote_command remote{io, options, std::move(line)};
    remote.on_output([&](std::string_view bytes, bool is_error_stream) { (is_error_stream ? answer.error : answer.out) += bytes; });
    remote.on_end([&](result<int> const& ended) {
        if (ended)
            answer.status = *ended;
        else
            answer.error = ended.error().message;
        io.stop();
    });
    io.run();
    answer.took_ms = static_cast<std::uint64_t>(duration_cast<milliseconds>(steady_clock::now() - begun).count());
    return answer;
}

std::uint64_t wall_ms()
{
    using namespace std::chrono;
    return static_cast<std::uint64_t>(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

std::string text_of(nlohmann::json const& data, char const* name)
{
    return data.is_object() && data.contains(name) && data[name].is_string() ? data[name].get<std::string>() : "";
}

double number_of(nlohmann::json const& data, char const* name)
{
    return data.is_object() && data.contains(name) && data[name].is_number() ? data[name].get<double>() : 0;
}

/// The server told its time between the two.
void compare_clocks(double told, std::uint64_t asked_ms, std::uint64_t answered_ms, findings& f)
{
    if (told == 0)
        return f.unsure("clock", "the server does not tell its time", "compare yourself: date, here and there");
    auto const server = static_cast<std::uint64_t>(told);
    auto const off = server < asked_ms ? asked_ms - server : server > answered_ms ? server - answered_ms : 0;
    if (off <= clock_off_ms)
        return f.good("clock", "agrees with the server's, to " + format_duration_ms(answered_ms - asked_ms + off));
    f.bad("clock", "the server's is " + format_duration_ms(off) + (server < asked_ms ? " behind" : " ahead of") + " ours",
          "let both follow a time server (systemd-timesyncd, chrony): ages, bans and expiry go by the server's clock");
}

void look_at_status(nlohmann::json const& data, findings& f)
{
    // What concerns the migration is looked at by itself.
    auto const is_elsewhere = [](nlohmann::json const& sentence) {
        return sentence.is_string() && (sentence.get_ref<std::string const&>().starts_with("there is no link to NATS") ||
                                        sentence.get_ref<std::string const&>().starts_with("the migration of "));
    };
    auto const why = data.is_object() ? data.find("why") : data.end();
    if (why == data.end() || !why->is_array() || why->empty())
        f.good("status", "the server has nothing to complain of");
    else
        for (auto const& sentence : *why)
            if (!is_elsewhere(sentence))
                f.unsure("status", sentence.is_string() ? sentence.get<std::string>() : sentence.dump(), "look closer: kedge status, kedge top");
    auto const limits = data.is_object() ? data.find("limits") : data.end();
    auto const metrics = data.is_object() ? data.find("metrics") : data.end();
    if (limits == data.end() || metrics == data.end())
        return;
    bool near = false;
    for (auto const* name : {"sessions", "users", "rules", "streams", "lists"}) {
        auto const most = number_of(*limits, name);
        auto const is = number_of(*metrics, name);
        if (most == 0 || is < nearly * most)
            continue;
        near = true;
        f.unsure("limits", std::to_string(static_cast<std::uint64_t>(is)) + " of at most " + std::to_string(static_cast<std::uint64_t>(most)) + ' ' + name,
                 "raise `" + std::string{name} + "` below [limits] of the server's configuration, or remove some");
    }
    if (!near)
        f.good("limits", "none is nearly reached");
}

/// Streams on their way to NATS.
void look_at_migration(nlohmann::json const& migration, findings& f)
{
    auto const mirrored = mirrored_of(migration);
    if (mirrored.empty())
        return;
    auto const& link = object_of(migration, "link");
    if (text_of(link, "state") == "up")
        f.good("NATS", link_line(link));
    else
        f.bad("NATS", link_line(link), "is nats-server running, and are [nats] servers, certificates and credentials right? kedge migrate plan STREAM tries them");
    for (auto const& s : mirrored) {
        auto const name = text_of(s, "stream");
        auto const check = "migration of " + name;
        auto const look = "look closer: kedge migrate status " + name;
        if (auto const& broken = object_of(s, "broken"); !broken.empty()) {
            auto const next = words_of(broken, "next");
            f.bad(check, words_of(s, "state") + ", broken: " + words_of(broken, "why"), next.empty() ? look : next);
            continue;
        }
        std::string flags;
        for (auto const& flag : s.contains("flags") && s["flags"].is_array() ? s["flags"] : nlohmann::json::array())
            if (flag == "paused" || flag == "catching_up")
                flags += flag == "paused" ? ", paused" : ", catching up";
        auto const& lag = object_of(s, "lag");
        bool const behind = !is_true(lag, "known") || number_of(lag, "seconds") >= lag_seconds_unsure;
        if (flags.empty() && !behind)
            f.good(check, stream_line(s));
        else
            f.unsure(check, stream_line(s) + flags, flags.starts_with(", paused") ? "go on: kedge migrate resume " + name : look);
    }
}

}  // namespace

void look_at_client(findings& f)
{
    std::string const library = ssh_version(0) != nullptr ? std::string{ssh_version(0)} : "unknown";
    std::string const version = library.substr(0, library.find('/'));
    if (ssh_version(SSH_VERSION_INT(0, 10, 6)) == nullptr)
        f.bad("libssh", "this is " + version, "install 0.10.6 or later: earlier ones can be deceived about what was sent (CVE-2023-48795)");
    else
        f.good("libssh", version + ", kedge " KEDGE_VERSION);
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < descriptors_min)
        f.unsure("descriptors", "programs here may have " + std::to_string(files.rlim_cur) + " files open", "ulimit -n 1024");
}

void look_at_keys(connection_options const& given, findings& f)
{
    for (auto const& file : given.identities) {
        struct stat facts {};
        if (::stat(file.c_str(), &facts) != 0)
            f.bad("key", file + " cannot be read", "name a private key that is there: -i FILE");
        else if ((facts.st_mode & 077u) != 0)
            f.bad("key", file + " is open to others", "chmod 0600 " + file);
        else
            f.good("key", file + " is private");
    }
    if (given.identities.empty()) {
        bool const agent = !given.no_agent && std::getenv("SSH_AUTH_SOCK") != nullptr;
        f.good("key", agent ? "the SSH agent's, then ~/.ssh/id_*" : "~/.ssh/id_*; there is no agent");
    }
    if (!given.known_hosts.empty() && !std::ifstream{given.known_hosts})
        f.unsure("known hosts", given.known_hosts + " is not there", "it is made by the first: kedge --to … --accept-new ping");
}

void look_at_server(connection_options const& given, findings& f)
{
    bool const here = given.to.empty();
    auto const options = resolve_target(given);
    if (!options)
        return f.bad("connection", options.error().message, here ? "start a server, or name one with --to" : "see above");
    auto const ping = ask(*options, "ping --json");
    auto const pong = nlohmann::json::parse(ping.out, nullptr, false);
    if (!ping.status || *ping.status != 0 || !pong.is_object())
        return f.bad("connection", ping.error.empty() ? "no answer from " + options->servers.front() : ping.error,
                     here ? "is the server running? Start it: kedged --home " + (given.home.empty() ? default_home() : given.home)
                          : "is the server running, is the address right, does the server know the key (kedge user add)?");
    f.good("connection", "logged in at " + options->servers.front() + " as " + text_of(pong, "user") + " (" + text_of(pong, "role") + ") in " +
                             std::to_string(ping.took_ms) + " ms");
    auto const server = text_of(pong, "server");
    if (server == "kedge/" KEDGE_VERSION)
        f.good("version", "client and server are " KEDGE_VERSION);
    else
        f.unsure("version", "the client is kedge/" KEDGE_VERSION ", the server " + server, "install the same version on both, if something is not understood");
    auto const asked_ms = wall_ms();
    auto const status = ask(*options, "status --json");
    auto const answered_ms = wall_ms();
    auto const data = nlohmann::json::parse(status.out, nullptr, false);
    if (!status.status || *status.status != 0 || !data.is_object())
        return text_of(pong, "role") == "operator"
                   ? f.bad("status", "the server does not say how it is: " + status.error, "look into its log")
                   : f.unsure("status", "only operators see how the server is", "ask one of them for: kedge doctor");
    compare_clocks(number_of(data, "time_ms"), asked_ms, answered_ms, f);
    look_at_status(data, f);
    look_at_migration(object_of(data, "migration"), f);
}

int run_doctor(std::unique_ptr<command> c, connection_options const& given)
{
    findings f;
    look_at_client(f);
    if (given.to.empty())
        look_at_home(given.home.empty() ? default_home() : given.home, f);
    else
        look_at_keys(given, f);
    look_at_server(given, f);
    command_effects fx;
    c->on_admin({0, f.take(), {}}, fx);
    write_all(STDOUT_FILENO, fx.out);
    write_all(STDERR_FILENO, fx.error);
    return fx.exit_status.value_or(1);
}

}  // namespace kedge::cli
