#include "tests/sim/world.hpp"

#include <algorithm>
#include <cstdio>

#include "router/core/account_requests.hpp"
#include "router/protocol/encoding.hpp"

namespace kedge::sim {

namespace {

std::string hex(std::uint64_t number)
{
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
    return text;
}

constexpr std::uint64_t epoch_ms = 1'700'000'000'000;

}  // namespace

world::world(settings const& s, journal& j, tamper t)
    : watch{s.bounds, s.what, s.coarse, j}, disk{s.bounds, "sim"}, plan{s}, lines{j}, now{1'000, epoch_ms}, tamper_{std::move(t)}
{
    disk.load(now.wall_ms);
    std::vector<store_request::any> batch;
    for (auto const& stream : s.streams)
        batch.emplace_back(store_request::create_stream{token{1}, stream});
    std::vector<store_event::any> ignored;
    disk.execute(std::move(batch), ignored);
    for (auto const& user : s.users)
        (void)disk.put_user(user);
    start();
}

void world::start()
{
    ++lives;
    auto contents = disk.load(now.wall_ms);
    // Rows whose commit nobody heard of are as true as the others.
    for (auto const& s : contents.streams) {
        auto const known = watch.messages.logs().find(s.id);
        message_seq const from = known == watch.messages.logs().end() ? 1 : known->second.rows.size() + 1;
        if (from > s.last)
            continue;
        store_request::read read;
        read.request = token{1};
        read.stream = s.id;
        read.from = from;
        read.rows_max = 1'000'000;
        read.bytes_max = 1'000'000'000;
        std::vector<store_request::any> batch;
        batch.emplace_back(std::move(read));
        std::vector<store_event::any> found;
        disk.execute(std::move(batch), found);
        for (auto const& e : found)
            if (auto const* const rows = std::get_if<store_event::rows_read>(&e))
                for (auto const& r : rows->rows)
                    watch.messages.committed(s.id, r);
    }
    auto accounts = disk.load_accounts();
    watch.loaded(contents, accounts, now);
    core_config config;
    config.limits = plan.bounds;
    config.server_name = "kedge/sim";
    core_ = std::make_unique<core>(std::move(config), std::move(contents), std::move(accounts), counts_, now);
    drain_due_ms_ = 0;
    watcher_ = {};
    if (plan.what != scene::talk)
        return;
    auto& w = connect("op");
    watcher_ = w.id;
    watch.talk.watches(w.id);
    send(w, op::subscribe{"watch", "$sys.>", {}}, 80);
    random_source any{1};
    for (int turns = 0; turns < 10; ++turns)
        turn_router(any);
}

// --- For clients ---------------------------------------------------------------------------------------------------------

wire& world::connect(std::string const& user, bool greet)
{
    auto& w = wires_[link_id{++last_link_}];
    w.id = link_id{last_link_};
    auto who = std::make_shared<principal>();
    who->user = user;
    who->role = user == "op" ? std::string{role_operator} : std::string{role_user};
    who->key = "SHA256:sim";
    who->session = hex(++last_session_);
    who->address = "192.0.2.1";
    auto const form = last_link_ % 3 == 0 ? encoding::lines : encoding::frames;
    w.to_server.emplace_back(link_event::opened{session_id{last_session_}, std::move(who), form, greet});
    return w;
}

wire* world::find(link_id id)
{
    auto const at = wires_.find(id);
    return at == wires_.end() || over(at->second) ? nullptr : &at->second;
}

void world::send(wire& w, op::any what, std::size_t bytes)
{
    if (!w.broken && !w.gone)
        w.to_server.emplace_back(link_event::operation{std::move(what), bytes});
}

void world::send_end_of_input(wire& w)
{
    if (!w.broken && !w.gone)
        w.to_server.emplace_back(link_event::input_ended{});
}

void world::command(wire& w, admin_call call)
{
    if (!w.broken && !w.gone)
        w.to_server.emplace_back(link_event::admin_request{token{++last_command_}, std::move(call)});
}

std::optional<notice::any> world::read(wire& w)
{
    if (!readable(w))
        return std::nullopt;
    auto what = std::move(w.to_client.front().what);
    w.to_client.pop_front();
    return what;
}

void world::drop(wire& w)
{
    w.broken = true;
    w.to_client.clear();
    if (std::exchange(w.gone, true))
        return;
    w.to_server.emplace_back(link_event::closed{w.written});
}

// --- The router's thread ---------------------------------------------------------------------------------------------------

// Whether the transport may hand over this operation now: not while too much of the link's is not credited. Besides, the core
// lets operations wait while the outbox is full, and nobody could tell from outside until when: how that ends is seen in
// coarse runs only.
bool world::may_submit(wire const& w, link_event::operation const& o) const
{
    if (!w.gone && w.inflight > 0 && w.inflight + o.bytes > plan.bounds.link_inflight_bytes)
        return false;
    auto const* const seen = watch.find(w.id);
    return plan.coarse || !seen || seen->handed - seen->written < plan.bounds.link_unsent_bytes;
}

// The next event; what was written is told although operations wait that were read before.
std::deque<link_event::body>::iterator world::next_event(wire& w) const
{
    auto const front = w.to_server.begin();
    if (front == w.to_server.end())
        return front;
    auto const* const o = std::get_if<link_event::operation>(&*front);
    if (!o || may_submit(w, *o))
        return front;
    // Of a connection that is gone, what was not handed over yet never is.
    return std::find_if(front, w.to_server.end(), [&](auto const& e) {
        return w.gone ? std::holds_alternative<link_event::closed>(e) : std::holds_alternative<link_event::written>(e);
    });
}

void world::turn_router(random_source& random)
{
    actions todo;
    seen_outputs_ = seen_appends_ = 0;
    watch.begin_batch();
    std::vector<std::pair<link_id, observer::heard>> said;
    auto const look = [&] {
        if (tamper_ && seen_outputs_ < todo.outputs.size()) {
            std::vector<link_output::any> fresh(std::make_move_iterator(todo.outputs.begin() + static_cast<std::ptrdiff_t>(seen_outputs_)),
                                                std::make_move_iterator(todo.outputs.end()));
            todo.outputs.resize(seen_outputs_);
            tamper_(fresh);
            std::move(fresh.begin(), fresh.end(), std::back_inserter(todo.outputs));
        }
        for (; seen_outputs_ < todo.outputs.size(); ++seen_outputs_)
            watch.output(todo.outputs[seen_outputs_], now, said);
        for (; seen_appends_ < todo.appends.size(); ++seen_appends_)
            if (plan.what == scene::talk)
                watch.talk.appended(todo.appends[seen_appends_], now);
    };

    std::vector<link_id> ready;
    for (auto& [id, w] : wires_)
        if (next_event(w) != w.to_server.end())
            ready.push_back(id);
    lines.add([&] { return "router turn at " + std::to_string(now.steady_ms); });
    for (auto count = random.between(1, 12); count != 0; --count) {
        bool const from_links = !ready.empty() && ((from_store_.empty() && from_accounts_.empty()) || random.percent(60));
        if (from_links) {
            auto const at = random.below(ready.size());
            auto& w = wires_.at(ready[at]);
            auto const next = next_event(w);
            if (next == w.to_server.end()) {
                ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(at));
                continue;
            }
            link_event::any e{w.id, std::move(*next)};
            w.to_server.erase(next);
            if (std::holds_alternative<link_event::closed>(e.what))
                w.to_server.clear();
            if (auto const* const o = std::get_if<link_event::operation>(&e.what))
                w.inflight += o->bytes;
            lines.add([&] {
                if (auto const* const c = std::get_if<link_event::admin_request>(&e.what))
                    return "  link " + std::to_string(static_cast<std::uint64_t>(e.link)) + ": " + c->call.name + " " + c->call.args.dump();
                return "  link " + std::to_string(static_cast<std::uint64_t>(e.link)) + ": event " + std::to_string(e.what.index())
                    + (std::holds_alternative<link_event::operation>(e.what)
                           ? " " + [&] {
                                 std::string text;
                                 encode(std::get<link_event::operation>(e.what).what, encoding::lines, text);
                                 text.pop_back();
                                 return text.substr(0, 200);
                             }()
                           : std::string{});
            });
            watch.before(e, now);
            auto const copy = e;
            core_->step(std::move(e), now, todo);
            look();
            watch.after(copy);
        } else if (!from_store_.empty()) {
            auto const e = std::move(from_store_.front());
            from_store_.pop_front();
            lines.add([&] { return "  store event " + std::to_string(e.index()); });
            watch.before(e);
            core_->step(e, now, todo);
            look();
            watch.after(e);
        } else if (!from_accounts_.empty()) {
            auto const [asked, done] = std::move(from_accounts_.front());
            from_accounts_.pop_front();
            lines.add([&] { return std::string{"  account event"}; });
            watch.talk.changed(asked, done);
            core_->step(done, now, todo);
            look();
        }
    }
    if (auto const due = core_->due_ms(); due && *due <= now.steady_ms) {
        lines.add([&] { return std::string{"  tick"}; });
        watch.ticked(now);
        core_->tick(now, todo);
        look();
    }
    core_->finish(now, todo);
    look();
    watch.end_batch(now);
    for (auto& [id, heard] : said)
        if (auto const at = wires_.find(id); at != wires_.end() && !at->second.broken)
            at->second.to_client.push_back(std::move(heard));
    bool const drained = todo.drained;
    carry_out(todo);
    // Who watches reads at once.
    if (auto const at = wires_.find(watcher_); at != wires_.end()) {
        auto& w = at->second;
        w.to_client.clear();
        if (!w.gone && w.written < w.handed)
            w.to_server.emplace_back(link_event::written{w.handed - w.written});
        w.written = w.received = w.handed;
    }
    if (drain_due_ms_ && (drained || now.steady_ms >= drain_due_ms_))
        stop();
}

void world::carry_out(actions& todo)
{
    take(todo.outputs);
    for (auto& a : todo.accounts)
        to_accounts_.push_back(std::move(a));
    // Requests first: a consumer that was asked for before a publish begins before it.
    for (auto& r : todo.requests)
        to_store_.push_back(std::move(r));
    for (auto& a : todo.appends)
        to_store_.emplace_back(std::move(a));
}

void world::take(std::vector<link_output::any>& outputs)
{
    for (auto& o : outputs) {
        auto const at = wires_.find(o.link);
        if (at == wires_.end())
            continue;
        auto& w = at->second;
        if (auto const* const data = std::get_if<link_output::data>(&o.what))
            w.handed += data->bytes->size();
        else if (auto const* const credit = std::get_if<link_output::credit>(&o.what))
            w.inflight -= credit->bytes;
        else if (std::holds_alternative<link_output::close>(o.what))
            w.server_closes = true;
        else if (auto* const answer = std::get_if<link_output::admin_answer>(&o.what))
            w.answers.push_back(std::move(answer->result));
    }
}

// --- The store's thread --------------------------------------------------------------------------------------------------

void world::run_accounts(random_source& random)
{
    for (auto count = to_accounts_.empty() ? 0 : plan.slow_store ? random.between(0, to_accounts_.size()) : to_accounts_.size(); count != 0;
         --count) {
        auto asked = std::move(to_accounts_.front());
        to_accounts_.pop_front();
        auto done = kedge::carry_out(disk, asked);
        from_accounts_.emplace_back(std::move(asked), std::move(done));
    }
}

void world::turn_store(random_source& random)
{
    run_accounts(random);
    if (to_store_.empty())
        return;
    auto const count = plan.slow_store ? random.between(1, to_store_.size()) : to_store_.size();
    std::vector<store_request::any> batch;
    for (std::uint64_t i = 0; i < count; ++i) {
        batch.push_back(std::move(to_store_.front()));
        to_store_.pop_front();
    }
    lines.add([&] { return "store turn with " + std::to_string(batch.size()) + " requests"; });
    std::map<token, store_request::any> asked;
    std::vector<store_request::any> purges;
    for (auto const& r : batch)
        std::visit(
            [&](auto const& what) {
                using type = std::decay_t<decltype(what)>;
                if constexpr (std::is_same_v<type, store_request::remove_consumer> || std::is_same_v<type, store_request::remove_node>)
                    asked.emplace(what.request, what);
                else if constexpr (std::is_same_v<type, store_request::purge>)
                    purges.emplace_back(what);
            },
            r);
    std::vector<store_event::any> out;
    watch.talk.mail.batch_begins();
    disk.execute(std::move(batch), out);
    for (auto const& e : out)
        if (auto const* const done = std::get_if<store_event::done>(&e))
            if (auto const at = asked.find(done->request); at != asked.end())
                watch.executed(at->second);
    for (auto& e : out) {
        watch.committed(e, now);
        from_store_.push_back(std::move(e));
    }
    for (auto const& p : purges)
        watch.requested(p);
}

void world::maintain()
{
    std::vector<store_event::any> out;
    disk.maintain(now.wall_ms, out);
    for (auto& e : out) {
        watch.committed(e, now);
        from_store_.push_back(std::move(e));
    }
}

void world::arm_fault(random_source& random)
{
    static constexpr memory_store::fault all[] = {memory_store::fault::full, memory_store::fault::lost,
                                                  memory_store::fault::stored, memory_store::fault::broken};
    auto const what = all[random.below(4)];
    auto const skip = static_cast<unsigned>(random.below(3));
    lines.add([&] { return "fault " + std::to_string(static_cast<int>(what)) + " after " + std::to_string(skip) + " commits"; });
    disk.fail(what, skip);
}

void world::crash(random_source& random)
{
    lines.add([&] { return std::string{"CRASH"}; });
    die(random);
    disk.crash();
    start();
}

// Whoever is still connected loses it.
void world::die(random_source& random)
{
    for (auto& [id, w] : wires_) {
        lose(w, random);
        w.to_server.clear();
        w.gone = true;
    }
    wires_.erase(watcher_);
    core_.reset();
    to_store_.clear();
    from_store_.clear();
    to_accounts_.clear();
    from_accounts_.clear();
}

void world::drain()
{
    if (drain_due_ms_)
        return;
    lines.add([&] { return std::string{"DRAIN"}; });
    drain_due_ms_ = now.steady_ms + plan.bounds.drain_ms;
    watch.talk.draining();
    actions todo;
    seen_outputs_ = 0;
    watch.begin_batch();
    std::vector<std::pair<link_id, observer::heard>> said;
    core_->drain(now, todo);
    core_->finish(now, todo);
    for (auto const& o : todo.outputs)
        watch.output(o, now, said);
    watch.end_batch(now);
    for (auto& [id, heard] : said)
        if (auto const at = wires_.find(id); at != wires_.end() && !at->second.broken)
            at->second.to_client.push_back(std::move(heard));
    carry_out(todo);
}

void world::stop()
{
    lines.add([&] { return std::string{"STOP"}; });
    actions todo;
    core_->save_positions(now, todo);
    carry_out(todo);
    random_source any{now.steady_ms};
    while (!to_store_.empty() || !to_accounts_.empty())
        turn_store(any);
    die(any);
    disk.crash();
    start();
}

void world::check_rows()
{
    for (auto const& [id, l] : watch.messages.logs()) {
        bool const bounded = l.config.max_age_ms + l.config.max_bytes + l.config.max_msgs != 0 || l.config.keep != retention::limits;
        store_request::read read;
        read.request = token{1};
        read.stream = id;
        read.rows_max = 1'000'000;
        read.bytes_max = 1'000'000'000;
        std::vector<store_request::any> batch;
        batch.emplace_back(std::move(read));
        std::vector<store_event::any> found;
        disk.execute(std::move(batch), found);
        std::set<message_seq> there;
        for (auto const& r : std::get<store_event::rows_read>(found.front()).rows)
            there.insert(r.seq);
        for (auto const& r : l.rows)
            if (!there.contains(r.seq) && !l.purged.contains(r.seq) && (!bounded || r.seq >= l.trimmed_to))
                throw violation{l.config.name + " seq " + std::to_string(r.seq) + " is gone, though nothing was to take it"};
    }
}

// --- The network ---------------------------------------------------------------------------------------------------------

void world::turn_network(random_source& random)
{
    for (auto at = wires_.begin(); at != wires_.end();) {
        auto& w = at->second;
        if (!w.gone && w.written < w.handed && (!plan.slow_network || random.percent(30))) {
            auto const bytes = random.percent(50) ? w.handed - w.written : random.between(1, w.handed - w.written);
            w.written += bytes;
            w.to_server.emplace_back(link_event::written{bytes});
        }
        if (!w.broken && w.received < w.written && (!plan.slow_network || random.percent(50)))
            w.received = random.percent(50) ? w.written : random.between(w.received, w.written);
        if (!w.gone && w.server_closes && w.written == w.handed) {
            w.gone = true;
            // What the client sent meanwhile is not read any more.
            w.to_server.emplace_back(link_event::closed{w.written});
        }
        bool const finished = w.gone && w.to_server.empty() && over(w);
        at = finished ? wires_.erase(at) : std::next(at);
    }
}

// A part of what was written arrives, the rest does not.
void world::lose(wire& w, random_source& random)
{
    if (w.broken)
        return;
    w.received = random.between(w.received, w.written);
    while (!w.to_client.empty() && w.to_client.back().end > w.received)
        w.to_client.pop_back();
    w.broken = true;
}

void world::cut(random_source& random)
{
    if (wires_.empty())
        return;
    auto at = wires_.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(random.below(wires_.size())));
    auto& w = at->second;
    if (w.gone || w.id == watcher_)
        return;
    lines.add([&] { return "cut link " + std::to_string(static_cast<std::uint64_t>(w.id)); });
    lose(w, random);
    w.gone = true;
    // Some of what the client sent never arrives; `opened` has.
    for (auto keep = random.below(w.to_server.size() + 1); w.to_server.size() > std::max<std::uint64_t>(keep, 1);)
        if (auto& last = w.to_server.back(); std::holds_alternative<link_event::operation>(last)
            || std::holds_alternative<link_event::input_ended>(last))
            w.to_server.pop_back();
        else
            break;
    w.to_server.emplace_back(link_event::closed{w.written});
}

void world::advance(std::uint64_t steady_ms, std::uint64_t wall_extra_ms)
{
    now.steady_ms += steady_ms;
    now.wall_ms += steady_ms + wall_extra_ms;
}

std::string world::busy_with()
{
    if (!to_store_.empty() || !from_store_.empty() || !to_accounts_.empty() || !from_accounts_.empty())
        return "the store";
    for (auto& [id, w] : wires_) {
        std::string const who = "link " + std::to_string(static_cast<std::uint64_t>(id));
        if (next_event(w) != w.to_server.end())
            return who + ", which sends";
        if (!w.gone && (w.written != w.handed || w.server_closes))
            return who + ", which is written to";
        if (!w.broken && w.received != w.written)
            return who + ", to which something is on its way";
        if (readable(w))
            return who + ", which does not read";
    }
    return {};
}

void world::settle(random_source& random)
{
    for (int i = 0; i < 3; ++i) {
        turn_network(random);
        turn_router(random);
        turn_store(random);
    }
}

}  // namespace kedge::sim
