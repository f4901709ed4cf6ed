#pragma once
/// How much mail every user has stored, and what a post is to one node. Pure; router thread.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "router/core/subject_index.hpp"
#include "router/store/store.hpp"

namespace kedge {

/// What a row of `inbox_stream` is to one node. `recipients` as in `store_request::append`.
enum class addressed : unsigned char { not_at_all, other_nodes, this_node };
addressed addressed_to(std::string_view recipients, std::string_view user, std::string_view node);

struct mail_sum {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;

    friend bool operator==(mail_sum const&, mail_sum const&) = default;
};

/// How much mail every user has stored: all that ever came, less what the user's slowest node is done with. Mail of a user
/// without an inbox waits for nobody and counts nothing. Costs of a post: a look-up for each user that it reaches, not one for
/// each of their nodes.
class mailboxes {
public:
    void load(mailbox_state const&);
    /// `done` is the inbox's own and lives until `remove_inbox`.
    void add_inbox(std::string_view user, mail_sum const* done);
    void remove_inbox(std::string_view user, mail_sum const* done);
    /// An inbox is done with less than before: mail that had died is delivered again.
    void undone(std::string_view user) { of(user).slowest = {}; }

    /// A post was handed to the sequencer: it takes room until it has arrived or failed.
    void sent(std::string_view recipients, std::uint64_t bytes);
    void not_sent(std::string_view recipients, std::uint64_t bytes);
    /// It is stored.
    void arrived(std::string_view user, std::uint64_t bytes);

    mail_sum total(std::string_view user) const;
    /// What is stored, without what is under way.
    mail_sum stored(std::string_view user) const;
    std::size_t inboxes() const noexcept { return inboxes_; }

    /// Users who have no room for a post of so many bytes; at most `most` of them.
    std::vector<std::string> full(std::string_view recipients, std::uint64_t bytes, std::size_t most,
                                  std::function<mail_sum(std::string_view user)> const& bounds) const;

private:
    struct box {
        mail_sum total;
        mail_sum under_way;
        std::vector<mail_sum const*> inboxes;
        mutable mail_sum slowest;  ///< of the inboxes, as of some time ago: they only get on
    };
    static mail_sum slowest(box const&);
    box& of(std::string_view user);

    boost::unordered_flat_map<std::string, box, text_hash, text_equal> boxes_;
    std::size_t inboxes_ = 0;
};

}  // namespace kedge
