#include "clients/cli/target.hpp"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace fs = std::filesystem;

namespace kedge::cli {
namespace {

std::string first_line(fs::path const& file)
{
    std::ifstream in{file};
    std::string line;
    std::getline(in, line);
    return line;
}

std::string user_home()
{
    if (char const* const home = std::getenv("HOME"); home != nullptr && *home != '\0')
        return home;
    passwd const* const entry = ::getpwuid(::getuid());
    return entry != nullptr ? entry->pw_dir : "/";
}

}  // namespace

std::string default_home()
{
    if (char const* const home = std::getenv("KEDGE_HOME"); home != nullptr && *home != '\0')
        return home;
    return user_home() + "/.local/share/kedge";
}

result<client_options> resolve_target(connection_options const& given)
{
    client_options o;
    o.client = "kedge/" KEDGE_VERSION;
    o.identities = given.identities;
    o.agent = !given.no_agent;
    o.known_hosts = given.known_hosts;
    o.accept_new = given.accept_new;
    o.connect_timeout = std::chrono::milliseconds{given.timeout_ms};
    if (!given.to.empty()) {
        o.servers = {given.to};
        return o;
    }
    fs::path const home = given.home.empty() ? default_home() : given.home;
    auto const endpoint = first_line(home / "endpoint");
    auto const user = first_line(home / "operator");
    if (endpoint.empty() || user.empty())
        return failure{error_code::unavailable, "there is no server at " + home.string() + " (or you may not read it). Start "
                                                "one with: kedged --home " + home.string() +
                                                    " — or name another with: kedge --to USER@HOST:PORT"};
    o.servers = {user + "@" + endpoint};
    if (o.identities.empty())
        o.identities = {(home / "operator_ed25519").string()};
    if (o.known_hosts.empty())
        o.known_hosts = (home / "known_hosts").string();
    return o;
}

}  // namespace kedge::cli
