/// The requests of mirror.hpp.

#include <algorithm>
#include <cassert>

#include "router/store/row_bytes.hpp"
#include "router/store/sqlite/batch_run.hpp"

namespace kedge::sqlite {

namespace {

using outcome = store_event::imported::outcome;

constexpr std::size_t look_max = 16'384;  // places that one read for what waits passes: some milliseconds

}  // namespace

std::pair<stream_entry*, mirror_entry*> batch_run::mirrored(stream_id id, token request)
{
    auto* const of = all_.streams.find(id);
    if (of == nullptr)
        events_.failed(request, store_failure::unknown_stream());
    else if (of->mirror == nullptr)
        events_.failed(request, store_failure::no_mirror(of->state.config.name));
    else
        return {of, of->mirror};
    return {};
}

void batch_run::operator()(store_request::put_mirror const& request)
{
    auto* const of = all_.streams.find(request.mirror.stream);
    if (of == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    if (of->mirror != nullptr) {
        all_.mirrors.edit(*of->mirror, request.mirror.keep, request.mirror.journal);
    } else {
        auto wanted = request.mirror;
        wanted.start = std::max<message_seq>(wanted.start, 1);
        all_.mirrors.create(*of, wanted, all_.log.count_from(*of, wanted.start));
    }
    events_.done(request.request);
}

void batch_run::operator()(store_request::remove_mirror const& request)
{
    auto* const of = all_.streams.find(request.stream);
    if (of == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    if (of->mirror != nullptr)
        all_.mirrors.remove(*of);
    events_.done(request.request);
}

void batch_run::operator()(store_request::import_messages const& request)
{
    auto const [to, copy] = mirrored(request.stream, request.request);
    if (copy == nullptr)
        return;
    if (out_of_numbers(request, to->state.last))
        return events_.failed(request.request, store_failure::out_of_seqs());
    store_event::imported answer{request.request, request.stream, {}, lacking(request, to->state.last), {}};
    if (answer.lacking == 0) {
        answer.outcomes.reserve(request.items.size());
        for (auto const& item : request.items)
            answer.outcomes.push_back(import(*to, item));
        if (request.checkpoint >= copy->state.checkpoint)
            all_.mirrors.move_checkpoint(*copy, request.checkpoint, request.stamp, request.lanes);
        all_.mirrors.raise_floor(*copy, to->state.last);
    }
    answer.now = brief(copy->state);
    events_.imported(std::move(answer));
}

outcome batch_run::import(stream_entry& to, store_request::import_messages::item const& item)
{
    auto& copy = *to.mirror;
    if (item.place <= copy.state.checkpoint && !item.taken && (item.copy_of == 0 || item.message != nullptr))
        return outcome::known;
    if (item.copy_of != 0) {
        auto const bytes = all_.log.bytes_of(to, item.copy_of);
        if (!bytes)
            return outcome::passed;
        switch (all_.mirrors.place(copy, item.copy_of, *bytes, item.place, item.stamp)) {
        case mirror_table::met::placed: return outcome::placed;
        case mirror_table::met::known: return outcome::known;
        case mirror_table::met::taken: break;  // somebody sent the copy again: a message like any other
        }
    }
    if (item.message == nullptr)
        return outcome::passed;
    assert(item.sender != nullptr);
    if (!all_.mirrors.place_next(copy, to.state.last + 1, item.place, item.stamp))
        return outcome::known;
    auto stored = all_.log.append(to, {item.sender, item.message, nullptr, item.time_ms, false});
    all_.streams.changed(to);
    if (item.named)
        remember(item.sender, to.state.id, *item.message, {item.n, item.previous_n, stored.seq, item.digest}, item.time_ms);
    events_.arrived(to.state.id, {std::move(stored), item.origin, item.named, item.n, item.previous_n, item.digest});
    return outcome::inserted;
}

void batch_run::operator()(store_request::read_waiting const& request)
{
    auto const [of, copy] = mirrored(request.stream, request.request);
    if (copy == nullptr)
        return;
    auto const last = of->state.last;
    auto const rows_max = std::max<std::size_t>(request.rows_max, 1);
    store_event::rows_read answer{request.request, {}, 0, false};
    auto& next = answer.next;
    next = std::max({request.from, copy->state.start, copy->state.floor + 1, of->state.first});
    std::size_t bytes = 0;
    bool room = true;
    auto const read_up_to = [&](message_seq to) {
        room = all_.log.each(*of, next, to, [&](row found) {
            bytes += row_bytes(*found.message);
            next = found.seq + 1;
            answer.rows.push_back(std::move(found));
            return answer.rows.size() < rows_max && bytes < request.bytes_max;
        });
        if (room)
            next = to + 1;
        return room;
    };
    // Along the places, which are small: what is between two of them waits.
    std::size_t looked = 0;
    all_.mirrors.each_placed(*copy, next, last, [&](message_seq placed) {
        if (next < placed && !read_up_to(placed - 1))
            return false;
        next = placed + 1;
        return ++looked < look_max;
    });
    if (room && looked < look_max && next <= last)
        read_up_to(last);
    answer.end = next > last;
    events_.push(std::move(answer));
}

void batch_run::operator()(store_request::read_placed const& request)
{
    auto const [of, copy] = mirrored(request.stream, request.request);
    if (copy == nullptr)
        return;
    auto const rows_max = std::max<std::size_t>(request.rows_max, 1);
    store_event::placed_read answer{request.request, {}, true};
    std::size_t bytes = 0;
    for (auto const& at : all_.mirrors.places(*copy, request.from, request.to, rows_max + 1, request.downwards)) {
        if (!answer.rows.empty() && (answer.rows.size() >= rows_max || bytes >= request.bytes_max)) {
            answer.end = false;
            break;
        }
        auto stored = all_.log.fetch(*of, at.seq);
        if (stored.message != nullptr)
            bytes += row_bytes(*stored.message);
        answer.rows.push_back({at.place, at.stamp, at.seq, std::move(stored.message), std::move(stored.sender), stored.time_ms});
    }
    events_.push(std::move(answer));
}

void batch_run::operator()(store_request::take_back const& request)
{
    auto const [of, copy] = mirrored(request.stream, request.request);
    if (copy == nullptr)
        return;
    auto const rows_max = std::max<std::size_t>(request.rows_max, 1);
    auto const found = all_.mirrors.places(*copy, request.above + 1, jet_place_max, rows_max + 1, true);
    auto const count = std::min(found.size(), rows_max);
    store_event::taken_back answer{request.request, count, found.size() == count, {}};
    mirror_table::count waiting;
    auto lowest = message_seq_max;
    for (std::size_t i = 0; i < count; ++i) {
        auto const seq = found[i].seq;
        auto const bytes = seq < copy->state.start ? std::nullopt : all_.log.bytes_of(*of, seq);
        if (!bytes)
            continue;
        ++waiting.rows;
        waiting.bytes += *bytes;
        lowest = std::min(lowest, seq);
    }
    if (count != 0)
        all_.mirrors.take_back(*copy, found[count - 1].place, lowest, waiting);
    if (answer.end) {
        all_.mirrors.move_checkpoint(*copy, request.above, request.stamp, request.lanes);
        ++copy->state.generation;
    }
    answer.now = brief(copy->state);
    events_.push(std::move(answer));
}

void batch_run::operator()(store_request::put_bridges const& request)
{
    statement put{on_, "INSERT INTO meta VALUES ('bridges', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"};
    put.run(request.bridges);
    events_.done(request.request);
}

}  // namespace kedge::sqlite
