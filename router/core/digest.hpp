#pragma once
/// Whether two publishes with one id are the same publish: what the idempotency window remembers, and what the migration must
/// come to for a publish that it read back from JetStream. Pure functions, any thread.

#include <cstdint>
#include <string>
#include <vector>

#include "router/protocol/message.hpp"

namespace kedge {

/// Of subject, headers (in any order), reply subject and body; the id is not part of it.
std::uint64_t digest_of(message const&);
/// The same for posts: what was named counts, in any order; whom it leads to may change between two tries.
std::uint64_t digest_of(message const&, std::vector<std::string> to);

}  // namespace kedge
