#pragma once
/// Runs shell commands with given input and environment, for `--exec`.

#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>

#include "router/command/command.hpp"

namespace kedge::cli {

/// Several jobs at once. One thread. A signal set of its own waits for the end of children.
class job_runner {
public:
    explicit job_runner(boost::asio::any_io_executor);
    /// What still runs is left alone; nothing is called any more.
    ~job_runner();

    /// Never calls the handler from within. What the job started and left behind does not keep it from ending.
    void run(command_effects::job, std::function<void(job_end&&)>);
    /// Sends SIGTERM to all that run.
    void terminate();

private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

}  // namespace kedge::cli
