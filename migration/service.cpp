#include "migration/service.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <variant>

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "migration/absent_backend.hpp"
#include "migration/bridge.hpp"
#include "migration/commands.hpp"
#include "migration/fault_point.hpp"
#include "migration/ingress.hpp"
#include "migration/mirror.hpp"
#include "migration/owner.hpp"
#include "migration/plan_desk.hpp"
#include "migration/service_picture.hpp"
#include "router/host/clock.hpp"
#include "router/thread_name.hpp"

namespace kedge::migration {

namespace {

constexpr std::uint64_t picture_every_ms = 1'000;
constexpr unsigned turns_a_ms = 4;
constexpr std::chrono::microseconds gather_time{100};
/// From turn to turn while nobody waits for what is copied: each costs wake-ups here, in libnats and in the server, whatever it carries.
constexpr std::chrono::milliseconds patient_time{4};

/// 128 bits that nobody can guess, in hex.
std::string random_text()
{
    std::random_device device;
    std::string text;
    for (int i = 0; i < 32; ++i)
        text += "0123456789abcdef"[device() & 0xf];
    return text;
}

std::uint64_t number_of(backend_event::any const& event)
{
    struct visitor {
        std::uint64_t operator()(backend_event::link_up const&) const { return 0; }
        std::uint64_t operator()(backend_event::link_down const&) const { return 0; }
        std::uint64_t operator()(backend_event::link_failed const&) const { return 0; }
        std::uint64_t operator()(backend_event::acked const& e) const { return e.ticket; }
        std::uint64_t operator()(backend_event::refused const& e) const { return e.ticket; }
        std::uint64_t operator()(backend_event::messages const& e) const { return static_cast<std::uint64_t>(e.reader); }
        std::uint64_t operator()(backend_event::reader_ended const& e) const { return static_cast<std::uint64_t>(e.reader); }
        std::uint64_t operator()(backend_event::answered const& e) const { return static_cast<std::uint64_t>(e.request); }
        std::uint64_t operator()(backend_event::plain const&) const { return 0; }
        std::uint64_t operator()(backend_event::denied const&) const { return 0; }
    };
    return std::visit(visitor{}, event);
}

}  // namespace

struct service::impl {
    // What waits for the migration thread, in the order in which it came.
    struct queued { stream_id stream{}; std::vector<store_request::append> batch; };
    struct overflow { stream_id stream{}; };
    struct gone { stream_id stream{}; };
    struct from_router { std::vector<link_output::any> outputs; };
    using event = std::variant<backend_event::any, store_event::any, queued, overflow, gone, migration_request, from_router, limits>;

    impl(settings s, std::unique_ptr<pubsub_backend> b, limits const& l, stored_mirrors found, metrics& m)
        : bounds{std::move(s)},
          server{l},
          stored{std::move(found)},
          counts{m},
          configured{b != nullptr},
          backend{b ? std::move(b) : std::make_unique<absent_backend>()},
          gates{{[this](stream_id stream, std::vector<store_request::append> batch) { put(queued{stream, std::move(batch)}); },
                 [this](stream_id stream) { put(overflow{stream}); }}},
          plain{bounds, server, home_of(stored.secret), stored.bridges, random_text(), numbers}
    {
        link.configured = configured;
        link.why = configured ? "it is being made" : absent_backend::why;
        for (auto const& each : stored.streams)
            lasts.emplace(each.id, each.last);
    }

    settings const bounds;
    limits server;  // migration thread, once it runs
    stored_mirrors stored;
    metrics& counts;
    bool const configured;
    std::unique_ptr<pubsub_backend> const backend;
    migration_host* host = nullptr;  // constant after start
    ingress gates;

    std::mutex mutex;
    std::condition_variable wake;
    std::condition_variable taken;
    std::vector<event> inbox;                                          // guarded by mutex
    std::size_t inbox_bytes = 0;                                       // guarded by mutex: of rows
    boost::unordered_flat_map<stream_id, message_seq> lasts;           // guarded by mutex: newest seqs that the store told
    boost::unordered_flat_set<stream_id> followed;                     // guarded by mutex: streams with a mirror
    std::uint64_t plain_out_bytes = 0, plain_in_bytes = 0;             // guarded by mutex: plain messages that wait for the bridge
    std::uint64_t plain_out_lost = 0, plain_in_lost = 0;               // guarded by mutex: for which there was no room
    bool started = false;                                              // guarded by mutex
    bool stopping = false;                                             // guarded by mutex
    std::thread thread;

