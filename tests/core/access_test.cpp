#include "tests/catch.hpp"

#include "router/core/access.hpp"

using namespace kedge;

namespace {

rule make(std::uint64_t id, char const* effect, char const* action, char const* user, char const* role, char const* pattern)
{
    rule r;
    r.id = id;
    r.what = std::string{effect} == "deny" ? rule::effect::deny : rule::effect::allow;
    r.action = std::string{action} == "publish" ? rule::act::publish : rule::act::subscribe;
    r.user = user;
    r.role = role;
    r.pattern = pattern;
    return r;
}

}  // namespace

TEST_CASE("access: who may what")
{
    auto const deny_role = make(1, "deny", "publish", "", "user", "secret.>");
    auto const allow_user = make(2, "allow", "publish", "ann", "", "secret.>");
    auto const allow_role = make(3, "allow", "publish", "", "user", "chat.>");
    auto const own = make(4, "allow", "publish", "", "user", "home.{user}.>");
    auto const deny_sub = make(5, "deny", "subscribe", "ann", "", "a.secret");
    auto const allow_sub = make(6, "allow", "subscribe", "", "bot", "a.*");
    auto const allow_sys = make(7, "allow", "subscribe", "ann", "", "$sys.node.*");
    auto const deny_operator = make(8, "deny", "publish", "", "operator", "danger");
    struct row {
        char const* name;
        char const* role;
        std::vector<rule> rules;
        bool publish;
        char const* what;
        bool allowed;
        char const* says;
    };
    row const rows[] = {
        {"built in: a user publishes", "user", {}, true, "a.b", true, ""},
        {"built in: not to $sys", "user", {}, true, "$sys.x", false, "no rule of user ann or role user"},
        {"built in: an operator everything", "operator", {}, true, "$sys.x", true, ""},
        {"built in: a bot subscribes", "bot", {}, false, "a.>", true, ""},
        {"built in: not to $sys, in any pattern", "bot", {}, false, "$sys.>", false, "no rule"},
        {"built in: > does not mean $sys", "bot", {}, false, ">", true, ""},
        {"nobody publishes to an inbox", "operator", {}, true, "inbox.ann", false, "post"},
        {"nobody publishes to a service", "operator", {}, true, "svc.a.b", false, "call"},
        {"one's own inbox", "user", {}, false, "inbox.ann", true, ""},
        {"another's inbox", "operator", {}, false, "inbox.bob", false, "owner only"},
        {"all inboxes", "operator", {}, false, "inbox.*", false, "owner only"},
        {"below inboxes", "operator", {}, false, "inbox.>", false, "owner only"},
        {"deny goes before allow", "user", {allow_user, deny_role}, true, "secret.x", false, "rule 1 (role user: deny publish 'secret.>')"},
        {"deny of another role", "bot", {deny_role}, true, "secret.x", true, ""},
        {"an allow rule of the role replaces the built-in one", "user", {allow_role}, true, "other", false, "no rule"},
        {"and gives what it says", "user", {allow_role}, true, "chat.x", true, ""},
        {"an allow rule of the user does not", "user", {allow_user}, true, "other", true, ""},
        {"{user} is the user", "user", {own}, true, "home.ann.x", true, ""},
        {"and no one else", "user", {own}, true, "home.bob.x", false, "no rule"},
        {"a subscription must be covered", "bot", {allow_sub}, false, "a.*", true, ""},
        {"wholly", "bot", {allow_sub}, false, "a.>", false, "no rule"},
        {"a subscription must not touch what is denied", "user", {deny_sub}, false, "a.*", false, "rule 5 (user ann: deny subscribe"},
        {"what is beside it may be read", "user", {deny_sub}, false, "a.b", true, ""},
        {"$sys by a rule", "user", {allow_sys}, false, "$sys.node.join", true, ""},
        {"and not more of it", "user", {allow_sys}, false, "$sys.>", false, "no rule"},
        {"operators can be denied", "operator", {deny_operator}, true, "danger", false, "rule 8"},
    };
    for (auto const& r : rows) {
        INFO(r.name);
        access_profile const profile{"ann", r.role, r.rules};
        auto const decision = r.publish ? profile.may_publish(r.what) : profile.may_subscribe(r.what);
        CHECK(decision.allowed == r.allowed);
        CHECK(decision.why.find(r.says) != std::string::npos);
        CHECK(decision.allowed == decision.why.empty());
    }
}
