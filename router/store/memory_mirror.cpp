/// Copies in JetStream, as the memory holds them.

#include <algorithm>
#include <cassert>

#include "router/store/memory_batch.hpp"
#include "router/store/row_bytes.hpp"

namespace kedge {

using outcome = store_event::imported::outcome;

memory_store::mirror* memory_store::mirror_of(stream_id of)
{
    auto const at = disk_.mirrors.find(of);
    return at == disk_.mirrors.end() ? nullptr : &at->second;
}

void memory_store::raise_floor(mirror& copy, stream const& of)
{
    auto& floor = copy.state.floor;
    auto at = std::ranges::upper_bound(of.rows, floor, {}, &row::seq);
    while (at != of.rows.end() && (at->seq < copy.state.start || copy.rows.contains(at->seq)))
        ++at;
    floor = std::max(floor, at == of.rows.end() ? of.state.last : at->seq - 1);
}

void memory_store::count_out(mirror& copy, row const& gone)
{
    if (auto const at = copy.rows.find(gone.seq); at != copy.rows.end()) {
        copy.places.erase(at->second.place);
        copy.rows.erase(at);
    } else if (gone.seq >= copy.state.start) {
        --copy.state.waiting_rows;
        copy.state.waiting_bytes -= row_bytes(*gone.message);
    }
}

message_seq memory_store::may_go_up_to(stream const& of, std::uint64_t now_ms)
{
    auto const* const copy = mirror_of(of.state.id);
    if (copy == nullptr)
        return message_seq_max;
    auto& marks = marks_[of.state.id];
    marks.note(now_ms, copy->state.floor, limits_.mirror_sync_ms);
    return copy->state.keep ? marks.up_to() : message_seq_max;
}

void memory_store::batch_run::operator()(store_request::put_mirror const& request)
{
    auto const& wanted = request.mirror;
    auto const* const of = find(wanted.stream);
    if (of == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    if (auto* const copy = store_.mirror_of(wanted.stream)) {
        copy->state.keep = wanted.keep;
        copy->state.journal = wanted.journal;
        return events_.done(request.request);
    }
    auto& state = disk_.mirrors[wanted.stream].state;
    state = wanted;
    state.start = std::max<message_seq>(state.start, 1);
    state.floor = state.start - 1;
    state.waiting_rows = state.waiting_bytes = 0;
    for (auto const& stored : of->rows)
        if (stored.seq >= state.start) {
            ++state.waiting_rows;
            state.waiting_bytes += row_bytes(*stored.message);
        }
    events_.done(request.request);
}

void memory_store::batch_run::operator()(store_request::remove_mirror const& request)
{
    if (find(request.stream) == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    disk_.mirrors.erase(request.stream);
    store_.marks_.erase(request.stream);
    events_.done(request.request);
}

void memory_store::batch_run::operator()(store_request::import_messages const& request)
{
    auto* const to = find(request.stream);
    if (to == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    auto* const copy = store_.mirror_of(request.stream);
    if (copy == nullptr)
        return events_.failed(request.request, store_failure::no_mirror(to->state.config.name));
    if (out_of_numbers(request, to->state.last))
        return events_.failed(request.request, store_failure::out_of_seqs());
    store_event::imported answer{request.request, request.stream, {}, lacking(request, to->state.last), {}};
    if (answer.lacking == 0) {
        for (auto const& item : request.items)
            answer.outcomes.push_back(import(*to, *copy, item));
        auto& state = copy->state;
        if (request.checkpoint >= state.checkpoint) {
            state.checkpoint = request.checkpoint;
            state.stamp = request.stamp;
            state.lanes = request.lanes;
        }
        raise_floor(*copy, *to);
    }
    answer.now = brief(copy->state);
    events_.imported(std::move(answer));
}

outcome memory_store::batch_run::import(stream& to, mirror& copy, store_request::import_messages::item const& item)
{
    auto& state = copy.state;
    if (item.place <= state.checkpoint && !item.taken && (item.copy_of == 0 || item.message != nullptr))
        return outcome::known;
    if (item.copy_of != 0) {
        auto const* const ours = memory_store::find_row(to, item.copy_of);
        if (ours == nullptr)
            return outcome::passed;
        if (copy.places.contains(item.place))
            return outcome::known;
        if (!copy.rows.contains(item.copy_of)) {
            copy.rows[item.copy_of] = {item.place, item.stamp};
            copy.places[item.place] = item.copy_of;
            if (item.copy_of >= state.start) {
                --state.waiting_rows;
                state.waiting_bytes -= row_bytes(*ours->message);
            }
            return outcome::placed;
        }
    }
    if (item.message == nullptr)
        return outcome::passed;
    if (copy.places.contains(item.place))
        return outcome::known;
    assert(item.sender != nullptr);
    store_request::append row;
    row.time_ms = item.time_ms;
    row.sender = item.sender;
    row.named = item.named;
    row.n = item.n;
    row.previous_n = item.previous_n;
    row.digest = item.digest;
    row.message = item.message;
    auto stored = add(to, row);
    copy.rows[stored.seq] = {item.place, item.stamp};
    copy.places[item.place] = stored.seq;
    events_.arrived(to.state.id, {std::move(stored), item.origin, item.named, item.n, item.previous_n, item.digest});
    return outcome::inserted;
}

void memory_store::batch_run::operator()(store_request::read_waiting const& request)
{
    auto const* const of = find(request.stream);
    if (of == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    auto const* const copy = store_.mirror_of(request.stream);
    if (copy == nullptr)
        return events_.failed(request.request, store_failure::no_mirror(of->state.config.name));
    auto const from = std::max({request.from, copy->state.start, copy->state.floor + 1});
    store_event::rows_read answer{request.request, {}, std::max(from, of->state.last + 1), true};
    std::size_t bytes = 0;
    for (auto at = std::ranges::lower_bound(of->rows, from, {}, &row::seq); at != of->rows.end(); ++at) {
        if (copy->rows.contains(at->seq))
            continue;
        if (!answer.rows.empty() && (answer.rows.size() >= request.rows_max || bytes >= request.bytes_max)) {
            answer.next = at->seq;
            answer.end = false;
            break;
        }
        bytes += row_bytes(*at->message);
        answer.rows.push_back(*at);
    }
    events_.push(std::move(answer));
}

void memory_store::batch_run::operator()(store_request::read_placed const& request)
{
    auto const* const of = find(request.stream);
    if (of == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    auto const* const copy = store_.mirror_of(request.stream);
    if (copy == nullptr)
        return events_.failed(request.request, store_failure::no_mirror(of->state.config.name));
    store_event::placed_read answer{request.request, {}, true};
    std::size_t bytes = 0;
    auto const add = [&](jet_place place, message_seq seq) {
        if (!answer.rows.empty() && (answer.rows.size() >= request.rows_max || bytes >= request.bytes_max))
            return answer.end = false;
        auto const* const stored = memory_store::find_row(*of, seq);
        bytes += row_bytes(*stored->message);
        answer.rows.push_back({place, copy->rows.at(seq).stamp, seq, stored->message, stored->sender, stored->time_ms});
        return true;
    };
    auto const first = copy->places.lower_bound(request.from);
    auto const end = request.to < request.from ? first : copy->places.upper_bound(request.to);
    if (request.downwards) {
        for (auto at = end; at != first && add(std::prev(at)->first, std::prev(at)->second);)
            --at;
    } else {
        for (auto at = first; at != end && add(at->first, at->second);)
            ++at;
    }
    events_.push(std::move(answer));
}

void memory_store::batch_run::operator()(store_request::take_back const& request)
{
    auto const* const of = find(request.stream);
    if (of == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    auto* const copy = store_.mirror_of(request.stream);
    if (copy == nullptr)
        return events_.failed(request.request, store_failure::no_mirror(of->state.config.name));
    auto& state = copy->state;
    store_event::taken_back answer{request.request, 0, false, {}};
    for (; answer.rows < request.rows_max && !copy->places.empty() && copy->places.rbegin()->first > request.above; ++answer.rows) {
        auto const at = std::prev(copy->places.end());
        auto const seq = at->second;
        if (auto const* const stored = memory_store::find_row(*of, seq); stored != nullptr && seq >= state.start) {
            ++state.waiting_rows;
            state.waiting_bytes += row_bytes(*stored->message);
            state.floor = std::min(state.floor, seq - 1);
        }
        copy->rows.erase(seq);
        copy->places.erase(at);
    }
    store_.marks_[request.stream].lower(state.floor);
    answer.end = copy->places.empty() || copy->places.rbegin()->first <= request.above;
    if (answer.end) {
        state.checkpoint = request.above;
        state.stamp = request.stamp;
        state.lanes = request.lanes;
        ++state.generation;
    }
    answer.now = brief(state);
    events_.push(std::move(answer));
}

void memory_store::batch_run::operator()(store_request::put_bridges const& request)
{
    disk_.bridges = request.bridges;
    events_.done(request.request);
}

}  // namespace kedge
