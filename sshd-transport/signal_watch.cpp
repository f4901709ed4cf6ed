#include "sshd-transport/signal_watch.hpp"

#include <cerrno>
#include <utility>

#include <boost/system/system_error.hpp>
#include <sys/signalfd.h>
#include <unistd.h>

namespace kedge {
namespace {

sigset_t set_of(std::initializer_list<int> signals)
{
    sigset_t set;
    ::sigemptyset(&set);
    for (int const each : signals) ::sigaddset(&set, each);
    return set;
}

}  // namespace

void block_signals(std::initializer_list<int> signals)
{
    auto const set = set_of(signals);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

signal_watch::signal_watch(boost::asio::io_context& context, std::initializer_list<int> signals, std::function<void(int)> came)
    : watched_(set_of(signals)), came_(std::move(came)), events_(context)
{
    int const fd = ::signalfd(-1, &watched_, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) throw boost::system::system_error(errno, boost::system::system_category(), "signalfd");
    events_.assign(fd);
    wait();
}

void signal_watch::release(std::initializer_list<int> signals)
{
    for (int const each : signals) ::sigdelset(&watched_, each);
    ::signalfd(events_.native_handle(), &watched_, 0);
    auto const set = set_of(signals);
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void signal_watch::wait()
{
    events_.async_wait(boost::asio::posix::descriptor_base::wait_read, [this](boost::system::error_code const& error) {
        if (error) return;
        signalfd_siginfo info;
        while (::read(events_.native_handle(), &info, sizeof info) == sizeof info) came_(static_cast<int>(info.ssi_signo));
        wait();
    });
}

}  // namespace kedge
