#pragma once
/// Signals as events of an event loop.
///
/// They are blocked in every thread and read from a signalfd(7): no handler runs at an arbitrary point of an arbitrary thread,
/// and one that comes before anybody waits for it stays pending in the kernel instead of being lost.

#include <functional>
#include <initializer_list>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <signal.h>

namespace kedge {

/// Blocks them in the calling thread and so in every thread that it starts from now on: call it before the first.
void block_signals(std::initializer_list<int> signals);

/// On one thread, the one that runs the context; must not outlive it.
class signal_watch {
public:
    /// `came` is called with each of these signals, which must be blocked. Throws boost::system::system_error.
    signal_watch(boost::asio::io_context&, std::initializer_list<int> signals, std::function<void(int)> came);

    /// From now on these meet their default action, at any moment and whatever the loop does.
    void release(std::initializer_list<int> signals);

private:
    void wait();

    sigset_t watched_;
    std::function<void(int)> const came_;
    boost::asio::posix::stream_descriptor events_;
};

}  // namespace kedge
