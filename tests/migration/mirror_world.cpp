#include "tests/migration/mirror_world.hpp"

#include <algorithm>
#include <iostream>
#include <stdexcept>

#include "router/core/digest.hpp"
#include "tests/migration/replica_trace.hpp"

namespace kedge::migration {

mirror_world::process::process(mirror_world& w)
    : world{w},
      gates{{[this](stream_id, std::vector<store_request::append> batch) { queued.push_back(std::move(batch)); },
             [this](stream_id) { overflowed = true; }}}
{
}

mirror_world::mirror_world(std::uint64_t seed, settings const& s, std::uint64_t max_msgs) : bus{seed}, bounds{s}
{
    bus.greeting.max_payload = 8 * 1024 * 1024;
    store.load(bus.now_ms());
    stream_config config;
    config.name = name;
    config.subjects = {"chat.>"};
    config.max_msgs = max_msgs;
    std::vector<store_event::any> events;
    store.execute({store_request::create_stream{token{1}, config}}, events);
    boot();
}

void mirror_world::boot()
{
    killed_ = false;
    auto contents = store.load(bus.now_ms());
    alive = std::make_unique<process>(*this);
    auto& p = *alive;
    p.incarnation = contents.incarnation;
    p.secret = contents.secret;
    p.gates.attach(*this);
    for (auto const& known : contents.ids)
        stored_ids_.insert(known.id);
    stream = *std::ranges::find(contents.streams, std::string{name}, [](auto const& s) { return s.config.name; });
    mirror_context const context{bounds, server, p.incarnation, p.secret, p.gates, p.link, p.bridges};
    std::optional<mirror_state> found;
    for (auto const& each : contents.mirrors)
        if (each.stream == stream.id)
            found = each;
    p.mirror = std::make_unique<class mirror>(context, stream, stream.last, found);
    if (found)
        p.mirror->recover(now(), todo_);
    backend = std::make_unique<memory_backend>(bus);
    backend->open([this](backend_event::any event) { on_backend(event); });
    carry_out();
}

void mirror_world::crash()
{
    backend->cut("the process was killed", {.landed = std::nullopt, .late = 0, .told = std::nullopt});
    backend.reset();
    alive.reset();
    to_store_.clear();
    todo_ = {};
    for (auto& [request, f] : flights_)
        lost_.push_back(std::move(f));
    flights_.clear();
    answers_.clear();
    kill_label_.clear();
    store.crash();
}

bool mirror_world::step()
{
    if (killed_)
        return false;
    auto& p = *alive;
    if (!p.queued.empty()) {
        auto batch = std::move(p.queued.front());
        p.queued.pop_front();
        p.mirror->publish(std::move(batch), now(), todo_);
        carry_out();
        return true;
    }
    if (std::exchange(p.overflowed, false)) {
        p.mirror->overflowed(now(), todo_);
        carry_out();
        return true;
    }
    if (!to_store_.empty()) {
        std::vector<store_event::any> events;
        store.execute(std::exchange(to_store_, {}), events);
        for (auto const& event : events) {
            if (killed_)
                return false;
            on_store(event);
            carry_out();
            core_hears(event);
        }
        return true;
    }
    if (backend->run_one()) {
        carry_out();
        return true;
    }
    if (p.mirror->due_ms() <= now().steady_ms) {
        p.mirror->tick(now(), todo_);
        carry_out();
        return true;
    }
    return false;
}

void mirror_world::settle()
{
    for (std::size_t steps = 0; step(); ++steps)
        if (steps > 2'000'000)
            throw std::runtime_error("it does not settle");
}

void mirror_world::advance(std::uint64_t ms)
{
    bus.advance(ms);
    if (killed_)
        return;
    std::vector<store_event::any> kept;
    store.maintain(bus.now_ms(), kept);
    for (auto const& event : kept)
        on_store(event);
    alive->mirror->tick(now(), todo_);
    carry_out();
}

void mirror_world::trace(std::string const& line) const
{
    if (tracing && !line.empty())
        std::cerr << bus.now_ms() % 10'000'000 << "     " << line << '\n';
}

void mirror_world::carry_out()
{
    auto fx = std::exchange(todo_, {});
    if (tracing) {
        for (auto const& each : fx.store)
            trace(test::line_of(each));
        for (auto const& each : fx.backend)
            trace(test::line_of(each));
        for (auto const& each : fx.lost)
            trace("given up: " + std::to_string(static_cast<std::uint64_t>(each.request)) + ", " + each.why.message);
    }
    if (!fx.lost.empty())
        alive->gates.lose(fx.lost);
    append(std::move(fx.appends));
    submit(std::move(fx.store));
    if (!fx.backend.empty())
        backend->submit(std::move(fx.backend));
    for (auto& [of, what] : fx.announcements)
        announced.push_back(std::move(what));
    for (auto& [request, result] : fx.answers)
        answers_.emplace(request, std::move(result));
    if (!kill_label_.empty() && std::ranges::find(fx.reached, kill_label_) != fx.reached.end())
        killed_ = true;
}

void mirror_world::on_backend(backend_event::any& event)
{
    if (killed_ || !alive)
        return;
    auto& p = *alive;
    if (tracing)
        trace(test::line_of(event));
    if (auto const* const up = std::get_if<backend_event::link_up>(&event)) {
        p.link.up = *up;
        p.link.why.clear();
        p.mirror->link_up(now(), todo_);
    } else if (auto const* const down = std::get_if<backend_event::link_down>(&event)) {
        p.link.up.reset();
        p.link.why = down->why;
        p.mirror->link_down(down->why, now(), todo_);
    } else if (auto const* const failed = std::get_if<backend_event::link_failed>(&event)) {
        p.link.up.reset();
        p.link.why = failed->why;
        p.mirror->link_down(failed->why, now(), todo_);
    } else {
        p.mirror->on_backend(event, now(), todo_);
    }
}

void mirror_world::on_store(store_event::any const& event)
{
    auto& m = *alive->mirror;
    if (tracing)
        trace(test::line_of(event));
    auto const is_other = [&](auto const& e) {
        if constexpr (requires { e.stream == stream.id; })
            return e.stream != stream.id;
        else
            return false;
    };
    if (std::visit(is_other, event))
        return;
    if (auto const* const rows = std::get_if<store_event::rows_arrived>(&event))
        m.committed(rows->rows, now(), todo_);
    else if (auto const* const trimmed = std::get_if<store_event::stream_trimmed>(&event))
        m.trimmed(*trimmed);
    else
        m.on_store(event, now(), todo_);
}

void mirror_world::core_hears(store_event::any const& event)
{
    if (on_core_hears)
        on_core_hears(event);
    if (auto const* const rows = std::get_if<store_event::rows_arrived>(&event)) {
        for (auto const& each : rows->rows) {
            stream.last = each.stored.seq;
            if (auto const id = each.stored.message->id(); !id.empty())
                stored_ids_.emplace(id);
            auto const at = flights_.find(each.origin);
            if (at == flights_.end())
                continue;
            accepted.push_back(at->second.body);
            flights_.erase(at);
        }
        return;
    }
    auto const* const failed = std::get_if<store_event::append_failed>(&event);
    if (!failed)
        return;
    auto const at = flights_.find(failed->request);
    if (at == flights_.end())
        return;
    failures.push_back(failed->why);
    lost_.push_back(std::move(at->second));
    flights_.erase(at);
    ++epoch_;
}

void mirror_world::append(std::vector<store_request::append> batch)
{
    for (auto& each : batch)
        to_store_.emplace_back(std::move(each));
}

void mirror_world::submit(std::vector<store_request::any> batch)
{
    for (auto& each : batch)
        to_store_.push_back(std::move(each));
}

void mirror_world::tell(std::vector<store_event::any> events)
{
    for (auto const& each : events)
        core_hears(each);
}

void mirror_world::send(std::string const& body, std::string const& who)
{
    store_request::append a;
    a.request = token{++last_token_};
    a.stream = stream.id;
    a.epoch = epoch_;
    a.time_ms = bus.now_ms();
    a.sender = shared_bytes::copy_of(who);
    a.named = true;
    a.message = message::make({"chat.room", "id-" + body, {}, {}, body});
    a.digest = digest_of(*a.message);
    flights_.emplace(a.request, flight{body, who});
    trace("append " + std::to_string(last_token_) + ", " + body + " of " + who);
    alive->gates.append({std::move(a)});
}

std::string mirror_world::publish(std::size_t messages, std::string const& who)
{
    for (std::size_t i = 0; i < messages; ++i)
        send(std::to_string(++last_body_), who);
    return std::to_string(last_body_);
}

void mirror_world::publish_again()
{
    auto again = std::exchange(lost_, {});
    std::ranges::sort(again, {}, [](flight const& each) { return std::stoull(each.body); });  // over a crash they are of several lives
    if (forgets_order)
        std::ranges::reverse(again);
    for (auto& each : again)
        if (!forgets_ids && stored_ids_.contains("id-" + each.body))
            accepted.push_back(each.body);
        else
            send(each.body, each.who);
}

std::string mirror_world::publish_native(std::size_t messages)
{
    for (std::size_t i = 0; i < messages; ++i) {
        bus_message m;
        m.subject = "chat.room";
        m.body = "native-" + std::to_string(++last_body_);
        bus.publish(std::move(m));
    }
    return "native-" + std::to_string(last_body_);
}

token mirror_world::ask(std::string const& verb, nlohmann::json args)
{
    args["stream"] = name;
    auto parsed = parse_command({"migrate " + verb, std::move(args)});
    if (!parsed)
        throw std::runtime_error(parsed.error().message);
    auto const request = token{++last_token_};
    migration_request::known_stream known{stream, stream.last + 1, 0};
    alive->mirror->ask(std::move(*parsed), request, "olga", known, now(), todo_);
    carry_out();
    return request;
}

std::optional<admin_result> mirror_world::run(std::string const& verb, nlohmann::json args)
{
    auto const request = ask(verb, std::move(args));
    if (!until([&] { return answers_.contains(request); }))
        return std::nullopt;
    return answers_.at(request);
}

std::optional<admin_result> mirror_world::answer_to(token request) const
{
    auto const at = answers_.find(request);
    return at == answers_.end() ? std::nullopt : std::optional{at->second};
}

nlohmann::json mirror_world::status() { return alive->mirror->status(now()); }

std::string mirror_world::state() { return std::string{to_string(alive->mirror->phase())}; }

std::vector<std::string> mirror_world::log()
{
    std::vector<std::string> out;
    message_seq from = 1;
    for (;;) {
        std::vector<store_event::any> events;
        store.execute({store_request::read{token{1}, stream.id, from, {}, 10'000, 1 << 30}}, events);
        auto const& read = std::get<store_event::rows_read>(events.at(0));
        for (auto const& row : read.rows)
            out.emplace_back(row.message->body());
        from = read.next;
        if (read.end)
            return out;
    }
}

message_seq mirror_world::first_row()
{
    auto const contents = store.load(bus.now_ms());
    return contents.mirrors.empty() ? 1 : contents.mirrors.front().start;
}

std::vector<std::string> mirror_world::jet()
{
    std::vector<std::string> out;
    if (auto const* const s = bus.find(name))
        for (auto const& [place, m] : s->messages)
            out.push_back(m.body);
    return out;
}

}  // namespace kedge::migration
