#include "router/core/address_book.hpp"

#include <algorithm>
#include <deque>

#include "router/protocol/names.hpp"
#include "router/store/post.hpp"

namespace kedge {

namespace {

/// Names looked at for one post or edit. Lists of lists of lists would otherwise multiply to what keeps the thread busy for
/// minutes, although each of them is within its limit.
constexpr std::size_t names_looked_at_max = 1'000'000;

std::string_view without(char sign, std::string_view name)
{
    if (name.starts_with(sign))
        name.remove_prefix(1);
    return name;
}

void add_once(std::vector<std::string>& to, std::string_view name)
{
    if (std::find(to.begin(), to.end(), name) == to.end())
        to.emplace_back(name);
}

std::string quoted_names(std::vector<std::string> const& names)
{
    constexpr std::size_t shown = 10;
    std::string text;
    for (std::size_t i = 0; i < names.size() && i < shown; ++i)
        text += (i ? ", " : "") + names[i];
    return names.size() > shown ? text + " and " + std::to_string(names.size() - shown) + " more" : text;
}

failure unknown_names(std::vector<std::string> const& names)
{
    return {error_code::unknown_recipient, "there is nobody by the name of " + quoted_names(names)};
}

failure deeper_than(std::uint64_t nesting, std::string_view list)
{
    return {error_code::quota, "lists may be nested " + std::to_string(nesting) + " deep: @" + std::string{list} + " lies deeper"};
}

}  // namespace

bool valid_member(std::string_view name) noexcept
{
    if (name.starts_with('~') || name.starts_with('@'))
        return valid_name(name.substr(1));
    return valid_user(name);
}

bool valid_recipient(std::string_view name) noexcept
{
    auto const slash = name.find('/');
    if (slash == std::string_view::npos)
        return valid_member(name);
    return valid_user(name.substr(0, slash)) && valid_node(name.substr(slash + 1));
}

std::string_view posting_word(account_list::posting who) noexcept
{
    switch (who) {
    case account_list::posting::anyone: return "anyone";
    case account_list::posting::members: return "members";
    case account_list::posting::owners: return "owners";
    }
    return {};
}

std::optional<account_list::posting> parse_posting(std::string_view word) noexcept
{
    for (auto const who : {account_list::posting::anyone, account_list::posting::members, account_list::posting::owners})
        if (posting_word(who) == word)
            return who;
    return std::nullopt;
}

// --- Whom a name reaches ---------------------------------------------------------------------------------------------

/// The lists below a name, nearest first.
struct address_book::walk {
    struct step {
        account_list const* list = nullptr;
        std::uint64_t depth = 1;
        bool asked = false;  ///< for the sender's own words: the rules are asked for its members
    };
    std::deque<step> ahead;
    std::map<account_list const*, bool> seen;  ///< to `asked`
    std::size_t looked_at = 0;

