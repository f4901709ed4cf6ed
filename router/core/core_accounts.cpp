// Users, keys and rules: one directory out of the store's and authorized_keys', and what a change of rules takes away.

#include <algorithm>

#include "router/core/core.hpp"

namespace kedge {

void core::set_file_accounts(std::vector<account_user> users, std::vector<account_key> keys, instant now, actions& out)
{
    now_ = now;
    file_users_ = std::move(users);
    file_keys_ = std::move(keys);
    publish_directory(out);
}

void core::publish_directory(actions& out)
{
    auto users = users_;
    auto keys = keys_;
    auto const in_store = [&](std::string const& name) {
        return std::find_if(users_.begin(), users_.end(), [&](auto const& u) { return u.name == name; });
    };
    for (auto const& u : file_users_)
        if (in_store(u.name) == users_.end()) {
            users.push_back(u);
            if (users.back().role.empty())
                users.back().role = role_user;
        }
    keys.insert(keys.end(), file_keys_.begin(), file_keys_.end());
    directory_ = std::make_shared<account_directory const>(std::move(users), std::move(keys), bans_);
    out.directory = directory_;
    configure_budgets();
}

void core::rules_changed(instant now, actions& out)
{
    profiles_.clear();
    ++generation_;
    for (auto const& [id, l] : links_) {
        l->access = profile(*l->who);
        if (l->closed)
            continue;
        auto const lost = [&](std::string const& pattern) {
            auto decision = l->access->may_subscribe(pattern);
            if (!decision.allowed)
                answer_error(*l, {}, {error_code::denied, std::move(decision.why)}, out);
            return !decision.allowed;
        };
        for (auto const& s : std::vector{l->subscriptions})
            if (lost(s.pattern)) {
                std::erase(l->subscriptions, s);
                drop_subscription(*l, s);
            }
        withdraw_denied(*l, now, out);
        for (auto* const a : std::vector{l->attachments}) {
            auto const& config = a->of->config();
            auto const patterns = config.filter.empty() ? streams_.at(config.stream)->state.config.subjects
                                                        : std::vector<std::string>{config.filter};
            if (std::any_of(patterns.begin(), patterns.end(), lost))
                release(*a->of, *a, std::nullopt, now, out);
        }
    }
}

}  // namespace kedge
