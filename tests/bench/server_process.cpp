#include "tests/bench/server_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

namespace kedge::bench {

namespace {

using clock = std::chrono::steady_clock;

std::string whole(std::filesystem::path const& path)
{
    std::ifstream in{path};
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

void write_file(std::filesystem::path const& path, std::string const& text)
{
    std::ofstream out{path};
    out << text;
    out.close();
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    if (!out)
        throw std::runtime_error{"cannot write " + path.string()};
}

// One user and one address stand for a whole community here.
constexpr char config[] = "[limits]\n"
                          "user_sessions = 4096\n"
                          "unauthenticated = 256\n"
                          "unauthenticated_early_drop = 256\n"
                          "unauthenticated_address = 256\n";

}  // namespace

server_process::server_process(std::filesystem::path const& program, std::filesystem::path const& parent,
                               client_key const& key, std::string const& more_config)
{
    std::string name = (parent / "kedge-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
        throw std::system_error{errno, std::generic_category(), "mkdtemp in " + parent.string()};
    home_ = name;
    write_file(home_ / "authorized_keys", "user=\"bench\",role=\"operator\" " + key.public_line() + " bench\n");
    write_file(home_ / "bench.toml", config + more_config);
    where_ = {"127.0.0.1", 0, "bench", &key};

    int output[2];
    if (::pipe2(output, O_CLOEXEC) != 0)
        throw std::system_error{errno, std::generic_category(), "pipe2"};
    std::vector<std::string> arguments{program.string(), "--home", home_.string(), "--listen", "127.0.0.1:0", "--config",
                                       (home_ / "bench.toml").string(), "--log-level", "warning"};
    std::vector<char*> argv;
    for (auto& argument : arguments)
        argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::string const log = (home_ / "stderr").string();

    pid_ = ::fork();
    if (pid_ < 0)
        throw std::system_error{errno, std::generic_category(), "fork"};
    if (pid_ == 0) {  // only calls that are safe after fork
        int const err = ::open(log.c_str(), O_WRONLY | O_CREAT, 0600);
        ::dup2(output[1], 1);
        ::dup2(err, 2);
        ::execv(argv[0], argv.data());
        ::_exit(127);
    }
    ::close(output[1]);
    output_ = output[0];
    try {
        wait_until_ready();
    } catch (...) {
        ::close(output_);
        int status = 0;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, &status, 0);
        pid_ = -1;
        std::filesystem::remove_all(home_);
        throw;
    }
}

// "kedged ready on 127.0.0.1:40123 …"
void server_process::wait_until_ready()
{
    std::string said;
    auto const end = clock::now() + std::chrono::seconds{30};
    while (clock::now() < end) {
        pollfd readable{output_, POLLIN, 0};
        if (::poll(&readable, 1, 200) <= 0)
            continue;
        char buffer[512];
        auto const got = ::read(output_, buffer, sizeof buffer);
        if (got <= 0)
            throw std::runtime_error{"the server ended at its start: " + said + log_tail()};
        said.append(buffer, static_cast<std::size_t>(got));
        auto const line = said.find("kedged ready on ");
        if (line == std::string::npos || said.find('\n', line) == std::string::npos)
            continue;
        auto const colon = said.find("127.0.0.1:", line);
        if (colon != std::string::npos)
            std::from_chars(said.data() + colon + 10, said.data() + said.size(), where_.port);
        if (where_.port == 0)
            throw std::runtime_error{"the server names no port: " + said};
        return;
    }
    throw std::runtime_error{"the server was not ready within 30 s: " + said + log_tail()};
}

std::string server_process::log_tail() const
{
    auto const text = whole(home_ / "stderr");
    return text.size() < 2000 ? text : text.substr(text.size() - 2000);
}

std::uint64_t server_process::memory_bytes() const
{
    // Private pages: neither the program file nor libraries, which a machine holds once.
    std::ifstream in{"/proc/" + std::to_string(pid_) + "/smaps_rollup"};
    std::uint64_t kilobytes = 0;
    for (std::string line; std::getline(in, line);)
        if (line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:"))
            kilobytes += std::stoull(line.substr(line.find(':') + 1));
    if (kilobytes == 0)
        throw std::runtime_error{"cannot read the server's memory"};
    return kilobytes * 1024;
}

std::uint64_t server_process::peak_memory_bytes() const
{
    std::ifstream in{"/proc/" + std::to_string(pid_) + "/status"};
    for (std::string line; std::getline(in, line);)
        if (line.starts_with("VmHWM:"))
            return std::stoull(line.substr(line.find(':') + 1)) * 1024;
    throw std::runtime_error{"cannot read the server's peak of memory"};
}

void server_process::forget_peak()
{
    std::ofstream out{"/proc/" + std::to_string(pid_) + "/clear_refs"};
    out << "5" << std::flush;
    if (!out)
        throw std::runtime_error{"cannot forget the server's peak of memory"};
}

std::chrono::duration<double> cpu_time_of(pid_t process)
{
    auto const text = whole("/proc/" + std::to_string(process) + "/stat");
    std::istringstream fields{text.substr(text.rfind(')') + 2)};
    std::string skipped;
    for (int i = 0; i < 11; ++i)
        fields >> skipped;
    double user = 0, system = 0;
    fields >> user >> system;
    return std::chrono::duration<double>{(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK))};
}

bool server_process::wait_for_exit(std::chrono::seconds limit, int& status)
{
    auto const end = clock::now() + limit;
    for (;;) {
        if (::waitpid(pid_, &status, WNOHANG) == pid_) {
            pid_ = -1;
            return true;
        }
        if (clock::now() >= end)
            return false;
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
}

void server_process::stop()
{
    int status = 0;
    ::kill(pid_, SIGTERM);
    if (!wait_for_exit(std::chrono::seconds{15}, status))
        throw std::runtime_error{"the server did not end within 15 s of SIGTERM"};
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        throw std::runtime_error{"the server ended with wait status " + std::to_string(status) + ": " + log_tail()};
}

server_process::~server_process()
{
    if (pid_ > 0) {
        int status = 0;
        ::kill(pid_, SIGTERM);
        if (!wait_for_exit(std::chrono::seconds{15}, status)) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, &status, 0);
        }
    }
    ::close(output_);
    std::error_code ignored;
    std::filesystem::remove_all(home_, ignored);
}

}  // namespace kedge::bench
