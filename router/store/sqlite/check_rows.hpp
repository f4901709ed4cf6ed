#pragma once
/// Inside of check.hpp: one pass over the log, in which each row is held against its stream, its names and its index, and what
/// is counted of rows is counted again.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "router/store/sqlite/check_findings.hpp"
#include "router/store/sqlite/database.hpp"
#include "router/store/sqlite/name_table.hpp"
#include "router/store/sqlite/recipient_names.hpp"
#include "router/store/sqlite/segment.hpp"

namespace kedge::sqlite {

class check_rows {
public:
    check_rows(database&, check_findings&);

    /// Rows looked at. Throws `error` if the log cannot be read to its end.
    void run();
    std::uint64_t rows() const noexcept { return rows_; }

private:
    /// A stream as it says of itself, and what was found.
    struct counted {
        std::string name;
        message_seq first = 1;
        message_seq last = 0;
        message_seq newest = 0;
        std::uint64_t messages = 0;
        std::uint64_t bytes = 0;
        std::uint64_t last_ms = 0;
        bool garbage = false;  ///< removed, its rows not yet
        std::uint64_t found_messages = 0;
        std::uint64_t found_bytes = 0;
        message_seq found_first = 0;
        message_seq found_newest = 0;
        std::uint64_t found_ms = 0;
        std::uint64_t odd_rows = 0;  ///< each row is told of once a kind, not a thousand times
    };
    struct total {
        std::uint64_t messages = 0;
        std::uint64_t bytes = 0;
    };
    using totals = std::map<std::string, total, std::less<>>;
    using index = std::map<name_id, std::vector<unsigned>>;  ///< offsets in a segment by subject

    void load_streams();
    void look_at(statement::rows&);
    void look_at_post(counted&, stream_id, message_seq, std::string_view recipients, std::uint64_t bytes);
    void odd(counted&, message_seq, char const* what);
    void end_segment();
    void compare_index(counted const&, stream_id, std::uint64_t segment, index& rows);
    void look_for_stray_index();
    void compare_streams();
    void compare_usage();
    void compare_mail();

    database& on_;
    check_findings& findings_;
    name_table subjects_;
    recipient_names recipients_;
    statement postings_;
    std::map<stream_id, counted> streams_;
    std::map<stream_id, std::uint64_t> strays_;  ///< rows of no stream
    totals usage_;
    totals mail_;
    std::uint64_t rows_ = 0;
    // The segment under way.
    stream_id stream_{};
    std::uint64_t segment_ = 0;
    index index_;
    std::set<std::int64_t> indexed_;  ///< segments that were compared
};

}  // namespace kedge::sqlite
