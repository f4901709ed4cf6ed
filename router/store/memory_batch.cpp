#include <algorithm>

#include "router/store/batch_events.hpp"
#include "router/store/bounds.hpp"
#include "router/store/memory_batch.hpp"
#include "router/store/post.hpp"
#include "router/store/row_bytes.hpp"

namespace kedge {

void memory_store::batch_run::operator()(store_request::append const& request)
{
    auto* const to = find(request.stream);
    if (to == nullptr)
        return events_.append_failed(request, store_failure::unknown_stream());
    if (auto const* const why = store_.gate_.refuses(request))
        return events_.append_failed(request, *why);
    auto& state = to->state;
    if (state.last == message_seq_max)
        return events_.append_failed(request, store_failure::out_of_seqs());
    auto const bytes = row_bytes(*request.message);
    if (refuses(state, bytes)) {
        auto const why = store_failure::stream_full(state.config.name);
        store_.gate_.failed(request, why);
        return events_.append_failed(request, why);
    }
    if (request.recipients != nullptr)
        for (auto const user : users_of(request.recipients->view())) {
            auto& mail = disk_.mail[std::string{user}];
            mail = {std::string{user}, mail.messages + 1, mail.bytes + bytes};
        }
    auto stored = add(*to, request);
    if (auto* const copy = store_.mirror_of(request.stream); copy != nullptr && stored.seq >= copy->state.start) {
        if (copy->state.waiting_rows++ == 0)
            copy->state.floor = stored.seq - 1;
        copy->state.waiting_bytes += bytes;
    }
    events_.arrived(request.stream, {std::move(stored), request.request, request.named, request.n, request.previous_n, request.digest});
}

row memory_store::batch_run::add(stream& to, store_request::append const& request)
{
    auto& state = to.state;
    auto const bytes = row_bytes(*request.message);
    row stored{++state.last, std::max(state.last_ms, request.time_ms), request.sender, request.message, request.recipients};
    state.last_ms = stored.time_ms;
    ++state.messages;
    state.bytes += bytes;
    to.rows.push_back(stored);
    to.subjects_checked = false;
    if (auto const owner = std::string{usage_owner(state.config, request.sender->view())}; !owner.empty()) {
        auto& usage = disk_.usage[owner];
        usage = {owner, usage.messages + 1, usage.bytes + bytes};
    }
    if (request.named) {
        auto const sender = std::string{request.sender->view()};
        if (auto const id = request.message->id(); !id.empty())
            disk_.ids.push_back({sender, std::string{id}, state.id, stored.seq, request.digest, request.time_ms});
        if (request.n != 0)
            disk_.nodes[sender].last[state.id].add({request.n, request.previous_n, stored.seq, request.digest});
    }
    return stored;
}

void memory_store::batch_run::operator()(store_request::create_stream const& request)
{
    for (auto const& [id, existing] : disk_.streams)
        if (existing.state.config.name == request.config.name)
            return events_.failed(request.request, store_failure::stream_exists(request.config.name));
    stream created;
    created.state.id = stream_id{++disk_.last_stream};
    created.state.config = request.config;
    auto const& made = disk_.streams.emplace(created.state.id, std::move(created)).first->second;
    events_.push(store_event::stream_created{request.request, made.state});
}

void memory_store::batch_run::operator()(store_request::edit_stream const& request)
{
    auto* const edited = find(request.stream);
    if (edited == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    if (edited->state.config.name != request.config.name)
        return events_.failed(request.request, store_failure::renamed());
    edited->state.config = request.config;
    edited->subjects_checked = false;
    events_.done(request.request);
}

void memory_store::batch_run::operator()(store_request::remove_stream const& request)
{
    auto* const removed = find(request.stream);
    if (removed == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    store_.remove_rows(*removed, [](row const&) { return true; });
    disk_.streams.erase(request.stream);
    disk_.mirrors.erase(request.stream);
    store_.marks_.erase(request.stream);
    std::erase_if(disk_.consumers, [&](auto const& c) { return c.second.state.config.stream == request.stream; });
    std::erase_if(disk_.ids, [&](auto const& entry) { return entry.stream == request.stream; });
    for (auto& [name, node] : disk_.nodes)
        node.last.erase(request.stream);
    store_.gate_.forget(request.stream);
    events_.done(request.request);
}

void memory_store::batch_run::operator()(store_request::create_consumer const& request)
{
    auto* const on = find(request.config.stream);
    if (on == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    for (auto const& [id, existing] : disk_.consumers)
        if (existing.state.config.stream == request.config.stream && existing.state.config.name == request.config.name)
            return events_.failed(request.request, store_failure::consumer_exists(request.config.name));
    consumer created;
    created.state.id = consumer_id{++disk_.last_consumer};
    created.state.config = request.config;
    auto const at_time = [&] {
        auto const found = std::partition_point(on->rows.begin(), on->rows.end(),
                                                [&](row const& r) { return r.time_ms < request.start.value; });
        return found == on->rows.end() ? on->state.last + 1 : found->seq;
    };
    auto& position = created.state.position;
    position.next = first_of(request.start, on->state, at_time);
    if (on->state.config.name == inbox_stream && request.start.at == op::start_position::kind::new_only)
        if (auto const mail = disk_.mail.find(request.config.owner); mail != disk_.mail.end()) {
            position.done_messages = mail->second.messages;
            position.done_bytes = mail->second.bytes;
        }
    auto const& made = disk_.consumers.emplace(created.state.id, std::move(created)).first->second;
    events_.push(store_event::consumer_created{request.request, made.state});
}

void memory_store::batch_run::operator()(store_request::edit_consumer const& request)
{
    auto* const edited = find(request.consumer);
    if (edited == nullptr)
        return events_.failed(request.request, store_failure::unknown_consumer());
    if (!same_consumer(edited->state.config, request.config))
        return events_.failed(request.request, store_failure::other_consumer());
    edited->state.config = request.config;
    events_.done(request.request);
}

void memory_store::batch_run::operator()(store_request::purge const& request)
{
    auto const* const of = find(request.stream);
    if (of == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    if (store_.mirror_of(request.stream) != nullptr)
        return events_.failed(request.request, store_failure::mirrored(of->state.config.name));
    store_.purges_.emplace_back(request, 0);
    auto& up_to = store_.purges_.back().first.up_to;
    up_to = up_to == 0 ? of->state.last : std::min(up_to, of->state.last);
}

void memory_store::batch_run::operator()(store_request::check const& request)
{
    events_.push(store_.check(request.request));
}

void memory_store::batch_run::operator()(store_request::remove_consumer const& request)
{
    if (disk_.consumers.erase(request.consumer) == 0)
        return events_.failed(request.request, store_failure::unknown_consumer());
    events_.done(request.request);
}

void memory_store::batch_run::operator()(store_request::save_cursor const& request)
{
    auto* const of = find(request.consumer);
    if (of == nullptr)
        return events_.failed(request.request, store_failure::unknown_consumer());
    for (auto const& death : request.deaths) {
        auto const* const stored = find_row(of->state.config.stream, of, death.seq);
        if (stored == nullptr)
            continue;  // retention was faster: there is nothing left to keep
        of->dead[death.seq] = {{death.seq, death.tries, request.now_ms, death.reason, row{*stored}}, false};
    }
    of->state.position = request.position;
    auto const& pending = of->state.position.pending;
    std::erase_if(of->dead, [&](auto const& entry) {
        return entry.second.replayed
            && !std::binary_search(pending.begin(), pending.end(), cursor::pending_row{entry.first},
                                   [](auto const& a, auto const& b) { return a.seq < b.seq; });
    });
    while (of->dead.size() > store_.limits_.dead_letters)
        of->dead.erase(of->dead.begin());
    events_.done(request.request);
}

void memory_store::batch_run::operator()(store_request::read const& request)
{
    auto const* const from = find(request.stream);
    if (from == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    store_event::rows_read answer{request.request, {}, std::max(request.from, from->state.last + 1)};
    std::size_t bytes = 0;
    for (auto at = std::ranges::lower_bound(from->rows, request.from, {}, &row::seq); at != from->rows.end(); ++at) {
        if (!takes(request.filter, *at))
            continue;
        if (!answer.rows.empty() && (answer.rows.size() >= request.rows_max || bytes >= request.bytes_max)) {
            answer.next = at->seq;
            break;
        }
        bytes += row_bytes(*at->message);
        answer.rows.push_back(*at);
    }
    answer.end = answer.next > from->state.last;
    events_.push(std::move(answer));
}

void memory_store::batch_run::operator()(store_request::read_seqs const& request)
{
    if (find(request.stream) == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    auto* const of = find(request.consumer);
    store_event::rows_read answer{request.request, {}, 0, true};
    for (auto const seq : request.seqs)
        if (auto const* const found = find_row(request.stream, of, seq))
            answer.rows.push_back(*found);
    events_.push(std::move(answer));
}

void memory_store::batch_run::operator()(store_request::list_dead const& request)
{
    auto const* const of = find(request.consumer);
    if (of == nullptr)
        return events_.failed(request.request, store_failure::unknown_consumer());
    store_event::dead_listed answer{request.request, {}, 0};
    for (auto const& [seq, copy] : of->dead) {
        if (copy.replayed)
            continue;
        ++answer.total;
        if (seq > request.after && answer.letters.size() < request.rows_max)
            answer.letters.push_back(copy.letter);
    }
    events_.push(std::move(answer));
}

void memory_store::batch_run::operator()(store_request::drop_dead const& request)
{
    auto* const of = find(request.consumer);
    if (of == nullptr)
        return events_.failed(request.request, store_failure::unknown_consumer());
    std::erase_if(of->dead, [&](auto const& entry) {
        return !entry.second.replayed
            && (request.seqs.empty() || std::ranges::find(request.seqs, entry.first) != request.seqs.end());
    });
    events_.done(request.request);
}

void memory_store::batch_run::operator()(store_request::replay_dead const& request)
{
    auto* const of = find(request.consumer);
    if (of == nullptr)
        return events_.failed(request.request, store_failure::unknown_consumer());
    for (auto const seq : request.seqs)
        if (auto const at = of->dead.find(seq); at != of->dead.end())
            at->second.replayed = true;
    events_.done(request.request);
}

void memory_store::batch_run::operator()(store_request::put_node const& request)
{
    disk_.nodes[request.name].seen_ms = request.seen_ms;
}

void memory_store::batch_run::operator()(store_request::put_number const& request)
{
    if (find(request.stream) != nullptr)
        disk_.nodes[request.node].last[request.stream].add(request.number);
}

void memory_store::batch_run::operator()(store_request::remove_node const& request)
{
    disk_.nodes.erase(request.name);
    std::erase_if(disk_.ids, [&](auto const& entry) { return entry.sender == request.name; });
    events_.done(request.request);
}

void memory_store::batch_run::operator()(store_request::backup const& request)
{
    if (store_.backups_.contains(request.path))
        return events_.failed(request.request, store_failure::file_exists(request.path));
    store_.backups_due_.emplace_back(request.request, request.path);
}

memory_store::stream* memory_store::batch_run::find(stream_id id)
{
    auto const at = disk_.streams.find(id);
    return at == disk_.streams.end() ? nullptr : &at->second;
}

memory_store::consumer* memory_store::batch_run::find(consumer_id id)
{
    auto const at = disk_.consumers.find(id);
    return at == disk_.consumers.end() ? nullptr : &at->second;
}

row const* memory_store::batch_run::find_row(stream_id in, consumer const* of, message_seq seq)
{
    if (auto const* const s = find(in); s != nullptr)
        if (auto const* const found = memory_store::find_row(*s, seq))
            return found;
    if (of == nullptr)
        return nullptr;
    auto const at = of->dead.find(seq);
    return at == of->dead.end() ? nullptr : &at->second.letter.stored;
}

}  // namespace kedge