    /// Twice at most: what was met in another's list may be met in the sender's own as well.
    void add(account_list const* list, std::uint64_t depth, bool asked)
    {
        auto const [at, is_new] = seen.emplace(list, asked);
        if (is_new || (asked && !std::exchange(at->second, true)))
            ahead.push_back({list, depth, asked});
    }
    std::optional<step> next()
    {
        if (ahead.empty() || looked_at > names_looked_at_max)
            return std::nullopt;
        auto const nearest = ahead.front();
        ahead.pop_front();
        looked_at += nearest.list->members.size() + 1;
        return nearest;
    }
};

address_book::address_book(std::vector<account_alias> aliases, std::vector<account_list> lists)
{
    for (auto& a : aliases)
        apply(account_change::put_alias{std::move(a)});
    for (auto& l : lists)
        apply(account_change::put_list{std::move(l)});
}

std::string const* address_book::user_of(std::string_view alias) const
{
    auto const at = aliases_.find(alias);
    return at == aliases_.end() ? nullptr : &at->second;
}

account_list const* address_book::find_list(std::string_view name) const
{
    auto const at = lists_.find(name);
    return at == lists_.end() ? nullptr : &at->second;
}

bool address_book::reaches(account_list const& from, std::string_view user, std::uint64_t nesting) const
{
    walk lists;
    lists.add(&from, 1, false);
    while (auto const at = lists.next())
        for (auto const& member : at->list->members) {
            if (member.starts_with('@')) {
                if (auto const* const below = find_list(without('@', member)); below && at->depth < nesting)
                    lists.add(below, at->depth + 1, false);
            } else if (member.starts_with('~')) {
                if (auto const* const behind = user_of(without('~', member)); behind && *behind == user)
                    return true;
            } else if (member == user) {
                return true;
            }
        }
    return false;
}

address_book::expansion address_book::expand(std::vector<std::string> const& to, sender from, std::uint64_t nesting,
                                             people const& who) const
{
    expansion found;
    std::vector<std::string_view> users;
    std::vector<std::string_view> nodes;
    walk lists;
    auto const refuse = [&](error_code code, std::string why) {
        if (!found.why)
            found.why = failure{code, std::move(why)};
    };
    auto const may_post = [&](std::string_view name) {
        if (auto decision = who.may_post(name); !decision.allowed)
            refuse(error_code::denied, std::move(decision.why));
    };
    auto const owns = [&](account_list const& l) { return from.is_operator || (!l.owner.empty() && l.owner == from.user); };
    auto const take = [&](std::string_view name, std::uint64_t depth, bool asked) {
        if (name.starts_with('@')) {
            auto const* const list = find_list(without('@', name));
            if (!list)
                return add_once(found.unknown, name);
            if (depth > nesting && !lists.seen.contains(list))
                return refuse(error_code::quota, deeper_than(nesting, list->name).message);
            if (asked)
                may_post(name);
            lists.add(list, depth, asked && list->owner == from.user);
            return;
        }
        auto const* const behind = name.starts_with('~') ? user_of(without('~', name)) : nullptr;
        auto const user = behind ? std::string_view{*behind} : name.substr(0, name.find('/'));
        bool const is_node = user.size() < name.size() && !behind;
        if (!who.is_user(user) || (is_node && !who.has_inbox(name)))
            return add_once(found.unknown, name);
        if (asked)
            may_post(user);
        (is_node ? nodes : users).push_back(is_node ? name : user);
    };

    for (auto const& name : to)
        take(name, 1, true);
    while (auto const at = lists.next()) {
        auto const& list = *at->list;
        if (!owns(list) && list.who != account_list::posting::anyone &&
            (list.who == account_list::posting::owners || !reaches(list, from.user, nesting)))
            refuse(error_code::denied, "only " + std::string{list.who == account_list::posting::owners ? "its owners" : "its members"} +
                                           " may post to @" + list.name);
        if (found.why)
            break;
        for (auto const& member : list.members)
            take(member, at->depth + 1, at->asked);
    }
    if (lists.looked_at > names_looked_at_max)
        refuse(error_code::quota, "the lists lead to more than " + std::to_string(names_looked_at_max) + " names");
    if (found.why) {
        found.unknown.clear();
        return found;
    }
    if (!found.unknown.empty()) {
        found.why = unknown_names(found.unknown);
        return found;
    }

    auto const once = [](std::vector<std::string_view>& names) {
        std::sort(names.begin(), names.end());
        names.erase(std::unique(names.begin(), names.end()), names.end());
    };
    once(users);
    std::erase_if(nodes, [&](auto const node) { return std::binary_search(users.begin(), users.end(), user_part(node)); });
    users.insert(users.end(), nodes.begin(), nodes.end());
    once(users);
    if (users.empty()) {  // nothing is stored for nobody
        for (auto const& name : to)
            add_once(found.unknown, name);
        found.why = failure{error_code::unknown_recipient, "there is nobody in " + quoted_names(found.unknown)};
        return found;
    }
    for (auto const name : users)
        found.recipients.append(found.recipients.empty() ? "" : " ").append(name);
    return found;
}

// --- Changes ---------------------------------------------------------------------------------------------------------

address_book::plan address_book::change_aliases(sender by, std::string const& user, std::vector<std::string> const& add,
                                                std::vector<std::string> const& remove, limits const& bounds) const
{
    plan made;
    auto const refuse = [&](error_code code, std::string why) {
        made.changes.clear();
        made.why = failure{code, std::move(why)};
        return made;
    };
    auto const own = user_aliases_.find(user);
    auto count = own == user_aliases_.end() ? std::uint64_t{0} : own->second;
    std::set<std::string_view> gone;
    for (auto const& name : remove) {
        auto const alias = without('~', name);
        auto const* const holder = user_of(alias);
        if (!valid_name(alias))
            return refuse(error_code::bad_request, "'" + name + "' is not an alias: a name of letters, digits, '_' and '-', 64 at most");
        if (!holder || !gone.insert(alias).second)
            continue;  // so that the same request may come twice
        if (*holder != user && !by.is_operator)
            return refuse(error_code::not_owner, "the alias ~" + std::string{alias} + " is another user's");
        made.changes.push_back(account_change::remove_alias{std::string{alias}});
        count -= *holder == user;
    }
    std::set<std::string_view> added;
    for (auto const& name : add) {
        auto const alias = without('~', name);
        auto const* const holder = gone.contains(alias) ? nullptr : user_of(alias);
        if (!valid_name(alias))
            return refuse(error_code::bad_request, "'" + name + "' is not an alias: a name of letters, digits, '_' and '-', 64 at most");
        if (holder && *holder != user)
            return refuse(error_code::exists, "the alias ~" + std::string{alias} + " is another user's");
        if (holder || !added.insert(alias).second)
            continue;
        if (++count > bounds.user_aliases)
            return refuse(error_code::quota, "user " + user + " may have " + std::to_string(bounds.user_aliases) + " aliases at most");
        made.changes.push_back(account_change::put_alias{{std::string{alias}, user}});
    }
    return made;
}

bool address_book::is_known(std::string_view member, std::string_view itself, std::function<bool(std::string_view)> const& is_user) const
{
    if (member.starts_with('~'))
        return user_of(without('~', member)) != nullptr;
    if (member.starts_with('@'))
        return without('@', member) == itself || find_list(without('@', member)) != nullptr;
    return is_user(member);
}

bool address_book::too_deep(account_list const& from, std::uint64_t nesting) const
{
    walk lists;
    lists.add(&from, 1, false);
    while (auto const at = lists.next())
        for (auto const& member : at->list->members)
            if (member.starts_with('@') && without('@', member) != from.name)  // as it will be, not as it was
                if (auto const* const below = find_list(without('@', member)); below && !lists.seen.contains(below)) {
                    if (at->depth >= nesting)
                        return true;
                    lists.add(below, at->depth + 1, false);
                }
    return false;
}

address_book::plan address_book::change_list(sender by, list_change const& change, limits const& bounds,
                                             std::function<bool(std::string_view)> const& is_user,
                                             std::function<access_decision()> const& may_create) const
{
    using kind = list_change::kind;
    plan made;
    auto const refuse = [&](error_code code, std::string why) {
        made.why = failure{code, std::move(why)};
        return made;
    };
    if (!valid_name(change.name))
        return refuse(error_code::bad_request, "'" + change.name + "' is not the name of a list: letters, digits, '_' and '-', 64 at most");
    for (auto const* const names : {&change.add, &change.remove})
        for (auto const& name : *names)
            if (!valid_member(name))
                return refuse(error_code::bad_request, "'" + name + "' cannot be in a list: its members are users, ~aliases and @lists");
    auto const* const known = find_list(change.name);
    bool const creates = change.what == kind::create || (change.what == kind::create_or_edit && (!change.add.empty() || change.remove.empty()));
    if (!known && !creates)
        return refuse(error_code::unknown_list, "there is no list @" + change.name);
    if (known && change.what == kind::create)
        return refuse(error_code::exists, "there is a list @" + change.name + " already");
    if (known && !by.is_operator && known->owner != by.user)
        return refuse(error_code::not_owner, "the list @" + change.name + " belongs to " + (known->owner.empty() ? "operators" : known->owner));
    if (change.what == kind::drop) {
        made.changes.push_back(account_change::remove_list{change.name});
        return made;
    }
    if (!known) {
        if (auto decision = may_create(); !decision.allowed)
            return refuse(error_code::denied, std::move(decision.why));
        if (lists_.size() >= bounds.lists)
            return refuse(error_code::quota, "there are " + std::to_string(lists_.size()) + " lists already");
    }
    auto list = known ? *known : account_list{change.name, std::string{by.user}, account_list::posting::anyone, {}};
    if (!change.owner.empty() && !is_user(change.owner))
        made.unknown.push_back(change.owner);
    for (auto const& name : change.add)
        if (!is_known(name, change.name, is_user))
            add_once(made.unknown, name);
    if (!made.unknown.empty())
        return refuse(error_code::unknown_recipient, unknown_names(made.unknown).message);
    if (!change.owner.empty())
        list.owner = change.owner;
    list.who = change.who.value_or(list.who);
    std::set<std::string> members{list.members.begin(), list.members.end()};
    for (auto const& name : change.remove)
        members.erase(name);
    members.insert(change.add.begin(), change.add.end());
    if (members.size() > bounds.list_members)
        return refuse(error_code::quota, "a list may have " + std::to_string(bounds.list_members) + " members at most");
    list.members.assign(members.begin(), members.end());
    if (!change.add.empty() && too_deep(list, bounds.list_nesting))
        return refuse(error_code::quota, "lists may be nested " + std::to_string(bounds.list_nesting) + " deep: @" + list.name + " would be deeper");
    if (!known || list != *known)
        made.changes.push_back(account_change::put_list{std::move(list)});
    return made;
}

void address_book::apply(account_change::any const& change)
{
    auto const drop_alias = [&](auto at) {
        if (auto const count = user_aliases_.find(at->second); --count->second == 0)
            user_aliases_.erase(count);
        return aliases_.erase(at);
    };
    if (auto const* const put = std::get_if<account_change::put_alias>(&change)) {
        if (aliases_.emplace(put->what.alias, put->what.user).second)
            ++user_aliases_[put->what.user];
    } else if (auto const* const gone = std::get_if<account_change::remove_alias>(&change)) {
        if (auto const at = aliases_.find(gone->alias); at != aliases_.end())
            drop_alias(at);
    } else if (auto const* const list = std::get_if<account_change::put_list>(&change)) {
        lists_[list->what.name] = list->what;
    } else if (auto const* const lost = std::get_if<account_change::remove_list>(&change)) {
        lists_.erase(lost->name);
    } else if (auto const* const user = std::get_if<account_change::remove_user>(&change)) {
        std::set<std::string> names{user->name};
        for (auto at = aliases_.begin(); at != aliases_.end();) {
            if (at->second != user->name) {
                ++at;
                continue;
            }
            names.insert("~" + at->first);
            at = drop_alias(at);
        }
        for (auto& [name, l] : lists_) {
            std::erase_if(l.members, [&](auto const& member) { return names.contains(member); });
            if (l.owner == user->name)
                l.owner.clear();
        }
    }
}

}  // namespace kedge
