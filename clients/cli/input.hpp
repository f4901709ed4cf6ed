#pragma once
/// Standard input, read when it is asked for: a pipe, a terminal or a file.

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

namespace kedge::cli {

/// One thread. The handlers are called from the executor, never from within `want`.
class input {
public:
    explicit input(boost::asio::any_io_executor);

    std::function<void(std::string_view)> on_bytes;
    std::function<void()> on_end;

    /// One read, unless one is under way or the end was reached.
    void want();
    void stop();

private:
    void read();

    boost::asio::any_io_executor executor_;
    std::optional<boost::asio::posix::stream_descriptor> waiter_;  // none for a file, which is always ready
    std::vector<char> buffer_ = std::vector<char>(64 * 1024);
    bool under_way_ = false;
    bool ended_ = false;
};

}  // namespace kedge::cli
