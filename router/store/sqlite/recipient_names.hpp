#pragma once
/// The recipients of a post as numbers: column `recipients` of the log. Each entry is the interned subject "inbox.ENTRY", so
/// that a list of a hundred costs one or two bytes each; and each user among them is a subject under which the post is found.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "router/protocol/bytes.hpp"
#include "router/store/sqlite/name_table.hpp"

namespace kedge::sqlite {

class recipient_names {
public:
    explicit recipient_names(name_table& subjects) : subjects_{subjects} {}

    struct numbers {
        std::string packed;           ///< for the column
        std::vector<name_id> inboxes; ///< of the distinct users
    };
    numbers intern(stream_id, std::string_view recipients, std::uint64_t segment);
    /// The inboxes of a stored row's recipients.
    std::vector<name_id> inboxes(stream_id, std::string_view packed);
    /// The text again, as it was appended.
    bytes_ptr text(std::string_view packed);
    /// When names may have changed.
    void forget();

private:
    name_table& subjects_;
    // Texts by column: posts to one list repeat them, and a node that was away reads many. Starts afresh when it is full.
    std::unordered_map<std::string, bytes_ptr> texts_;
    std::size_t texts_bytes_ = 0;
};

}  // namespace kedge::sqlite
