#include "tests/migration/replica_sim.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "migration/identity.hpp"

namespace kedge::migration::test {

namespace {

settings small_bounds(std::uint64_t seed)
{
    sim::random_source random{seed ^ 0x5eed};
    settings s;
    s.pump_messages = random.percent(30) ? 64 : random.between(1, 12);
    s.pump_bytes = random.percent(20) ? 400 : 1024 * 1024;
    s.ring_bytes = random.percent(30) ? 200 : 1024 * 1024;
    s.import_messages = random.percent(30) ? 1024 : random.between(1, 10);
    s.import_bytes = 1024 * 1024;
    s.read_messages = random.between(2, 64);
    s.read_bytes = 1024 * 1024;
    s.answer_ms = 2000;
    s.hold_ms = random.percent(50) ? 1500 : 5000;
    return s;
}

constexpr std::uint64_t late_ms_max = 20'000;  // within the duplicate window, as on a real network

}  // namespace

replica_sim::replica_sim(std::uint64_t seed, mutation what, bool tracing)
    : seed_{seed}, world_{seed, small_bounds(seed), what}, random_{world_.random}
{
    counts.seeds = 1;
    world_.tracing = tracing;
    forgetful_ = random_.percent(25);
    if (forgetful_)
        world_.jet().config.duplicates_ms = 1;
    limited_ = random_.percent(20);
    if (limited_)
        world_.jet().config.max_msgs_per_subject = random_.between(1, 3);
    auto const writers = random_.between(1, 4);
    for (std::uint64_t i = 0; i < writers; ++i) {
        publisher p;
        p.how = random_.percent(50) ? publisher::kind::ids : random_.percent(70) ? publisher::kind::numbers : publisher::kind::plain;
        p.sender = std::string(1, static_cast<char>('a' + i)) + (p.how == publisher::kind::plain ? "/~51" : "/node");
        p.window = random_.between(1, 8);
        publishers_.push_back(p);
    }
    auto const others = random_.below(3);
    for (std::uint64_t i = 0; i < others; ++i)
        natives_.push_back({"n" + std::to_string(i), 1});
    world_.on_row = [this](auto const& a) { arrived(a); };
    world_.on_failed = [this](token t, failure const& why) { answered(t, false, why.code); };
    world_.on_put = [this] {
        if (changing_ != change::writing)
            return;
        world_.replica->set_authority(world_.side, world_.authority_epoch);
        changing_ = change::none;
        held_ = false;
        ++counts.switches;
    };
}

void replica_sim::fail(std::string why)
{
    if (broken_.empty())
        broken_ = std::move(why);
}

void replica_sim::arrived(store_event::rows_arrived::arrival const& a)
{
    auto const& m = *a.stored.message;
    auto const sender = std::string{a.stored.sender->view()};
    if (is_node(sender)) {
        if (!m.id().empty())
            ids_[sender + " " + std::string{m.id()}] = a.stored.seq;
        if (a.n != 0 && a.origin == token::none && numbers_[sender].add({a.n, a.previous_n, a.stored.seq, a.digest}))
            for (auto& p : publishers_)
                if (p.sender == sender)
                    told_numbers(p);
    }
    if (a.origin != token::none)
        answered(a.origin, true, {});
}

void replica_sim::told_numbers(publisher& p)
{
    auto const& log = numbers_[p.sender];
    p.submitted = std::max(p.submitted, log.n);
    while (!p.untold.empty() && *p.untold.begin() <= log.n) {
        p.oks.insert(*p.untold.begin());
        p.again.erase(*p.untold.begin());
        p.untold.erase(p.untold.begin());
    }
}

void replica_sim::answered(token request, bool stored, error_code code)
{
    for (auto& p : publishers_) {
        auto const at = p.out.find(request);
        if (at == p.out.end())
            continue;
        auto const [number, epoch, previous] = at->second;
        p.out.erase(at);
        if (stored && p.how == publisher::kind::numbers) {
            if (numbers_[p.sender].add({number, previous, 1}))
                told_numbers(p);
            return;
        }
        if (stored) {
            if (!p.oks.insert(number).second)
                fail(body_of(p, number) + " was answered ok twice");
            return;
        }
        if (code == error_code::unavailable)
            ++counts.unavailable;
        p.failed = true;
        if (epoch == epoch_) {
            // As the core does it: whoever has something under way must know of its end before it publishes in the new epoch.
            ++epoch_;
            for (auto& other : publishers_)
                other.failed = other.failed || !other.out.empty();
        }
        // Whoever has no node cannot send again what may have been stored.
        if (p.how == publisher::kind::ids || (p.how == publisher::kind::plain && !outcome_unknown(code)))
            p.again.insert(number);
        if (p.how == publisher::kind::plain && outcome_unknown(code))
            p.oks.erase(number);
        return;
    }
    fail("an append was answered that was not open");
}

void replica_sim::send(publisher& p, std::uint64_t number)
{
    publish_options how;
    how.epoch = epoch_;
    if (p.how == publisher::kind::ids) {
        how.id = "i" + std::to_string(number);
        if (ids_.contains(p.sender + " " + how.id)) {
            p.oks.insert(number);
            return;
        }
    } else if (p.how == publisher::kind::numbers) {
        auto const& log = numbers_[p.sender];
        p.untold.insert(number);
        if (number <= p.submitted)
            return fail(body_of(p, number) + " is sent again though it is under way");
        auto const* const early = log.find_early(number);
        how.n = number;
        how.previous_n = std::exchange(p.submitted, number);
        if (early != nullptr) {
            ++counts.early;
            return;
        }
    } else if (number % 3 == 0) {
        how.id = "same";  // without a node it tells nothing apart
    }
    if (number % 4 == 1)
        how.headers = R"({"Topic":"a \"b\"","X":"1"})";
    if (number % 5 == 1)
        how.reply_to = "answers.here";
    auto const subject = "chat." + p.sender.substr(0, 1) + std::to_string(number % 2);
    // The answer may come before `append` returns: then nobody would know of it.
    p.out[token::none] = {number, epoch_, how.previous_n};
    auto const failed = std::exchange(world_.on_failed, nullptr);
    std::vector<std::pair<token, failure>> at_once;
    world_.on_failed = [&](token t, failure const& why) { at_once.emplace_back(t, why); };
    auto const request = world_.append(p.sender, subject, body_of(p, number), how);
    world_.on_failed = failed;
    p.out.erase(token::none);
    p.out[request] = {number, how.epoch, how.previous_n};
    for (auto const& [t, why] : at_once)
        answered(t, false, why.code);
}

