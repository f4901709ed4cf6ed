#pragma once
/// One link as the contract sees it: which operations wait for their answer, in which order the answers may come, what it
/// subscribes to.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "router/core/actions.hpp"
#include "router/protocol/decoder.hpp"
#include "tests/sim/ledger.hpp"

namespace kedge::sim {

/// An operation that the core was given.
struct asked {
    enum class kind : unsigned char { hello, subscribe, unsubscribe, publish, consume, ack, other, who, ping };
    kind what = kind::other;
    std::string id;              ///< empty = not answered unless it fails
    bool may_wait = false;       ///< for a commit: a pong may overtake its answer
    std::size_t number = 0;      ///< of a publish: the message
    stream_id stream{};          ///< of a publish: its stream
    std::uint64_t n = 0;
    bool answered = false;
    std::optional<error_code> refused;
    // What the operation asked for, to be noted when it is answered.
    std::string name;            ///< pattern, consumer, or node
    std::string extra;           ///< group, or stream
    std::uint64_t window = 0;
    std::vector<message_seq> seqs;  ///< of an ack: what it acknowledged
};

class link_model {
public:
    link_model(link_id id, principal_ptr who, encoding form);

    link_id const id;
    principal_ptr const who;

    struct subscription {
        std::string pattern;
        std::string group;
        friend bool operator==(subscription const&, subscription const&) = default;
    };
    std::vector<subscription> subscriptions;
    std::string node;        ///< empty = none
    bool finishing = false;  ///< quit or end of input was handled
    bool greeted = true;     ///< else it carries administrative commands only, and is told nothing
    bool ended = false;      ///< `bye` was said
    bool closed = false;     ///< told to close
    std::size_t welcomes = 0;
    std::uint64_t handed = 0;     ///< bytes of outputs
    std::uint64_t written = 0;    ///< of these, told to the core as written
    std::uint64_t given = 0;      ///< bytes of operations handed to the core
    std::uint64_t credited = 0;
    /// What names a consumer that this link is creating waits until it exists.
    std::deque<op::any> held;
    bool held_end = false;  ///< the end of the input, or `quit`, waits as well

    /// "user/node" or "user/~SESSION".
    std::string sender() const { return who->user + '/' + (node.empty() ? '~' + who->session : node); }
    bool subscribes(std::string_view subject) const;

    asked& ask(asked);
    /// An operation that is answered at once, but still waits for its answer; null = none.
    asked const* waits_at_once() const;
    /// Whether the operation names a consumer whose `consume` was not answered yet.
    bool must_wait(op::any const&) const;

    /// Feeds outputs; calls `hear(notice, end)` for each whole notice.
    template <class Hear>
    void said(std::string_view bytes, Hear&& hear);

    /// Finds what the answer belongs to and checks its turn. Throws `violation`.
    asked& answered(std::string const& id, std::optional<error_code> refused, bool pong = false, bool dup = false);
    void ponged(std::string const& id);
    void stored(notice::stored const&);
    bool all_answered() const;
    std::string first_unanswered() const;

private:
    [[noreturn]] void fail(std::string const& what) const;
    void forget_answered();

    notice_decoder decoder_;
    std::deque<asked> asked_;  // the oldest that are answered are forgotten
    std::vector<stream_id> stuck_;  // a publish failed there: so must all that follow, until a ping is answered
    std::map<std::string, std::uint64_t> last_stored_;
};

template <class Hear>
void link_model::said(std::string_view bytes, Hear&& hear)
{
    decoder_.feed(bytes);
    while (auto next = decoder_.next()) {
        if (!*next)
            fail("the output is no notice: " + next->error().message);
        hear(**next);
    }
}

}  // namespace kedge::sim
