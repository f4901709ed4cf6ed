#include "router/core/access.hpp"

#include "router/protocol/subject.hpp"

namespace kedge {

namespace {

std::string fill_in(std::string pattern, std::string_view user)
{
    static constexpr std::string_view hole = "{user}";
    for (auto at = pattern.find(hole); at != std::string::npos; at = pattern.find(hole, at + user.size()))
        pattern.replace(at, hole.size(), user);
    return pattern;
}

std::string in_quotes(std::string_view text) { return "'" + std::string{text} + "'"; }

}  // namespace

std::string describe(rule const& r)
{
    auto const whose = r.user.empty() ? "role " + r.role : "user " + r.user;
    auto const effect = r.what == rule::effect::deny ? "deny" : "allow";
    auto const action = r.action == rule::act::publish ? "publish" : "subscribe";
    return "rule " + std::to_string(r.id) + " (" + whose + ": " + effect + " " + action + " " + in_quotes(r.pattern) + ")";
}

std::vector<rule> built_in_rules()
{
    std::vector<rule> rules;
    for (auto const role : {role_operator, role_user, role_bot})
        for (auto const action : {rule::act::publish, rule::act::subscribe}) {
            rule r;
            r.role = role;
            r.action = action;
            r.pattern = role == role_operator ? "everything" : "everything outside $sys.>";
            rules.push_back(std::move(r));
        }
    return rules;
}

access_profile::access_profile(std::string user, std::string role, std::vector<rule> const& rules)
    : user_{std::move(user)}, role_{std::move(role)}
{
    for (auto const& r : rules) {
        bool const of_user = !r.user.empty() && r.user == user_;
        bool const of_role = !r.role.empty() && r.role == role_;
        if (!of_user && !of_role)
            continue;
        auto& into = r.action == rule::act::publish ? publish_ : subscribe_;
        compiled entry{r, fill_in(r.pattern, user_)};
        if (r.what == rule::effect::deny) {
            into.deny.push_back(std::move(entry));
        } else {
            into.allow.push_back(std::move(entry));
            into.built_in = into.built_in && !of_role;
        }
    }
}

bool access_profile::is_operator() const noexcept { return role_ == role_operator; }

access_decision access_profile::decide(lists const& rules, std::string_view verb, std::string_view subject, bool literal) const
{
    auto const refuse = [&](std::string why) {
        return access_decision{false, user_ + " may not " + std::string{verb} + " " + in_quotes(subject) + ": " + std::move(why)};
    };
    for (auto const& denied : rules.deny)
        if (literal ? matches(denied.pattern, subject) : intersects(denied.pattern, subject))
            return refuse("denied by " + describe(denied.source));
    for (auto const& allowed : rules.allow)
        if (literal ? matches(allowed.pattern, subject) : covers(allowed.pattern, subject))
            return {true, {}};
    if (rules.built_in && (is_operator() || !intersects("$sys.>", subject)))
        return {true, {}};
    return refuse("no rule of user " + user_ + " or role " + role_ + " allows it");
}

access_decision access_profile::may_publish(std::string_view subject) const
{
    if (subject.starts_with("inbox.") || subject.starts_with("svc."))
        return {false, "nobody publishes to " + in_quotes(subject) + ": inboxes are reached by post, services by call"};
    return decide(publish_, "publish to", subject, true);
}

access_decision access_profile::may_subscribe(std::string_view pattern) const
{
    if (intersects("inbox.>", pattern) && pattern != "inbox." + user_)
        return {false, user_ + " may not subscribe to " + in_quotes(pattern) + ": an inbox is read by its owner only"};
    return decide(subscribe_, "subscribe to", pattern, false);
}

}  // namespace kedge