void replica_sim::ssh_acts()
{
    if (held_)
        return;
    auto& p = random_.pick(publishers_);
    if (p.failed) {
        if (!p.out.empty())
            return;
        p.failed = false;
        p.again.insert(p.untold.begin(), p.untold.end());
        p.submitted = numbers_[p.sender].n;
    }
    for (auto burst = random_.between(1, p.window); burst != 0 && p.out.size() < p.window && !p.failed; --burst) {
        if (!p.again.empty()) {
            auto const number = *p.again.begin();
            p.again.erase(p.again.begin());
            send(p, number);
        } else if (!calm_) {
            ++counts.ssh;
            send(p, p.next++);
        }
    }
}

void replica_sim::native_acts()
{
    if (natives_.empty() || calm_ || !world_.bus.running() || world_.bus.frozen())
        return;
    if (random_.percent(15))
        return replay();
    auto& n = random_.pick(natives_);
    bus_message m;
    auto const body = n.name + "#" + std::to_string(n.next++);
    m.subject = random_.percent(5) ? "chat.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q" : "chat." + n.name;
    m.body = body;
    if (random_.percent(30))
        m.headers = {{"Color", "blue"}, {"Nats-Trace", "x"}, {"Color", "red"}};
    if (world_.bus.publish(std::move(m)).place != 0) {
        ++natives_stored_[body];
        ++counts.natives;
    }
}

/// Somebody publishes again what they have read, with all that stood on it.
void replica_sim::replay()
{
    auto const& there = world_.jet().messages;
    if (there.empty())
        return;
    auto at = there.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(random_.below(there.size())));
    // Only what has been read: a copy of ours that kedge sees before ours is ours.
    if (at->first > world_.facts().checkpoint)
        return;
    auto m = at->second;
    std::erase_if(m.headers, [](auto const& h) { return h.first == "Nats-Msg-Id"; });
    if (random_.percent(30))
        m.body += "!";
    auto const body = m.body;
    if (world_.bus.publish(std::move(m)).place != 0) {
        ++natives_stored_[body];
        ++counts.replays;
    }
}

void replica_sim::note_risk(jet_place above)
{
    for (auto const& [place, m] : world_.jet().messages)
        if (place > above)
            natives_at_risk_.insert(m.body);
}

/// What a link that went left in the server's buffers stands behind what the next link sent.
void replica_sim::land_late()
{
    disorder_ = disorder_ || world_.bus.late() != 0;
    world_.bus.land_late();
}

