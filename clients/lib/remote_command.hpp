#pragma once
/// One command run by the server itself (an SSH exec request): what `ssh bus COMMAND` does.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>

#include "clients/lib/client.hpp"

namespace kedge {

/// Begins when the io_context runs. Tries each server of the options once, in turn. Not thread-safe.
class remote_command {
public:
    /// Throws std::invalid_argument if a server's address cannot be read.
    remote_command(boost::asio::io_context&, client_options const&, std::string line);
    /// Ends the connection; handlers are not called.
    ~remote_command();
    remote_command(remote_command const&) = delete;
    remote_command& operator=(remote_command const&) = delete;

    void on_output(std::function<void(std::string_view, bool is_error_stream)>);
    /// The exit status, or why there is none.
    void on_end(std::function<void(result<int> const&)>);

    /// For its standard input. `end_input` must be called once; until then the command may wait for more.
    void input(std::string_view);
    void end_input();
    /// Input that is not sent yet: write more when it is small.
    std::size_t unsent() const;

private:
    struct impl;
    std::shared_ptr<impl> impl_;
};

}  // namespace kedge
