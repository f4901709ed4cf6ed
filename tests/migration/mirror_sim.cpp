#include "tests/migration/mirror_sim.hpp"

#include <algorithm>
#include <array>
#include <iostream>
#include <utility>

namespace kedge::migration::test {

namespace {

constexpr std::array<char const*, 3> writers{"alice/one", "bob/two", "carol/three"};
constexpr std::array<char const*, 13> labels{"start.created", "start.committed", "import.asked", "import.stored", "pump.sent", "switch.intent",
                                             "switch.committed", "reverse.intent", "reverse.committed", "complete.intent", "cancel.intent",
                                             "cancel.committed", "takeback.asked"};
constexpr std::uint64_t answer_ms_max = 120'000;

settings bounds_of(std::uint64_t seed)
{
    sim::random_source random{seed ^ 0x5eed};
    settings s;
    s.pump_messages = random.percent(50) ? 64 : random.between(1, 12);
    s.import_messages = random.percent(50) ? 1024 : random.between(1, 10);
    s.ring_bytes = random.percent(30) ? 500 : 1024 * 1024;
    s.answer_ms = 2000;
    s.hold_ms = random.percent(50) ? 1500 : 5000;
    return s;
}

}  // namespace

void mirror_sim_counts::add(mirror_sim_counts const& c)
{
    lives += c.lives; messages += c.messages; commands += c.commands; done += c.done; refused += c.refused; kills += c.kills; cuts += c.cuts;
    stops += c.stops; freezes += c.freezes; rewinds += c.rewinds; faults += c.faults; refusals += c.refusals;
}

mirror_sim::mirror_sim(std::uint64_t seed, mirror_mutation what, bool tracing)
    : random_{seed}, tracing_{tracing}, limited_{random_.percent(20)}, world_{seed, bounds_of(seed), limited_ ? random_.between(20, 200) : 0}
{
    world_.forgets_ids = what == mirror_mutation::forgets_ids;
    world_.forgets_order = what == mirror_mutation::forgets_order;
    counts.lives = 1;
    if (limited_) {
        world_.server.mirror_sync_ms = 500;
        world_.store.set_limits(world_.server);
    }
    world_.tracing = tracing;
}

void mirror_sim::trace(std::string const& line) const
{
    if (tracing_)
        std::cerr << world_.bus.now_ms() % 10'000'000 << ' ' << line << '\n';
}

void mirror_sim::fail(std::string why)
{
    if (!broken_.empty())
        return;
    broken_ = std::move(why);
    trace("BROKEN " + broken_);
}

std::string mirror_sim::run()
{
    if (random_.percent(80)) {
        world_.settle();
        must("start");
    }
    auto const acts = random_.between(300, 2000);
    for (std::uint64_t i = 0; i < acts && broken_.empty(); ++i)
        act();
    if (broken_.empty())
        calm_down();
    if (broken_.empty())
        check();
    if (broken_.empty())
        go_round();
    return broken_;
}

void mirror_sim::act()
{
    if (random_.percent(2))
        (void)world_.status();
    if (up_ms_ != 0 && up_ms_ <= world_.bus.now_ms()) {
        up_ms_ = 0;
        world_.bus.freeze(false);
        world_.bus.start();
        world_.bus.land_late();
    }
    switch (random_.below(12)) {
    case 0:
    case 1: publish(); break;
    case 2: world_.advance(random_.percent(10) ? random_.between(100, 3000) : random_.between(0, 40)); break;
    case 3:
        if (random_.percent(30))
            command();
        break;
    case 4:
        if (random_.percent(12))
            mishap();
        break;
    default:
        for (auto steps = random_.between(1, 8); steps != 0; --steps)
            world_.step();
    }
    if (world_.killed())
        reborn();
    look_for_answers();
}

void mirror_sim::publish()
{
    if (random_.percent(30)) {
        publish_native(random_.between(1, 3));
        return;
    }
    // A client that keeps ids waits for all answers after a failure, and then sends again before anything new.
    if (world_.to_send_again() != 0) {
        if (world_.unanswered() == 0)
            world_.publish_again();
        return;
    }
    if (world_.unanswered() > 40)
        return;
    for (auto n = random_.between(1, 4); n != 0; --n) {
        std::string const who = random_.pick(writers);
        who_[world_.publish(1, who)] = who;
        ++counts.messages;
    }
}

void mirror_sim::publish_native(std::uint64_t messages)
{
    auto const before = world_.state() == "LEGACY" || std::ranges::find(asked_, "start", &question::verb) != asked_.end();
    for (; messages != 0; --messages) {
        ++counts.messages;
        if (auto const body = world_.publish_native(); before)
            before_.insert(body);
    }
}

void mirror_sim::command()
{
    nlohmann::json args = nlohmann::json::object();
    static constexpr std::array<std::string_view, 24> verbs{"start", "start", "start", "switch", "switch", "switch", "switch", "switch",
                                                            "reverse", "reverse", "reverse", "reverse", "diff", "diff", "pause", "resume", "resume",
                                                            "cancel", "complete", "switch", "reverse", "start", "diff", "events"};
    std::string const verb{random_.pick(verbs)};
    if (verb == "start" && random_.percent(50))
        args["from"] = random_.percent(50) ? "first" : "now";
    if ((verb == "switch" || verb == "reverse" || verb == "complete") && random_.percent(10))
        args["dry_run"] = true;
    if (verb == "complete" && random_.percent(15))
        args["confirm"] = mirror_world::name;
    if (verb == "switch" || verb == "reverse")
        args["hold_ms"] = random_.between(1, 4000);
    if (verb == "diff" && random_.percent(50))
        args["tail"] = random_.between(1, 100);
    if (verb == "reverse" && random_.percent(8))
        args["abandon"] = true, args["confirm"] = mirror_world::name, args.erase("dry_run");
    if (verb == "cancel" && world_.alive->link.up && random_.percent(40))
        args["delete_stream"] = true, args["confirm"] = mirror_world::name;
    if (verb == "resume" && random_.percent(20))
        args["adopt"] = true;
    auto const request = world_.ask(verb, args);
    abandoned_ = abandoned_ || args.contains("abandon");
    copied_anew_ = copied_anew_ || args.contains("delete_stream");
    asked_.push_back({request, verb, world_.bus.now_ms()});
    ++counts.commands;
    trace("> " + verb + ' ' + args.dump() + " in " + world_.state());
    if (random_.percent(10))
        world_.kill_at(random_.pick(labels));
}

void mirror_sim::look_for_answers()
{
    std::erase_if(asked_, [&](question const& q) {
        auto const answer = world_.answer_to(q.request);
        if (!answer) {
            if (world_.bus.now_ms() > q.asked_ms + answer_ms_max)
                fail("'" + q.verb + "' has no answer after " + std::to_string(answer_ms_max / 1000) + " s");
            return false;
        }
        ++(answer->exit_status == 0 ? counts.done : counts.refused);
        trace("< " + q.verb + ' ' + std::to_string(answer->exit_status) + ' ' + answer->error + " now " + world_.state());
        if (q.verb == "cancel" && answer->exit_status == 0)
            copied_anew_ = true;
        return true;
    });
}

void mirror_sim::mishap()
{
    auto& bus = world_.bus;
    switch (random_.below(9)) {
    case 0:
    case 1:
        ++counts.kills;
        reborn();
        break;
    case 2:
        if (world_.backend->linked()) {
            ++counts.cuts;
            trace("cut");
            // What lands later than a change of authority is twice; how late it can be is for the replica's simulation.
            world_.backend->cut("the cable", {.landed = std::nullopt, .late = 0, .told = std::nullopt});
            disorder_ = true;
        }
        break;
    case 3:
        if (up_ms_ == 0) {
            ++counts.stops;
            trace("nats-server is killed");
            bus.stop();
            up_ms_ = bus.now_ms() + random_.between(0, 8000);
        }
        break;
    case 4:
        if (up_ms_ == 0) {
            ++counts.freezes;
            trace("nats-server is frozen");
            bus.freeze(true);
            disorder_ = true;
            up_ms_ = bus.now_ms() + random_.between(100, 8000);
        }
        break;
    case 5:
        if (auto const* const stream = bus.find(mirror_world::name); stream != nullptr && up_ms_ == 0 && random_.percent(40)) {
            ++counts.rewinds;
            auto const back = random_.between(1, 25);
            trace("rewind");
            bus.land_late();
            bus.rewind(mirror_world::name, stream->last > back ? stream->last - back : 0);
            disorder_ = true;
            if (random_.percent(50))
                publish_native(random_.between(1, 30));
        }
        break;
    case 6: {
        static constexpr std::array faults{memory_store::fault::full, memory_store::fault::lost, memory_store::fault::stored, memory_store::fault::broken};
        ++counts.faults;
        trace("the store fails");
        world_.store.fail(random_.pick(faults), static_cast<unsigned>(random_.below(4)));
        break;
    }
    case 7: {
        static constexpr std::array<std::pair<int, char const*>, 3> codes{
            {{10077, "maximum bytes exceeded"}, {503, "no responders"}, {10047, "insufficient storage"}}};
        auto const& [code, why] = random_.pick(codes);
        ++counts.refusals;
        trace("a refusal");
        bus.refuse_next(mirror_world::name, code, why, random_.between(1, 3));
        disorder_ = true;
        break;
    }
    case 8: bus.lose_acks(random_.between(1, 3)); break;
    }
}

void mirror_sim::reborn()
{
    trace("killed in " + world_.state());
    asked_.clear();
    world_.crash();
    world_.boot();
}

void mirror_sim::calm_down()
{
    trace("calm");
    auto& bus = world_.bus;
    bus.freeze(false);
    bus.start();
    bus.land_late();
    bus.refuse_no_more(mirror_world::name);
    bus.lose_no_more_acks();
    world_.store.fail(memory_store::fault::none);
    world_.kill_at({});
    auto const rest = [&] {
        look_for_answers();
        if (world_.unanswered() == 0)
            world_.publish_again();
        return !broken_.empty() || (asked_.empty() && world_.unanswered() == 0 && world_.to_send_again() == 0);
    };
    if (!world_.until(rest, answer_ms_max + 60'000) && broken_.empty())
        fail("not all is answered: " + std::to_string(world_.unanswered()) + " publishes, " + std::to_string(asked_.size()) + " commands; "
             + world_.status().dump());
}

bool mirror_sim::must(std::string const& verb, nlohmann::json args)
{
    if (!broken_.empty())
        return false;
    auto const result = world_.run(verb, std::move(args));
    if (!result)
        fail("'" + verb + "' is not answered: " + world_.status().dump());
    else if (result->exit_status != 0)
        fail("'" + verb + "' is refused: " + result->error + ' ' + result->data.dump() + "; " + world_.status().dump());
    return broken_.empty();
}

void mirror_sim::check_order(std::string const& where, std::vector<std::string> const& bodies)
{
    std::map<std::string, std::uint64_t> highest;
    std::set<std::string> seen;
    for (auto const& body : bodies) {
        auto const who = who_.find(body);
        if (who == who_.end() || !seen.insert(body).second)
            continue;
        std::uint64_t const number = std::stoull(body);
        if (number < highest[who->second])
            fail(body + " of " + who->second + " stands behind " + std::to_string(highest[who->second]) + " in " + where);
        highest[who->second] = std::max(highest[who->second], number);
    }
}

void mirror_sim::check()
{
    auto const caught_up = [&] {
        auto const s = world_.status();
        return s["lag"]["known"] == true && s["lag"]["messages"] == 0 && s["unread"] == 0;
    };
    auto const flagged = [&](char const* what) {
        auto const flags = world_.status()["flags"];
        return std::ranges::find(flags, what) != flags.end();
    };
    if (world_.state() != "LEGACY") {
        if (flagged("paused") || flagged("broken"))
            must("resume");
        if (broken_.empty() && !world_.until(caught_up, 120'000))
            fail("it does not catch up: " + world_.status().dump());
    }
    auto const log = world_.log();
    auto const jet = world_.jet();
    if (tracing_)
        for (auto const* const side : {&log, &jet}) {
            std::string line{side == &log ? "log:" : "jet:"};
            for (auto const& body : *side)
                line += ' ' + body;
            trace(line);
        }
    std::map<std::string, int> in_log, in_jet;
    for (auto const& body : log)
        ++in_log[body];
    for (auto const& body : jet)
        ++in_jet[body];
    if (limited_)
        for (auto const& [body, times] : in_jet)
            if (times > 1 && !copied_anew_ && !abandoned_)
                fail(body + " is in JetStream " + std::to_string(times) + " times");
    for (auto const& [body, times] : in_log)
        if (times != 1 && !abandoned_)
            fail(body + " is in the log " + std::to_string(times) + " times");
    for (auto const& body : world_.accepted)
        if (!in_log.contains(body) && !limited_)
            fail(body + " was answered ok and is not in the log");
    if (world_.state() != "LEGACY" && !limited_) {
        auto const start = world_.first_row();
        for (std::size_t i = start - 1; i < log.size(); ++i)
            if (in_jet[log[i]] != 1 && !((copied_anew_ || abandoned_) && in_jet[log[i]] > 1))
                fail("row " + std::to_string(i + 1) + ", " + log[i] + ", is in JetStream " + std::to_string(in_jet[log[i]]) + " times");
        if (!copied_anew_)
            for (auto const& [body, times] : in_jet)
                if (times != 0 && !in_log.contains(body) && !before_.contains(body))
                    fail(body + " is in JetStream and not in the log");
    }
    // What limits of the JetStream stream took before it was read is sent again behind what came after it.
    if (!disorder_ && !abandoned_ && !limited_) {
        check_order("the log", log);
        if (!copied_anew_)
            check_order("JetStream", jet);
    }
}

void mirror_sim::go_round()
{
    if (world_.state() == "LEGACY")
        must("start");
    auto const change = [&](char const* verb) {
        auto const compared = [&] {
            auto const s = world_.status();
            return !(s["diff"].is_object() && s["diff"]["running"] == true) && !(s["tail"].is_object() && s["tail"]["running"] == true);
        };
        world_.until([&] { return world_.status()["lag"]["messages"] == 0; }, 60'000);
        if (broken_.empty() && !world_.until(compared, 60'000))
            fail("a diff does not end: " + world_.status().dump());
        // A hold may be too short for what is still under way.
        for (int tries = 0; tries < 5 && broken_.empty(); ++tries)
            if (auto const result = world_.run(verb); !result || !result->error.starts_with("rolled back: not done within"))
                break;
        must(verb);
    };
    if (world_.state() == "NATS")
        change("reverse");
    if (world_.state() == "MIRRORING")
        for (auto const* const verb : {"switch", "reverse", "switch"}) {
            world_.publish(3);
            world_.publish_native(3);
            change(verb);
        }
    if (!broken_.empty())
        return;
    if (world_.state() != "NATS" && world_.state() != "COMPLETE")
        return fail("after all that it is in " + world_.state());
    world_.publish(3);
    auto const taken = [&] {
        if (world_.unanswered() == 0)
            world_.publish_again();
        return world_.unanswered() == 0;
    };
    if (!world_.until(taken, 30'000))
        return fail("publishes are not taken: " + world_.status().dump());
    check();
}

}  // namespace kedge::migration::test