    // Migration thread.
    link_facts link;
    std::map<stream_id, std::unique_ptr<mirror>> mirrors;
    number_source numbers;  // of the service itself: plans and the bridge
    plan_desk plans{bounds, server, numbers};
    bridge plain;
    effects todo;
    mirror_totals ended;    // of mirrors that are no more
    fault_point faults;
    std::uint64_t shown_ms = 0;
    bool changed = false;   // the picture

    void put(event what)
    {
        bool idle = false;
        {
            std::lock_guard const lock{mutex};
            idle = inbox.empty();
            inbox.push_back(std::move(what));
        }
        if (idle)
            wake.notify_one();
    }

    /// With the mutex held.
    bool has_room(std::uint64_t& waiting, std::uint64_t& lost, std::size_t bytes) const
    {
        if (waiting > 0 && waiting + bytes > bounds.bridge_bytes) {
            ++lost;
            return false;
        }
        waiting += bytes;
        return true;
    }

    // ---- router thread

    void take(std::vector<link_output::any> outputs)
    {
        bool idle = false;
        {
            std::lock_guard const lock{mutex};
            std::erase_if(outputs, [&](link_output::any const& each) {
                auto const* const data = std::get_if<link_output::data>(&each.what);
                return data && !has_room(plain_out_bytes, plain_out_lost, data->bytes->size());
            });
            idle = inbox.empty();
            inbox.push_back(from_router{std::move(outputs)});
        }
        if (idle)
            wake.notify_one();
    }

    // ---- threads of the backend

    void take(backend_event::any what)
    {
        if (auto const* const message = std::get_if<backend_event::plain>(&what)) {
            std::lock_guard const lock{mutex};
            if (!has_room(plain_in_bytes, plain_in_lost, message->what.bytes()))
                return;
        }
        put(std::move(what));
    }

    // ---- store thread

    void take(std::vector<store_event::any> const& events)
    {
        bool idle = false;
        {
            std::unique_lock lock{mutex};
            if (!started || stopping)
                return;
            auto const before = inbox.size();
            for (auto const& each : events)
                take(each);
            idle = before == 0 && !inbox.empty();
            if (idle)
                wake.notify_one();
            // The migration thread waits for nothing but its mutexes, so this is short; and it keeps the queue bounded.
            taken.wait_for(lock, std::chrono::seconds{1}, [&] { return inbox_bytes <= bounds.ring_bytes || stopping; });
        }
    }

    /// With the mutex held.
    void take(store_event::any const& what)
    {
        if (auto const* const rows = std::get_if<store_event::rows_arrived>(&what)) {
            if (rows->rows.empty())
                return;
            lasts[rows->stream] = rows->rows.back().stored.seq;
            if (!followed.contains(rows->stream))
                return;
            for (auto const& each : rows->rows)
                inbox_bytes += each.stored.message->cost();
            inbox.emplace_back(what);
            return;
        }
        auto const wanted = [&](auto const& e) {
            if constexpr (requires { e.stream; e.first; })
                return followed.contains(e.stream);  // stream_trimmed
            else if constexpr (requires { e.request; e.stream; e.why; })
                return followed.contains(e.stream);  // append_failed
            else if constexpr (requires { e.request; })
                return is_migration_token(e.request);
            else
                return false;
        };
        if (std::visit(wanted, what))
            inbox.emplace_back(what);
    }

    // ---- migration thread

    /// From now on every row of the stream is told. The newest that was not.
    message_seq follow(stream_id stream, message_seq known)
    {
        std::lock_guard const lock{mutex};
        followed.insert(stream);
        auto const at = lasts.find(stream);
        return at == lasts.end() ? known : std::max(known, at->second);
    }

    mirror* find(stream_id stream)
    {
        auto const at = mirrors.find(stream);
        return at == mirrors.end() ? nullptr : at->second.get();
    }

    mirror_context context() { return {bounds, server, stored.incarnation, stored.secret, gates, link, plain.patterns()}; }

    mirror& make(stream_state const& stream, std::optional<mirror_state> found)
    {
        auto const last = follow(stream.id, stream.last);
        auto& made = mirrors[stream.id];
        made = std::make_unique<mirror>(context(), stream, last, std::move(found));
        changed = true;
        return *made;
    }