void replica_sim::rewind()
{
    land_late();
    world_.bus.lose_late();  // if its server was away
    auto const last = world_.jet().last;
    auto const back = random_.between(1, 25);
    auto const to = last > back ? last - back : 0;
    note_risk(to);
    world_.bus.rewind(replica_world::name, to);
    ++counts.rewinds;
    disorder_ = true;
    frozen_until_ms_ = detached_until_ms_ = 0;
    leave_natives();
}

/// Before we come.
void replica_sim::leave_natives()
{
    if (random_.percent(60))
        for (auto burst = random_.below(30); burst != 0; --burst)
            native_acts();
}

/// The stream's server goes, and no link of ours tells of it; it may have gone back when it comes.
void replica_sim::detach()
{
    auto& bus = world_.bus;
    if (!bus.running() || bus.frozen() || bus.detached())
        return;
    ++counts.detached;
    bus.detach(true);
    disorder_ = true;
    detached_until_ms_ = bus.now_ms() + (random_.percent(50) ? random_.between(0, 500) : random_.between(500, 8000));
    if (random_.percent(50))
        return;
    bus.lose_late();
    auto const last = world_.jet().last;
    auto const back = random_.between(1, 25);
    auto const to = last > back ? last - back : 0;
    note_risk(to);
    bus.rewind_detached(replica_world::name, to);
    ++counts.rewinds;
    leave_natives();
}

void replica_sim::crash()
{
    ++counts.crashes;
    world_.crash();
    for (auto& p : publishers_) {
        for (auto const& [request, sent] : std::exchange(p.out, {}))
            if (p.how == publisher::kind::ids)
                p.again.insert(sent.number);
        p.failed = false;
    }
    epoch_ = 1;
    held_ = false;
    changing_ = change::none;
    ids_.clear();
    numbers_.clear();
    for (auto const& id : world_.contents.ids)
        ids_[id.sender + " " + id.id] = id.seq;
    for (auto const& n : world_.contents.nodes)
        for (auto const& each : n.last)
            numbers_[n.name] = each.numbers;
    for (auto& p : publishers_) {
        told_numbers(p);
        p.again.insert(p.untold.begin(), p.untold.end());
        p.submitted = numbers_[p.sender].n;
    }
}

void replica_sim::mishap()
{
    auto& bus = world_.bus;
    auto const linked = world_.backend->linked();
    switch (random_.below(12)) {
    case 0:
    case 1:
        if (linked) {
            ++counts.cuts;
            world_.backend->cut("the cable");
            disorder_ = disorder_ || bus.late() != 0;
            late_since_ms_ = bus.now_ms();
        }
        break;
    case 2:
        ++counts.lost_acks;
        bus.lose_acks(random_.between(1, 3));
        break;
    case 3: {
        static constexpr std::array<std::pair<int, char const*>, 4> codes{
            {{10077, "maximum bytes exceeded"}, {503, "no responders"}, {10047, "insufficient storage"}, {10071, "wrong last sequence"}}};
        auto const& [code, why] = random_.pick(codes);
        bus.refuse_next(replica_world::name, code, why, random_.between(1, 3));
        ++counts.refusals;
        disorder_ = true;
        break;
    }
    case 4:
        if (random_.percent(50))
            rewind();
        break;
    case 5: crash(); break;
    case 6: {
        static constexpr std::array faults{memory_store::fault::full, memory_store::fault::lost, memory_store::fault::stored,
                                           memory_store::fault::broken};
        auto const which = random_.pick(faults);
        world_.store->fail(which, static_cast<unsigned>(random_.below(3)));
        ++counts.store_faults;
        break;
    }
    case 7:
        if (bus.running() && !bus.frozen()) {
            bus.freeze(true);
            frozen_until_ms_ = bus.now_ms() + random_.between(100, 8000);
            ++counts.freezes;
        }
        break;
    case 8:
        land_late();
        break;
    case 9: detach(); break;
    case 11:
        bus.hold_acks(true);
        held_acks_until_ms_ = bus.now_ms() + random_.between(0, 3000);
        break;
    case 10:
        bus.allow_readers(false);
        no_readers_until_ms_ = bus.now_ms() + random_.between(500, 8000);
        break;
    }
}

