#pragma once
/// A line for what passes between a replica and its surroundings: the history of a seed that failed.

#include <string>

#include "migration/backend.hpp"
#include "migration/effects.hpp"

namespace kedge::migration::test {

/// Empty = not worth a line.
std::string line_of(backend_command::any const&);
std::string line_of(backend_event::any const&);
std::string line_of(store_request::any const&);
std::string line_of(store_event::any const&);

}  // namespace kedge::migration::test
