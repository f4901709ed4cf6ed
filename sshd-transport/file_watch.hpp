#pragma once
/// Says when one file of a directory has changed and rests: written and closed, replaced by rename, removed.
///
/// A file that is still being written is not reported, nor the moment in which an editor has moved the old one away and not
/// yet put the new one there: whoever reads it then would take the half for the whole. inotify(7), so not for changes that
/// another machine makes on a network file system.

#include <chrono>
#include <functional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

namespace kedge {

/// On one thread, the one that runs the context; must not outlive it.
class file_watch {
public:
    static constexpr std::chrono::milliseconds rest{200};        ///< quiet for this long = done
    static constexpr std::chrono::milliseconds patience{10'000};  ///< a writer that stays longer is not waited for

    /// Throws boost::system::system_error if the directory cannot be watched.
    file_watch(boost::asio::io_context&, std::string const& directory, std::string name, std::function<void()> changed);

private:
    void wait();
    void follow_file();
    void take_events();
    void settle();

    std::string const name_;
    std::string const path_;
    std::function<void()> const changed_;
    boost::asio::posix::stream_descriptor events_;
    boost::asio::steady_timer timer_;
    int file_ = -1;  ///< watch of the file itself, which says that it is being written; -1: there is none
    bool pending_ = false;
    bool writing_ = false;
    std::chrono::steady_clock::time_point since_;
};

}  // namespace kedge
