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
        all.users.push_back({user.name, user.role, false, false, user.added_ms});
        std::ranges::sort(all.users, {}, &account_user::name);
    } else {
        at->role = user.role;
        at->removed = false;
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

}  // namespace kedge
