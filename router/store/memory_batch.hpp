#pragma once
/// Inside of `memory_store`: carries out the requests of one batch.

#include "router/store/batch_events.hpp"
#include "router/store/memory_store.hpp"

namespace kedge {

class memory_store::batch_run {
public:
    batch_run(memory_store& store, std::vector<store_event::any>& out) : store_{store}, disk_{store.disk_}, events_{out} {}

    void operator()(store_request::append const&);
    void operator()(store_request::create_stream const&);
    void operator()(store_request::edit_stream const&);
    void operator()(store_request::remove_stream const&);
    void operator()(store_request::create_consumer const&);
    void operator()(store_request::edit_consumer const&);
    void operator()(store_request::remove_consumer const&);
    void operator()(store_request::purge const&);
    void operator()(store_request::check const&);
    void operator()(store_request::save_cursor const&);
    void operator()(store_request::read const&);
    void operator()(store_request::read_seqs const&);
    void operator()(store_request::list_dead const&);
    void operator()(store_request::drop_dead const&);
    void operator()(store_request::replay_dead const&);
    void operator()(store_request::put_node const&);
    void operator()(store_request::put_number const&);
    void operator()(store_request::remove_node const&);
    void operator()(store_request::backup const&);
    void operator()(store_request::put_mirror const&);
    void operator()(store_request::remove_mirror const&);
    void operator()(store_request::import_messages const&);
    void operator()(store_request::read_waiting const&);
    void operator()(store_request::read_placed const&);
    void operator()(store_request::take_back const&);
    void operator()(store_request::put_bridges const&);

private:
    /// Stores the row, its id and its number; of a request that is sound.
    row add(stream&, store_request::append const&);
    store_event::imported::outcome import(stream&, mirror&, store_request::import_messages::item const&);
    stream* find(stream_id);
    consumer* find(consumer_id);
    row const* find_row(stream_id, consumer const*, message_seq);

    memory_store& store_;
    contents_of_disk& disk_;
    batch_events events_;
};

}  // namespace kedge
