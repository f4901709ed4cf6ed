/// kedge: the command line client.

#include <unistd.h>

#include <csignal>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "clients/cli/key_files.hpp"
#include "clients/cli/restore.hpp"
#include "clients/cli/run.hpp"
#include "clients/cli/target.hpp"
#include "clients/cli/terminal.hpp"
#include "router/command/grammar.hpp"

namespace {

using namespace kedge;

int stop(command_stop const& s)
{
    cli::write_all(STDOUT_FILENO, s.out);
    cli::write_all(STDERR_FILENO, s.error);
    return s.exit_status;
}

int complain(std::string const& sentence, int status)
{
    cli::write_all(STDERR_FILENO, "kedge: " + sentence + '\n');
    return status;
}

int restore(command& asked, connection_options const& given)
{
    if (!given.to.empty())
        return complain("a backup is restored on the machine of the server: give --home, not --to", 2);
    auto const args = asked.here().args;
    auto const done = cli::restore_backup({args.value("file", ""), given.home.empty() ? cli::default_home() : given.home, args.value("host_key", "")});
    command_effects fx;
    if (done)
        asked.on_admin({0, {{"path", done->path}, {"bytes", done->bytes}}, {}}, fx);
    else
        asked.on_admin({1, nlohmann::json::object(), done.error().message}, fx);
    cli::write_all(STDOUT_FILENO, fx.out);
    cli::write_all(STDERR_FILENO, fx.error);
    return fx.exit_status.value_or(1);
}

int run(std::vector<std::string> const& arguments)
{
    auto connection = parse_connection(arguments);
    if (auto const* s = std::get_if<command_stop>(&connection))
        return stop(*s);
    auto& given = std::get<connection_options>(connection);
    if (given.version) {
        cli::write_all(STDOUT_FILENO, "kedge " KEDGE_VERSION "\n");
        return 0;
    }
    auto const environment = cli::look_around();
    auto parsed = parse_command(given.words, environment);
    if (auto const* s = std::get_if<command_stop>(&parsed))
        return stop(*s);
    if (!given.home.empty() && !given.to.empty())
        return complain("--home and --to name two servers; one is enough", 2);

    auto& command = std::get<std::unique_ptr<kedge::command>>(parsed);
    auto const runs = command->runs();
    if (runs == course::here && command->here().name == "restore")
        return restore(*command, given);
    if (runs == course::here)  // with whatever server there is
        return cli::run_doctor(std::move(command), given);
    auto words = cli::read_key_files(given.words);
    if (!words)
        return complain(words.error().message, 1);
    auto options = cli::resolve_target(given);
    if (!options)
        return complain(options.error().message, 1);
    switch (runs) {
    case course::link:
        return cli::run_on_link(std::move(command), std::move(*options));
    case course::server:
        return cli::run_at_server(*words, *options);
    case course::live:
        return cli::run_live(std::move(command), *options);
    case course::steps:
        return cli::run_steps(std::move(command), *options, environment);
    case course::answered:
    case course::here:
        break;
    }
    return cli::run_forwarded(std::move(command), std::move(*words), *options);
}

}  // namespace

int main(int count, char** arguments)
{
    // A reader that goes away shows in the write.
    std::signal(SIGPIPE, SIG_IGN);
    try {
        return run({arguments + 1, arguments + count});
    } catch (std::invalid_argument const& e) {
        return complain(e.what(), 2);
    } catch (std::exception const& e) {
        return complain(e.what(), 1);
    }
}
