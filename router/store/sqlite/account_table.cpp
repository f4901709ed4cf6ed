#include "router/store/sqlite/account_table.hpp"

#include "router/store/batch_events.hpp"
#include "router/store/sqlite/word_list.hpp"

namespace kedge::sqlite {

namespace {

constexpr char between_origins = ',';  // CIDRs hold no commas

std::string_view view(std::string const& text)
{
    return text;
}

}  // namespace

account_table::account_table(database& on, limits const& bounds)
    : on_{on},
      limits_{bounds},
      users_{on, "SELECT name, role, removed, added_ms FROM user"},
      keys_{on, "SELECT user, type, blob, fingerprint, comment, role, origins, expires_ms, added_ms FROM user_key"},
      rules_{on, "SELECT id, what, action, user, role, pattern FROM rule ORDER BY id"},
      user_known_{on, "SELECT 1 FROM user WHERE name = ?"},
      user_active_{on, "SELECT 1 FROM user WHERE name = ? AND NOT removed"},
      user_count_{on, "SELECT count(*) FROM user"},
      put_user_{on, "INSERT INTO user VALUES (?, ?, 0, ?) ON CONFLICT (name) DO UPDATE SET role = excluded.role, removed = 0"},
      remove_user_{on, "UPDATE user SET removed = 1 WHERE name = ?"},
      remove_keys_{on, "DELETE FROM user_key WHERE user = ?"},
      remove_rules_{on, "DELETE FROM rule WHERE user = ?"},
      key_known_{on, "SELECT 1 FROM user_key WHERE user = ? AND fingerprint = ?"},
      key_count_{on, "SELECT count(*) FROM user_key WHERE user = ?"},
      put_key_{on, "INSERT OR REPLACE INTO user_key VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"},
      remove_key_{on, "DELETE FROM user_key WHERE user = ? AND fingerprint = ?"},
      rule_count_{on, "SELECT count(*) FROM rule"},
      add_rule_{on, "INSERT INTO rule (what, action, user, role, pattern) VALUES (?, ?, ?, ?, ?)"},
      remove_rule_{on, "DELETE FROM rule WHERE id = ?"}
{
}

account_store::contents account_table::load()
{
    account_store::contents all;
    auto users = users_.query();
    while (users.next())
        all.users.push_back({users.string(0), users.string(1), users.integer(2) != 0, false, users.number(3)});
    auto keys = keys_.query();
    while (keys.next())
        all.keys.push_back({keys.string(0), keys.string(1), keys.string(2), keys.string(3), keys.string(4), keys.string(5),
                            split(keys.bytes(6), between_origins), keys.number(7), keys.number(8), false});
    auto rules = rules_.query();
    while (rules.next())
        all.rules.push_back({rules.number(0), rules.integer(1) == 0 ? rule::effect::deny : rule::effect::allow,
                             rules.integer(2) == 0 ? rule::act::publish : rule::act::subscribe, rules.string(3),
                             rules.string(4), rules.string(5)});
    return all;
}

result<void> account_table::put_user(account_user const& user)
{
    if (ask(user_known_, view(user.name)) == 0 && static_cast<std::uint64_t>(ask(user_count_)) >= limits_.users)
        return store_failure::too_many("users");
    put_user_.run(view(user.name), view(user.role), user.added_ms);
    return {};
}

result<void> account_table::remove_user(std::string const& name)
{
    if (ask(user_known_, view(name)) == 0)
        return store_failure::no_user(name);
    remove_user_.run(view(name));
    remove_keys_.run(view(name));
    remove_rules_.run(view(name));
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
                  view(added.pattern));
    return static_cast<std::uint64_t>(on_.last_rowid());
}

result<void> account_table::remove_rule(std::uint64_t id)
{
    remove_rule_.run(id);
    if (on_.changes() == 0)
        return store_failure::no_rule();
    return {};
}

}  // namespace kedge::sqlite
