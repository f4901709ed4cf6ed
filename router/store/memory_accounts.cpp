#include <algorithm>

#include "router/store/memory_store.hpp"

namespace kedge {

namespace {

auto find_user(account_store::contents& all, std::string const& name)
{
    return std::ranges::find(all.users, name, &account_user::name);
}

}  // namespace

account_store::contents memory_store::load_accounts()
{
    return disk_.accounts;
}

account_store::contents& memory_store::change_accounts()
{
    after_crash_.reset();  // each change is a commit, and what a commit follows is settled
    return disk_.accounts;
}

result<void> memory_store::put_user(account_user const& user)
{
    auto& all = change_accounts();
    auto const at = find_user(all, user.name);
    if (at == all.users.end()) {
        if (all.users.size() >= limits_.users)
            return store_failure::too_many("users");
        all.users.push_back({user.name, user.role, false, false, user.added_ms, user.own_limits});
        std::ranges::sort(all.users, {}, &account_user::name);
    } else {
        at->role = user.role;
        at->removed = false;
        at->own_limits = user.own_limits;
    }
    return {};
}

result<void> memory_store::remove_user(std::string const& name)
{
    auto& all = change_accounts();
    auto const at = find_user(all, name);
    if (at == all.users.end())
        return store_failure::no_user(name);
    at->removed = true;
    std::erase_if(all.keys, [&](auto const& key) { return key.user == name; });
    std::erase_if(all.rules, [&](auto const& r) { return r.user == name; });
    std::vector<std::string> names{name};
    for (auto const& a : all.aliases)
        if (a.user == name)
            names.push_back("~" + a.alias);
    std::erase_if(all.aliases, [&](auto const& a) { return a.user == name; });
    for (auto& list : all.lists) {
        std::erase_if(list.members, [&](auto const& member) { return std::ranges::find(names, member) != names.end(); });
        if (list.owner == name)
            list.owner.clear();
    }
    return {};
}

result<void> memory_store::put_key(account_key const& key)
{
    auto& all = change_accounts();
    auto const owner = find_user(all, key.user);
    if (owner == all.users.end() || owner->removed)
        return store_failure::no_user(key.user);
    auto stored = key;
    stored.from_file = false;
    auto const same = std::ranges::find_if(
        all.keys, [&](auto const& other) { return other.user == key.user && other.fingerprint == key.fingerprint; });
    if (same != all.keys.end()) {
        *same = stored;
        return {};
    }
    auto const held = std::ranges::count(all.keys, key.user, &account_key::user);
    if (static_cast<std::uint64_t>(held) >= limits_.user_keys)
        return store_failure::too_many("keys of one user");
    all.keys.push_back(stored);
    std::ranges::sort(all.keys, {}, [](auto const& k) { return std::tie(k.user, k.fingerprint); });
    return {};
}

result<void> memory_store::remove_key(std::string const& user, std::string const& fingerprint)
{
    auto const gone = std::erase_if(change_accounts().keys, [&](auto const& key) {
        return key.user == user && key.fingerprint == fingerprint;
    });
    if (gone == 0)
        return store_failure::no_key(user);
    return {};
}

result<std::uint64_t> memory_store::add_rule(rule const& added)
{
    auto& all = change_accounts();
    if (all.rules.size() >= limits_.rules)
        return store_failure::too_many("rules");
    all.rules.push_back(added);
    return all.rules.back().id = ++disk_.last_rule;
}

result<void> memory_store::remove_rule(std::uint64_t id)
{
    if (std::erase_if(change_accounts().rules, [&](auto const& r) { return r.id == id; }) == 0)
        return store_failure::no_rule();
    return {};
}

result<std::uint64_t> memory_store::add_ban(account_ban const& added)
{
    auto& all = change_accounts();
    if (all.bans.size() >= limits_.bans)
        return store_failure::too_many("bans");
    all.bans.push_back(added);
    return all.bans.back().id = ++disk_.last_ban;
}

result<void> memory_store::remove_ban(std::uint64_t id)
{
    if (std::erase_if(change_accounts().bans, [&](auto const& b) { return b.id == id; }) == 0)
        return store_failure::no_ban();
    return {};
}

result<void> memory_store::put_alias(account_alias const& added)
{
    auto& all = change_accounts();
    if (auto const owner = find_user(all, added.user); owner == all.users.end() || owner->removed)
        return store_failure::no_user(added.user);
    if (auto const known = std::ranges::find(all.aliases, added.alias, &account_alias::alias); known != all.aliases.end())
        return known->user == added.user ? result<void>{} : store_failure::alias_exists(added.alias);
    if (static_cast<std::uint64_t>(std::ranges::count(all.aliases, added.user, &account_alias::user)) >= limits_.user_aliases)
        return store_failure::too_many("aliases of one user");
    all.aliases.push_back(added);
    std::ranges::sort(all.aliases, {}, &account_alias::alias);
    return {};
}

result<void> memory_store::remove_alias(std::string const& alias)
{
    if (std::erase_if(change_accounts().aliases, [&](auto const& a) { return a.alias == alias; }) == 0)
        return store_failure::no_alias(alias);
    return {};
}

result<void> memory_store::put_list(account_list const& put)
{
    auto& all = change_accounts();
    if (put.members.size() > limits_.list_members)
        return store_failure::too_many("members of one list");
    if (auto const known = std::ranges::find(all.lists, put.name, &account_list::name); known != all.lists.end()) {
        *known = put;
        return {};
    }
    if (all.lists.size() >= limits_.lists)
        return store_failure::too_many("lists");
    all.lists.push_back(put);
    std::ranges::sort(all.lists, {}, &account_list::name);
    return {};
}

result<void> memory_store::remove_list(std::string const& name)
{
    if (std::erase_if(change_accounts().lists, [&](auto const& l) { return l.name == name; }) == 0)
        return store_failure::no_list(name);
    return {};
}

result<void> memory_store::add_audit(audit_entry const& added)
{
    change_accounts();
    disk_.audit.push_back(added);
    disk_.audit.back().id = ++disk_.last_audit;
    while (disk_.audit.size() > limits_.audit_entries)
        disk_.audit.erase(disk_.audit.begin());
    return {};
}

std::vector<audit_entry> memory_store::read_audit(std::uint64_t before, std::size_t most)
{
    std::vector<audit_entry> found;
    for (auto at = disk_.audit.rbegin(); at != disk_.audit.rend() && found.size() < most; ++at)
        if (before == 0 || at->id < before)
            found.push_back(*at);
    return found;
}

}  // namespace kedge
