#pragma once
/// What the core knows of one stream. Router thread; owned by the core.

#include <string>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "router/core/link.hpp"
#include "router/core/subject_index.hpp"
#include "router/core/tail.hpp"
#include "router/store/store.hpp"

namespace kedge {

class consumer;

struct stream {
    stream_state state;
    std::uint64_t epoch = 1;  ///< of appends; raised after a failure (see store_request::append)
    tail newest;              ///< kept only while a consumer is attached

    /// Attached consumers by filter: what a row that arrives costs does not depend on those that are away.
    subject_index<consumer*> active;
    std::size_t attached = 0;

    /// Publishes handed to the sequencer, by token.
    struct flight {
        link_id link{};
        struct node* node = nullptr;
        message_ptr message;
        std::uint64_t n = 0;
        std::uint64_t previous_n = 0;  ///< as in the append
        std::uint64_t digest = 0;
        std::uint64_t epoch = 0;
        /// Others that sent the same id meanwhile: they get this one's answer.
        struct waiter {
            link_id link{};
            token request{};
        };
        std::vector<waiter> same;
        struct user_budget* budget = nullptr;  ///< in which it counts; null = in none
        bytes_ptr recipients = nullptr;        ///< of a post

        /// In memory, until it is stored.
        std::size_t cost() const noexcept { return message->cost() + (recipients ? recipients->size() : 0); }
    };
    boost::unordered_flat_map<token, flight> in_flight;

    std::string const& name() const noexcept { return state.config.name; }
};

}  // namespace kedge
