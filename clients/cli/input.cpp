#include "clients/cli/input.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <boost/asio/post.hpp>

namespace kedge::cli {

input::input(boost::asio::any_io_executor e) : executor_{e}
{
    // Only these can be waited for: files and such are always ready, and epoll does not take them.
    struct stat what {};
    if (::fstat(STDIN_FILENO, &what) != 0 ||
        !(S_ISFIFO(what.st_mode) || S_ISSOCK(what.st_mode) || ::isatty(STDIN_FILENO) != 0))
        return;
    // A descriptor of our own for the waiting; the reads are plain ones, for to make standard input non-blocking would
    // make it so for the shell too.
    int const fd = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    if (fd >= 0)
        waiter_.emplace(e, fd);
}

void input::want()
{
    if (under_way_ || ended_)
        return;
    under_way_ = true;
    if (!waiter_) {
        boost::asio::post(executor_, [this] { read(); });
        return;
    }
    int const flags = ::fcntl(STDIN_FILENO, F_GETFL);
    waiter_->async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code ec) {
        if (!ec)
            read();
    });
    // Asio makes what it waits for non-blocking, and a duplicate shares that with standard input, which the shell and the
    // programs after us share with us.
    if (flags >= 0 && (flags & O_NONBLOCK) == 0)
        ::fcntl(STDIN_FILENO, F_SETFL, flags);
}

void input::read()
{
    under_way_ = false;
    if (ended_)
        return;
    auto const n = ::read(STDIN_FILENO, buffer_.data(), buffer_.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        want();
        return;
    }
    if (n > 0) {
        on_bytes({buffer_.data(), static_cast<std::size_t>(n)});
        return;
    }
    ended_ = true;
    on_end();
}

void input::stop()
{
    ended_ = true;
    if (waiter_)
        waiter_->cancel();
}

}  // namespace kedge::cli
