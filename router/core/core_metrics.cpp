// The gauges of what the core holds. Linear in links, streams and consumers, therefore not at each message.

#include <algorithm>

#include "router/admin/admin.hpp"
#include "router/core/core.hpp"

namespace kedge {

namespace {

/// A sum, and its largest part: limits are mostly those of one link, and it is one link that is not well.
struct tally {
    std::uint64_t sum = 0;
    std::uint64_t largest = 0;

    void add(std::uint64_t part)
    {
        sum += part;
        largest = std::max(largest, part);
    }
    void show(metric& total, metric& most) const
    {
        total.set(sum);
        most.set(largest);
    }
};

}  // namespace

void core::measure()
{
    tally unsent;
    tally inflight;
    tally unanswered;
    tally open_calls;
    std::uint64_t stalled = 0;
    std::uint64_t throttled = 0;
    std::uint64_t held = 0;
    std::uint64_t held_bytes = 0;
    for (auto const& [id, l] : links_) {
        unsent.add(l->unsent());
        inflight.add(l->inflight);
        unanswered.add(l->unanswered);
        open_calls.add(calls_.of_caller(id));
        stalled += l->stalled;
        throttled += l->throttled;
        held += l->held.size();
        held_bytes += l->held_bytes;
    }
    unsent.show(counts_.unsent_bytes, counts_.unsent_bytes_largest);
    inflight.show(counts_.inflight_bytes, counts_.inflight_bytes_largest);
    unanswered.show(counts_.operations_unanswered, counts_.operations_unanswered_largest);
    open_calls.show(counts_.calls_open, counts_.calls_open_largest);
    counts_.services.set(services_.services());
    counts_.service_instances.set(services_.instances());
    counts_.links_stalled.set(stalled);
    counts_.links_throttled.set(throttled);
    counts_.operations_held.set(held);
    counts_.operations_held_bytes.set(held_bytes);

    std::uint64_t rows = 0;
    std::uint64_t bytes = 0;
    std::uint64_t in_memory = 0;
    std::uint64_t appends = 0;
    for (auto const& [id, s] : streams_) {
        rows += s->state.messages;
        bytes += s->state.bytes;
        in_memory += s->newest.bytes();
        appends += s->in_flight.size();
    }
    counts_.streams.set(streams_.size());
    counts_.store_rows.set(rows);
    counts_.store_bytes.set(bytes);
    counts_.tail_bytes.set(in_memory);
    counts_.appends_waiting.set(appends);

    tally pending;
    std::uint64_t dead = 0;
    for (auto const& [id, c] : consumers_) {
        pending.add(c->pending_count());
        dead += c->dead;
    }
    counts_.consumers.set(consumers_.size());
    pending.show(counts_.deliveries_pending, counts_.deliveries_pending_largest);
    counts_.dead_letters_kept.set(dead);

    counts_.nodes.set(nodes_.size());
    counts_.inboxes.set(mail_.inboxes());
    counts_.aliases.set(book_.aliases().size());
    counts_.lists.set(book_.lists().size());
    counts_.book_changes_waiting.set(book_waiting_.size());
    counts_.remembered_ids.set(window_.size());
    counts_.users.set(directory_->users().size());
    counts_.keys.set(directory_->keys().size());
    counts_.rules.set(rules_.size());
    counts_.routes.set(routes_.size());
    counts_.admin_waiting.set(admin_->backlog());
}

}  // namespace kedge
