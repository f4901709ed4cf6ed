#include "router/core/account_requests.hpp"

namespace kedge {

namespace {

struct one {
    account_store& store;
    account_result& answer;

    result<void> operator()(account_change::put_user const& c) const { return store.put_user(c.user); }
    result<void> operator()(account_change::remove_user const& c) const { return store.remove_user(c.name); }
    result<void> operator()(account_change::put_key const& c) const { return store.put_key(c.key); }
    result<void> operator()(account_change::remove_key const& c) const { return store.remove_key(c.user, c.fingerprint); }
    result<void> operator()(account_change::add_rule const& c) const { return with_id(store.add_rule(c.what)); }
    result<void> operator()(account_change::remove_rule const& c) const { return store.remove_rule(c.id); }
    result<void> operator()(account_change::add_ban const& c) const { return with_id(store.add_ban(c.what)); }
    result<void> operator()(account_change::remove_ban const& c) const { return store.remove_ban(c.id); }
    result<void> operator()(account_change::put_alias const& c) const { return store.put_alias(c.what); }
    result<void> operator()(account_change::remove_alias const& c) const { return store.remove_alias(c.alias); }
    result<void> operator()(account_change::put_list const& c) const { return store.put_list(c.what); }
    result<void> operator()(account_change::remove_list const& c) const { return store.remove_list(c.name); }
    result<void> operator()(account_change::add_audit const& c) const { return store.add_audit(c.what); }
    result<void> operator()(account_change::read_audit const& c) const
    {
        answer.audit = store.read_audit(c.before, c.most);
        return {};
    }

    result<void> with_id(result<std::uint64_t> const& added) const
    {
        if (!added)
            return added.error();
        answer.id = *added;
        return {};
    }
};

}  // namespace

account_result carry_out(account_store& store, account_request const& request)
{
    account_result answer;
    answer.request = request.request;
    for (auto const& change : request.changes) {
        if (auto const done = std::visit(one{store, answer}, change); !done) {
            answer.why = done.error();
            break;
        }
        ++answer.carried_out;
    }
    return answer;
}

}  // namespace kedge
