#pragma once
/// Between `bus_message` and libnats's message. Any thread.

#include "migration/backend.hpp"
#include "migration/nats/handles.hpp"

namespace kedge::migration {

/// Null if NATS has no form for it: spaces or control characters in a subject or a header's name, a zero in a value. Header values lose line breaks and outer spaces on the way.
nats_message_handle to_nats(bus_message const&, char const* reply);

/// `place` and `time_ns` are not filled in.
bus_message from_nats(natsMsg*);

}  // namespace kedge::migration
