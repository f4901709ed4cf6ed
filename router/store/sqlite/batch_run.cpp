#include "router/store/sqlite/batch_run.hpp"

#include <algorithm>
#include <filesystem>

#include "router/store/bounds.hpp"
#include "router/store/post.hpp"
#include "router/store/row_bytes.hpp"

namespace kedge::sqlite {

void tables::load()
{
    log.forget();
    nodes.forget();
    mail.forget();
    usage.forget();
    streams.load();
    mirrors.load(streams);
    consumers.load();
    ids.load();
}

batch_run::batch_run(database& on, tables& all, epoch_gate& gate, left_over& later, std::vector<store_event::any>& out)
    : on_{on}, all_{all}, gate_{gate}, later_{later}, events_{out}
{
}

void batch_run::operator()(store_request::append const& request)
{
    auto* const to = all_.streams.find(request.stream);
    if (to == nullptr)
        return events_.append_failed(request, store_failure::unknown_stream());
    if (auto const* const why = gate_.refuses(request))
        return events_.append_failed(request, *why);
    if (to->state.last == message_seq_max)
        return events_.append_failed(request, store_failure::out_of_seqs());
    auto const bytes = row_bytes(*request.message);
    if (refuses(to->state, bytes)) {
        auto const why = store_failure::stream_full(to->state.config.name);
        gate_.failed(request, why);  // else what the link sent behind it would overtake the retry
        return events_.append_failed(request, why);
    }
    if (request.recipients != nullptr)
        for (auto const user : users_of(request.recipients->view()))
            all_.mail.add(user, bytes);
    auto stored = all_.log.append(*to, {request.sender, request.message, request.recipients, request.time_ms, true});
    all_.streams.changed(*to);
    if (to->mirror != nullptr)
        to->mirror->arrived(stored.seq, bytes);
    if (request.named)
        remember(request.sender, request.stream, *request.message, {request.n, request.previous_n, stored.seq, request.digest}, request.time_ms);
    events_.arrived(request.stream, {std::move(stored), request.request, request.named, request.n, request.previous_n, request.digest});
}

void batch_run::remember(bytes_ptr const& sender, stream_id stream, message const& m, chained_number const& number, std::uint64_t time_ms)
{
    if (!m.id().empty())
        all_.ids.remember({sender->view(), stream, number.seq, number.digest, time_ms, m.id()});
    if (number.n != 0)
        all_.nodes.add(sender, stream, number);
}

void batch_run::operator()(store_request::create_stream const& request)
{
    if (all_.streams.find(request.config.name) != nullptr)
        return events_.failed(request.request, store_failure::stream_exists(request.config.name));
    events_.push(store_event::stream_created{request.request, all_.streams.create(request.config).state});
}

void batch_run::operator()(store_request::edit_stream const& request)
{
    auto* const edited = all_.streams.find(request.stream);
    if (edited == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    if (edited->state.config.name != request.config.name)
        return events_.failed(request.request, store_failure::renamed());
    all_.streams.edit(*edited, request.config);
    events_.done(request.request);
}

void batch_run::operator()(store_request::remove_stream const& request)
{
    auto* const removed = all_.streams.find(request.stream);
    if (removed == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    if (removed->mirror != nullptr)
        all_.mirrors.remove(*removed);
    all_.consumers.remove(request.stream);
    all_.nodes.remove_stream(request.stream);
    all_.streams.remove(request.stream);
    statement garbage{on_, "INSERT INTO garbage VALUES (?, ?)"};
    garbage.run(static_cast<int>(garbage_kind::stream_rows), static_cast<std::uint32_t>(request.stream));
    events_.done(request.request);
}

void batch_run::operator()(store_request::create_consumer const& request)
{
    auto const* const on = all_.streams.find(request.config.stream);
    if (on == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    if (all_.consumers.find(request.config.stream, request.config.name) != nullptr)
        return events_.failed(request.request, store_failure::consumer_exists(request.config.name));
    cursor start;
    start.next = first_of(request.start, on->state, [&] { return all_.log.first_at(*on, request.start.value); });
    if (on->state.config.name == inbox_stream && request.start.at == op::start_position::kind::new_only) {
        auto const mail = all_.mail.of(request.config.owner);
        start.done_messages = mail.messages;
        start.done_bytes = mail.bytes;
    }
    events_.push(store_event::consumer_created{request.request, all_.consumers.create(request.config, start)});
}

void batch_run::operator()(store_request::edit_consumer const& request)
{
    auto const* const edited = all_.consumers.find(request.consumer);
    if (edited == nullptr)
        return events_.failed(request.request, store_failure::unknown_consumer());
    if (!all_.consumers.edit(*edited, request.config))
        return events_.failed(request.request, store_failure::other_consumer());
    events_.done(request.request);
}

void batch_run::operator()(store_request::purge const& request)
{
    auto const* const of = all_.streams.find(request.stream);
    if (of == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    if (of->mirror != nullptr)
        return events_.failed(request.request, store_failure::mirrored(of->state.config.name));
    later_.purges.push_back({request, of->state.first, 0});
    auto& up_to = later_.purges.back().asked.up_to;
    up_to = up_to == 0 ? of->state.last : std::min(up_to, of->state.last);
}

void batch_run::operator()(store_request::check const& request)
{
    if (later_.check_running || later_.check)
        return events_.failed(request.request, {error_code::exists, "another check is under way"});
    later_.check = request;
}

void batch_run::operator()(store_request::remove_consumer const& request)
{
    if (all_.consumers.find(request.consumer) == nullptr)
        return events_.failed(request.request, store_failure::unknown_consumer());
    all_.consumers.remove(request.consumer);
    events_.done(request.request);
}

void batch_run::operator()(store_request::save_cursor const& request)
{
    auto* const of = all_.consumers.find(request.consumer);
    auto* const in = of == nullptr ? nullptr : all_.streams.find(of->stream);
    if (in == nullptr)
        return events_.failed(request.request, store_failure::unknown_consumer());
    all_.consumers.save_cursor(*of, *in, all_.log, request);
    events_.done(request.request);
}

void batch_run::operator()(store_request::read const& request)
{
    auto* const from = all_.streams.find(request.stream);
    if (from == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    store_event::rows_read answer{request.request, {}, 0, false};
    all_.log.read(*from, request, answer);
    events_.push(std::move(answer));
}

void batch_run::operator()(store_request::read_seqs const& request)
{
    auto const* const from = all_.streams.find(request.stream);
    if (from == nullptr)
        return events_.failed(request.request, store_failure::unknown_stream());
    store_event::rows_read answer{request.request, {}, 0, true};
    for (auto const seq : request.seqs) {
        auto found = all_.log.fetch(*from, seq);
        if (found.message == nullptr)
            found = all_.consumers.fetch_dead(request.consumer, seq);
        if (found.message != nullptr)
            answer.rows.push_back(std::move(found));
    }
    events_.push(std::move(answer));
}

void batch_run::operator()(store_request::list_dead const& request)
{
    auto const* const of = all_.consumers.find(request.consumer);
    if (of == nullptr)
        return events_.failed(request.request, store_failure::unknown_consumer());
    store_event::dead_listed answer{request.request, {}, 0};
    all_.consumers.list_dead(*of, request, answer);
    events_.push(std::move(answer));
}

void batch_run::operator()(store_request::drop_dead const& request)
{
    auto* const of = all_.consumers.find(request.consumer);
    if (of == nullptr)
        return events_.failed(request.request, store_failure::unknown_consumer());
    all_.consumers.drop_dead(*of, request.seqs);
    events_.done(request.request);
}

void batch_run::operator()(store_request::replay_dead const& request)
{
    auto* const of = all_.consumers.find(request.consumer);
    if (of == nullptr)
        return events_.failed(request.request, store_failure::unknown_consumer());
    all_.consumers.replay_dead(*of, request.seqs);
    events_.done(request.request);
}

void batch_run::operator()(store_request::put_node const& request)
{
    all_.nodes.put(request);
}

void batch_run::operator()(store_request::put_number const& request)
{
    if (all_.streams.find(request.stream) != nullptr)
        all_.nodes.add(shared_bytes::copy_of(request.node), request.stream, request.number);
}

void batch_run::operator()(store_request::remove_node const& request)
{
    all_.nodes.remove(request.name);
    all_.ids.forget_sender(request.name);
    events_.done(request.request);
}

void batch_run::operator()(store_request::backup const& request)
{
    if (later_.backup_running || later_.backup)
        return events_.failed(request.request, {error_code::exists, "another backup is under way"});
    std::error_code unused;
    if (std::filesystem::exists(request.path, unused))
        return events_.failed(request.request, store_failure::file_exists(request.path));
    later_.backup = request;  // `maintain` begins it, outside of this transaction
}

void batch_run::finish()
{
    all_.mail.save();
    all_.usage.save();
    all_.streams.save();
    all_.mirrors.save();
    all_.nodes.save();
    all_.ids.save();
}

}  // namespace kedge::sqlite
