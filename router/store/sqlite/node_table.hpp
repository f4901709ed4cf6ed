#pragma once
/// Nodes and their numbers: tables `node`, `node_n` and `node_early`.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "router/store/sqlite/database.hpp"
#include "router/store/store.hpp"

namespace kedge::sqlite {

class node_table {
public:
    explicit node_table(database&);

    std::vector<node_state> states();
    void put(store_request::put_node const&);
    void remove(std::string const& name);
    void remove_stream(stream_id);

    /// Gathers a number for `save`: of those that follow each other in the order of their node a batch writes only the highest.
    void add(bytes_ptr const& node, stream_id, chained_number const&);
    void save();
    /// Drops what was gathered: the transaction did not commit.
    void forget();

private:
    using key = std::pair<std::string, stream_id>;
    using numbers = std::vector<chained_number>;

    void save(key const&, numbers const&);

    database& on_;
    statement nodes_;
    statement numbers_;
    statement all_early_;
    statement put_;
    statement remove_;
    statement remove_numbers_;
    statement remove_early_;
    statement remove_stream_;
    statement remove_stream_early_;
    statement raise_;
    statement number_;
    statement early_;
    statement put_number_;
    statement put_early_;
    statement drop_early_;
    bool any_early_ = true;            ///< `node_early` may hold something
    std::map<key, numbers, std::less<>> gathered_;
    bytes_ptr last_node_;              ///< of the last `add`, by identity: a batch repeats it
    stream_id last_stream_{};
    numbers* last_ = nullptr;          ///< its place in `gathered_`
};

}  // namespace kedge::sqlite
