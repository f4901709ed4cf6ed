#pragma once
/// Who may publish and subscribe what: deny goes first, then allow lists, with the reason of every decision.
///
/// - Deny rules of the user and of the role always hold.
/// - Allowed is what the user's allow rules or the role's allow.
/// - While a role has no allow rule of its own for an action, its built-in one holds: operators everything, users and bots
///   everything outside `$sys.>`.
/// - Whatever the rules say: nobody publishes to `inbox.*` or `svc.*`, and an inbox is read by its owner only.
///
/// Pure; router thread.

#include <string>
#include <string_view>
#include <vector>

#include "router/store/store.hpp"

namespace kedge {

struct access_decision {
    bool allowed = false;
    std::string why;  ///< when denied: a sentence that names the rule
};

/// The rules of one user in one role, compiled: `{user}` is filled in.
class access_profile {
public:
    access_profile(std::string user, std::string role, std::vector<rule> const& rules);

    access_decision may_publish(std::string_view subject) const;
    /// A pattern: every subject that it matches must be allowed, and it must not touch a denied one.
    access_decision may_subscribe(std::string_view pattern) const;

    std::string const& user() const noexcept { return user_; }
    std::string const& role() const noexcept { return role_; }
    bool is_operator() const noexcept;

private:
    struct compiled {
        rule source;
        std::string pattern;
    };
    struct lists {
        std::vector<compiled> deny;
        std::vector<compiled> allow;
        bool built_in = true;  // the role has no allow rule of its own
    };

    access_decision decide(lists const&, std::string_view verb, std::string_view subject, bool literal) const;

    std::string user_;
    std::string role_;
    lists publish_;
    lists subscribe_;
};

/// The built-in rules as `rule list` shows them (id 0).
std::vector<rule> built_in_rules();

/// "rule 3 (user bot1: deny publish 'secret.>')"
std::string describe(rule const&);

}  // namespace kedge
