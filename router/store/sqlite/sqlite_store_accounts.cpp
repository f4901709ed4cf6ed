#include "router/store/sqlite/sqlite_store_impl.hpp"

namespace kedge {

account_store::contents sqlite_store::load_accounts()
{
    return impl_->accounts.load();
}

result<void> sqlite_store::put_user(account_user const& user)
{
    return impl_->change_accounts([&] { return impl_->accounts.put_user(user); });
}

result<void> sqlite_store::remove_user(std::string const& name)
{
    return impl_->change_accounts([&] { return impl_->accounts.remove_user(name); });
}

result<void> sqlite_store::put_key(account_key const& key)
{
    return impl_->change_accounts([&] { return impl_->accounts.put_key(key); });
}

result<void> sqlite_store::remove_key(std::string const& user, std::string const& fingerprint)
{
    return impl_->change_accounts([&] { return impl_->accounts.remove_key(user, fingerprint); });
}

result<std::uint64_t> sqlite_store::add_rule(rule const& added)
{
    return impl_->change_accounts([&] { return impl_->accounts.add_rule(added); });
}

result<void> sqlite_store::remove_rule(std::uint64_t id)
{
    return impl_->change_accounts([&] { return impl_->accounts.remove_rule(id); });
}

result<std::uint64_t> sqlite_store::add_ban(account_ban const& added)
{
    return impl_->change_accounts([&] { return impl_->accounts.add_ban(added); });
}

result<void> sqlite_store::remove_ban(std::uint64_t id)
{
    return impl_->change_accounts([&] { return impl_->accounts.remove_ban(id); });
}

result<void> sqlite_store::put_alias(account_alias const& added)
{
    return impl_->change_accounts([&] { return impl_->accounts.put_alias(added); });
}

result<void> sqlite_store::remove_alias(std::string const& alias)
{
    return impl_->change_accounts([&] { return impl_->accounts.remove_alias(alias); });
}

result<void> sqlite_store::put_list(account_list const& list)
{
    return impl_->change_accounts([&] { return impl_->accounts.put_list(list); });
}

result<void> sqlite_store::remove_list(std::string const& name)
{
    return impl_->change_accounts([&] { return impl_->accounts.remove_list(name); });
}

result<void> sqlite_store::add_audit(audit_entry const& added)
{
    return impl_->change_accounts([&] { return impl_->accounts.add_audit(added); });
}

std::vector<audit_entry> sqlite_store::read_audit(std::uint64_t before, std::size_t most)
try {
    return impl_->accounts.read_audit(before, most);
} catch (sqlite::error const&) {
    return {};  // a database that cannot be read is told by whatever writes next
}

}  // namespace kedge
