#pragma once
/// Which remembered ids are still in the idempotency window: the rule of PROTOCOL.md ("pub"), once for every store.

#include <vector>

#include "router/protocol/limits.hpp"
#include "router/store/store.hpp"

namespace kedge {

/// Of `newest_first`, keeps what is younger than `dedupe_ms`, of each sender the newest `dedupe_ids`, and of all together
/// `dedupe_ids_total`, where the least recently used senders lose theirs first. Returns the oldest first.
std::vector<remembered_id> dedupe_window(std::vector<remembered_id> newest_first, limits const&, std::uint64_t now_ms);

}  // namespace kedge
