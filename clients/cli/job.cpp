#include "clients/cli/job.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/write.hpp>

extern char** environ;

namespace asio = boost::asio;

namespace kedge::cli {
namespace {

std::vector<std::string> merged_environment(std::vector<std::pair<std::string, std::string>> const& added)
{
    std::map<std::string, std::string> all;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        std::string_view const text{*entry};
        auto const equals = text.find('=');
        if (equals != text.npos)
            all.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    for (auto const& [name, value] : added)
        all[name] = value;
    std::vector<std::string> out;
    for (auto const& [name, value] : all)
        out.push_back(name + '=' + value);
    return out;
}

/// The child, its standard input being the reading end; 0 if it could not be made.
pid_t spawn(command_effects::job const& job, int reading_end)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_adddup2(&files, reading_end, STDIN_FILENO);
    // A group of its own: Ctrl-C is for us, so that the command in hand is finished in order. And what we ignore or block
    // is not the command's business.
    ::posix_spawnattr_setpgroup(&attributes, 0);
    sigset_t none;
    sigset_t ours;
    ::sigemptyset(&none);
    ::sigemptyset(&ours);
    ::sigaddset(&ours, SIGPIPE);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &ours);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

    std::string shell = "/bin/sh";
    std::string option = "-c";
    std::string text = job.shell;
    char* const arguments[] = {shell.data(), option.data(), text.data(), nullptr};
    auto environment = merged_environment(job.environment);
    std::vector<char*> pointers;
    for (auto& entry : environment)
        pointers.push_back(entry.data());
    pointers.push_back(nullptr);
    pid_t pid = 0;
    int const rc = ::posix_spawn(&pid, shell.c_str(), &files, &attributes, arguments, pointers.data());
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
    return rc == 0 ? pid : 0;
}

}  // namespace

struct job_runner::impl {
    explicit impl(asio::any_io_executor e) : executor{e}, children{e, SIGCHLD}, pipe{e} { wait(); }

    asio::any_io_executor executor;
    asio::signal_set children;
    asio::posix::stream_descriptor pipe;
    std::string input;
    std::function<void(int)> done;
    pid_t pid = 0;

    void wait()
    {
        children.async_wait([this](boost::system::error_code ec, int) {
            if (ec)
                return;
            wait();
            int status = 0;
            if (pid == 0 || ::waitpid(pid, &status, WNOHANG) != pid)
                return;
            pid = 0;
            boost::system::error_code ignored;
            pipe.close(ignored);
            auto const tell = std::exchange(done, {});
            tell(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        });
    }
};

job_runner::job_runner(asio::any_io_executor e) : impl_{std::make_unique<impl>(std::move(e))} {}
job_runner::~job_runner() = default;

void job_runner::run(command_effects::job job, std::function<void(int)> done)
{
    auto& i = *impl_;
    i.done = std::move(done);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) == 0) {
        i.pid = spawn(job, ends[0]);
        ::close(ends[0]);
        if (i.pid == 0)
            ::close(ends[1]);
    }
    if (i.pid == 0) {
        asio::post(i.executor, [tell = std::exchange(i.done, {})] { tell(127); });
        return;
    }
    i.pipe.assign(ends[1]);
    i.input = std::move(job.input);
    // A command that does not read its input is none the worse for it: what fails here is not told.
    asio::async_write(i.pipe, asio::buffer(i.input), [&i](boost::system::error_code ec, std::size_t) {
        if (!ec)
            i.pipe.close(ec);
    });
}

void job_runner::terminate()
{
    if (impl_->pid != 0)
        ::kill(-impl_->pid, SIGTERM);
}

}  // namespace kedge::cli
