#include "router/command/job_queue.hpp"

#include <utility>

namespace kedge {

job_queue::job_queue(job_settings s, command_environment const& e) : settings_{std::move(s)}, environment_{e} {}

std::uint64_t job_queue::add(command_effects::job job, std::size_t output_bytes_max, command_effects& fx)
{
    if (waiting_.size() >= waiting_max || waiting_bytes_ + job.input.size() > waiting_bytes_max)
        return 0;
    auto const number = job.number = ++numbers_;
    job.shell = settings_.exec;
    job.capture_bytes_max = output_bytes_max;
    waiting_bytes_ += job.input.size();
    auto const until_us = job.timeout_ms != 0 ? now() + job.timeout_ms * 1000 : 0;
    waiting_.push_back({std::move(job), until_us});
    start(fx);
    return number;
}

void job_queue::ended(command_effects& fx)
{
    --running_;
    start(fx);
}

void job_queue::forget()
{
    waiting_.clear();
    waiting_bytes_ = 0;
}

void job_queue::start(command_effects& fx)
{
    while (running_ < settings_.at_once && !waiting_.empty()) {
        auto next = std::move(waiting_.front());
        waiting_.pop_front();
        waiting_bytes_ -= next.job.input.size();
        if (next.until_us != 0) {
            auto const now_us = now();
            if (now_us >= next.until_us) {
                missed_.push_back(next.job.number);
                continue;
            }
            next.job.timeout_ms = (next.until_us - now_us + 999) / 1000;
            next.job.environment.emplace_back("KEDGE_LEFT_MS", std::to_string(next.job.timeout_ms));
        }
        ++running_;
        fx.jobs.push_back(std::move(next.job));
    }
}

}  // namespace kedge