    void end(stream_id stream)
    {
        auto const at = mirrors.find(stream);
        if (at == mirrors.end())
            return;
        ended.add(*at->second);
        gates.forget(stream);
        {
            std::lock_guard const lock{mutex};
            followed.erase(stream);
        }
        mirrors.erase(at);
        changed = true;
    }

    void carry_out()
    {
        auto fx = std::exchange(todo, {});
        if (!fx.lost.empty())
            gates.lose(fx.lost);
        if (!fx.appends.empty())
            host->append(std::move(fx.appends));
        if (!fx.store.empty())
            host->submit(std::move(fx.store));
        if (!fx.backend.empty())
            backend->submit(std::move(fx.backend));
        if (!fx.links.empty())
            host->say(std::move(fx.links));
        if (changed || !fx.announcements.empty() || !fx.answers.empty())
            show(read_clock());  // who is answered finds it shown
        for (auto& [stream, what] : fx.announcements)
            host->announce(std::move(stream), std::move(what));
        for (auto& [request, result] : fx.answers)
            host->answer(request, std::move(result));
        faults.pass(fx.reached);
    }

    void show(instant now)
    {
        changed = false;
        shown_ms = now.steady_ms;
        auto picture = std::make_shared<migration_picture>();
        picture->link = to_json(link);
        picture->bridges = plain.patterns();
        mirror_totals sums = ended;
        for (auto const& [id, each] : mirrors) {
            picture->streams.push_back({id, std::string{to_string(each->phase())}, each->status(now)});
            sums.add(*each, now);
        }
        sums.show(counts);
        counts.nats_link_up.set(link.up ? 1 : 0);
        auto const crossed = plain.count();
        counts.bridge_out.set(crossed.out);
        counts.bridge_in.set(crossed.in);
        counts.bridge_dropped.set(crossed.dropped);
        host->show(std::move(picture));
    }

    void handle(event& what, instant now)
    {
        struct visitor {
            impl& self;
            instant now;
            void operator()(backend_event::any& e) const { self.on_backend(e, now); }
            void operator()(store_event::any& e) const { self.on_store(e, now); }
            void operator()(queued& e) const
            {
                if (auto* const m = self.find(e.stream))
                    m->publish(std::move(e.batch), now, self.todo);
                else  // it was removed
                    for (auto const& each : e.batch)
                        self.todo.lost.push_back({each.request, each.stream, each.epoch, store_failure::unknown_stream()});
            }
            void operator()(overflow const& e) const
            {
                if (auto* const m = self.find(e.stream))
                    m->overflowed(now, self.todo);
            }
            void operator()(gone const& e) const
            {
                if (auto* const m = self.find(e.stream)) {
                    m->removed(self.todo);
                    self.end(e.stream);
                }
            }
            void operator()(migration_request& e) const { self.ask(e, now); }
            void operator()(limits const& e) const
            {
                self.server = e;
                for (auto const& [id, each] : self.mirrors)
                    each->limits_changed();
            }
            void operator()(from_router& e) const
            {
                self.plain.unsent(self.backend->unsent_bytes());
                self.plain.on_router(std::move(e.outputs), now, self.todo);
            }
        };
        std::visit(visitor{*this, now}, what);
    }

    void on_backend(backend_event::any& what, instant now)
    {
        if (auto const* const up = std::get_if<backend_event::link_up>(&what)) {
            link.up = *up;
            link.why.clear();
            link.since_ms = now.wall_ms;
            changed = true;
            plain.link_up(*up, now, todo);
            for (auto const& [id, each] : mirrors)
                each->link_up(now, todo);
            return;
        }
        auto const* const down = std::get_if<backend_event::link_down>(&what);
        auto const* const failed = std::get_if<backend_event::link_failed>(&what);
        if (down || failed) {
            if (link.up || link.since_ms == 0)
                link.since_ms = now.wall_ms;
            link.up.reset();
            link.why = down ? down->why : failed->why;
            changed = true;
            plain.link_down();
            for (auto const& [id, each] : mirrors)
                each->link_down(link.why, now, todo);
            return;
        }
        if (auto* const message = std::get_if<backend_event::plain>(&what))
            return plain.on_plain(std::move(*message), now, todo);
        if (auto const* const no = std::get_if<backend_event::denied>(&what))
            return plain.denied(*no);
        if (auto* const m = find(stream_id{number_source::owner_of(number_of(what))}))
            return m->on_backend(what, now, todo);
        plans.on_backend(what, now, todo);
    }

