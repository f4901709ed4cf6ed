#pragma once
/// What both stores need to answer a batch in the order that the contract wants.

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "router/store/store.hpp"

namespace kedge {

/// Gathers the events of one batch. Rows of a stream share one `rows_arrived`, at the place of the first of them; a failed
/// append closes it, and so does the answer to an import that brought rows, so that a stream's events stay in the order of its requests.
class batch_events {
public:
    explicit batch_events(std::vector<store_event::any>& out) : out_{out} {}

    void arrived(stream_id stream, store_event::rows_arrived::arrival arrival)
    {
        auto const [at, fresh] = open_.try_emplace(stream, out_.size());
        if (fresh)
            out_.push_back(store_event::rows_arrived{stream, {}});
        std::get<store_event::rows_arrived>(out_[at->second]).rows.push_back(std::move(arrival));
    }
    void append_failed(store_request::append const& request, failure why)
    {
        open_.erase(request.stream);
        out_.push_back(store_event::append_failed{request.request, request.stream, std::move(why)});
    }
    void imported(store_event::imported answer)
    {
        if (std::ranges::find(answer.outcomes, store_event::imported::outcome::inserted) != answer.outcomes.end())
            open_.erase(answer.stream);
        out_.push_back(std::move(answer));
    }
    /// `request` = none: nobody waits for the answer.
    void done(token request)
    {
        if (request != token::none)
            out_.push_back(store_event::done{request});
    }
    void failed(token request, failure why)
    {
        if (request != token::none)
            out_.push_back(store_event::failed{request, std::move(why)});
    }
    void push(store_event::any event) { out_.push_back(std::move(event)); }

private:
    std::vector<store_event::any>& out_;
    std::map<stream_id, std::size_t> open_;
};

/// Keeps what was pipelined behind a failed append from being stored (`store_request::append::epoch`). Lives as long as the
/// process: epochs are the router's and begin anew with it.
class epoch_gate {
public:
    /// The reason to refuse the append, or null.
    failure const* refuses(store_request::append const& request) const
    {
        auto const at = failed_.find(request.stream);
        return at != failed_.end() && request.epoch <= at->second.epoch ? &at->second.why : nullptr;
    }
    void failed(store_request::append const& request, failure const& why)
    {
        auto& entry = failed_[request.stream];
        entry.epoch = std::max(entry.epoch, request.epoch);
        entry.why = why;
    }
    void forget(stream_id stream) { failed_.erase(stream); }
    void clear() { failed_.clear(); }

private:
    struct entry {
        std::uint64_t epoch = 0;
        failure why;
    };
    std::map<stream_id, entry> failed_;
};

/// Where a new consumer begins. `at_time` finds the first row that is not older than the start's time; it is called only then.
template <class AtTime>
message_seq first_of(op::start_position const& start, stream_state const& stream, AtTime const& at_time)
{
    switch (start.at) {
    case op::start_position::kind::new_only: return stream.last + 1;
    case op::start_position::kind::first: return stream.first;
    case op::start_position::kind::seq: return std::clamp(start.value, stream.first, message_seq_max);
    case op::start_position::kind::time: return at_time();
    }
    return stream.last + 1;
}

/// A copy of a row that the log has not, the highest of them; 0: there is none.
inline message_seq lacking(store_request::import_messages const& request, message_seq last)
{
    message_seq highest = 0;
    for (auto const& item : request.items)
        if (item.copy_of > last)
            highest = std::max(highest, item.copy_of);
    return highest;
}
inline bool out_of_numbers(store_request::import_messages const& request, message_seq last)
{
    return message_seq_max - last < request.items.size() || (!request.items.empty() && request.items.back().place > jet_place_max);
}
/// As events tell it: without what only the one who wrote it can read.
inline mirror_state brief(mirror_state const& of)
{
    return {of.stream, of.start, of.checkpoint, of.stamp, of.generation, of.floor, of.waiting_rows, of.waiting_bytes, of.keep, {}, {}};
}

/// Whether the two differ only in what `edit_consumer` may change.
inline bool same_consumer(consumer_config const& a, consumer_config const& b)
{
    return a.stream == b.stream && a.name == b.name && a.owner == b.owner && a.filter == b.filter;
}

namespace store_failure {

inline failure unknown_stream() { return {error_code::unknown_stream, "there is no such stream"}; }
inline failure unknown_consumer() { return {error_code::unknown_consumer, "there is no such consumer"}; }
inline failure full() { return {error_code::store_full, "the disk is full: the message was not stored"}; }
inline failure out_of_seqs() { return {error_code::store_full, "the stream has given out its last sequence number"}; }
inline failure no_mirror(std::string const& stream) { return {error_code::bad_request, "the stream " + stream + " is not mirrored"}; }
inline failure mirrored(std::string const& stream)
{
    return {error_code::bad_request, "the stream " + stream + " is mirrored: a purge would make its two copies different"};
}
inline failure stream_exists(std::string const& name) { return {error_code::exists, "a stream named " + name + " exists"}; }
inline failure consumer_exists(std::string const& name)
{
    return {error_code::exists, "the stream has a consumer named " + name};
}
inline failure stream_full(std::string const& name)
{
    return {error_code::quota, "the stream " + name + " is full: the message was not stored"};
}
inline failure other_consumer()
{
    return {error_code::bad_request, "a consumer keeps its stream, name, owner and filter"};
}
inline failure renamed() { return {error_code::bad_request, "a stream keeps its name"}; }
inline failure no_user(std::string const& name) { return {error_code::bad_request, "there is no user " + name}; }
inline failure no_key(std::string const& user) { return {error_code::bad_request, user + " has no such key"}; }
inline failure no_rule() { return {error_code::bad_request, "there is no such rule"}; }
inline failure no_ban() { return {error_code::bad_request, "there is no such ban"}; }
inline failure no_alias(std::string const& alias) { return {error_code::bad_request, "there is no alias ~" + alias}; }
inline failure alias_exists(std::string const& alias) { return {error_code::exists, "the alias ~" + alias + " is another user's"}; }
inline failure no_list(std::string const& name) { return {error_code::unknown_list, "there is no list @" + name}; }
inline failure too_many(std::string const& what) { return {error_code::quota, "there are too many " + what + " (a configured limit)"}; }
inline failure file_exists(std::string const& path) { return {error_code::exists, path + " exists: a backup replaces nothing"}; }

}  // namespace store_failure

}  // namespace kedge
