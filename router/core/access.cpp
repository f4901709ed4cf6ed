#include "router/core/access.hpp"

#include "router/protocol/subject.hpp"

namespace kedge {

namespace {

std::string fill_in(std::string text, std::string_view hole, std::string_view with)
{
    for (auto at = text.find(hole); at != std::string::npos; at = text.find(hole, at + with.size()))
        text.replace(at, hole.size(), with);
    return text;
}

std::string fill_in_rule(std::string const& pattern, std::string_view user, std::string_view role)
{
    return fill_in(fill_in(pattern, "{user}", user), "{role}", role);
}

std::string in_quotes(std::string_view text) { return "'" + std::string{text} + "'"; }

/// As in "bot1 may not … 'x'".
std::string_view verb(rule::act action)
{
    switch (action) {
    case rule::act::publish: return "publish to";
    case rule::act::subscribe: return "subscribe to";
    case rule::act::serve: return "serve";
    case rule::act::call: return "call";
    case rule::act::post: return "post to";
    case rule::act::create: return "create";
    }
    return {};
}

bool of_subjects(rule::act action)
{
    return action == rule::act::publish || action == rule::act::subscribe || action == rule::act::call;
}

}  // namespace

std::string_view to_string(rule::act action) noexcept
{
    switch (action) {
    case rule::act::publish: return "publish";
    case rule::act::subscribe: return "subscribe";
    case rule::act::serve: return "serve";
    case rule::act::call: return "call";
    case rule::act::post: return "post";
    case rule::act::create: return "create";
    }
    return {};
}

std::optional<rule::act> parse_act(std::string_view word) noexcept
{
    for (unsigned i = 0; i < rule::act_count; ++i)
        if (auto const action = static_cast<rule::act>(i); to_string(action) == word)
            return action;
    return std::nullopt;
}

bool valid_rule_pattern(std::string_view pattern) noexcept
{
    return valid_pattern(fill_in_rule(std::string{pattern}, "u", "user"));
}

std::string describe(rule const& r)
{
    auto const whose = !r.user.empty() ? "user " + r.user : !r.key.empty() ? "key " + r.key : "role " + r.role;
    auto const effect = r.what == rule::effect::deny ? " deny " : " allow ";
    return "rule " + std::to_string(r.id) + " (" + whose + ":" + effect + std::string{to_string(r.action)} + " " + in_quotes(r.pattern)
        + ")";
}

std::vector<rule> built_in_rules()
{
    std::vector<rule> rules;
    for (auto const role : {role_operator, role_user, role_bot})
        for (unsigned i = 0; i < rule::act_count; ++i) {
            rule r;
            r.role = role;
            r.action = static_cast<rule::act>(i);
            if (role != role_operator && of_subjects(r.action))
                r.pattern = "everything outside $sys.>";
            else if (role != role_operator && r.action == rule::act::create)
                r.pattern = "list.>";
            else
                r.pattern = "everything";
            rules.push_back(std::move(r));
        }
    return rules;
}

access_profile::access_profile(std::string user, std::string role, std::vector<rule> const& rules, std::string key)
    : user_{std::move(user)}, role_{std::move(role)}, key_{std::move(key)}
{
    for (auto const& r : rules) {
        bool const of_role = !r.role.empty() && r.role == role_;
        if (!of_role && (r.user.empty() || r.user != user_) && (r.key.empty() || r.key != key_))
            continue;
        auto& into = lists_[static_cast<std::size_t>(r.action)];
        compiled entry{r, fill_in_rule(r.pattern, user_, role_)};
        if (r.what == rule::effect::deny) {
            into.deny.push_back(std::move(entry));
        } else {
            into.allow.push_back(std::move(entry));
            into.built_in = into.built_in && !of_role;
        }
    }
}

bool access_profile::is_operator() const noexcept { return role_ == role_operator; }

bool access_profile::built_in(rule::act action, std::string_view what) const
{
    if (is_operator())
        return true;
    if (of_subjects(action))
        return !intersects("$sys.>", what);
    return action != rule::act::create || what.starts_with("list.");
}

access_decision access_profile::decide(rule::act action, std::string_view what) const
{
    auto const& rules = lists_[static_cast<std::size_t>(action)];
    bool const literal = action != rule::act::subscribe;  // what is subscribed to is a pattern itself
    auto const refuse = [&](std::string why, std::uint64_t id) {
        return access_decision{false, user_ + " may not " + std::string{verb(action)} + " " + in_quotes(what) + ": " + std::move(why), id};
    };
    for (auto const& denied : rules.deny)
        if (literal ? matches(denied.pattern, what) : intersects(denied.pattern, what))
            return refuse("denied by " + describe(denied.source), denied.source.id);
    for (auto const& allowed : rules.allow)
        if (literal ? matches(allowed.pattern, what) : covers(allowed.pattern, what))
            return {true, {}, allowed.source.id};
    if (rules.built_in && built_in(action, what))
        return {true, {}, 0};
    return refuse("no rule of user " + user_ + " or role " + role_ + " allows it", 0);
}

access_decision access_profile::may_publish(std::string_view subject) const
{
    if (subject.starts_with("inbox.") || subject.starts_with("svc."))
        return {false, "nobody publishes to " + in_quotes(subject) + ": inboxes are reached by post, services by call", 0};
    return decide(rule::act::publish, subject);
}

access_decision access_profile::may_subscribe(std::string_view pattern) const
{
    if (intersects("inbox.>", pattern) && pattern != "inbox." + user_)
        return {false, user_ + " may not subscribe to " + in_quotes(pattern) + ": an inbox is read by its owner only", 0};
    if (intersects("_call.>", pattern))
        return {false, "nobody subscribes to " + in_quotes(pattern) + ": a reply is for who called", 0};
    return decide(rule::act::subscribe, pattern);
}

access_decision access_profile::may_serve(std::string_view service) const { return decide(rule::act::serve, service); }
access_decision access_profile::may_call(std::string_view what) const { return decide(rule::act::call, what); }
access_decision access_profile::may_post(std::string_view recipient) const { return decide(rule::act::post, recipient); }
access_decision access_profile::may_create(std::string_view what) const { return decide(rule::act::create, what); }

access_decision access_profile::may(rule::act action, std::string_view what) const
{
    switch (action) {
    case rule::act::publish: return may_publish(what);
    case rule::act::subscribe: return may_subscribe(what);
    case rule::act::serve:
    case rule::act::call:
    case rule::act::post:
    case rule::act::create: return decide(action, what);
    }
    return {};
}

}  // namespace kedge
