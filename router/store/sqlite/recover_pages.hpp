#pragma once
/// Inside of recover.hpp: rows of the log that no intact page leads to any more.

#include <cstddef>
#include <cstdint>
#include <string>

#include "router/store/sqlite/database.hpp"

namespace kedge::sqlite {

// SQLite file format, §1.3 and §1.6.
inline constexpr std::size_t page_bytes = 4096;
inline constexpr char leaf_page = 0x0d;  // of a table

/// Looks at every page of the file `damaged` for leaves of the table `log`, which its keys (stream and seq) give away, and adds
/// rows to `to` that are not there. Pages that are free are passed over: their rows were deleted. Returns how many were added.
std::uint64_t add_rows_of_pages(std::string const& damaged, database& to);

}  // namespace kedge::sqlite
