#pragma once
/// Runs a shell command with given input and environment, for `consume --exec`.

#include <sys/types.h>

#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>

#include "router/command/command.hpp"

namespace kedge::cli {

/// One run at a time. One thread. A signal set of its own waits for the end of children.
class job_runner {
public:
    explicit job_runner(boost::asio::any_io_executor);
    ~job_runner();

    /// The exit status as the shell would say it (128 + signal; 127 if it could not be started).
    void run(command_effects::job, std::function<void(int exit_status)>);
    /// Sends SIGTERM to what runs.
    void terminate();

private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

}  // namespace kedge::cli
