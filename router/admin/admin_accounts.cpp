// Users and keys.

#include <algorithm>

#include "router/admin/admin.hpp"
#include "router/core/core.hpp"
#include "router/protocol/names.hpp"

namespace kedge {

void admin::ask_accounts(caller from, std::vector<account_change::any> changes, nlohmann::json data, actions& out)
{
    auto const request = core_.next_token();
    running_ = running{from, request, nullptr,
                       [this, from, changes, data = std::move(data)](account_result const& result, instant now, actions& o) mutable {
                           // What was carried out holds, even if a later change of the same command failed.
                           for (std::size_t i = 0; i < result.carried_out && i < changes.size(); ++i)
                               apply(changes[i], result.id);
                           core_.publish_directory(o);
                           for (std::size_t i = 0; i < result.carried_out && i < changes.size(); ++i)
                               if (auto const* const gone = std::get_if<account_change::remove_user>(&changes[i]))
                                   core_.remove_nodes_of(gone->name, now, o);
                           core_.rules_changed(now, o);
                           if (result.why)
                               return refuse(from, result.why->message, o);
                           if (result.id)
                               data["id"] = result.id;
                           done(from, std::move(data), o);
                       },
                       nullptr};
    out.accounts.push_back({request, std::move(changes)});
}

void admin::on_accounts(account_result const& result, instant now, actions& out)
{
    if (!running_ || !running_->on_accounts || running_->request != result.request)
        return;
    auto mine = std::move(*running_);
    running_.reset();
    mine.on_accounts(result, now, out);
    core_.next_book(now, out);
    next(now, out);
}

void admin::apply(account_change::any const& change, std::uint64_t id)
{
    core_.book_.apply(change);
    auto& users = core_.users_;
    auto& keys = core_.keys_;
    auto& rules = core_.rules_;
    auto const user_at = [&](std::string const& name) {
        return std::find_if(users.begin(), users.end(), [&](auto const& u) { return u.name == name; });
    };
    if (auto const* const put = std::get_if<account_change::put_user>(&change)) {
        if (auto const at = user_at(put->user.name); at != users.end())
            *at = put->user;
        else
            users.push_back(put->user);
    } else if (auto const* const gone = std::get_if<account_change::remove_user>(&change)) {
        std::erase_if(keys, [&](auto const& k) { return k.user == gone->name; });
        std::erase_if(rules, [&](auto const& r) { return r.user == gone->name; });
        if (auto const at = user_at(gone->name); at != users.end())
            at->removed = true;
        else
            users.push_back({gone->name, std::string{role_user}, true, false, 0});
    } else if (auto const* const key = std::get_if<account_change::put_key>(&change)) {
        std::erase_if(keys, [&](auto const& k) { return k.user == key->key.user && k.blob == key->key.blob; });
        keys.push_back(key->key);
    } else if (auto const* const lost = std::get_if<account_change::remove_key>(&change)) {
        std::erase_if(keys, [&](auto const& k) { return k.user == lost->user && k.fingerprint == lost->fingerprint; });
    } else if (auto const* const added = std::get_if<account_change::add_rule>(&change)) {
        auto r = added->what;
        r.id = id;
        rules.push_back(std::move(r));
    } else if (auto const* const dropped = std::get_if<account_change::remove_rule>(&change)) {
        std::erase_if(rules, [&](auto const& r) { return r.id == dropped->id; });
    } else if (auto const* const banned = std::get_if<account_change::add_ban>(&change)) {
        auto b = banned->what;
        b.id = id;
        core_.bans_.push_back(std::move(b));
    } else if (auto const* const freed = std::get_if<account_change::remove_ban>(&change)) {
        std::erase_if(core_.bans_, [&](auto const& b) { return b.id == freed->id; });
    }
}

std::string admin::check_keys(std::string const& user, nlohmann::json const& texts, instant now,
                              std::vector<account_change::any>& changes) const
{
    auto count = static_cast<std::uint64_t>(
        std::count_if(core_.keys_.begin(), core_.keys_.end(), [&](auto const& k) { return k.user == user; }));
    for (auto const& text : texts) {
        auto key = parse_public_key(text.is_string() ? text.get<std::string>() : std::string{});
        if (!key)
            return "this is not a public key of OpenSSH's form: '" + (text.is_string() ? text.get<std::string>().substr(0, 80) : text.dump()) + "'";
        if (++count > core_.config_.limits.user_keys)
            return "user " + user + " may have " + std::to_string(core_.config_.limits.user_keys) + " keys at most";
        key->user = user;
        key->added_ms = now.wall_ms;
        changes.push_back(account_change::put_key{std::move(*key)});
    }
    return {};
}

void admin::user_add(caller from, nlohmann::json const& args, instant now, actions& out)
{
    auto const name = args.value("name", "");
    auto const* const known = core_.directory_->find_user(name);
    bool const in = known && !known->removed;
    auto const role = args.value("role", in ? known->role : std::string{role_user});
    if (!valid_user(name))
        return refuse(from, "'" + name + "' is not a user name: a-z, 0-9, '-' and '_', 32 at most, beginning with a letter or digit", out);
    if (!valid_role(role))
        return refuse(from, "'" + role + "' is not a role: operator, user or bot", out);
    if (!known && core_.directory_->users().size() >= core_.config_.limits.users)
        return refuse(from, "there are " + std::to_string(core_.directory_->users().size()) + " users already", out);
    std::vector<account_change::any> changes;
    changes.push_back(account_change::put_user{{name, role, false, false, in ? known->added_ms : now.wall_ms, in ? known->own_limits : std::map<std::string, std::uint64_t>{}}});
    if (auto const why = check_keys(name, args.value("keys", nlohmann::json::array()), now, changes); !why.empty())
        return refuse(from, why, out);
    auto const keys = changes.size() - 1;
    ask_accounts(from, std::move(changes), {{"name", name}, {"role", role}, {"keys", keys}}, out);
}

void admin::user_edit(caller from, nlohmann::json const& args, instant now, actions& out)
{
    auto const name = args.value("name", "");
    auto const* const known = core_.directory_->find_user(name);
    if (!known || known->removed)
        return refuse(from, "there is no user " + name, out);
    auto user = *known;
    user.role = args.value("role", known->role);
    if (!valid_role(user.role))
        return refuse(from, "'" + user.role + "' is not a role: operator, user or bot", out);
    auto const* const self = core_.find(from.link);
    if (self && self->who->user == name && user.role != known->role)
        return refuse(from, "you are " + name + ": let another operator change your role", out);
    auto const limits_given = args.value("limits", nlohmann::json::object());  // outlives the loop over it
    for (auto const& [limit, value] : limits_given.items()) {
        auto const names = user_limit_names();
        if (std::ranges::find(names, limit) == names.end()) {
            std::string all;
            for (auto const each : names)
                all += (all.empty() ? "" : ", ") + std::string{each};
            return refuse(from, "a user has no limit '" + limit + "' of its own: there are " + all, out);
        }
        if (value.is_null()) {
            user.own_limits.erase(limit);
            continue;
        }
        auto const fields = limit_fields();
        auto const field = std::ranges::find(fields, limit, &limit_field::name);
        if (!value.is_number_integer() || value < 0 || value.get<std::uint64_t>() < field->min || value.get<std::uint64_t>() > field->max)
            return refuse(from, limit + " must be a number from " + std::to_string(field->min) + " to " + std::to_string(field->max), out);
        user.own_limits[limit] = value.get<std::uint64_t>();
    }
    if (known->from_file)
        user.added_ms = now.wall_ms;
    user.from_file = false;  // a user of authorized_keys becomes one of the store as well
    nlohmann::json const data{{"name", name}, {"role", user.role}, {"limits", user.own_limits}};
    ask_accounts(from, {account_change::put_user{std::move(user)}}, data, out);
}

void admin::user_show(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const name = args.value("name", "");
    auto const* const known = core_.directory_->find_user(name);
    if (!known)
        return refuse(from, "there is no user " + name, out);
    auto keys = nlohmann::json::array();
    for (auto const& k : core_.directory_->keys())
        if (k.user == name)
            keys.push_back(describe(k));
    auto rules = nlohmann::json::array();
    for (auto const& r : core_.rules_)
        if (r.user == name || r.role == known->role)
            rules.push_back(describe(r, false));
    std::uint64_t sessions = 0;
    std::vector<session_id> seen;
    for (auto const& [id, l] : core_.links_)
        if (l->who->user == name && std::find(seen.begin(), seen.end(), l->session) == seen.end()) {
            seen.push_back(l->session);
            ++sessions;
        }
    auto nodes = nlohmann::json::array();
    for (auto const& [node_name, n] : core_.nodes_)
        if (n->user == name)
            nodes.push_back(describe(*n));
    auto aliases = nlohmann::json::array();
    for (auto const& [alias, holder] : core_.book_.aliases())
        if (holder == name)
            aliases.push_back(alias);
    auto lists = nlohmann::json::array();
    for (auto const& [key, l] : core_.book_.lists())
        if (l.owner == name)
            lists.push_back(key);
    auto const mail = core_.mail_.stored(name);
    auto limits = nlohmann::json::object();
    for (auto const limit : user_limit_names())
        limits[std::string{limit}] = limit_of(known, core_.config_.limits, limit);
    auto const budget = core_.budgets_.find(name);
    auto const stored = budget == core_.budgets_.end() ? usage_state{} : budget->second->stored;
    done(from,
         {{"name", name},
          {"role", known->role},
          {"source", known->from_file ? "file" : "store"},
          {"removed", known->removed},
          {"added_ms", known->added_ms},
          {"sessions", sessions},
          {"keys", std::move(keys)},
          {"rules", std::move(rules)},
          {"nodes", std::move(nodes)},
          {"aliases", std::move(aliases)},
          {"lists", std::move(lists)},
          {"mail", {{"messages", mail.messages}, {"bytes", mail.bytes}}},
          {"limits", std::move(limits)},
          {"own_limits", known->own_limits},
          {"stored_messages", stored.messages},
          {"stored_bytes", stored.bytes}},
         out);
}

void admin::user_list(caller from, nlohmann::json const&, instant, actions& out)
{
    auto list = nlohmann::json::array();
    for (auto const& u : core_.directory_->users()) {
        auto const keys = std::count_if(core_.directory_->keys().begin(), core_.directory_->keys().end(),
                                        [&](auto const& k) { return k.user == u.name; });
        std::vector<session_id> sessions;
        for (auto const& [id, l] : core_.links_)
            if (l->who->user == u.name && std::find(sessions.begin(), sessions.end(), l->session) == sessions.end())
                sessions.push_back(l->session);
        list.push_back({{"name", u.name},
                        {"role", u.role},
                        {"keys", keys},
                        {"sessions", sessions.size()},
                        {"added_ms", u.added_ms},
                        {"source", u.from_file ? "file" : "store"},
                        {"removed", u.removed}});
    }
    done(from, {{"users", std::move(list)}}, out);
}

void admin::user_remove(caller from, nlohmann::json const& args, instant now, actions& out)
{
    auto const name = args.value("name", "");
    auto const* const known = core_.directory_->find_user(name);
    if (!known || known->removed)
        return refuse(from, "there is no user " + name, out);
    auto const* const self = core_.find(from.link);
    if (self && self->who->user == name)
        return refuse(from, "you are " + name + ": let another operator remove you", out);
    std::vector<account_change::any> changes;
    if (known->from_file)  // the store keeps out only whom it knows
        changes.push_back(account_change::put_user{{name, known->role, false, false, now.wall_ms}});
    changes.push_back(account_change::remove_user{name});
    ask_accounts(from, std::move(changes), {{"name", name}}, out);
}

nlohmann::json admin::describe(account_key const& k)
{
    return {{"user", k.user},
            {"type", k.type},
            {"fingerprint", k.fingerprint},
            {"comment", k.comment},
            {"role", k.role},
            {"from", k.from},
            {"expires_ms", k.expires_ms},
            {"added_ms", k.added_ms},
            {"source", k.from_file ? "file" : "store"}};
}

void admin::key_add(caller from, nlohmann::json const& args, instant now, actions& out)
{
    auto const name = args.value("user", "");
    auto const* const known = core_.directory_->find_user(name);
    if (!known || known->removed)
        return refuse(from, "there is no user " + name + ": add it first", out);
    auto const texts = args.value("keys", nlohmann::json::array());
    std::vector<account_change::any> changes;
    if (known->from_file)  // a user of authorized_keys becomes one of the store as well
        changes.push_back(account_change::put_user{{name, known->role, false, false, now.wall_ms}});
    if (auto const why = texts.empty() ? std::string{"which key?"} : check_keys(name, texts, now, changes); !why.empty())
        return refuse(from, why, out);
    ask_accounts(from, std::move(changes), {{"user", name}, {"keys", texts.size()}}, out);
}

void admin::key_list(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const name = args.value("user", "");
    auto const* const known = core_.directory_->find_user(name);
    if (!name.empty() && (!known || known->removed))
        return refuse(from, "there is no user " + name, out);
    auto list = nlohmann::json::array();
    for (auto const& k : core_.directory_->keys())
        if (name.empty() || k.user == name)
            list.push_back(describe(k));
    done(from, {{"keys", std::move(list)}}, out);
}

void admin::key_remove(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const name = args.value("user", "");
    auto const fingerprint = args.value("fingerprint", "");
    auto const is_it = [&](account_key const& k) { return k.user == name && k.fingerprint == fingerprint; };
    if (std::none_of(core_.keys_.begin(), core_.keys_.end(), is_it)) {
        bool const in_file = std::any_of(core_.file_keys_.begin(), core_.file_keys_.end(), is_it);
        return refuse(from,
                      in_file ? "that key stands in authorized_keys: take its line out there, or remove the user"
                              : "user " + name + " has no key " + fingerprint,
                      out);
    }
    ask_accounts(from, {account_change::remove_key{name, fingerprint}}, {{"user", name}, {"fingerprint", fingerprint}}, out);
}

}  // namespace kedge
