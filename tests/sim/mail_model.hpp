#pragma once
/// Mail: who is to get what. Told by the store which posts are committed and which inboxes there are; by the core how a post was
/// addressed and what it delivers; by clients what they acted on.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "router/core/actions.hpp"
#include "tests/sim/ledger.hpp"

namespace kedge::sim {

/// Aliases and lists as the core has been told of them, and whom a post reaches by them.
class book_model {
public:
    void load(account_store::contents const&);
    void apply(account_change::any const&);
    /// As `store_request::append::recipients`; nothing if the post has to be refused.
    std::optional<std::string> expand(std::vector<std::string> const& to, std::string const& by) const;
    bool is_user(std::string const& name) const { return users_.contains(name); }
    std::map<std::string, std::string> const& roles() const noexcept { return users_; }
    std::map<std::string, account_list> const& lists() const noexcept { return lists_; }

private:
    /// False if a name means nobody, or may not be used by `by` (empty = anybody may).
    bool add(std::string const& name, std::string const& by, std::set<std::string>& lists, std::set<std::string>& found) const;

    std::map<std::string, std::string> users_;  // to their role
    std::map<std::string, std::string> aliases_;
    std::map<std::string, account_list> lists_;
};

class mail_model {
public:
    mail_model(limits const& bounds, ledger const& messages) : limits_{bounds}, messages_{messages} {}

    book_model book;

    // --- The store -----------------------------------------------------------------------------------------------------
    /// A commit begins: what it makes lies behind what there is now.
    void batch_begins() { end_ = log()->rows.size() + 1; }
    void inbox_made(consumer_state const&);
    void inbox_removed(consumer_id);
    void loaded(store_contents const&);
    void trimmed(message_seq first, instant);
    // --- The core --------------------------------------------------------------------------------------------------------
    void addressed(store_request::append const&);
    void delivered(std::string const& node, notice::msg const&) const;
    void acked(std::string const& node, op::ack const&);
    // --- Clients -----------------------------------------------------------------------------------------------------------
    /// The node acts on it, for the first time as far as it knows.
    void acted(std::string const& node, message_seq);
    /// The node has had everything that was for it.
    void check_complete(std::string const& node) const;
    bool has_inbox(std::string const& node) const { return inboxes_.contains(node); }

private:
    struct inbox {
        consumer_id id{};
        message_seq begin = 1;
        std::set<message_seq> acked;  // told to the core
    };
    ledger::log const* log() const;
    static bool is_for(row const&, std::string const& node);

    limits limits_;
    ledger const& messages_;
    std::map<std::string, inbox> inboxes_;                 // of nodes
    std::map<std::string, std::set<message_seq>> acted_;   // of nodes that remember
    std::map<std::string, std::vector<std::pair<message_seq, message_seq>>> former_;  // [begin, end) of inboxes that were removed
    message_seq end_ = 1;  // of the log before this commit
    message_seq aged_to_ = 1;  // rows below may have gone by age
};

}  // namespace kedge::sim
