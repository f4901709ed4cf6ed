#include "tests/migration/nats_server.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

namespace kedge::test {

namespace fs = std::filesystem;

namespace {

/// Output goes to `log`.
pid_t spawn(std::vector<std::string> const& words, fs::path const& log)
{
    std::vector<char*> arguments;
    for (auto const& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    auto const parent = ::getpid();
    pid_t const child = ::fork();
    if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (child > 0) return child;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    int const out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
}

fs::path new_directory()
{
    std::string pattern = (fs::temp_directory_path() / "kedge-nats-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::system_error(errno, std::generic_category(), "mkdtemp");
    return pattern;
}

std::string file_text(fs::path const& path)
{
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

nats_server::nats_server(nats_server_options options) : options_(std::move(options)), directory_(new_directory())
{
    if (!options_.config.empty()) std::ofstream(directory_ / "nats.conf") << options_.config;
    start();
}

nats_server::~nats_server()
{
    kill();
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
}

void nats_server::start()
{
    if (running()) return;
    std::vector<std::string> words{"nats-server", "-a", "127.0.0.1", "-p", port_ == 0 ? "-1" : std::to_string(port_), "--ports_file_dir",
                                   directory_.string()};
    if (options_.jetstream) words.insert(words.end(), {"-js", "-sd", (directory_ / "store").string()});
    if (!options_.config.empty()) words.insert(words.end(), {"-c", (directory_ / "nats.conf").string()});
    // Debian has it in /usr/sbin, which is not in everybody's path.
    if (fs::exists("/usr/sbin/nats-server")) words[0] = "/usr/sbin/nats-server";
    pid_ = spawn(words, directory_ / "log");
    port_ = wait_for_port();
}

unsigned nats_server::wait_for_port()
{
    auto const ports = directory_ / ("nats-server_" + std::to_string(pid_) + ".ports");
    // Told by the kernel when a file of the directory was written, or when the server is at its end.
    int const watch = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    int const process = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    ::inotify_add_watch(watch, directory_.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO);
    unsigned port = 0;
    auto const until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::chrono::steady_clock::now() < until) {
        if (auto const parsed = nlohmann::json::parse(file_text(ports), nullptr, false); parsed.is_object()) {
            auto const url = parsed.at("nats").at(0).get<std::string>();
            port = static_cast<unsigned>(std::stoul(url.substr(url.rfind(':') + 1)));
            break;
        }
        if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
            pid_ = -1;
            break;
        }
        pollfd watched[2] = {{watch, POLLIN, 0}, {process, POLLIN, 0}};
        ::poll(watched, 2, 1000);
        char events[4096];
        while (::read(watch, events, sizeof events) > 0) {}
    }
    ::close(watch);
    ::close(process);
    if (port != 0) return port;
    kill();
    throw std::runtime_error("nats-server does not start: " + file_text(directory_ / "log"));
}

void nats_server::kill()
{
    if (!running()) return;
    auto const ports = directory_ / ("nats-server_" + std::to_string(pid_) + ".ports");
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
    std::error_code ignored;
    fs::remove(ports, ignored);
}

void nats_server::freeze()
{
    ::kill(pid_, SIGSTOP);
    ::waitpid(pid_, nullptr, WUNTRACED);  // its threads do not stop at once
}

void nats_server::thaw()
{
    ::kill(pid_, SIGCONT);
}

void nats_server::save(std::string const& name)
{
    fs::remove_all(directory_ / name);
    fs::copy(directory_ / "store", directory_ / name, fs::copy_options::recursive);
}

void nats_server::put_back(std::string const& name)
{
    fs::remove_all(directory_ / "store");
    fs::copy(directory_ / name, directory_ / "store", fs::copy_options::recursive);
}

void run_program(std::vector<std::string> const& words)
{
    auto const directory = new_directory();
    auto const child = spawn(words, directory / "log");
    int status = 0;
    ::waitpid(child, &status, 0);
    auto const said = file_text(directory / "log");
    fs::remove_all(directory);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw std::runtime_error(words[0] + " failed: " + said);
}

}  // namespace kedge::test
