#pragma once
/// Inside of recover.hpp: a database whose list of tables is lost.

#include <string>

namespace kedge::sqlite {

/// The first page says that the file is a database; it and a few others say where its tables begin. In a database that was made with
/// today's schema every table begins where it does in a new one. Writes to `copy` the damaged file with those of these pages
/// that are lost taken from a new database, and copies its write-ahead log beside it. Throws std::runtime_error when the pages
/// that are left say that the tables lie elsewhere (the database was upgraded from an older schema), or there is none left.
void copy_with_new_schema(std::string const& damaged, std::string const& copy);

}  // namespace kedge::sqlite
