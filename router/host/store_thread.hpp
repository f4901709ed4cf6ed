#pragma once
/// The thread that owns the database. What gathers while one batch is committed is the next batch: group commit without
/// a delay.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "router/core/actions.hpp"
#include "router/core/sequencer.hpp"
#include "router/metrics.hpp"
#include "router/protocol/limits.hpp"
#include "router/store/store.hpp"

namespace kedge {

/// How long requests that may wait (`import_messages::may_wait`) stay for others to come, whose transaction and sync they then share.
inline constexpr std::chrono::milliseconds places_wait{5};

/// It is also the sequencer of the streams whose order the store decides: an append is a request like others.
class store_thread final : public sequencer {
public:
    /// Called on the store thread with what came of a batch.
    struct results {
        std::vector<store_event::any> events;
        std::vector<account_result> accounts;
    };
    using sink = std::function<void(results)>;

    store_thread(message_store&, account_store&, metrics&, sink);
    ~store_thread() override;  ///< `stop()`

    void start();
    /// Carries out what is queued, then ends the thread.
    void stop();

    // Any thread; never block. The queue is bounded by its user: the core bounds appends in bytes (limits::store_queue_bytes),
    // and every other request waits for the answer of the one before.
    void append(std::vector<store_request::append> batch) override;
    void submit(std::vector<store_request::any> batch);  ///< carried out in the order in which they came, also those that may wait
    void submit(std::vector<account_request> batch);
    /// Both stores keep to these from the next batch on.
    void set_limits(limits const&);

private:
    using clock = std::chrono::steady_clock;

    void run();
    bool is_due() const;  // with the mutex held
    void show_waiting();  // with the mutex held
    void carry_out(std::vector<account_request> batch, results&);

    message_store& messages_;
    account_store& accounts_;
    metrics& counts_;
    sink sink_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<store_request::any> requests_;       // guarded by mutex_
    bool pressing_ = false;                          // guarded by mutex_: one of `requests_` may not wait
    clock::time_point waited_ = clock::time_point::max();    // guarded by mutex_: those that may wait have done so then
    clock::time_point asleep_until_ = clock::time_point::min();  // guarded by mutex_
    std::vector<account_request> account_requests_;  // guarded by mutex_
    std::optional<limits> new_limits_;               // guarded by mutex_
    bool stopping_ = false;                          // guarded by mutex_
    std::thread thread_;
};

}  // namespace kedge
