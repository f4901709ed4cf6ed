#pragma once
/// Nodes and their numbers: tables `node` and `node_n`.

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

    /// Gathers a publish with `n` for `save`: a batch writes only the highest.
    void raise(bytes_ptr const& sender, stream_id, std::uint64_t n, message_seq);
    void save();
    /// Drops what was gathered: the transaction did not commit.
    void forget();

private:
    statement nodes_;
    statement numbers_;
    statement put_;
    statement remove_;
    statement remove_numbers_;
    statement remove_stream_;
    statement raise_;
    std::map<std::pair<std::string, stream_id>, node_state::highest, std::less<>> raised_;
    bytes_ptr last_sender_;                 ///< of the last `raise`, by identity: a batch repeats it
    node_state::highest* last_ = nullptr;   ///< its place in `raised_`
};

}  // namespace kedge::sqlite
