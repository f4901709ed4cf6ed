#pragma once
/// The idempotency windows of all nodes: which ids were stored, where, and with what content (PROTOCOL.md, "pub").
/// Bounded by age, by ids of a node, and by ids in all; the least recently used node goes first. Pure; router thread.

#include <cstdint>
#include <deque>
#include <list>
#include <string>
#include <string_view>

#include <boost/unordered/unordered_flat_map.hpp>

#include "router/core/subject_index.hpp"
#include "router/protocol/ids.hpp"

namespace kedge {

class id_windows {
public:
    struct bounds {
        std::uint64_t age_ms = 0;
        std::uint64_t ids_node = 0;
        std::uint64_t ids_total = 0;
    };
    struct entry {
        stream_id stream{};
        message_seq seq = 0;
        std::uint64_t digest = 0;
    };

    explicit id_windows(bounds b) : bounds_{b} {}
    void set_bounds(bounds b) noexcept { bounds_ = b; }

    /// The stored publish with this id, if it is still in the window at `now_ms`. Marks the node as used.
    entry const* find(std::string_view node, std::string_view id, std::uint64_t now_ms);
    void add(std::string_view node, std::string_view id, entry, std::uint64_t now_ms);
    void forget(std::string_view node);
    /// Drops what is too old; at most `most` entries.
    void expire(std::uint64_t now_ms, std::size_t most);

    std::size_t size() const noexcept { return total_; }

private:
    struct record {
        std::string id;
        std::uint64_t time_ms = 0;
        entry what;
    };
    /// `ids` maps into `records`, whose elements stay where they are: only its ends change.
    struct window {
        std::string node;
        std::deque<record> records;  // oldest first
        boost::unordered_flat_map<std::string_view, record const*, text_hash, text_equal> ids;
    };
    using window_list = std::list<window>;

    void drop_oldest(window&);
    window* use(std::string_view node);

    bounds bounds_;
    window_list windows_;  // least recently used first
    boost::unordered_flat_map<std::string_view, window_list::iterator, text_hash, text_equal> by_node_;
    std::size_t total_ = 0;
};

}  // namespace kedge
