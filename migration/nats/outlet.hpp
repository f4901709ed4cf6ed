#pragma once
/// The one way out of a backend: its events leave one at a time, and none of a link after the link's end. Also what the threads of a
/// backend share about the link that stands. A thread that holds `mutex` calls nothing of libnats.

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "migration/backend.hpp"

namespace kedge::migration {

class session;

struct outlet {
    std::mutex mutex;
    pubsub_backend::sink sink;         ///< null before `open` and after `close`
    std::shared_ptr<session> current;  ///< the link that stands: `link_up` was told and `link_down` was not
    std::condition_variable changed;   ///< `current` has ended

    /// Under `mutex`.
    void tell(backend_event::any event)
    {
        if (sink) sink(std::move(event));
    }
    std::shared_ptr<session> standing()
    {
        std::lock_guard const lock(mutex);
        return current;
    }
};

}  // namespace kedge::migration
