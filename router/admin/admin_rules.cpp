// Rules, bans and the audit log.

#include <algorithm>

#include "router/admin/admin.hpp"
#include "router/core/core.hpp"
#include "router/protocol/names.hpp"
#include "router/protocol/subject.hpp"

namespace kedge {

namespace {

constexpr std::uint64_t forever_ms = 1ull << 53;  // beyond what JSON holds exactly

bool is_fingerprint(std::string_view text) { return text.starts_with("SHA256:") && text.size() == 50; }

}  // namespace

nlohmann::json admin::describe(rule const& r, bool built_in)
{
    nlohmann::json entry{{"id", r.id},
                         {"effect", r.what == rule::effect::allow ? "allow" : "deny"},
                         {"action", to_string(r.action)},
                         {"pattern", r.pattern},
                         {"builtin", built_in}};
    if (!r.user.empty())
        entry["user"] = r.user;
    if (!r.role.empty())
        entry["role"] = r.role;
    if (!r.key.empty())
        entry["key"] = r.key;
    return entry;
}

void admin::rule_add(caller from, nlohmann::json const& args, instant, actions& out)
{
    rule r;
    r.user = args.value("user", "");
    r.role = args.value("role", "");
    r.key = args.value("key", "");
    r.pattern = args.value("pattern", "");
    auto const effect = args.value("effect", "");
    auto const action = args.value("action", "");
    if (!r.user.empty() + !r.role.empty() + !r.key.empty() != 1)
        return refuse(from, "a rule is for one user, one role or one key", out);
    if (!r.user.empty() && !core_.directory_->find_user(r.user))
        return refuse(from, "there is no user " + r.user, out);
    if (!r.role.empty() && !valid_role(r.role))
        return refuse(from, "'" + r.role + "' is not a role: operator, user or bot", out);
    if (!r.key.empty() && !is_fingerprint(r.key))
        return refuse(from, "'" + r.key + "' is not a key's fingerprint (SHA256:…, as 'key list' shows it)", out);
    if (effect != "allow" && effect != "deny")
        return refuse(from, "'" + effect + "' is neither allow nor deny", out);
    auto const act = parse_act(action);
    if (!act)
        return refuse(from, "'" + action + "' is not an action: publish, subscribe, serve, call, post or create", out);
    if (!valid_rule_pattern(r.pattern))
        return refuse(from, "'" + r.pattern + "' is not a pattern of subjects", out);
    if (*act == rule::act::create && r.pattern != ">" && !r.pattern.starts_with("stream.") && !r.pattern.starts_with("list."))
        return refuse(from, "'" + r.pattern + "' names nothing that is created: stream.NAME or list.NAME, with wildcards", out);
    if (core_.rules_.size() >= core_.config_.limits.rules)
        return refuse(from, "there are " + std::to_string(core_.rules_.size()) + " rules already", out);
    r.what = effect == "allow" ? rule::effect::allow : rule::effect::deny;
    r.action = *act;
    ask_accounts(from, {account_change::add_rule{std::move(r)}}, nlohmann::json::object(), out);
}

void admin::rule_list(caller from, nlohmann::json const&, instant, actions& out)
{
    auto list = nlohmann::json::array();
    // A role's built-in rule is listed while it holds: until the role has an allow rule of its own for the action.
    for (auto const& r : built_in_rules())
        if (std::none_of(core_.rules_.begin(), core_.rules_.end(), [&](auto const& own) {
                return own.what == rule::effect::allow && own.role == r.role && own.action == r.action;
            }))
            list.push_back(describe(r, true));
    for (auto const& r : core_.rules_)
        list.push_back(describe(r, false));
    done(from, {{"rules", std::move(list)}}, out);
}

void admin::rule_remove(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const id = args.value("id", std::uint64_t{0});
    if (std::none_of(core_.rules_.begin(), core_.rules_.end(), [&](auto const& r) { return r.id == id; }))
        return refuse(from, "there is no rule " + std::to_string(id), out);
    ask_accounts(from, {account_change::remove_rule{id}}, nlohmann::json::object(), out);
}

void admin::rule_test(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const name = args.value("user", "");
    auto const what = args.value("subject", "");
    auto const* const known = core_.directory_->find_user(name);
    if (!known || known->removed)
        return refuse(from, "there is no user " + name, out);
    auto const act = parse_act(args.value("action", ""));
    if (!act)
        return refuse(from, "'" + args.value("action", "") + "' is not an action: publish, subscribe, serve, call, post or create", out);
    auto const role = args.value("role", known->role);
    if (!valid_role(role))
        return refuse(from, "'" + role + "' is not a role: operator, user or bot", out);
    if (*act == rule::act::subscribe ? !valid_pattern(what) : !valid_subject(what))
        return refuse(from, "'" + what + "' is not a " + (*act == rule::act::subscribe ? "pattern" : "subject"), out);
    auto const decision = access_profile{name, role, core_.rules_, args.value("key", "")}.may(*act, what);
    auto why = decision.why;
    if (decision.allowed) {
        auto const deciding = std::ranges::find(core_.rules_, decision.rule, &rule::id);
        why = name + " may " + std::string{to_string(*act)} + " '" + what + "': allowed by "
            + (deciding == core_.rules_.end() ? "the built-in rule of role " + role : kedge::describe(*deciding));
    }
    done(from, {{"allowed", decision.allowed}, {"why", why}, {"rule", decision.rule}}, out);
}

void admin::ban_add(caller from, nlohmann::json const& args, instant now, actions& out)
{
    account_ban ban;
    ban.user = args.value("user", "");
    ban.key = args.value("key", "");
    ban.address = args.value("address", "");
    ban.until_ms = args.value("until_ms", std::uint64_t{0});
    if (auto const span = args.value("for_ms", std::uint64_t{0}))
        ban.until_ms = span > forever_ms - now.wall_ms ? 0 : now.wall_ms + span;
    ban.reason = args.value("reason", "");
    ban.added_ms = now.wall_ms;
    auto const* const self = core_.find(from.link);
    if (!ban.user.empty() + !ban.key.empty() + !ban.address.empty() != 1)
        return refuse(from, "a ban is of one user, one key or one address", out);
    if (!ban.user.empty() && !core_.directory_->find_user(ban.user))
        return refuse(from, "there is no user " + ban.user, out);
    if (!ban.key.empty() && !is_fingerprint(ban.key))
        return refuse(from, "'" + ban.key + "' is not a key's fingerprint (SHA256:…, as 'key list' shows it)", out);
    if (!ban.address.empty() && !valid_cidr(ban.address))
        return refuse(from, "'" + ban.address + "' is neither an address nor a network such as 10.0.0.0/8", out);
    if (ban.until_ms && ban.until_ms <= now.wall_ms)
        return refuse(from, "the ban would be over already", out);
    if (ban.reason.size() > 1024)
        return refuse(from, "the reason has more than 1024 bytes", out);
    if (self) {
        ban.by = self->who->user;
        if (ban.user == self->who->user || (!ban.key.empty() && ban.key == self->who->key)
            || (!ban.address.empty() && address_in(self->who->address, ban.address)))
            return refuse(from, "that would ban yourself", out);
    }
    if (core_.bans_.size() >= core_.config_.limits.bans)
        return refuse(from, "there are " + std::to_string(core_.bans_.size()) + " bans already", out);
    ask_accounts(from, {account_change::add_ban{std::move(ban)}}, nlohmann::json::object(), out);
}

void admin::ban_list(caller from, nlohmann::json const&, instant now, actions& out)
{
    auto list = nlohmann::json::array();
    for (auto const& b : core_.bans_) {
        nlohmann::json entry{{"id", b.id},         {"until_ms", b.until_ms},
                             {"reason", b.reason}, {"by", b.by},
                             {"added_ms", b.added_ms}, {"over", b.until_ms != 0 && b.until_ms <= now.wall_ms}};
        if (!b.user.empty())
            entry["user"] = b.user;
        if (!b.key.empty())
            entry["key"] = b.key;
        if (!b.address.empty())
            entry["address"] = b.address;
        list.push_back(std::move(entry));
    }
    done(from, {{"bans", std::move(list)}}, out);
}

void admin::ban_remove(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const id = args.value("id", std::uint64_t{0});
    if (std::none_of(core_.bans_.begin(), core_.bans_.end(), [&](auto const& b) { return b.id == id; }))
        return refuse(from, "there is no ban " + std::to_string(id), out);
    ask_accounts(from, {account_change::remove_ban{id}}, nlohmann::json::object(), out);
}

void admin::audit_list(caller from, nlohmann::json const& args, instant, actions& out)
{
    constexpr std::size_t most = 1000;
    auto const request = core_.next_token();
    running_ = running{from, request, nullptr,
                       [this, from](account_result const& result, instant, actions& o) {
                           if (result.why)
                               return refuse(from, result.why->message, o);
                           auto list = nlohmann::json::array();
                           for (auto const& e : result.audit)
                               list.push_back({{"id", e.id},
                                               {"time_ms", e.time_ms},
                                               {"user", e.user},
                                               {"key", e.key},
                                               {"command", e.command},
                                               {"args", e.args},
                                               {"outcome", e.outcome}});
                           done(from, {{"entries", std::move(list)}}, o);
                       },
                       nullptr};
    account_change::read_audit wanted;
    wanted.before = args.value("before", std::uint64_t{0});
    wanted.most = std::min<std::size_t>(args.value("count", std::uint64_t{100}), most);
    out.accounts.push_back({request, {wanted}});
}

}  // namespace kedge
