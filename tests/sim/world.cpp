#include "tests/sim/world.hpp"

#include <algorithm>
#include <cstdio>

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
    : watch{s.bounds, s.coarse, j}, disk{s.bounds, "sim"}, plan{s}, lines{j}, now{1'000, epoch_ms}, tamper_{std::move(t)}
{
    disk.load(now.wall_ms);
    std::vector<store_request::any> batch;
    for (auto const& stream : s.streams)
        batch.emplace_back(store_request::create_stream{token{1}, stream});
    std::vector<store_event::any> ignored;
    disk.execute(std::move(batch), ignored);
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
    watch.loaded(contents, now);
    core_config config;
    config.limits = plan.bounds;
    config.server_name = "kedge/sim";
    core_ = std::make_unique<core>(std::move(config), std::move(contents), account_store::contents{}, counts_, now);
}

// --- For clients ---------------------------------------------------------------------------------------------------------

wire& world::connect(std::string const& user)
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
    w.to_server.emplace_back(link_event::opened{session_id{last_session_}, std::move(who), form, true});
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
    seen_outputs_ = 0;
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
    };

    std::vector<link_id> ready;
    for (auto& [id, w] : wires_)
        if (next_event(w) != w.to_server.end())
            ready.push_back(id);
    lines.add([&] { return "router turn at " + std::to_string(now.steady_ms); });
    for (auto count = random.between(1, 12); count != 0; --count) {
        bool const from_links = !ready.empty() && (from_store_.empty() || random.percent(60));
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
    watch.end_batch();
    for (auto& [id, heard] : said)
        if (auto const at = wires_.find(id); at != wires_.end() && !at->second.broken)
            at->second.to_client.push_back(std::move(heard));
    carry_out(todo);
}

void world::carry_out(actions& todo)
{
    take(todo.outputs);
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
    }
}

// --- The store's thread --------------------------------------------------------------------------------------------------

void world::turn_store(random_source& random)
{
    if (to_store_.empty())
        return;
    auto const count = plan.slow_store ? random.between(1, to_store_.size()) : to_store_.size();
    std::vector<store_request::any> batch;
    for (std::uint64_t i = 0; i < count; ++i) {
        batch.push_back(std::move(to_store_.front()));
        to_store_.pop_front();
    }
    lines.add([&] { return "store turn with " + std::to_string(batch.size()) + " requests"; });
    std::vector<store_event::any> out;
    disk.execute(std::move(batch), out);
    for (auto& e : out) {
        watch.committed(e, now);
        from_store_.push_back(std::move(e));
    }
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
    for (auto& [id, w] : wires_)
        lose(w, random);
    core_.reset();
    to_store_.clear();
    from_store_.clear();
    disk.crash();
    start();
    for (auto& [id, w] : wires_) {
        w.to_server.clear();
        w.gone = true;
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
    if (w.gone)
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
    if (!to_store_.empty() || !from_store_.empty())
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