    void on_store(store_event::any& what, instant now)
    {
        if (auto const* const rows = std::get_if<store_event::rows_arrived>(&what)) {
            if (auto* const m = find(rows->stream))
                m->committed(rows->rows, now, todo);
            return;
        }
        if (auto const* const trimmed = std::get_if<store_event::stream_trimmed>(&what)) {
            if (auto* const m = find(trimmed->stream))
                m->trimmed(*trimmed);
            return;
        }
        if (auto const* const failed = std::get_if<store_event::append_failed>(&what)) {
            if (auto* const m = find(failed->stream))
                m->on_store(what, now, todo);
            return;
        }
        auto const request = std::visit(
            [](auto const& e) {
                if constexpr (requires { e.request; })
                    return e.request;
                else
                    return token::none;
            },
            what);
        if (auto* const m = find(stream_id{number_source::owner_of(request)})) {
            m->on_store(what, now, todo);
            if (m->idle())
                end(m->stream());
            return;
        }
        if (plain.on_store(what, now, todo)) {
            changed = true;
            return;
        }
        plans.on_store(what, now, todo);
    }

    void ask(migration_request& what, instant now)
    {
        if (what.call.name.starts_with("bridge "))
            return plain.ask(what, now, todo);
        auto const say = [&](admin_result result) { todo.answers.emplace_back(what.request, std::move(result)); };
        auto parsed = parse_command(what.call);
        if (!parsed)
            return say(refused(parsed.error().message));
        auto& wanted = *parsed;
        if (wanted.what == command::verb::status && wanted.stream.empty())
            return say({0, status_of_all(what.streams, now), {}});
        auto const known = std::ranges::find(what.streams, wanted.stream, [](auto const& s) -> auto const& { return s.state.config.name; });
        if (known == what.streams.end())
            return say(refused("there is no stream " + wanted.stream));
        auto* m = find(known->state.id);
        if (wanted.what == command::verb::plan)
            return plans.begin(what.request, matter_of(*known, m, wanted.from), link, now, todo);
        if (wanted.what == command::verb::status) {
            auto one = status_of_all({*known}, now);
            return say({0, std::move(one), {}});
        }
        if (!m) {
            if (wanted.what != command::verb::start)
                return mirror{context(), known->state, known->state.last, std::nullopt}.ask(std::move(wanted), what.request, what.user, *known, now, todo);
            m = &make(known->state, std::nullopt);
        }
        m->ask(std::move(wanted), what.request, what.user, *known, now, todo);
        if (m->idle())
            end(m->stream());
    }

    nlohmann::json status_of_all(std::vector<migration_request::known_stream> const& streams, instant now)
    {
        auto list = nlohmann::json::array();
        for (auto const& each : streams)
            if (auto* const m = find(each.state.id))
                list.push_back(m->status(now));
            else if (each.state.config.name != inbox_stream)
                list.push_back(mirror{context(), each.state, each.state.last, std::nullopt}.status(now));
        return {{"link", to_json(link)}, {"streams", std::move(list)}, {"bridges", plain.status()}};
    }

    preflight::matter matter_of(migration_request::known_stream const& known, mirror const* m, std::string from)
    {
        preflight::matter matter;
        matter.stream = known.state;
        matter.unacked = known.unacked;
        matter.from = from.empty() ? "now" : std::move(from);
        matter.jet = jet_name_of(bounds, known.state.config.name);
        matter.self = {home_of(stored.secret), stored.incarnation, known.state.config.name, static_cast<std::uint64_t>(known.state.id)};
        if (m)
            matter.state = to_string(m->phase()), matter.marked = m->marked(), matter.created_ns = m->created_ns();
        matter.bridges = plain.patterns();
        return matter;
    }

    std::optional<std::uint64_t> due() const
    {
        std::optional<std::uint64_t> first;
        auto const at = [&](std::uint64_t ms) { first = first ? std::min(*first, ms) : ms; };
        for (auto const& [id, each] : mirrors)
            at(each->due_ms());
        if (auto const ms = plans.due_ms())
            at(*ms);
        if (auto const ms = plain.due_ms())
            at(*ms);
        if (!mirrors.empty() || !plain.patterns().empty())
            at(shown_ms + picture_every_ms);
        return first;
    }

