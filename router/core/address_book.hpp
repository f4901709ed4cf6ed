#pragma once
/// Who is reached by `post` under which name. Pure; router thread.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "router/core/access.hpp"
#include "router/core/actions.hpp"
#include "router/protocol/limits.hpp"
#include "router/store/store.hpp"

namespace kedge {

/// "alice", "alice/laptop", "~al" or "@admins".
bool valid_recipient(std::string_view) noexcept;
/// What may stand in a list: no single nodes.
bool valid_member(std::string_view) noexcept;

/// Aliases and distribution lists: what they lead to, and which changes of them are allowed.
class address_book {
public:
    address_book() = default;
    address_book(std::vector<account_alias>, std::vector<account_list>);

    /// What only the router knows of whom a name means.
    struct people {
        std::function<bool(std::string_view user)> is_user;      ///< known, and not removed
        std::function<bool(std::string_view node)> has_inbox;    ///< "alice/laptop"
        std::function<access_decision(std::string_view)> may_post;  ///< the sender, to "alice" or "@admins"
    };
    struct sender {
        std::string_view user;
        bool is_operator = false;
    };

    /// Whom a post reaches: `recipients` as `store_request::append` wants them, unless `why` says why it is refused.
    ///
    /// - Every list that is met must let the sender post to it: no list of one's own leads around that.
    /// - The rules are asked for what the sender named, and for what stands in the sender's own lists: those are only
    ///   short for it. What stands in another's list is for its owner to answer for.
    /// - A list is as deep as the shortest way to it; one deeper than `nesting` refuses the post, so that nobody is left
    ///   out in silence.
    struct expansion {
        std::string recipients;
        std::optional<failure> why;
        std::vector<std::string> unknown;  ///< of `unknown_recipient`
    };
    expansion expand(std::vector<std::string> const& to, sender, std::uint64_t nesting, people const&) const;

    // --- Changes -----------------------------------------------------------------------------------------------------
    /// What is to be asked of the account store; all or nothing, as far as can be known before.
    struct plan {
        std::vector<account_change::any> changes;
        std::optional<failure> why;
        std::vector<std::string> unknown;
    };
    /// The aliases of `user`; a leading '~' of a name is taken off. `by` is who asks.
    plan change_aliases(sender by, std::string const& user, std::vector<std::string> const& add, std::vector<std::string> const& remove,
                        limits const&) const;

    struct list_change {
        enum class kind : unsigned char { create_or_edit, create, edit, drop } what = kind::create_or_edit;
        std::string name;
        std::vector<std::string> add;
        std::vector<std::string> remove;
        std::optional<account_list::posting> who = {};
        std::string owner = {};  ///< empty = as it was
    };
    /// `may_create` is asked for a list that is not there yet.
    plan change_list(sender by, list_change const&, limits const&, std::function<bool(std::string_view user)> const& is_user,
                     std::function<access_decision()> const& may_create) const;

    /// A change that the store has carried out; others are none of its business.
    void apply(account_change::any const&);

    // --- What there is -----------------------------------------------------------------------------------------------
    std::string const* user_of(std::string_view alias) const;
    std::map<std::string, std::string, std::less<>> const& aliases() const noexcept { return aliases_; }
    std::map<std::string, account_list, std::less<>> const& lists() const noexcept { return lists_; }
    account_list const* find_list(std::string_view name) const;

private:
    struct walk;
    bool is_known(std::string_view member, std::string_view itself, std::function<bool(std::string_view)> const& is_user) const;
    bool too_deep(account_list const& from, std::uint64_t nesting) const;
    bool reaches(account_list const&, std::string_view user, std::uint64_t nesting) const;

    std::map<std::string, std::string, std::less<>> aliases_;  ///< to the user
    std::map<std::string, std::uint64_t, std::less<>> user_aliases_;
    std::map<std::string, account_list, std::less<>> lists_;
};

std::string_view posting_word(account_list::posting) noexcept;
std::optional<account_list::posting> parse_posting(std::string_view) noexcept;

}  // namespace kedge
