#include "router/store/sqlite/node_table.hpp"

namespace kedge::sqlite {

node_table::node_table(database& on)
    : nodes_{on, "SELECT name, seen_ms FROM node ORDER BY name"},
      numbers_{on, "SELECT node, stream, n, seq FROM node_n ORDER BY node, stream"},
      put_{on, "INSERT INTO node VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seen_ms = excluded.seen_ms"},
      remove_{on, "DELETE FROM node WHERE name = ?"},
      remove_numbers_{on, "DELETE FROM node_n WHERE node = ?"},
      remove_stream_{on, "DELETE FROM node_n WHERE stream = ?"},
      raise_{on, "INSERT INTO node_n VALUES (?, ?, ?, ?) ON CONFLICT (node, stream)"
                 " DO UPDATE SET n = excluded.n, seq = excluded.seq WHERE excluded.n > n"}
{
}

std::vector<node_state> node_table::states()
{
    std::map<std::string, node_state, std::less<>> all;
    auto nodes = nodes_.query();
    while (nodes.next())
        all[nodes.string(0)].seen_ms = nodes.number(1);
    auto numbers = numbers_.query();
    while (numbers.next())
        all[numbers.string(0)].last.push_back(
            {stream_id{static_cast<std::uint32_t>(numbers.integer(1))}, numbers.number(2), numbers.number(3)});
    std::vector<node_state> list;
    for (auto& [name, state] : all) {
        state.name = name;
        list.push_back(std::move(state));
    }
    return list;
}

void node_table::put(store_request::put_node const& request)
{
    put_.run(std::string_view{request.name}, request.seen_ms);
}

void node_table::remove(std::string const& name)
{
    save();  // what stood before in the batch goes too
    remove_.run(std::string_view{name});
    remove_numbers_.run(std::string_view{name});
}

void node_table::remove_stream(stream_id stream)
{
    save();
    remove_stream_.run(static_cast<std::uint32_t>(stream));
}

void node_table::raise(bytes_ptr const& sender, stream_id stream, std::uint64_t n, message_seq seq)
{
    if (last_ == nullptr || last_sender_ != sender || last_->stream != stream) {
        last_ = &raised_[{std::string{sender->view()}, stream}];
        last_->stream = stream;
        last_sender_ = sender;
    }
    if (n > last_->n) {
        last_->n = n;
        last_->seq = seq;
    }
}

void node_table::save()
{
    for (auto const& [key, highest] : raised_)
        raise_.run(std::string_view{key.first}, static_cast<std::uint32_t>(key.second), highest.n, highest.seq);
    forget();
}

void node_table::forget()
{
    raised_.clear();
    last_ = nullptr;
    last_sender_.reset();
}

}  // namespace kedge::sqlite
