#pragma once
/// The tables (FORMAT.md), how a database is opened, and how an older one is brought up to date.

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "router/protocol/store_format.hpp"
#include "router/store/sqlite/database.hpp"

namespace kedge::sqlite {

inline constexpr std::size_t secret_bytes = 32;  ///< of `meta`'s `secret`
inline constexpr std::int64_t application_id = store_format::application_id;

/// Steps of the schema, oldest first; step i brings version i to i + 1. Append only: what was released never changes.
std::span<char const* const> schema_steps() noexcept;

/// Brings the database to version `steps.size()`, each step in a transaction of its own. Throws std::runtime_error if it is
/// newer than that.
void upgrade(database&, std::span<char const* const> steps);

/// Opens or creates the file, sets the connection up, upgrades, and makes sure that there are an `incarnation` and a `secret`. Throws
/// std::runtime_error with a sentence that names the file.
std::unique_ptr<database> open_database(std::string const& path);

}  // namespace kedge::sqlite
