#include "router/store/sqlite/node_table.hpp"

#include <algorithm>

namespace kedge::sqlite {

namespace {

std::uint32_t number_of(stream_id stream) { return static_cast<std::uint32_t>(stream); }

chained_number early_at(statement::rows const& row, int column)
{
    return {row.number(column), row.number(column + 1), row.number(column + 2), row.number(column + 3)};
}

}  // namespace

node_table::node_table(database& on)
    : on_{on}, nodes_{on, "SELECT name, seen_ms FROM node ORDER BY name"},
      numbers_{on, "SELECT node, stream, n, seq FROM node_n ORDER BY node, stream"},
      all_early_{on, "SELECT node, stream, n, previous, seq, digest FROM node_early ORDER BY node, stream, n"},
      put_{on, "INSERT INTO node VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seen_ms = excluded.seen_ms"},
      remove_{on, "DELETE FROM node WHERE name = ?"},
      remove_numbers_{on, "DELETE FROM node_n WHERE node = ?"},
      remove_early_{on, "DELETE FROM node_early WHERE node = ?"},
      remove_stream_{on, "DELETE FROM node_n WHERE stream = ?"},
      remove_stream_early_{on, "DELETE FROM node_early WHERE stream = ?"},
      // Only behind its predecessor; else nothing changes.
      raise_{on, "INSERT INTO node_n SELECT ?1, ?2, ?3, ?4"
                 " WHERE ?5 = 0 OR EXISTS (SELECT 1 FROM node_n WHERE node = ?1 AND stream = ?2)"
                 " ON CONFLICT (node, stream) DO UPDATE SET n = excluded.n, seq = excluded.seq WHERE excluded.n > n AND n >= ?5"},
      number_{on, "SELECT n, seq FROM node_n WHERE node = ? AND stream = ?"},
      early_{on, "SELECT n, previous, seq, digest FROM node_early WHERE node = ? AND stream = ? ORDER BY n"},
      put_number_{on, "INSERT INTO node_n VALUES (?, ?, ?, ?) ON CONFLICT (node, stream) DO UPDATE SET n = excluded.n, seq = excluded.seq"},
      put_early_{on, "INSERT INTO node_early VALUES (?, ?, ?, ?, ?, ?)"},
      drop_early_{on, "DELETE FROM node_early WHERE node = ? AND stream = ?"}
{
}

std::vector<node_state> node_table::states()
{
    std::map<std::string, node_state, std::less<>> all;
    auto nodes = nodes_.query();
    while (nodes.next())
        all[nodes.string(0)].seen_ms = nodes.number(1);
    auto const numbers_in = [&](statement::rows const& row) -> number_log& {
        auto& last = all[row.string(0)].last;
        auto const stream = stream_id{static_cast<std::uint32_t>(row.integer(1))};
        auto at = std::ranges::find(last, stream, &node_state::progress::stream);
        if (at == last.end())
            at = last.insert(last.end(), {stream, {}});
        return at->numbers;
    };
    auto numbers = numbers_.query();
    while (numbers.next()) {
        auto& of = numbers_in(numbers);
        of.n = numbers.number(2);
        of.seq = numbers.number(3);
    }
    any_early_ = false;
    auto early = all_early_.query();
    while (early.next()) {
        any_early_ = true;
        numbers_in(early).early.push_back(early_at(early, 2));
    }
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
    remove_early_.run(std::string_view{name});
}

void node_table::remove_stream(stream_id stream)
{
    save();
    remove_stream_.run(number_of(stream));
    remove_stream_early_.run(number_of(stream));
}

void node_table::add(bytes_ptr const& node, stream_id stream, chained_number const& what)
{
    if (last_ == nullptr || last_node_ != node || last_stream_ != stream) {
        last_ = &gathered_[{std::string{node->view()}, stream}];
        last_stream_ = stream;
        last_node_ = node;
    }
    // With a digest it may have to be told apart later, if something before it is missing.
    if (!last_->empty() && what.seq != 0 && what.digest == 0 && last_->back().seq != 0 && last_->back().digest == 0
        && what.previous <= last_->back().n && what.n > last_->back().n) {
        last_->back().n = what.n;
        last_->back().seq = what.seq;
    } else {
        last_->push_back(what);
    }
}

void node_table::save(key const& of, numbers const& added)
{
    std::string_view const node{of.first};
    auto const stream = number_of(of.second);
    if (!any_early_ && added.size() == 1 && added.front().seq != 0) {
        auto const& only = added.front();
        raise_.run(node, stream, only.n, only.seq, only.previous);
        if (on_.changes() != 0)
            return;
    }
    number_log log;
    {
        auto row = number_.query(node, stream);
        if (row.next()) {
            log.n = row.number(0);
            log.seq = row.number(1);
        }
    }
    if (any_early_) {
        auto row = early_.query(node, stream);
        while (row.next())
            log.early.push_back(early_at(row, 0));
    }
    auto const before = log;
    for (auto const& each : added)
        log.add(each);
    if (log.n != before.n)
        put_number_.run(node, stream, log.n, log.seq);
    if (log.early == before.early)
        return;
    drop_early_.run(node, stream);
    for (auto const& e : log.early)
        put_early_.run(node, stream, e.n, e.previous, e.seq, e.digest);
    any_early_ = on_.number("SELECT EXISTS (SELECT 1 FROM node_early)") != 0;
}

void node_table::save()
{
    for (auto const& [of, added] : gathered_)
        save(of, added);
    forget();
}

void node_table::forget()
{
    gathered_.clear();
    last_ = nullptr;
    last_node_.reset();
}

}  // namespace kedge::sqlite
