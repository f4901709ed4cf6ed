#include "router/host/store_thread.hpp"

#include <algorithm>

#include "router/core/account_requests.hpp"
#include "router/host/clock.hpp"

namespace kedge {

namespace {

constexpr std::chrono::milliseconds maintain_every{1000};
// Under load housekeeping gets a slice between two batches, not oftener than this.
constexpr std::uint64_t maintain_gap_ms = 20;

}  // namespace

store_thread::store_thread(message_store& messages, account_store& accounts, metrics& counts, sink s)
    : messages_{messages}, accounts_{accounts}, counts_{counts}, sink_{std::move(s)}
{
}

store_thread::~store_thread() { stop(); }

void store_thread::start()
{
    thread_ = std::thread{[this] { run(); }};
}

void store_thread::stop()
{
    {
        std::lock_guard const lock{mutex_};
        stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable())
        thread_.join();
}

void store_thread::append(std::vector<store_request::append> batch)
{
    bool idle = false;
    {
        std::lock_guard const lock{mutex_};
        idle = requests_.empty() && account_requests_.empty();
        requests_.reserve(requests_.size() + batch.size());
        for (auto& a : batch)
            requests_.emplace_back(std::move(a));
        show_waiting();
    }
    if (idle)
        wake_.notify_one();
}

void store_thread::submit(std::vector<store_request::any> batch)
{
    {
        std::lock_guard const lock{mutex_};
        requests_.insert(requests_.end(), std::make_move_iterator(batch.begin()), std::make_move_iterator(batch.end()));
        show_waiting();
    }
    wake_.notify_one();
}

void store_thread::submit(std::vector<account_request> batch)
{
    {
        std::lock_guard const lock{mutex_};
        account_requests_.insert(account_requests_.end(), std::make_move_iterator(batch.begin()),
                                 std::make_move_iterator(batch.end()));
        show_waiting();
    }
    wake_.notify_one();
}

void store_thread::set_limits(limits const& l)
{
    std::lock_guard const lock{mutex_};
    new_limits_ = l;
}

void store_thread::show_waiting() { counts_.store_requests_waiting.set(requests_.size() + account_requests_.size()); }

void store_thread::carry_out(std::vector<account_request> batch, results& out)
{
    for (auto const& request : batch)
        out.accounts.push_back(kedge::carry_out(accounts_, request));
}

void store_thread::run()
{
    std::uint64_t maintained_ms = 0;
    bool more = true;
    for (;;) {
        std::vector<store_request::any> requests;
        std::vector<account_request> account_requests;
        std::optional<limits> new_limits;
        bool stopping = false;
        {
            std::unique_lock lock{mutex_};
            auto const woken = [&] { return stopping_ || !requests_.empty() || !account_requests_.empty(); };
            if (more)
                wake_.wait_for(lock, std::chrono::milliseconds{1}, woken);
            else
                wake_.wait_for(lock, maintain_every, woken);
            requests.swap(requests_);
            account_requests.swap(account_requests_);
            new_limits.swap(new_limits_);
            show_waiting();
            stopping = stopping_;
        }
        if (new_limits) {
            messages_.set_limits(*new_limits);
            accounts_.set_limits(*new_limits);
        }
        results out;
        if (!requests.empty()) {
            messages_.execute(std::move(requests), out.events);
            counts_.store_commits.add_alone();
            if (std::any_of(out.events.begin(), out.events.end(),
                            [](auto const& e) { return std::holds_alternative<store_event::append_failed>(e); }))
                counts_.store_failures.add_alone();
        }
        if (!account_requests.empty())
            carry_out(std::move(account_requests), out);
        if (!out.events.empty() || !out.accounts.empty())
            sink_(std::move(out));
        if (stopping)
            return;
        auto const now = read_clock();
        if (now.steady_ms >= maintained_ms + maintain_gap_ms) {
            results kept;
            more = messages_.maintain(now.wall_ms, kept.events);
            maintained_ms = now.steady_ms;
            if (!kept.events.empty())
                sink_(std::move(kept));
        }
    }
}

}  // namespace kedge
