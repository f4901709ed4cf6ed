#pragma once
/// Users, keys and rules: tables `user`, `user_key`, `rule`.

#include <string>

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
    statement keys_;
    statement rules_;
    statement user_known_;
    statement user_active_;
    statement user_count_;
    statement put_user_;
    statement remove_user_;
    statement remove_keys_;
    statement remove_rules_;
    statement key_known_;
    statement key_count_;
    statement put_key_;
    statement remove_key_;
    statement rule_count_;
    statement add_rule_;
    statement remove_rule_;
};

}  // namespace kedge::sqlite
