#include "router/host/store_thread.hpp"

#include <algorithm>

#include "router/core/account_requests.hpp"
#include "router/host/clock.hpp"
#include "router/thread_name.hpp"

namespace kedge {

namespace {

constexpr std::chrono::milliseconds maintain_every{1000};
// Under load housekeeping gets a slice between two batches, not oftener than this.
constexpr std::uint64_t maintain_gap_ms = 20;

bool may_wait(store_request::any const& request)
{
    auto const* const import = std::get_if<store_request::import_messages>(&request);
    return import != nullptr && import->may_wait;
}

}  // namespace

store_thread::store_thread(message_store& messages, account_store& accounts, metrics& counts, sink s)
    : messages_{messages}, accounts_{accounts}, counts_{counts}, sink_{std::move(s)}
{
}

store_thread::~store_thread() { stop(); }

void store_thread::start()
{
    thread_ = std::thread{[this] {
        name_thread("store");
        run();
    }};
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
        idle = !std::exchange(pressing_, true) && account_requests_.empty();
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
    auto const pressing = !std::ranges::all_of(batch, may_wait);
    auto wakes = pressing;
    {
        std::lock_guard const lock{mutex_};
        pressing_ = pressing_ || pressing;
        if (!pressing_ && waited_ == clock::time_point::max()) {
            waited_ = clock::now() + places_wait;
            wakes = asleep_until_ > waited_;
        }
        requests_.insert(requests_.end(), std::make_move_iterator(batch.begin()), std::make_move_iterator(batch.end()));
        show_waiting();
    }
    if (wakes)
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

bool store_thread::is_due() const
{
    return stopping_ || pressing_ || !account_requests_.empty() || (waited_ != clock::time_point::max() && clock::now() >= waited_);
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
            auto const maintain = clock::now() + (more ? std::chrono::milliseconds{1} : maintain_every);
            bool due = is_due();
            for (bool late = false; !due && !late; due = is_due()) {
                asleep_until_ = std::min(maintain, waited_);
                wake_.wait_until(lock, asleep_until_);
                late = clock::now() >= maintain;
            }
            asleep_until_ = clock::time_point::min();
            if (due) {
                requests.swap(requests_);
                account_requests.swap(account_requests_);
                pressing_ = false;
                waited_ = clock::time_point::max();
            }
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
