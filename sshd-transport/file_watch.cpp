#include "sshd-transport/file_watch.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <boost/system/system_error.hpp>
#include <sys/inotify.h>
#include <unistd.h>

namespace kedge {

file_watch::file_watch(boost::asio::io_context& context, std::string const& directory, std::string name,
                       std::function<void()> changed)
    : name_(std::move(name)), path_(directory + "/" + name_), changed_(std::move(changed)), events_(context), timer_(context)
{
    auto const fail = [] { throw boost::system::system_error(errno, boost::system::system_category(), "inotify"); };
    int const fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) fail();
    events_.assign(fd);
    // Not IN_MODIFY: the database stands in the same directory, and each of its writes would be an event.
    auto const mask = IN_CREATE | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE;
    if (::inotify_add_watch(fd, directory.c_str(), mask) < 0) fail();
    follow_file();
    wait();
}

void file_watch::follow_file()
{
    file_ = ::inotify_add_watch(events_.native_handle(), path_.c_str(), IN_MODIFY);
}

void file_watch::wait()
{
    events_.async_wait(boost::asio::posix::descriptor_base::wait_read, [this](boost::system::error_code const& error) {
        if (error) return;
        take_events();
        wait();
    });
}

void file_watch::take_events()
{
    alignas(inotify_event) std::array<char, 4096> buffer;
    for (;;) {
        auto const size = ::read(events_.native_handle(), buffer.data(), buffer.size());
        if (size <= 0) return;
        for (char const* at = buffer.data(); at < buffer.data() + size;) {
            inotify_event event;
            std::memcpy(&event, at, sizeof event);
            char const* const name = event.len ? at + sizeof event : "";
            at += sizeof event + event.len;
            // Lost events: it may have been ours.
            bool const lost = event.mask & IN_Q_OVERFLOW;
            bool const written = event.wd == file_ && event.mask & IN_MODIFY;
            if (!lost && !written && name_ != name) continue;
            if (event.mask & (IN_CREATE | IN_MOVED_TO | IN_Q_OVERFLOW)) follow_file();
            writing_ = written || event.mask & IN_CREATE ? true : event.mask & IN_ATTRIB ? writing_ : false;
            if (!pending_) since_ = std::chrono::steady_clock::now();
            pending_ = true;
            settle();
        }
    }
}

void file_watch::settle()
{
    timer_.expires_after(rest);  // cancels the wait before it
    timer_.async_wait([this](boost::system::error_code const& error) {
        if (error) return;
        if (writing_ && std::chrono::steady_clock::now() - since_ < patience) return settle();
        pending_ = writing_ = false;
        changed_();
    });
}

}  // namespace kedge
