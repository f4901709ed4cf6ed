#pragma once
/// Users, keys, rules, bans, aliases, lists, the audit log: tables `user`, `user_limit`, `user_key`, `rule`, `ban`, `alias`,
/// `list`, `list_member`, `audit`.

#include <string>
#include <vector>

#include "router/protocol/limits.hpp"
#include "router/store/sqlite/database.hpp"
#include "router/store/store.hpp"

namespace kedge::sqlite {

/// As `account_store`, without transactions of its own.
class account_table {
public:
    account_table(database&, limits const&);

    account_store::contents load();
    result<void> put_user(account_user const&);
    result<void> remove_user(std::string const& name);
    result<void> put_key(account_key const&);
    result<void> remove_key(std::string const& user, std::string const& fingerprint);
    result<std::uint64_t> add_rule(rule const&);
    result<void> remove_rule(std::uint64_t id);
    result<std::uint64_t> add_ban(account_ban const&);
    result<void> remove_ban(std::uint64_t id);
    result<void> put_alias(account_alias const&);
    result<void> remove_alias(std::string const& alias);
    result<void> put_list(account_list const&);
    result<void> remove_list(std::string const& name);
    result<void> add_audit(audit_entry const&);
    std::vector<audit_entry> read_audit(std::uint64_t before, std::size_t most);

private:
    /// The first column of the statement's first row; 0 if there is none.
    template <class... Values>
    std::int64_t ask(statement& asked, Values const&... values)
    {
        auto rows = asked.query(values...);
        return rows.next() ? rows.integer(0) : 0;
    }

    database& on_;
    limits const& limits_;
    statement users_;
    statement own_limits_;
    statement keys_;
    statement rules_;
    statement bans_;
    statement aliases_;
    statement lists_;
    statement members_;
    statement user_known_;
    statement user_active_;
    statement user_count_;
    statement put_user_;
    statement drop_own_limits_;
    statement put_own_limit_;
    statement remove_user_;
    statement remove_keys_;
    statement remove_rules_;
    statement remove_places_;
    statement remove_aliases_;
    statement orphan_lists_;
    statement key_known_;
    statement key_count_;
    statement put_key_;
    statement remove_key_;
    statement rule_count_;
    statement add_rule_;
    statement remove_rule_;
    statement ban_count_;
    statement add_ban_;
    statement remove_ban_;
    statement alias_owner_;
    statement alias_count_;
    statement put_alias_;
    statement remove_alias_;
    statement list_known_;
    statement list_count_;
    statement put_list_;
    statement add_member_;
    statement remove_list_;
    statement drop_members_;
    statement add_audit_;
    statement drop_audit_;
    statement read_audit_;
};

}  // namespace kedge::sqlite
