#include "router/store/sqlite/account_table.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

#include "router/store/batch_events.hpp"
#include "router/store/sqlite/word_list.hpp"

namespace kedge::sqlite {

namespace {

constexpr char between_origins = ',';  // CIDRs hold no commas

std::string_view view(std::string const& text)
{
    return text;
}

/// What is stored may be damaged: a number that means nothing here must not become a wider right.
rule::act action_of(std::uint64_t stored)
{
    if (stored >= rule::act_count)
        throw std::runtime_error{"the database is damaged: a rule has no sensible action"};
    return static_cast<rule::act>(stored);
}

account_list::posting posting_of(std::uint64_t stored)
{
    if (stored > static_cast<std::uint64_t>(account_list::posting::owners))
        throw std::runtime_error{"the database is damaged: a list does not say who may post to it"};
    return static_cast<account_list::posting>(stored);
}

}  // namespace

account_table::account_table(database& on, limits const& bounds)
    : on_{on},
      limits_{bounds},
      users_{on, "SELECT name, role, removed, added_ms FROM user"},
      own_limits_{on, "SELECT name, value FROM user_limit WHERE user = ?"},
      keys_{on, "SELECT user, type, blob, fingerprint, comment, role, origins, expires_ms, added_ms FROM user_key"},
      rules_{on, "SELECT id, what, action, user, role, pattern, key FROM rule ORDER BY id"},
      bans_{on, "SELECT id, user, key, address, until_ms, reason, by_user, added_ms FROM ban ORDER BY id"},
      aliases_{on, "SELECT alias, user FROM alias"},
      lists_{on, "SELECT name, owner, posting FROM list"},
      members_{on, "SELECT member FROM list_member WHERE list = ?"},
      user_known_{on, "SELECT 1 FROM user WHERE name = ?"},
      user_active_{on, "SELECT 1 FROM user WHERE name = ? AND NOT removed"},
      user_count_{on, "SELECT count(*) FROM user"},
      put_user_{on, "INSERT INTO user VALUES (?, ?, 0, ?) ON CONFLICT (name) DO UPDATE SET role = excluded.role, removed = 0"},
      drop_own_limits_{on, "DELETE FROM user_limit WHERE user = ?"},
      put_own_limit_{on, "INSERT INTO user_limit VALUES (?, ?, ?)"},
      remove_user_{on, "UPDATE user SET removed = 1 WHERE name = ?"},
      remove_keys_{on, "DELETE FROM user_key WHERE user = ?"},
      remove_rules_{on, "DELETE FROM rule WHERE user = ?"},
      remove_places_{on, "DELETE FROM list_member WHERE member = ?1 OR member IN (SELECT '~' || alias FROM alias WHERE user = ?1)"},
      remove_aliases_{on, "DELETE FROM alias WHERE user = ?"},
      orphan_lists_{on, "UPDATE list SET owner = '' WHERE owner = ?"},
      key_known_{on, "SELECT 1 FROM user_key WHERE user = ? AND fingerprint = ?"},
      key_count_{on, "SELECT count(*) FROM user_key WHERE user = ?"},
      put_key_{on, "INSERT OR REPLACE INTO user_key VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"},
      remove_key_{on, "DELETE FROM user_key WHERE user = ? AND fingerprint = ?"},
      rule_count_{on, "SELECT count(*) FROM rule"},
      add_rule_{on, "INSERT INTO rule (what, action, user, role, pattern, key) VALUES (?, ?, ?, ?, ?, ?)"},
      remove_rule_{on, "DELETE FROM rule WHERE id = ?"},
      ban_count_{on, "SELECT count(*) FROM ban"},
      add_ban_{on, "INSERT INTO ban (user, key, address, until_ms, reason, by_user, added_ms) VALUES (?, ?, ?, ?, ?, ?, ?)"},
      remove_ban_{on, "DELETE FROM ban WHERE id = ?"},
      alias_owner_{on, "SELECT user FROM alias WHERE alias = ?"},
      alias_count_{on, "SELECT count(*) FROM alias WHERE user = ?"},
      put_alias_{on, "INSERT INTO alias VALUES (?, ?)"},
      remove_alias_{on, "DELETE FROM alias WHERE alias = ?"},
      list_known_{on, "SELECT 1 FROM list WHERE name = ?"},
      list_count_{on, "SELECT count(*) FROM list"},
      put_list_{on, "INSERT OR REPLACE INTO list VALUES (?, ?, ?)"},
      add_member_{on, "INSERT INTO list_member VALUES (?, ?)"},
      remove_list_{on, "DELETE FROM list WHERE name = ?"},
      drop_members_{on, "DELETE FROM list_member WHERE list = ?"},
      add_audit_{on, "INSERT INTO audit (time_ms, user, key, command, args, outcome) VALUES (?, ?, ?, ?, ?, ?)"},
      drop_audit_{on, "DELETE FROM audit WHERE id <= ?"},
      read_audit_{on, "SELECT id, time_ms, user, key, command, args, outcome FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?"}
{
}

account_store::contents account_table::load()
{
    account_store::contents all;
    auto users = users_.query();
    while (users.next()) {
        account_user user{users.string(0), users.string(1), users.integer(2) != 0, false, users.number(3)};
        auto own = own_limits_.query(view(user.name));
        while (own.next())
            user.own_limits.emplace(own.string(0), own.number(1));
        all.users.push_back(std::move(user));
    }
    auto keys = keys_.query();
    while (keys.next())
        all.keys.push_back({keys.string(0), keys.string(1), keys.string(2), keys.string(3), keys.string(4), keys.string(5),
                            split(keys.bytes(6), between_origins), keys.number(7), keys.number(8), false});
    auto rules = rules_.query();
    while (rules.next())
        all.rules.push_back({rules.number(0), rules.integer(1) == 0 ? rule::effect::deny : rule::effect::allow,
                             action_of(rules.number(2)), rules.string(3), rules.string(4), rules.string(5), rules.string(6)});
    auto bans = bans_.query();
    while (bans.next())
        all.bans.push_back({bans.number(0), bans.string(1), bans.string(2), bans.string(3), bans.number(4), bans.string(5),
                            bans.string(6), bans.number(7)});
    auto aliases = aliases_.query();
    while (aliases.next())
        all.aliases.push_back({aliases.string(0), aliases.string(1)});
    auto lists = lists_.query();
    while (lists.next()) {
        account_list list{lists.string(0), lists.string(1), posting_of(lists.number(2)), {}};
        auto members = members_.query(view(list.name));
        while (members.next())
            list.members.push_back(members.string(0));
        all.lists.push_back(std::move(list));
    }
    return all;
}

result<void> account_table::put_user(account_user const& user)
{
    if (ask(user_known_, view(user.name)) == 0 && static_cast<std::uint64_t>(ask(user_count_)) >= limits_.users)
        return store_failure::too_many("users");
    put_user_.run(view(user.name), view(user.role), user.added_ms);
    drop_own_limits_.run(view(user.name));
    for (auto const& [name, value] : user.own_limits)
        put_own_limit_.run(view(user.name), view(name), value);
    return {};
}

result<void> account_table::remove_user(std::string const& name)
{
    if (ask(user_known_, view(name)) == 0)
        return store_failure::no_user(name);
    remove_user_.run(view(name));
    remove_keys_.run(view(name));
    remove_rules_.run(view(name));
    remove_places_.run(view(name));  // those under an alias too: before the aliases
    remove_aliases_.run(view(name));
    orphan_lists_.run(view(name));
    return {};
}

result<void> account_table::put_key(account_key const& key)
{
    if (ask(user_active_, view(key.user)) == 0)
        return store_failure::no_user(key.user);
    if (ask(key_known_, view(key.user), view(key.fingerprint)) == 0
        && static_cast<std::uint64_t>(ask(key_count_, view(key.user))) >= limits_.user_keys)
        return store_failure::too_many("keys of one user");
    auto const origins = joined(key.from, between_origins);
    put_key_.run(view(key.user), view(key.fingerprint), view(key.type), blob{key.blob}, view(key.comment), view(key.role),
                 view(origins), key.expires_ms, key.added_ms);
    return {};
}

result<void> account_table::remove_key(std::string const& user, std::string const& fingerprint)
{
    remove_key_.run(view(user), view(fingerprint));
    if (on_.changes() == 0)
        return store_failure::no_key(user);
    return {};
}

result<std::uint64_t> account_table::add_rule(rule const& added)
{
    if (static_cast<std::uint64_t>(ask(rule_count_)) >= limits_.rules)
        return store_failure::too_many("rules");
    add_rule_.run(static_cast<int>(added.what), static_cast<int>(added.action), view(added.user), view(added.role),
                  view(added.pattern), view(added.key));
    return static_cast<std::uint64_t>(on_.last_rowid());
}

result<void> account_table::remove_rule(std::uint64_t id)
{
    remove_rule_.run(id);
    if (on_.changes() == 0)
        return store_failure::no_rule();
    return {};
}

result<std::uint64_t> account_table::add_ban(account_ban const& added)
{
    if (static_cast<std::uint64_t>(ask(ban_count_)) >= limits_.bans)
        return store_failure::too_many("bans");
    add_ban_.run(view(added.user), view(added.key), view(added.address), added.until_ms, view(added.reason), view(added.by),
                 added.added_ms);
    return static_cast<std::uint64_t>(on_.last_rowid());
}

result<void> account_table::remove_ban(std::uint64_t id)
{
    remove_ban_.run(id);
    if (on_.changes() == 0)
        return store_failure::no_ban();
    return {};
}

result<void> account_table::put_alias(account_alias const& added)
{
    if (ask(user_active_, view(added.user)) == 0)
        return store_failure::no_user(added.user);
    {
        auto rows = alias_owner_.query(view(added.alias));
        if (rows.next())
            return rows.bytes(0) == added.user ? result<void>{} : store_failure::alias_exists(added.alias);
    }
    if (static_cast<std::uint64_t>(ask(alias_count_, view(added.user))) >= limits_.user_aliases)
        return store_failure::too_many("aliases of one user");
    put_alias_.run(view(added.alias), view(added.user));
    return {};
}

result<void> account_table::remove_alias(std::string const& alias)
{
    remove_alias_.run(view(alias));
    if (on_.changes() == 0)
        return store_failure::no_alias(alias);
    return {};
}

result<void> account_table::put_list(account_list const& list)
{
    if (list.members.size() > limits_.list_members)
        return store_failure::too_many("members of one list");
    if (ask(list_known_, view(list.name)) == 0 && static_cast<std::uint64_t>(ask(list_count_)) >= limits_.lists)
        return store_failure::too_many("lists");
    put_list_.run(view(list.name), view(list.owner), static_cast<int>(list.who));
    drop_members_.run(view(list.name));
    for (auto const& member : list.members)
        add_member_.run(view(list.name), view(member));
    return {};
}

result<void> account_table::remove_list(std::string const& name)
{
    remove_list_.run(view(name));
    if (on_.changes() == 0)
        return store_failure::no_list(name);
    drop_members_.run(view(name));
    return {};
}

result<void> account_table::add_audit(audit_entry const& added)
{
    add_audit_.run(added.time_ms, view(added.user), view(added.key), view(added.command), view(added.args), view(added.outcome));
    // Numbers have no holes, so that the newest one says how many there are.
    if (auto const last = static_cast<std::uint64_t>(on_.last_rowid()); last > limits_.audit_entries)
        drop_audit_.run(last - limits_.audit_entries);
    return {};
}

std::vector<audit_entry> account_table::read_audit(std::uint64_t before, std::size_t most)
{
    constexpr auto no_bound = std::uint64_t{std::numeric_limits<std::int64_t>::max()};
    std::vector<audit_entry> found;
    auto rows = read_audit_.query(before == 0 ? no_bound : std::min(before, no_bound), std::min<std::uint64_t>(most, no_bound));
    while (rows.next())
        found.push_back({rows.number(0), rows.number(1), rows.string(2), rows.string(3), rows.string(4), rows.string(5), rows.string(6)});
    return found;
}

}  // namespace kedge::sqlite
