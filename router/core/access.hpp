#pragma once
/// Who may do what: deny goes first, then allow lists, with the reason of every decision.
///
/// - Deny rules of the user, of the role and of the key that logged in always hold.
/// - Allowed is what an allow rule of the user, the role or the key gives.
/// - While a role has no allow rule of its own for an action, its built-in one holds: operators everything; users and bots
///   publish, subscribe and call everything outside `$sys.>`, serve and post everything, and create lists.
/// - Whatever the rules say: nobody publishes to `inbox.*` or `svc.*`, an inbox is read by its owner only, and nobody subscribes
///   to the replies of calls, `_call.>`.
///
/// Pure; router thread.

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/store/store.hpp"

namespace kedge {

struct access_decision {
    bool allowed = false;
    std::string why;         ///< when denied: a sentence that names the rule
    std::uint64_t rule = 0;  ///< that decided; 0 = a built-in one, or none
};

/// The rules of one user in one role with one key, compiled: `{user}` and `{role}` are filled in.
class access_profile {
public:
    access_profile(std::string user, std::string role, std::vector<rule> const& rules, std::string key = {});

    access_decision may_publish(std::string_view subject) const;
    /// A pattern: every subject that it matches must be allowed, and it must not touch a denied one.
    access_decision may_subscribe(std::string_view pattern) const;
    access_decision may_serve(std::string_view service) const;
    /// `SERVICE.METHOD`, or the subject of a call by subject.
    access_decision may_call(std::string_view what) const;
    /// A user's name or `@LIST`.
    access_decision may_post(std::string_view recipient) const;
    /// `stream.NAME` or `list.NAME`.
    access_decision may_create(std::string_view what) const;
    /// Any of the above by its name.
    access_decision may(rule::act, std::string_view what) const;

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

    access_decision decide(rule::act, std::string_view what) const;
    bool built_in(rule::act, std::string_view what) const;

    std::string user_;
    std::string role_;
    std::string key_;
    std::array<lists, rule::act_count> lists_;
};

std::string_view to_string(rule::act) noexcept;
std::optional<rule::act> parse_act(std::string_view) noexcept;
/// Whether the text may be a rule's pattern: a pattern of subjects once its holes are filled.
bool valid_rule_pattern(std::string_view) noexcept;

/// The built-in rules as `rule list` shows them (id 0).
std::vector<rule> built_in_rules();

/// "rule 3 (user bot1: deny publish 'secret.>')"
std::string describe(rule const&);

}  // namespace kedge
