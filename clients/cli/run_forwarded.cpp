#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "clients/cli/run.hpp"
#include "clients/cli/terminal.hpp"
#include "clients/lib/remote_command.hpp"

namespace asio = boost::asio;

namespace kedge::cli {
namespace {

/// What a server's answer may hold before it is taken for something else.
constexpr std::size_t answer_bytes_max = 256 * 1024 * 1024;

/// Where a backup goes: a file beside the target that takes its name when it is whole, or standard output.
class backup_file {
public:
    explicit backup_file(std::string path) : path_{std::move(path)}
    {
        if (path_ == "-")
            fd_ = STDOUT_FILENO;
        else
            fd_ = ::open(partial().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    }
    ~backup_file()
    {
        if (fd_ > STDERR_FILENO) {
            ::close(fd_);
            ::unlink(partial().c_str());
        }
    }
    backup_file(backup_file const&) = delete;
    backup_file& operator=(backup_file const&) = delete;

    bool is_open() const { return fd_ >= 0; }
    bool write(std::string_view bytes)
    {
        size_ += bytes.size();
        return write_all(fd_, bytes);
    }
    bool keep()
    {
        if (fd_ == STDOUT_FILENO)
            return true;
        bool const whole = ::fsync(fd_) == 0 && ::rename(partial().c_str(), path_.c_str()) == 0;
        ::close(std::exchange(fd_, -1));
        return whole;
    }
    std::uint64_t size() const { return size_; }

private:
    std::string partial() const { return path_ + ".partial"; }

    std::string path_;
    int fd_ = -1;
    std::uint64_t size_ = 0;
};

/// Sentences of the server's side without its own "kedge: ".
std::string plain(std::string text)
{
    constexpr std::string_view prefix = "kedge: ";
    if (text.starts_with(prefix))
        text.erase(0, prefix.size());
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    return text;
}

int show(command& c, admin_result const& r)
{
    command_effects fx;
    c.on_admin(r, fx);
    write_all(STDOUT_FILENO, fx.out);
    write_all(STDERR_FILENO, fx.error);
    return fx.exit_status.value_or(1);
}

int complain(std::string const& sentence)
{
    write_all(STDERR_FILENO, "kedge: " + sentence + '\n');
    return 1;
}

}  // namespace

int run_forwarded(std::unique_ptr<command> c, std::vector<std::string> words, client_options const& options)
{
    command_effects fx;
    c->begin(fx);
    if (fx.calls.size() != 1)
        return complain("this command cannot be forwarded");
    auto const& call = fx.calls.front();

    std::optional<backup_file> backup;
    if (call.name == "backup") {
        // The server sends the copy; where it goes is this machine's business.
        auto const path = call.args.value("path", "");
        backup.emplace(path);
        if (!backup->is_open())
            return complain("cannot write " + path + ".partial");
        std::replace(words.begin() + 1, words.end(), path, std::string{"-"});
    } else if (std::find(words.begin(), words.end(), "--json") == words.end()) {
        words.emplace_back("--json");
    }

    asio::io_context io{1};
    std::string out;
    std::string error;
    std::string trouble;
    std::optional<int> status;
    remote_command remote{io, options, join_words(words)};
    remote.on_output([&](std::string_view bytes, bool is_error_stream) {
        if (is_error_stream)
            error += bytes;
        else if (backup && !backup->write(bytes))
            trouble = "cannot write the backup";
        else if (!backup && out.size() + bytes.size() <= answer_bytes_max)
            out += bytes;
        if (!trouble.empty())
            io.stop();
    });
    remote.on_end([&](result<int> const& ended) {
        if (ended)
            status = *ended;
        else
            trouble = ended.error().message;
        io.stop();
    });
    asio::signal_set signals{io, SIGINT, SIGTERM};
    signals.async_wait([&](boost::system::error_code ec, int) {
        if (!ec) {
            status = 130;
            io.stop();
        }
    });
    io.run();

    if (!trouble.empty())
        return complain(trouble);
    if (!status || *status == 130)
        return 130;
    if (*status == 1 && !backup && !out.empty()) {
        // An answer that says no: the command knows how to say it.
        if (auto no = nlohmann::json::parse(out, nullptr, false); !no.is_discarded())
            return show(*c, {0, std::move(no), {}});
    }
    if (*status != 0) {
        auto const shown = show(*c, {1, nullptr, plain(std::move(error))});
        return *status == 2 ? 2 : shown;
    }
    // What the server had to say beside its answer.
    write_all(STDERR_FILENO, error);
    if (backup) {
        if (!backup->keep())
            return complain("cannot write the backup");
        if (call.args.value("path", "") == "-")
            return 0;
        return show(*c, {0, {{"path", call.args["path"]}, {"bytes", backup->size()}}, {}});
    }
    auto data = nlohmann::json::parse(out, nullptr, false);
    if (data.is_discarded())
        return complain("the server's answer is not JSON");
    return show(*c, {0, std::move(data), {}});
}

}  // namespace kedge::cli
