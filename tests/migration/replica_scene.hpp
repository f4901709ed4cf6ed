#pragma once
/// A world for one situation: what came of each append, and both sides as lists of lines.

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/migration/replica_world.hpp"

namespace kedge::migration::test {

inline settings usual_bounds()
{
    settings s;
    s.answer_ms = 1000;
    s.hold_ms = 2000;
    return s;
}

struct scene : replica_world {
    explicit scene(settings s = usual_bounds(), std::uint64_t seed = 1) : replica_world{seed, std::move(s)}
    {
        on_row = [this](auto const& a) {
            if (a.origin != token::none)
                stored.insert(a.origin);
        };
        on_failed = [this](token t, failure const& why) { failed.emplace_back(t, why); };
    }
    void jetstream()
    {
        set_authority(authority::jetstream, 2);
        put();
        settle();
    }
    std::vector<std::string> log()
    {
        std::vector<std::string> all;
        for (auto const& r : rows())
            all.push_back(std::string{r.sender->view()} + " " + std::string{r.message->body()});
        return all;
    }
    std::vector<std::string> bodies()
    {
        std::vector<std::string> all;
        for (auto const& m : messages())
            all.push_back(m.body);
        return all;
    }
    memory_bus::outcome native(std::string body, bus_headers headers = {}, std::string subject = "chat.n")
    {
        bus_message m;
        m.subject = std::move(subject);
        m.body = std::move(body);
        m.headers = std::move(headers);
        return bus.publish(std::move(m));
    }
    std::set<token> stored;
    std::vector<std::pair<token, failure>> failed;
};

using lines = std::vector<std::string>;

}  // namespace kedge::migration::test
