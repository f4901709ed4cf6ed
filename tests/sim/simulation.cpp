#include "tests/sim/simulation.hpp"

#include <algorithm>

#include "tests/sim/clients.hpp"
#include "tests/sim/talkers.hpp"

namespace kedge::sim {

namespace {

class run {
public:
    run(settings const& plan, journal& lines, tamper t) : plan_{plan}, random_{plan.seed}, world_{plan, lines, std::move(t)}
    {
        std::vector<std::string> durable{"d.a", "d.b.c"};
        if (plan.streams.size() > 1)
            durable.insert(durable.end(), {"e.q", "e.x.y"});
        using by = reliable_publisher::by;
        for (std::size_t i = 0; i < plan.publishers_by_id; ++i)
            clients_.push_back(std::make_unique<reliable_publisher>("pi" + std::to_string(i), by::id, durable, plan.messages));
        for (std::size_t i = 0; i < plan.publishers_by_n; ++i)
            clients_.push_back(std::make_unique<reliable_publisher>("pn" + std::to_string(i), by::n, durable, plan.messages));
        for (std::size_t i = 0; i < plan.exact_consumers; ++i) {
            auto const& stream = plan.streams[random_.below(plan.streams.size())].name;
            auto const filter = random_.percent(50) ? "" : stream == "S1" ? "d.a" : "e.q";
            clients_.push_back(std::make_unique<exact_consumer>("x" + std::to_string(i), stream, "exact" + std::to_string(i), filter));
        }
        for (std::size_t i = 0; i < plan.wild_clients; ++i)
            wild_.push_back(std::make_unique<wild_client>(i == 4 ? "op" : "w" + std::to_string(i % 2)));
        if (plan.what == scene::talk)
            invite();
    }

    void live()
    {
        for (std::size_t i = 0; i < plan_.steps; ++i) {
            switch (random_.below(10)) {
            case 0:
            case 1:
                if (!clients_.empty()) {
                    random_.pick(clients_)->turn(world_, random_);
                    break;
                }
                [[fallthrough]];
            case 2:
            case 3: random_.pick(wild_)->turn(world_, random_); break;
            case 4:
            case 5:
            case 6: world_.turn_router(random_); break;
            case 7: world_.turn_store(random_); break;
            case 8: world_.turn_network(random_); break;
            case 9: world_.advance(random_.below(20)); break;
            }
            if (random_.per_mille(plan_.cut))
                world_.cut(random_);
            if (random_.per_mille(plan_.crash))
                world_.crash(random_);
            if (random_.per_mille(plan_.drain))
                world_.drain();
            if (random_.per_mille(plan_.fault))
                world_.arm_fault(random_);
            if (random_.per_mille(plan_.jump))
                world_.advance(random_.between(100, 8'000), random_.percent(5) && plan_.what == scene::log ? 900'000 : 0);
            if (random_.percent(3))
                world_.maintain();
        }
    }

    // Nothing goes wrong and nobody asks for anything new: all that was asked must be answered.
    void calm_down()
    {
        world_.disk.fail(memory_store::fault::none);
        for (int round = 0, quiet = 0; round < 500 && quiet < 20; ++round) {
            for (auto& c : clients_)
                c->rest(world_, random_);
            for (auto& c : wild_)
                c->rest(world_, random_);
            world_.settle(random_);
            if (plan_.what == scene::talk)
                world_.maintain();
            quiet = world_.busy_with().empty() ? quiet + 1 : 0;
            // Calls time out after seconds.
            world_.advance(quiet == 0 ? 5 : plan_.what == scene::talk ? 500 : 100);
        }
        world_.watch.check_answered();
    }

    // Now everything that was promised must come true.
    void settle()
    {
        for (auto& c : wild_)
            c->drop(world_);
        std::vector<std::unique_ptr<drainer>> drainers;
        constexpr int rounds_max = 3'000;
        int quiet = 0;
        std::string restless;
        for (int round = 0; round < rounds_max && quiet < 40; ++round) {
            bool done = true;
            for (auto& c : clients_)
                if (!c->finish(world_, random_)) {
                    done = false;
                    restless = c->name();
                }
            for (auto& d : drainers)
                d->finish(world_, random_);
            world_.settle(random_);
            if (plan_.what == scene::talk)
                world_.maintain();
            if (auto const busy = world_.busy_with(); done && !busy.empty()) {
                done = false;
                restless = busy;
            }
            if (done && drainers.empty())
                hire(drainers);
            // Ack waits, delays and the turns of each second pass.
            world_.advance(done ? 500 : 5);
            quiet = done ? quiet + 1 : 0;
        }
        std::vector<std::string> drained;
        for (auto const& [stream, name] : world_.watch.consumers())
            drained.push_back(name);
        if (quiet < 40)
            throw violation{restless + " does not come to rest"};
        world_.watch.check_settled(drained);
        for (auto const* const p : people_)
            world_.watch.talk.mail.check_complete(p->node_name());
        world_.check_rows();
    }

    outcome result() const
    {
        return {{}, {}, world_.watch.deliveries() + world_.watch.talk.deliveries(), world_.watch.messages.made(), world_.lives, world_.watch.talk.services.answered()};
    }

private:
    void invite()
    {
        for (std::size_t i = 0; i < plan_.people; ++i)
            for (std::size_t node = 0; node < (i == 0 ? plan_.nodes : random_.between(1, plan_.nodes)); ++node) {
                auto added = std::make_unique<person>(plan_.users[i].name, "n" + std::to_string(node), plan_.posts);
                people_.push_back(added.get());
                clients_.push_back(std::move(added));
            }
        if (plan_.administered)
            clients_.push_back(std::make_unique<administrator>("op"));
        for (std::size_t i = 0; i < plan_.servants; ++i)
            wild_.push_back(std::make_unique<servant>("w" + std::to_string(i % 2)));
        for (std::size_t i = 0; i < plan_.callers; ++i)
            wild_.push_back(std::make_unique<caller>(i == 1 ? "op" : "w1"));
        for (std::size_t i = 0; i < 2; ++i)
            wild_.push_back(std::make_unique<gossip>(i ? "w0" : plan_.users.front().name));
    }

    void hire(std::vector<std::unique_ptr<drainer>>& drainers)
    {
        for (auto const& [stream, name] : world_.watch.consumers())
            if (!name.starts_with("exact"))
                drainers.push_back(std::make_unique<drainer>(world_.watch.owner_of(stream, name), stream, name));
    }

    settings const& plan_;
    random_source random_;
    world world_;
    std::vector<std::unique_ptr<client>> clients_;
    std::vector<std::unique_ptr<client>> wild_;
    std::vector<person*> people_;
};

}  // namespace

outcome simulate(std::uint64_t seed, std::size_t history_lines, tamper t, scene what_scene)
{
    settings const plan{seed, what_scene};
    journal lines{history_lines};
    outcome what;
    try {
        run r{plan, lines, std::move(t)};
        r.live();
        r.calm_down();
        r.settle();
        what = r.result();
    } catch (violation const& broken) {
        what.violated = broken.what();
    }
    what.history = lines.lines();
    return what;
}

}  // namespace kedge::sim
