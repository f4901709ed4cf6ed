// Aliases and distribution lists. Everybody may use these commands for what is theirs.

#include "router/admin/admin.hpp"
#include "router/core/core.hpp"

namespace kedge {

nlohmann::json admin::describe(account_list const& l)
{
    return {{"list", l.name}, {"owner", l.owner}, {"posting", posting_word(l.who)}, {"members", l.members}};
}

void admin::change_book(caller from, std::function<address_book::plan(link const&)> decide, nlohmann::json data, instant now, actions& out)
{
    core_.change_book({from.link, std::move(decide),
                       [this, from, data = std::move(data)](address_book::plan&& plan, actions& o) {
                           if (plan.why)
                               refuse(from, plan.why->message, o);
                           else
                               done(from, data, o);
                       }},
                      now, out);
}

void admin::alias_add(caller from, nlohmann::json const& args, instant now, actions& out)
{
    auto const* const by = core_.find(from.link);
    auto const alias = args.value("alias", "");
    auto const user = args.value("user", by->who->user);
    if (user != by->who->user && !by->access->is_operator())
        return deny(from, "only operators add aliases for others", out);
    change_book(
        from,
        [this, alias, user](link const& l) -> address_book::plan {
            if (!core_.is_user(user))
                return {{}, failure{error_code::unknown_recipient, "there is no user " + user}, {}};
            return core_.book_.change_aliases({l.who->user, l.access->is_operator()}, user, {alias}, {}, core_.config_.limits);
        },
        {{"alias", alias}, {"user", user}}, now, out);
}

void admin::alias_remove(caller from, nlohmann::json const& args, instant now, actions& out)
{
    auto const alias = args.value("alias", "");
    change_book(
        from,
        [this, alias](link const& l) -> address_book::plan {
            auto plan = core_.book_.change_aliases({l.who->user, l.access->is_operator()}, l.who->user, {}, {alias}, core_.config_.limits);
            if (!plan.why && plan.changes.empty())
                plan.why = failure{error_code::unknown_recipient, "there is no alias " + alias};
            return plan;
        },
        {{"alias", alias}}, now, out);
}

void admin::alias_list(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const* const by = core_.find(from.link);
    bool const all = by->access->is_operator();
    auto const user = args.value("user", all ? "" : by->who->user);
    if (!all && user != by->who->user)
        return deny(from, "only operators see the aliases of others", out);
    auto list = nlohmann::json::array();
    for (auto const& [alias, holder] : core_.book_.aliases())
        if (user.empty() || holder == user)
            list.push_back({{"alias", alias}, {"user", holder}});
    done(from, {{"aliases", std::move(list)}}, out);
}

void admin::list_change(caller from, address_book::list_change change, nlohmann::json const& args, instant now, actions& out)
{
    change.name = args.value("list", "");
    change.owner = args.value("owner", "");
    if (auto const word = args.value("posting", ""); !word.empty()) {
        change.who = parse_posting(word);
        if (!change.who)
            return refuse(from, "'" + word + "' is not who may post to a list: anyone, members or owners", out);
    }
    nlohmann::json const data{{"list", change.name}};
    change_book(from, [this, change = std::move(change)](link const& l) { return core_.decide_list(l, change); }, data, now, out);
}

void admin::list_add(caller from, nlohmann::json const& args, instant now, actions& out)
{
    address_book::list_change change;
    change.what = address_book::list_change::kind::create;
    change.add = args.value("members", std::vector<std::string>{});
    list_change(from, std::move(change), args, now, out);
}

void admin::list_edit(caller from, nlohmann::json const& args, instant now, actions& out)
{
    address_book::list_change change;
    change.what = address_book::list_change::kind::edit;
    change.add = args.value("add", std::vector<std::string>{});
    change.remove = args.value("remove", std::vector<std::string>{});
    list_change(from, std::move(change), args, now, out);
}

void admin::list_remove(caller from, nlohmann::json const& args, instant now, actions& out)
{
    address_book::list_change change;
    change.what = address_book::list_change::kind::drop;
    list_change(from, std::move(change), args, now, out);
}

void admin::list_show(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const name = args.value("list", "");
    auto list = nlohmann::json::array();
    for (auto const& [key, l] : core_.book_.lists())
        if (name.empty() || key == name)
            list.push_back(describe(l));
    if (!name.empty() && list.empty())
        return refuse(from, "there is no list @" + name, out);
    done(from, {{"lists", std::move(list)}}, out);
}

}  // namespace kedge