void replica_sim::change_acts()
{
    auto const now = world_.bus.now_ms();
    if (changing_ == change::none) {
        if (calm_ || !random_.per_mille(15))
            return;
        changing_ = change::draining;
        change_until_ms_ = now + 3000;
        held_ = true;
        fence_ = 0;
        return;
    }
    if (changing_ == change::writing)
        return;
    if (now > change_until_ms_ || calm_) {
        changing_ = change::none;
        held_ = false;
        return;
    }
    land_late();  // what is later than a switch would be double
    auto const quiet = std::ranges::all_of(publishers_, [](auto const& p) { return p.out.empty(); });
    auto const& f = world_.facts();
    if (!quiet || world_.replica->unsettled() != 0 || !f.synchronous || f.waiting_rows != 0 || world_.store_queue() != 0)
        return;
    if (fence_ == 0)
        fence_ = world_.jet().last;
    if (f.checkpoint < fence_)
        return;
    changing_ = change::writing;
    world_.side = world_.side == authority::sqlite ? authority::jetstream : authority::sqlite;
    ++world_.authority_epoch;
    world_.put();
}

void replica_sim::act()
{
    auto& bus = world_.bus;
    if (forgetful_ || limited_)  // with a message that limits take goes what the server knows of its id over a restart
        bus.lose_late();
    auto const late = bus.late() != 0 && bus.now_ms() > late_since_ms_ + late_ms_max;
    if (late)
        land_late();
    if (bus.frozen() && frozen_until_ms_ <= bus.now_ms())
        bus.freeze(false);
    if (bus.detached() && detached_until_ms_ <= bus.now_ms())
        bus.detach(false);
    if (no_readers_until_ms_ <= bus.now_ms())
        bus.allow_readers(true);
    if (held_acks_until_ms_ <= bus.now_ms())
        bus.hold_acks(false);
    switch (random_.below(10)) {
    case 0:
    case 1: ssh_acts(); break;
    case 2: native_acts(); break;
    case 3: world_.advance(random_.percent(5) ? random_.between(100, 3000) : random_.between(0, 40)); break;
    case 4: change_acts(); break;
    case 5:
        if (!calm_ && random_.percent(6))
            mishap();
        break;
    default: world_.step(); break;
    }
    if (world_.facts().broken != breakage::none)
        fail("broken: " + world_.facts().broken_why);
}

void replica_sim::calm_down()
{
    calm_ = true;
    auto& bus = world_.bus;
    bus.freeze(false);
    bus.detach(false);
    bus.allow_readers(true);
    bus.hold_acks(false);
    bus.start();
    if (forgetful_ || limited_)
        bus.lose_late();
    land_late();
    bus.refuse_no_more(replica_world::name);
    world_.store->fail(memory_store::fault::none);
    constexpr unsigned steps_max = 200'000;
    auto const done = [&] {
        return world_.idle() && changing_ == change::none && std::ranges::all_of(publishers_, [](auto const& p) {
            return p.out.empty() && p.again.empty() && p.untold.empty();
        }) && world_.facts().checkpoint == world_.jet().last;
    };
    for (unsigned i = 0; i < steps_max && broken_.empty(); ++i) {
        if (!world_.step())
            world_.advance(50);
        if (i % 4 == 0)
            ssh_acts();
        change_acts();
        if (i % 64 == 0 && done())
            return;
        if (world_.facts().broken != breakage::none)
            fail("broken: " + world_.facts().broken_why);
    }
    if (!done()) {
        auto const& f = world_.facts();
        std::size_t open = 0;
        for (auto const& p : publishers_)
            open += p.out.size() + p.again.size();
        fail("it does not come to rest: linked " + std::to_string(f.linked) + ", synchronous " + std::to_string(f.synchronous) + ", waiting "
             + std::to_string(f.waiting_rows) + ", unread " + std::to_string(f.unread) + ", in flight " + std::to_string(f.in_flight)
             + ", queued " + std::to_string(f.queued) + ", unsettled " + std::to_string(world_.replica->unsettled()) + ", at the store "
             + std::to_string(world_.store_queue()) + ", open " + std::to_string(open) + ", read to " + std::to_string(f.checkpoint) + " of "
             + std::to_string(world_.jet().last) + "; " + f.refused_why + "; the store has "
             + std::to_string(world_.store->load(world_.bus.now_ms()).mirrors.at(0).waiting_rows) + " waiting");
    }
}

std::string replica_sim::run()
{
    for (auto steps = random_.between(200, 1500); steps != 0 && broken_.empty(); --steps)
        act();
    if (broken_.empty())
        calm_down();
    counts.reordered = world_.reordered_before + world_.facts().reordered;
    if (broken_.empty())
        check();
    return broken_;
}

}  // namespace kedge::migration::test
