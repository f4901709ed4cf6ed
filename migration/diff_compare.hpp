#pragma once
/// A row held against its message: what differs, whether it stands at another's place, and whether its publisher's order holds.
/// Values in, findings out: the walk is diff.cpp's. Bounded in memory whatever the two sides hold.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "migration/diff.hpp"
#include "router/protocol/message.hpp"
#include "router/store/mirror.hpp"

namespace kedge::migration {

/// What an import makes of a JetStream message.
struct seen_message {
    message_ptr message;        ///< null: it cannot be imported
    std::string sender;
    bool native = false;
    message_seq copy_of = 0;    ///< 0 = of none
};

/// The first difference that counts; empty = the same.
struct difference {
    defect kind{};
    std::string what;  ///< "the body", "header X-Kind", "the sender"
};
std::optional<difference> compare(seen_message const&, store_event::placed_row const&);

/// Whether each publisher's rows rise along the places. Remembers the senders that wrote lately, at least `senders_max`.
class publisher_order {
public:
    static constexpr std::size_t senders_max = 32'768;
    /// The higher seq of the same sender that stood at a lower place; 0 = in order.
    message_seq look(std::string_view sender, message_seq);

private:
    using highest = std::unordered_map<std::string, message_seq>;
    highest recent_, older_;  // what `recent_` cannot hold makes it the older one
};

/// Rows that differ from the message at their place: one whose content stands at the place of another such row, not far away,
/// is out of order; the others are changed.
class displaced_rows {
public:
    static constexpr std::size_t kept_max = 64;
    static constexpr jet_place near = 4096;

    /// Appends what is certain now.
    void add(diff_finding changed, seen_message const&, store_event::placed_row const&, std::vector<diff_finding>& out);
    /// Everything below `place` has been looked at: what is too far behind is certain. Places end below `jet_place_max`, which means all.
    void passed(jet_place place, std::vector<diff_finding>& out);

private:
    struct entry {
        diff_finding changed;
        std::uint64_t row = 0;      // digests of the contents
        std::uint64_t message = 0;
        bool settled = false;       // found to be out of order
    };
    void drop(std::size_t count, std::vector<diff_finding>& out);

    std::vector<entry> kept_;  // rising place
};

}  // namespace kedge::migration
