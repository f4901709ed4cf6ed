// Nodes. Everybody may use these commands for what is theirs.

#include <algorithm>

#include "router/admin/admin.hpp"
#include "router/core/core.hpp"

namespace kedge {

nlohmann::json admin::describe(node const& n) const
{
    nlohmann::json about{{"node", n.name}, {"seen_ms", n.at ? core_.now_.wall_ms : n.seen_ms}, {"online", n.at != nullptr}, {"inbox", false}};
    mail_sum waits;
    if (core_.inbox_)
        if (auto const at = core_.consumers_by_name_.find({core_.inbox_->state.id, n.name}); at != core_.consumers_by_name_.end()) {
            waits = core_.waiting_for(*at->second);
            about["inbox"] = true;
        }
    about["mail"] = {{"messages", waits.messages}, {"bytes", waits.bytes}};
    return about;
}

node* admin::node_named(caller from, std::string const& name, std::string& why) const
{
    auto const* const by = core_.find(from.link);
    auto const at = core_.nodes_.find(name);
    if (at == core_.nodes_.end() || (!by->access->is_operator() && at->second->user != by->who->user)) {
        why = by->access->is_operator() ? "there is no node " + name : "you have no node " + name;
        return nullptr;
    }
    return at->second.get();
}

void admin::node_list(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const* const by = core_.find(from.link);
    bool const all = by->access->is_operator();
    auto const user = args.value("user", all ? "" : by->who->user);
    if (!all && user != by->who->user)
        return deny(from, "only operators see the nodes of others", out);
    std::vector<node const*> found;
    for (auto const& [name, n] : core_.nodes_)
        if (user.empty() || n->user == user)
            found.push_back(n.get());
    std::ranges::sort(found, {}, &node::name);
    auto list = nlohmann::json::array();
    for (auto const* const n : found)
        list.push_back(describe(*n));
    done(from, {{"nodes", std::move(list)}}, out);
}

void admin::node_show(caller from, nlohmann::json const& args, instant, actions& out)
{
    std::string why;
    auto const* const n = node_named(from, args.value("node", ""), why);
    if (!n)
        return refuse(from, why, out);
    done(from, {{"nodes", nlohmann::json::array({describe(*n)})}}, out);
}

void admin::node_remove(caller from, nlohmann::json const& args, instant now, actions& out)
{
    std::string why;
    auto* const n = core_.find(from.link) ? node_named(from, args.value("node", ""), why) : nullptr;
    if (!n)
        return refuse(from, why, out);
    if (n->at)
        return refuse(from, "the node " + n->name + " is connected", out);
    if (n->flights)
        return refuse(from, "the node " + n->name + " has publishes under way: try again", out);
    nlohmann::json const data{{"node", n->name}};
    auto const request = core_.remove_node(*n, "removed", now, out);
    running_ = running{from, request, when_done(from, [data](instant, actions&) { return data; }), nullptr, nullptr};
}

}  // namespace kedge
