#include "tests/migration/replica_world.hpp"

#include <algorithm>
#include <iostream>
#include <iterator>
#include <utility>

#include <nlohmann/json.hpp>

#include "migration/identity.hpp"
#include "router/core/digest.hpp"
#include "tests/migration/replica_trace.hpp"

namespace kedge::migration::test {

namespace {

constexpr char const* backup_name = "backup";

}  // namespace

replica_world::replica_world(std::uint64_t seed, settings s, mutation what)
    : bus{seed}, store{std::make_unique<memory_store>()}, random{seed}, bounds{std::move(s)}, mutation_{what}
{
    jet_config jet;
    jet.name = name;
    jet.subjects = {"chat.>"};
    bus.create(jet);
    contents = store->load(bus.now_ms());
    std::vector<store_event::any> out;
    stream_config config;
    config.name = name;
    config.subjects = {"chat.>"};
    store->execute({store_request::create_stream{token{1}, config}}, out);
    stream = std::get<store_event::stream_created>(out.at(0)).stream.id;
    mirror_state mirror;
    mirror.stream = stream;
    mirror.keep = true;
    mirror.journal = "[0,1]";
    store->execute({store_request::put_mirror{token{2}, mirror}}, out);
    last_token_ = 2;
    start();
}

replica_world::~replica_world()
{
    on_row = nullptr;
    on_failed = nullptr;
    backend->close();
}

void replica_world::start()
{
    contents = store->load(bus.now_ms());
    auto const at = std::ranges::find(contents.streams, stream, &stream_state::id);
    auto mirror = contents.mirrors.at(0);
    auto const journal = nlohmann::json::parse(mirror.journal);
    side = static_cast<authority>(journal[0].get<int>());
    authority_epoch = journal[1].get<std::uint64_t>();
    if (mutation_ == mutation::no_stamp)
        mirror.stamp = 0;
    numbers_ = std::make_unique<number_source>();
    replica_identity who{stream, name, name, contents.incarnation, contents.secret, ++lives_};
    replica = std::make_unique<kedge::migration::replica>(who, mirror, at->last, bounds, *numbers_);
    replica->set_authority(side, authority_epoch);
    effects out;
    replica->loaded(now(), out);
    replica->run(now(), out);
    apply(std::move(out));
    backend = std::make_unique<memory_backend>(bus, memory_backend_options{bounds.answer_ms, 64});
    backend->open([this, life = lives_](backend_event::any e) {
        if (life == lives_ && replica)
            heard(std::move(e));
    });
}

template <class What>
void replica_world::trace(What const& what)
{
    if (!tracing)
        return;
    if (auto line = line_of(what); !line.empty())
        std::cerr << bus.now_ms() % 1'000'000 << ' ' << line << '\n';
}

void replica_world::heard(backend_event::any&& e)
{
    trace(e);
    effects out;
    if (auto* const up = std::get_if<backend_event::link_up>(&e)) {
        replica->link_up(*up, now(), out);
    } else if (auto* const down = std::get_if<backend_event::link_down>(&e)) {
        replica->link_down(down->why, now(), out);
    } else {
        if (auto* const answer = std::get_if<backend_event::answered>(&e); answer && mutation_ == mutation::no_wait)
            if (auto* const info = std::get_if<jet_info>(&answer->what))
                info->last = std::min(info->last, facts().checkpoint);
        replica->on_backend(e, now(), out);
    }
    apply(std::move(out));
}

void replica_world::apply(effects&& out)
{
    std::ranges::move(out.reached, std::back_inserter(reached));
    for (auto const& command : out.backend)
        trace(command);
    for (auto& request : out.store) {
        trace(request);
        spoil(request);
        if (auto const* const import = std::get_if<store_request::import_messages>(&request); import != nullptr && on_import)
            on_import(*import);
        to_store_.push_back(std::move(request));
    }
    if (!out.backend.empty() && backend)
        backend->submit(std::move(out.backend));
    for (auto const& lost : out.lost)
        if (on_failed)
            on_failed(lost.request, lost.why);
}

void replica_world::spoil(store_request::any& request)
{
    auto* const import = std::get_if<store_request::import_messages>(&request);
    if (import != nullptr && mutation_ == mutation::no_lanes) {
        auto book = nlohmann::json::parse(import->lanes);
        book["lanes"] = nlohmann::json::array();
        import->lanes = book.dump();
    }
    if (import != nullptr)
        for (auto const& item : import->items)
            highest_copied_ = std::max(highest_copied_, item.copy_of);
}

void replica_world::spoil(store_event::any& event)
{
    if (mutation_ == mutation::no_stamp) {
        if (auto* const e = std::get_if<store_event::imported>(&event))
            e->now.stamp = 0;
        if (auto* const e = std::get_if<store_event::taken_back>(&event))
            e->now.stamp = 0;
    }
    if (auto* const e = std::get_if<store_event::rows_read>(&event); e != nullptr && mutation_ == mutation::last_copied)
        std::erase_if(e->rows, [&](row const& r) { return r.seq < highest_copied_; });
}

token replica_world::append(std::string const& sender, std::string const& subject, std::string const& body, publish_options const& how)
{
    store_request::append what;
    what.request = token{++last_token_};
    what.stream = stream;
    what.epoch = how.epoch;
    what.time_ms = bus.now_ms();
    what.sender = shared_bytes::copy_of(sender);
    what.named = is_node(sender);
    what.n = how.n;
    what.previous_n = how.previous_n;
    what.message = message::make({subject, how.id, how.reply_to, how.headers, body});
    what.digest = what.named && !how.id.empty() ? digest_of(*what.message) : 0;
    auto const request = what.request;
    if (side == authority::sqlite) {
        trace(store_request::any{what});
        to_store_.push_back(std::move(what));
    } else {
        effects out;
        std::vector<store_request::append> all;
        all.push_back(std::move(what));
        replica->publish(std::move(all), now(), out);
        apply(std::move(out));
    }
    return request;
}

void replica_world::put()
{
    mirror_state mirror;
    mirror.stream = stream;
    mirror.keep = true;
    mirror.journal = "[" + std::to_string(static_cast<int>(side)) + "," + std::to_string(authority_epoch) + "]";
    put_ = token{++last_token_};
    to_store_.push_back(store_request::put_mirror{put_, mirror});
}

void replica_world::set_authority(authority which, std::uint64_t epoch)
{
    side = which;
    authority_epoch = epoch;
    replica->set_authority(which, epoch);
}

void replica_world::crash()
{
    reordered_before += facts().reordered;
    rewinds_before += facts().taken_back != 0;
    ++lives_;  // whatever the sockets still say goes nowhere
    backend.reset();
    replica.reset();
    to_store_.clear();
    from_store_.clear();
    store->crash();
    --lives_;
    start();
}

void replica_world::keep()
{
    std::vector<store_event::any> out;
    store->execute({store_request::backup{token{++last_token_}, backup_name}}, out);
    store->maintain(bus.now_ms(), out);
}

void replica_world::restore(std::string const& incarnation)
{
    ++lives_;
    backend.reset();
    replica.reset();
    to_store_.clear();
    from_store_.clear();
    store->restore(backup_name, incarnation);
    --lives_;
    start();
}

void replica_world::advance(std::uint64_t ms)
{
    bus.advance(ms);
    effects out;
    replica->tick(now(), out);
    apply(std::move(out));
}

bool replica_world::store_step()
{
    if (to_store_.empty())
        return false;
    std::vector<store_event::any> out;
    store->execute(std::exchange(to_store_, {}), out);
    for (auto& e : out)
        spoil(e);
    from_store_.push_back(std::move(out));
    ++commits;
    return true;
}

bool replica_world::store_event_step()
{
    if (from_store_.empty())
        return false;
    auto const events = std::move(from_store_.front());
    from_store_.pop_front();
    for (auto const& event : events) {
        trace(event);
        effects out;
        if (auto const* const e = std::get_if<store_event::rows_arrived>(&event)) {
            replica->committed(e->rows, now(), out);
            if (on_row)
                for (auto const& arrival : e->rows)
                    on_row(arrival);
        } else if (auto const* const e = std::get_if<store_event::append_failed>(&event)) {
            if (on_failed)
                on_failed(e->request, e->why);
        } else if (auto const* const e = std::get_if<store_event::done>(&event); e != nullptr && e->request == put_) {
            put_ = token::none;
            if (on_put)
                on_put();
        } else if (auto const* const e = std::get_if<store_event::failed>(&event); e != nullptr && e->request == put_) {
            put();
        } else {
            replica->on_store(event, now(), out);
        }
        apply(std::move(out));
    }
    return true;
}

bool replica_world::step()
{
    switch (random.below(4)) {
    case 0: return store_step() || store_event_step() || backend->run_one();
    case 1: return store_event_step() || backend->run_one() || store_step();
    default: return backend->run_one() || store_event_step() || store_step();
    }
}

void replica_world::settle(std::uint64_t ms)
{
    auto const until = bus.now_ms() + ms;
    for (;;) {
        while (step()) {}
        if (bus.now_ms() >= until)
            return;
        advance(50);
    }
}

std::vector<row> replica_world::rows()
{
    std::vector<row> all;
    for (message_seq from = 1;;) {
        std::vector<store_event::any> out;
        store->execute({store_request::read{token{++last_token_}, stream, from, "", 10'000, 64 * 1024 * 1024}}, out);
        auto const& e = std::get<store_event::rows_read>(out.at(0));
        all.insert(all.end(), e.rows.begin(), e.rows.end());
        if (e.end)
            return all;
        from = e.next;
    }
}

std::vector<bus_message> replica_world::messages()
{
    std::vector<bus_message> all;
    for (auto const& [place, m] : jet().messages)
        all.push_back(m);
    return all;
}

bool replica_world::idle() const
{
    auto const& f = facts();
    return f.linked && f.synchronous && f.waiting_rows == 0 && f.unread == 0 && f.in_flight == 0 && f.queued == 0
        && replica->unsettled() == 0 && store_queue() == 0;
}

}  // namespace kedge::migration::test
