#pragma once
/// What the core knows of one link. Router thread; owned by the core.

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "router/core/access.hpp"
#include "router/core/actions.hpp"
#include "router/core/subject_index.hpp"

namespace kedge {

class consumer;
struct attachment;
struct user_budget;
struct route;
struct node;

/// Answers to one link's publishes on one stream leave in the order sent, whatever order they become known in.
struct stream_answers {
    struct slot {
        token request{};  ///< waits for this; `none` = ready
        bytes_ptr bytes;  ///< the answer; null = there is none to give
        std::size_t credit = 0;
    };
    stream_id stream{};
    std::deque<slot> slots;
    std::optional<error_code> stuck;  ///< every further publish gets this error, until a ping is answered
    /// Of this link's appends that wait: what is sent behind them must fail with them, even if the stream has gone on.
    std::uint64_t epoch = 0;
};

struct link {
    link_id id{};
    session_id session{};
    principal_ptr who;
    std::shared_ptr<access_profile const> access;
    encoding form = encoding::frames;
    bool greeted = false;
    bool internal = false;      ///< the server's own: whoever drives it bounds what it is given and asks for
    std::uint64_t since_ms = 0;  ///< wall clock

    bytes_ptr sender;            ///< "user/node" or "user/~SESSION"
    struct node* node = nullptr; ///< after a `hello` that named one
    bool spoke = false;          ///< an operation was seen: `hello` comes too late
    /// Consumers whose creation this link waits for, by name. Operations take effect in the order sent: what names one of
    /// them waits in `held`, and so does everything while the outbox is full. `held` is bounded by the link's credit, which
    /// has not been given back.
    std::vector<std::string> creating;
    bool under_way = false;      ///< a `hello` with inbox, `alias` or `list`: all that is said later waits for it
    bool joined = false;         ///< `$sys.node.join` was told
    bool stalled = false;        ///< by a full outbox or by too much that is unanswered, until half of it is gone
    std::deque<link_event::operation> held;
    std::size_t held_bytes = 0;
    bool held_end = false;       ///< the end of the input waits for them as well
    user_budget* budget = nullptr;  ///< of the user, shared by its links
    bool throttled = false;         ///< by the user's rates: operations wait in `held`
    bool keepalive = false;
    std::uint64_t heard_ms = 0;  ///< steady clock

    struct subscription {
        std::string pattern;
        std::string group;
        friend bool operator==(subscription const&, subscription const&) = default;
    };
    std::vector<subscription> subscriptions;
    std::vector<attachment*> attachments;
    /// Consumers that were attached here: late acks still count. Bounded by `limits::user_consumers`.
    std::vector<std::pair<std::string, consumer_id>> former;

    std::vector<stream_answers> answers;
    struct waiting_pong {
        std::string id;
        std::size_t credit = 0;
    };
    std::deque<waiting_pong> pongs;  ///< wait until no publish of a stuck stream is in flight
    std::size_t unanswered = 0;      ///< operations whose answer is still to come

    std::uint64_t handed = 0;   ///< bytes of outputs in the link's whole life
    std::uint64_t written = 0;  ///< of these, written to the peer
    std::size_t inflight = 0;   ///< bytes of input that was not handled yet
    std::size_t credit = 0;     ///< input handled since the last credit
    bool credit_listed = false;

    bool finishing = false;  ///< takes no more operations: answers all, then `bye` with `finish_code`
    error_code finish_code = error_code::quit;
    std::string finish_message;
    bool closed = false;     ///< `close` was put out, or the link is gone: nothing more is said

    // The last subject published to, if it was allowed, with its route.
    std::string last_subject;
    route* last_route = nullptr;
    std::uint64_t last_route_generation = 0;

    std::uint64_t unsent() const noexcept { return handed - written; }
    stream_answers* answers_of(stream_id stream) noexcept
    {
        for (auto& a : answers)
            if (a.stream == stream)
                return &a;
        return nullptr;
    }
};

/// A durable name of a client.
struct node {
    std::string name;  ///< "user/node"
    std::string user;
    link* at = nullptr;  ///< the link that bears it now
    std::uint64_t seen_ms = 0;
    struct progress {
        stream_id stream{};
        std::uint64_t submitted = 0;  ///< highest n handed to the sequencer or stored
        number_log stored{};
        bool told = true;             ///< `stored` has been sent for it
        std::uint64_t epoch = 0;      ///< of the append that raised `submitted`
        /// A later link of the node sent these again while they were under way, up to `resent`: it must hear if they fail.
        link_id resent_by{};
        std::uint64_t resent = 0;
    };
    std::vector<progress> last;
    std::size_t flights = 0;  ///< appends under way: the node stays as long as there are any
    /// Publishes with an id that are under way.
    struct flight {
        token request{};
        stream_id stream{};
        std::uint64_t digest = 0;
    };
    boost::unordered_flat_map<std::string, flight, text_hash, text_equal> in_flight;

    progress& of(stream_id stream)
    {
        for (auto& p : last)
            if (p.stream == stream)
                return p;
        return last.emplace_back(progress{.stream = stream});
    }
};

}  // namespace kedge
