#pragma once
/// Which rows of a subject are its newest, for `max_msgs_per_subject`: column `newest` of the table `subject`. Memory holds none
/// of it; a slice of housekeeping writes each subject that it met once.

#include <cstdint>
#include <vector>

#include "router/protocol/ids.hpp"
#include "router/store/sqlite/database.hpp"
#include "router/store/sqlite/name_table.hpp"

namespace kedge::sqlite {

class newest_rows {
public:
    explicit newest_rows(database&);

    /// Adds rows of the subject, rising and above those that it has, and keeps the newest `most`; those that are too many are
    /// appended to `surplus`. A list of another round counts as empty: the bound changed, and the rows are counted afresh.
    /// As rows go from the oldest of a subject up, one that retention took is never in front of one that is still there.
    void add(name_id subject, std::uint64_t round, std::uint64_t most, std::vector<message_seq> const& rows,
             std::vector<message_seq>& surplus);

private:
    statement find_;
    statement save_;
};

}  // namespace kedge::sqlite
