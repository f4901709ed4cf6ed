#include "clients/cli/job.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include "clients/cli/terminal.hpp"

extern char** environ;

namespace asio = boost::asio;

namespace kedge::cli {
namespace {

/// Between the request to end and the end without asking.
constexpr std::chrono::seconds patience{2};
/// Of what a job writes to standard error, so much of the end is remembered.
constexpr std::size_t error_bytes_max = 4096;

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

/// A pipe; what was not taken is closed.
struct pipe_ends {
    std::array<int, 2> ends{-1, -1};  // reading, writing

    pipe_ends() = default;
    pipe_ends(pipe_ends const&) = delete;
    pipe_ends& operator=(pipe_ends const&) = delete;
    ~pipe_ends()
    {
        for (int const fd : ends)
            if (fd >= 0)
                ::close(fd);
    }
    bool make() { return ::pipe2(ends.data(), O_CLOEXEC) == 0; }
    int reading() const { return ends[0]; }
    int writing() const { return ends[1]; }
    int take_reading() { return std::exchange(ends[0], -1); }
    int take_writing() { return std::exchange(ends[1], -1); }
};

/// The child with these standard streams; -1 leaves ours. 0 if it could not be made.
pid_t spawn(command_effects::job const& job, int in, int out, int error)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawnattr_init(&attributes);
    for (auto const& [fd, stream] : {std::pair{in, STDIN_FILENO}, std::pair{out, STDOUT_FILENO}, std::pair{error, STDERR_FILENO}})
        if (fd >= 0)
            ::posix_spawn_file_actions_adddup2(&files, fd, stream);
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

std::string last_line(std::string text)
{
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
        text.pop_back();
    auto const end = text.find_last_of("\n\r");
    return end == text.npos ? text : text.substr(end + 1);
}

using descriptor = asio::posix::stream_descriptor;

/// One child and what connects it with us.
struct running : std::enable_shared_from_this<running> {
    running(asio::any_io_executor const& e, std::uint64_t number) : in{e}, out{e}, error{e}, deadline{e}
    {
        end.number = number;
    }

    pid_t pid = 0;
    descriptor in, out, error;
    asio::steady_timer deadline;
    std::string input;
    std::string errors;
    std::size_t out_bytes_max = 0;
    job_end end;
    std::function<void(job_end&&)> done;

    void signal(int what) const
    {
        if (pid != 0)
            ::kill(-pid, what);
    }

    void feed()
    {
        // A command that does not read its input is none the worse for it: what fails here is not told.
        asio::async_write(in, asio::buffer(input), [self = shared_from_this()](boost::system::error_code ec, std::size_t) {
            if (!ec)
                self->in.close(ec);
        });
    }

    void limit(std::chrono::milliseconds time, int what)
    {
        deadline.expires_after(time);
        deadline.async_wait([self = shared_from_this(), what](boost::system::error_code ec) {
            if (ec)
                return;
            self->signal(what);
            if (what != SIGKILL)
                self->limit(patience, SIGKILL);
        });
    }

    void listen(descriptor& from)
    {
        from.async_wait(descriptor::wait_read, [self = shared_from_this(), &from](boost::system::error_code ec) {
            if (!ec && self->drain(from))
                self->listen(from);
        });
    }

    /// Reads what is there; false at the end.
    bool drain(descriptor& from)
    {
        std::array<char, 16 * 1024> buffer;
        while (from.is_open()) {
            auto const n = ::read(from.native_handle(), buffer.data(), buffer.size());
            if (n > 0)
                take(from, {buffer.data(), static_cast<std::size_t>(n)});
            else if (n == 0 || errno != EINTR)
                return n != 0 && errno == EAGAIN;
        }
        return false;
    }

    void take(descriptor const& from, std::string_view bytes)
    {
        if (&from == &out) {
            auto const room = out_bytes_max - end.out.size();
            end.out += bytes.substr(0, room);
            end.too_long |= bytes.size() > room;
            return;
        }
        write_all(STDERR_FILENO, bytes);  // for whoever looks on; its end is for whoever asked
        errors += bytes;
        if (errors.size() > error_bytes_max)
            errors.erase(0, errors.size() - error_bytes_max);
    }

    void ended(int status)
    {
        pid = 0;
        deadline.cancel();
        for (auto* each : {&out, &error})
            drain(*each);
        boost::system::error_code ignored;
        for (auto* each : {&in, &out, &error})
            each->close(ignored);
        end.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        end.last_error = last_line(std::move(errors));
        auto const tell = std::exchange(done, {});
        tell(std::move(end));
    }
};

}  // namespace

struct job_runner::impl {
    explicit impl(asio::any_io_executor e) : executor{e}, children{e, SIGCHLD} { wait(); }

    asio::any_io_executor executor;
    asio::signal_set children;
    std::list<std::shared_ptr<running>> jobs;

    void wait()
    {
        children.async_wait([this](boost::system::error_code ec, int) {
            if (ec)
                return;
            wait();
            // One signal may stand for several ends; and a handler may start the next job.
            for (auto const& each : std::vector(jobs.begin(), jobs.end())) {
                int status = 0;
                if (::waitpid(each->pid, &status, WNOHANG) != each->pid)
                    continue;
                jobs.remove(each);
                each->ended(status);
            }
        });
    }
};

job_runner::job_runner(asio::any_io_executor e) : impl_{std::make_unique<impl>(std::move(e))} {}
job_runner::~job_runner() = default;

void job_runner::run(command_effects::job job, std::function<void(job_end&&)> done)
{
    auto const child = std::make_shared<running>(impl_->executor, job.number);
    bool const captured = job.capture_bytes_max.has_value();
    pipe_ends in, out, error;
    if (in.make() && (!captured || (out.make() && error.make())))
        child->pid = spawn(job, in.reading(), out.writing(), error.writing());
    if (child->pid == 0) {
        asio::post(impl_->executor, [tell = std::move(done), number = job.number] {
            tell({number, 127, {}, "the command could not be started", false});
        });
        return;
    }
    child->done = std::move(done);
    child->input = std::move(job.input);
    child->in.assign(in.take_writing());
    child->feed();
    if (captured) {
        child->out_bytes_max = *job.capture_bytes_max;
        for (auto const& [ends, to] : {std::pair{&out, &child->out}, std::pair{&error, &child->error}}) {
            ::fcntl(ends->reading(), F_SETFL, O_NONBLOCK);
            to->assign(ends->take_reading());
            child->listen(*to);
        }
    }
    if (job.timeout_ms != 0)
        child->limit(std::chrono::milliseconds{job.timeout_ms}, SIGTERM);
    impl_->jobs.push_back(child);
}

void job_runner::terminate()
{
    for (auto const& each : impl_->jobs)
        each->signal(SIGTERM);
}

}  // namespace kedge::cli
