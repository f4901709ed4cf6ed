#include "migration/ingress.hpp"

#include <algorithm>
#include <thread>
#include <utility>

namespace kedge::migration {

namespace {

failure ending() { return {error_code::unavailable, "the server is about to stop"}; }

}  // namespace

ingress::ingress(sinks s) : sinks_{std::move(s)} {}

void ingress::attach(migration_host& host) { host_ = &host; }

ingress::gate* ingress::find(stream_id stream)
{
    auto const at = gates_.find(stream);
    return at == gates_.end() ? nullptr : &at->second;
}

void ingress::refuse(store_request::append const& what, failure why, std::vector<store_event::any>& told)
{
    told.push_back(store_event::append_failed{what.request, what.stream, std::move(why)});
}

void ingress::append(std::vector<store_request::append> batch)
{
    // Either `watch` sees that this thread is on its way past the gates, and waits; or this thread sees the new gate.
    passing_.store(true);
    if (!watching_.load()) {
        host_->append(std::move(batch));
        passing_.store(false, std::memory_order_release);
        return;
    }
    passing_.store(false, std::memory_order_release);

    std::vector<store_event::any> told;
    {
        std::lock_guard const lock{mutex_};
        pass(std::move(batch), told);
    }
    if (!told.empty())
        host_->tell(std::move(told));
}

/// The way of a batch through the gates. With the lock held to the end: what is opened or held meanwhile must not overtake it.
void ingress::pass(std::vector<store_request::append>&& batch, std::vector<store_event::any>& told)
{
    std::vector<store_request::append> queued;  // a run of one stream
    auto const flush = [&] {
        if (!queued.empty()) {
            auto const stream = queued.front().stream;
            sinks_.queue(stream, std::exchange(queued, {}));
        }
    };
    std::size_t kept = 0;
    for (auto& each : batch) {
        auto* const at = find(each.stream);
        if (!at) {
            if (&batch[kept] != &each)
                batch[kept] = std::move(each);
            ++kept;
            continue;
        }
        if (auto const* const why = barred_.refuses(each)) {
            refuse(each, *why, told);
        } else if (at->holding) {
            hold(*at, std::move(each), told);
        } else if (at->to == way::jetstream) {
            if (closed_) {
                refuse(each, ending(), told);
                continue;
            }
            if (!queued.empty() && queued.front().stream != each.stream)
                flush();
            if (at->counted)
                at->flights.emplace(each.request, each.epoch);
            queued.push_back(std::move(each));
        } else if (!at->just_read.empty() && is_just_read(*at, each)) {
            auto const why = just_stored();
            bar(each.stream, each.epoch, why);
            refuse(each, why, told);
        } else {
            if (at->counted)
                at->flights.emplace(each.request, each.epoch);
            if (&batch[kept] != &each)
                batch[kept] = std::move(each);
            ++kept;
        }
    }
    flush();
    batch.resize(kept);
    if (!batch.empty())
        host_->append(std::move(batch));
}

bool ingress::is_just_read(gate& at, store_request::append const& what)
{
    at.just_read.forget_old(what.time_ms);
    return at.just_read.holds(what);
}

void ingress::hold(gate& at, store_request::append&& what, std::vector<store_event::any>& told)
{
    auto const cost = what.message->cost();
    if (at.held_bytes + cost > at.bytes_max) {
        failure const why{error_code::unavailable, at.sentence};
        bar(what.stream, what.epoch, why);
        refuse(what, why, told);
        if (!std::exchange(at.overflowed, true))
            sinks_.overflow(what.stream);
        return;
    }
    at.held_bytes += cost;
    at.held.push_back(std::move(what));
}

/// What is held takes the gate's way, or falls with what it was pipelined behind.
void ingress::release(gate& at, std::vector<store_event::any>& told)
{
    at.holding = false;
    at.held_bytes = 0;
    auto held = std::exchange(at.held, {});
    if (!held.empty())
        pass(std::move(held), told);
}

void ingress::watch(stream_id stream, way to)
{
    std::lock_guard const lock{mutex_};
    auto const [at, fresh] = gates_.try_emplace(stream);
    at->second.to = to;
    at->second.counted = true;
    watching_.store(true);
    if (fresh)
        while (passing_.load())
            std::this_thread::yield();
}

void ingress::forget(stream_id stream)
{
    std::vector<store_event::any> told;
    {
        std::lock_guard const lock{mutex_};
        auto* const at = find(stream);
        if (!at)
            return;
        at->to = way::store;
        at->counted = false;
        at->flights.clear();
        release(*at, told);
        // While something is barred the gate has to stay: the store knows nothing of it.
        if (!bars_.contains(stream)) {
            gates_.erase(stream);
            watching_.store(!gates_.empty());
        }
    }
    if (!told.empty())
        host_->tell(std::move(told));
}

void ingress::removed(stream_id stream)
{
    std::vector<store_event::any> told;
    {
        std::lock_guard const lock{mutex_};
        auto* const at = find(stream);
        if (!at)
            return;
        for (auto const& each : at->held)
            refuse(each, store_failure::unknown_stream(), told);
        gates_.erase(stream);
        barred_.forget(stream);
        bars_.erase(stream);
        watching_.store(!gates_.empty());
    }
    if (!told.empty())
        host_->tell(std::move(told));
}

bool ingress::watches(stream_id stream) const
{
    std::lock_guard const lock{mutex_};
    return gates_.contains(stream);
}

void ingress::hold(stream_id stream, std::uint64_t bytes_max, std::string sentence)
{
    std::lock_guard const lock{mutex_};
    auto* const at = find(stream);
    if (!at)
        return;
    at->holding = true;
    at->overflowed = false;
    at->bytes_max = bytes_max;
    at->sentence = std::move(sentence);
}

void ingress::open(stream_id stream, way to, recent_reads just_read)
{
    std::vector<store_event::any> told;
    {
        std::lock_guard const lock{mutex_};
        auto* const at = find(stream);
        if (!at)
            return;
        at->to = to;
        at->just_read = std::move(just_read);
        release(*at, told);
    }
    if (!told.empty())
        host_->tell(std::move(told));
}

void ingress::bar(stream_id stream, std::uint64_t epoch, failure const& why)
{
    store_request::append mark;
    mark.stream = stream;
    mark.epoch = epoch;
    barred_.failed(mark, why);
    bars_.insert(stream);
}

void ingress::lose(std::span<lost_append const> lost)
{
    if (lost.empty())
        return;
    std::vector<store_event::any> told;
    {
        std::lock_guard const lock{mutex_};
        for (auto const& each : lost) {
            if (sticks_to_stream(each.why.code))  // else it says nothing of what comes behind it
                bar(each.stream, each.epoch, each.why);
            if (auto* const at = find(each.stream))
                at->flights.erase(each.request);
            told.push_back(store_event::append_failed{each.request, each.stream, each.why});
        }
    }
    host_->tell(std::move(told));
}

std::vector<store_request::append> ingress::admit(std::vector<store_request::append> queued)
{
    std::vector<store_event::any> told;
    {
        std::lock_guard const lock{mutex_};
        std::erase_if(queued, [&](store_request::append const& each) {
            auto const* const why = barred_.refuses(each);
            if (why) {
                if (auto* const at = find(each.stream))
                    at->flights.erase(each.request);
                refuse(each, *why, told);
            }
            return why != nullptr;
        });
    }
    if (!told.empty())
        host_->tell(std::move(told));
    return queued;
}

void ingress::arrived(stream_id stream, std::span<token const> origins)
{
    std::lock_guard const lock{mutex_};
    if (auto* const at = find(stream))
        for (auto const origin : origins)
            at->flights.erase(origin);
}

void ingress::failed(stream_id stream, token request, failure const& why)
{
    std::lock_guard const lock{mutex_};
    auto* const at = find(stream);
    if (!at)
        return;
    auto const flight = at->flights.find(request);
    if (flight == at->flights.end())
        return;
    // What is held here and was pipelined behind it may be on its way to JetStream soon, where nothing bars it.
    if (sticks_to_stream(why.code))
        bar(stream, flight->second, why);
    at->flights.erase(flight);
}

ingress::picture ingress::look(stream_id stream) const
{
    std::lock_guard const lock{mutex_};
    auto const at = gates_.find(stream);
    if (at == gates_.end())
        return {};
    auto const& g = at->second;
    return {g.flights.size(), g.held.size(), g.held_bytes, g.holding, g.overflowed};
}

void ingress::close()
{
    std::vector<store_event::any> told;
    {
        std::lock_guard const lock{mutex_};
        closed_ = true;
        for (auto& [stream, at] : gates_) {
            at.holding = false;
            for (auto const& each : std::exchange(at.held, {}))
                refuse(each, ending(), told);
        }
    }
    if (!told.empty())
        host_->tell(std::move(told));
}

}  // namespace kedge::migration
