#include "tests/sim/event_model.hpp"

#include <nlohmann/json.hpp>

#include "tests/sim/journal.hpp"

namespace kedge::sim {

void event_model::heard(notice::msg const& m)
{
    auto const fail = [&](std::string const& what) { throw violation{"event " + m.subject + " " + m.body + ": " + what}; };
    auto const body = nlohmann::json::parse(m.body);
    auto const text = [&](char const* name) { return body.at(name).get<std::string>(); };
    if (m.subject == "$sys.node.join") {
        if (!here_.insert(text("user") + "/" + text("node")).second)
            fail("it is here already");
    } else if (m.subject == "$sys.node.leave") {
        auto const node = text("user") + "/" + text("node");
        bool const forgotten = text("reason") == "retired" || text("reason") == "removed";
        if (forgotten == here_.contains(node))
            fail(forgotten ? "it is still here" : "it is not here");
        here_.erase(node);
    } else if (m.subject.starts_with("$sys.service.")) {
        auto const service = text("service");
        auto const change = m.subject.substr(sizeof "$sys.service." - 1);
        auto& instances = serving_[service];
        bool const online = online_.contains(service);
        // The first makes it online, the last offline, before anything else is told of it.
        if ((change == "connect" || change == "disconnect") && online == instances.empty())
            fail(online ? "was not told offline" : "was not told online");
        if (change == "connect") {
            if (!instances.insert(text("instance")).second)
                fail("is connected already");
        } else if (change == "disconnect") {
            if (instances.erase(text("instance")) == 0)
                fail("is not connected");
        } else if (change == "online") {
            if (online || instances.size() != 1)
                fail("has " + std::to_string(instances.size()) + " instances" + (online ? ", is online" : ""));
            online_.insert(service);
        } else if (change == "offline") {
            if (!online || !instances.empty())
                fail("has " + std::to_string(instances.size()) + " instances" + (online ? "" : ", is offline"));
            online_.erase(service);
        } else {
            fail("is unknown");
        }
    }
}

void event_model::agrees(parties const& all) const
{
    std::set<std::string> here;
    std::map<std::string, std::set<std::string>> serving;
    for (auto const& [id, p] : all) {
        if (p.ended)
            continue;
        if (!p.node.empty())
            here.insert(p.sender());
        for (auto const& [service, instance] : p.serves)
            serving[service].insert(instance.id);
    }
    if (here != here_) {
        for (auto const& node : here)
            if (!here_.contains(node))
                throw violation{"no event told that " + node + " has joined"};
        for (auto const& node : here_)
            if (!here.contains(node))
                throw violation{"no event told that " + node + " has left"};
    }
    for (auto const& [service, instances] : serving_) {
        auto const there = serving.find(service);
        if (there == serving.end() ? !instances.empty() : there->second != instances)
            throw violation{"the events tell of " + std::to_string(instances.size()) + " instances of " + service + ", there are "
                            + std::to_string(there == serving.end() ? 0 : there->second.size())};
        if (online_.contains(service) == instances.empty())
            throw violation{"service " + service + " is told " + (instances.empty() ? "online" : "offline") + " while it is not"};
    }
    for (auto const& [service, instances] : serving)
        if (!serving_.contains(service))
            throw violation{"no event told of service " + service};
}

}  // namespace kedge::sim