    /// Messages and their acknowledgements come one at a time: at a high rate each would cost a wake-up, here and where it is sent on.
    void gather(instant now)
    {
        if (std::exchange(turns_of_ms, now.steady_ms) != now.steady_ms)
            turns = 0;
        if (plain.patterns().empty() && std::ranges::all_of(mirrors, [](auto const& each) { return each.second->patient(); })) {
            std::this_thread::sleep_until(turn_before + patient_time);
            turn_before = std::chrono::steady_clock::now();
            return;
        }
        if (++turns > turns_a_ms)
            std::this_thread::sleep_for(gather_time);
    }
    std::uint64_t turns_of_ms = 0;
    unsigned turns = 0;
    std::chrono::steady_clock::time_point turn_before;

    void run()
    {
        for (;;) {
            std::vector<event> batch;
            bool last = false;
            {
                std::unique_lock lock{mutex};
                auto const woken = [&] { return stopping || !inbox.empty(); };
                if (auto const ms = due()) {
                    auto const now = read_clock().steady_ms;
                    wake.wait_for(lock, std::chrono::milliseconds{*ms > now ? *ms - now : 0}, woken);
                } else {
                    wake.wait(lock, woken);
                }
                batch.swap(inbox);
                inbox_bytes = 0;
                plain_out_bytes = plain_in_bytes = 0;
                plain.lost_outward(std::exchange(plain_out_lost, 0));
                plain.lost_inward(std::exchange(plain_in_lost, 0));
                last = stopping;
            }
            taken.notify_all();
            auto now = read_clock();
            for (auto& each : batch) {
                handle(each, now);
                // A batch of messages is much; a labelled point is where a test may want the process to end.
                if (!todo.reached.empty() || !todo.store.empty() || !todo.backend.empty() || !todo.lost.empty() || !todo.links.empty())
                    carry_out();
            }
            now = read_clock();
            tick(now);
            if (last) {
                for (auto const& [id, each] : mirrors)
                    each->flush(todo);
                carry_out();
                return;
            }
            carry_out();
            gather(now);
        }
    }

    void tick(instant now)
    {
        std::vector<stream_id> idle;
        for (auto const& [id, each] : mirrors) {
            if (each->due_ms() > now.steady_ms)
                continue;
            each->tick(now, todo);
            if (each->idle())
                idle.push_back(id);
            if (!todo.reached.empty())
                carry_out();
        }
        for (auto const id : idle)
            end(id);
        plans.tick(now, todo);
        plain.tick(now, todo);
        if ((!mirrors.empty() || !plain.patterns().empty()) && now.steady_ms >= shown_ms + picture_every_ms)
            changed = true;
    }
};

service::service(settings s, std::unique_ptr<pubsub_backend> b, limits const& l, stored_mirrors found, metrics& m)
    : impl_{std::make_unique<impl>(std::move(s), std::move(b), l, std::move(found), m)}
{
}

service::~service() { stop(); }

void service::start(migration_host& host)
{
    auto& i = *impl_;
    i.host = &host;
    i.gates.attach(host);
    {
        std::lock_guard const lock{i.mutex};
        i.started = true;
    }
    auto const now = read_clock();
    for (auto& each : i.stored.mirrors) {
        auto const stream = std::ranges::find(i.stored.streams, each.stream, &stream_state::id);
        if (stream == i.stored.streams.end())
            continue;  // housekeeping is about to take the record
        i.make(*stream, std::move(each)).recover(now, i.todo);
    }
    i.stored.mirrors.clear();
    i.stored.streams.clear();
    i.show(now);
    i.carry_out();
    i.backend->open([&i](backend_event::any what) { i.take(std::move(what)); });
    i.plain.start(now, i.todo);
    i.carry_out();
    i.thread = std::thread{[&i] {
        name_thread("migration");
        i.run();
    }};
}

void service::stop()
{
    auto& i = *impl_;
    if (!i.thread.joinable())
        return;
    {
        std::lock_guard const lock{i.mutex};
        i.stopping = true;
    }
    i.wake.notify_one();
    i.taken.notify_all();
    i.thread.join();
    i.backend->close();
    i.gates.close();
}

void service::append(std::vector<store_request::append> batch) { impl_->gates.append(std::move(batch)); }

void service::stored(std::vector<store_event::any> const& events) { impl_->take(events); }

void service::ask(migration_request what) { impl_->put(std::move(what)); }

void service::removed(stream_id stream) { impl_->put(impl::gone{stream}); }

void service::set_limits(limits const& l) { impl_->put(l); }

void service::deliver(std::vector<link_output::any> outputs) { impl_->take(std::move(outputs)); }

}  // namespace kedge::migration
