#pragma once
/// The port through which the core has a publish put into a stream's order.

#include <vector>

#include "router/store/store.hpp"

namespace kedge {

/// One for each side that can decide a stream's order; the store's own is the trivial one (router/host/). An append is
/// answered, in any order and per token, by exactly one of
///   - accepted: its row arrives in the log (`store_event::rows_arrived` with the token as `origin`);
///   - refused(why) or unknown (`why.code` `internal` or `unavailable`): `store_event::append_failed`.
/// The core never gives a `seq` and never delivers from an append: only from rows that arrived.
class sequencer {
public:
    virtual ~sequencer() = default;
    /// Takes a batch; never blocks. Router thread.
    virtual void append(std::vector<store_request::append> batch) = 0;
};

}  // namespace kedge
