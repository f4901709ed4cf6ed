// Consumers and their dead letters.

#include <algorithm>

#include "router/admin/admin.hpp"
#include "router/core/core.hpp"
#include "router/protocol/base64.hpp"
#include "router/protocol/names.hpp"

namespace kedge {

namespace {

constexpr std::size_t letters_page = 16;  // letters come with their bodies: so many are in memory at a time

}  // namespace

nlohmann::json admin::describe(consumer const& c) const
{
    auto const& s = *core_.streams_.at(c.config().stream);
    auto const next = c.live ? s.state.last + 1 : c.next();
    // Of mail, most of the log is for others.
    auto const lag = c.is_inbox() ? core_.waiting_for(c).messages : s.state.last + 1 - std::min(next, s.state.last + 1);
    return {{"stream", s.name()},
            {"consumer", c.config().name},
            {"owner", c.config().owner},
            {"filter", c.config().filter},
            {"next_seq", next},
            {"pending", c.pending_count()},
            {"lag", lag},
            {"links", c.links()},
            {"dead", c.dead},
            {"paused", c.config().paused},
            {"backoff_ms", c.config().backoff_ms},
            {"ack_wait_ms", c.config().ack_wait_ms},
            {"max_deliver", c.config().max_deliver}};
}

consumer* admin::consumer_named(nlohmann::json const& args, std::string& why) const
{
    auto const stream_name = args.value("stream", "");
    auto const name = args.value("consumer", "");
    auto* const s = stream_named(stream_name);
    if (!s) {
        why = "there is no stream " + stream_name;
        return nullptr;
    }
    auto const at = core_.consumers_by_name_.find({s->state.id, name});
    if (at == core_.consumers_by_name_.end()) {
        why = "stream " + stream_name + " has no consumer " + name;
        return nullptr;
    }
    return at->second;
}

void admin::consumer_list(caller from, nlohmann::json const& args, instant, actions& out)
{
    auto const name = args.value("stream", "");
    if (!name.empty() && !stream_named(name))
        return refuse(from, "there is no stream " + name, out);
    auto list = nlohmann::json::array();
    for (auto const& [id, c] : core_.consumers_)
        if (name.empty() || core_.streams_.at(c->config().stream)->name() == name)
            list.push_back(describe(*c));
    done(from, {{"consumers", std::move(list)}}, out);
}

void admin::consumer_show(caller from, nlohmann::json const& args, instant, actions& out)
{
    std::string why;
    if (auto const* const c = consumer_named(args, why))
        return done(from, describe(*c), out);
    refuse(from, why, out);
}

void admin::edit_consumer(caller from, consumer const& c, consumer_config config, actions& out)
{
    auto const request = core_.next_token();
    auto const id = c.id();
    ask_store(from, request, store_request::edit_consumer{request, id, config},
              when_done(from, [this, id, config](instant, actions&) {
                  auto const at = core_.consumers_.find(id);
                  if (at == core_.consumers_.end())
                      return nlohmann::json::object();
                  at->second->set_config(config);
                  core_.changed_.insert(id);
                  return describe(*at->second);
              }),
              out);
}

void admin::consumer_edit(caller from, nlohmann::json const& args, instant, actions& out)
{
    constexpr std::size_t backoff_max = 32;
    std::string why;
    auto const* const c = consumer_named(args, why);
    if (!c)
        return refuse(from, why, out);
    auto config = c->config();
    auto const& l = core_.config_.limits;
    config.ack_wait_ms = args.value("ack_wait_ms", config.ack_wait_ms);
    config.max_deliver = args.value("max_deliver", config.max_deliver);
    config.backoff_ms = args.value("backoff_ms", config.backoff_ms);
    if (config.ack_wait_ms < l.ack_wait_ms_min || config.ack_wait_ms > l.ack_wait_ms_max)
        return refuse(from, "ack_wait_ms must be from " + std::to_string(l.ack_wait_ms_min) + " to " + std::to_string(l.ack_wait_ms_max), out);
    if (config.backoff_ms.size() > backoff_max)
        return refuse(from, "there may be " + std::to_string(backoff_max) + " waits of backoff at most", out);
    for (auto const wait : config.backoff_ms)
        if (wait > l.nak_delay_ms_max)
            return refuse(from, "a wait of backoff must be at most " + std::to_string(l.nak_delay_ms_max) + " ms", out);
    edit_consumer(from, *c, std::move(config), out);
}

void admin::pause_consumer(caller from, nlohmann::json const& args, bool paused, actions& out)
{
    std::string why;
    auto const* const c = consumer_named(args, why);
    if (!c)
        return refuse(from, why, out);
    auto config = c->config();
    config.paused = paused;
    edit_consumer(from, *c, std::move(config), out);
}

void admin::consumer_pause(caller from, nlohmann::json const& args, instant, actions& out) { pause_consumer(from, args, true, out); }
void admin::consumer_resume(caller from, nlohmann::json const& args, instant, actions& out) { pause_consumer(from, args, false, out); }

nlohmann::json admin::message_json(message const& m)
{
    nlohmann::json data{{"subject", m.subject()}};
    if (!m.id().empty())
        data["pub_id"] = m.id();
    if (!m.reply_to().empty())
        data["reply_to"] = m.reply_to();
    if (!m.headers().empty())
        data["headers"] = nlohmann::json::parse(m.headers());
    if (valid_utf8(m.body())) {
        data["data"] = m.body();
    } else {
        std::string text(base64_size(m.body().size()), '\0');
        base64_encode(m.body(), text.data());
        data["data64"] = std::move(text);
    }
    return data;
}

void admin::consumer_remove(caller from, nlohmann::json const& args, instant, actions& out)
{
    std::string why;
    auto const* const c = consumer_named(args, why);
    if (!c)
        return refuse(from, why, out);
    auto const request = core_.next_token();
    auto const id = c->id();
    ask_store(from, request, store_request::remove_consumer{request, id}, when_done(from, [this, id](instant now, actions& o) {
                  if (auto const at = core_.consumers_.find(id); at != core_.consumers_.end())
                      core_.remove_consumer(*at->second, "an operator removed it", now, o);
                  return nlohmann::json::object();
              }),
              out);
}

namespace {

nlohmann::json letter_json(dead_letter const& letter)
{
    auto const& m = *letter.stored.message;
    return {{"seq", letter.seq},
            {"subject", m.subject()},
            {"from", letter.stored.sender->view()},
            {"time_ms", letter.stored.time_ms},
            {"died_ms", letter.died_ms},
            {"tries", letter.tries},
            {"reason", letter.reason},
            {"size", m.body().size()}};
}

}  // namespace

void admin::dead_list(caller from, nlohmann::json const& args, instant, actions& out)
{
    std::string why;
    auto const* const c = consumer_named(args, why);
    if (!c)
        return refuse(from, why, out);
    auto const most = std::clamp<std::uint64_t>(args.value("max", std::uint64_t{100}), 1, 1000);
    list_page(from, c->id(), args.value("after", message_seq{0}), most, nlohmann::json::array(), out);
}

void admin::list_page(caller from, consumer_id id, message_seq after, std::uint64_t left, nlohmann::json list, actions& out)
{
    auto const request = core_.next_token();
    auto const page = std::min<std::uint64_t>(left, letters_page);
    ask_store(
        from, request, store_request::list_dead{request, id, after, static_cast<std::size_t>(page)},
        [this, from, id, left, page, list = std::move(list)](store_event::any const& e, instant, actions& o) mutable {
            auto const& listed = std::get<store_event::dead_listed>(e);
            for (auto const& letter : listed.letters)
                list.push_back(letter_json(letter));
            if (listed.letters.size() == page && left > page)
                return list_page(from, id, listed.letters.back().seq, left - page, std::move(list), o);
            done(from, {{"dead", std::move(list)}, {"total", listed.total}}, o);
        },
        out);
}

void admin::dead_show(caller from, nlohmann::json const& args, instant, actions& out)
{
    std::string why;
    auto const* const c = consumer_named(args, why);
    auto const seq = args.value("seq", message_seq{0});
    if (!c || seq == 0)
        return refuse(from, c ? "which seq?" : why, out);
    if (c->is_inbox())
        return deny(from, "mail is read by its owner only", out);
    auto const request = core_.next_token();
    ask_store(
        from, request, store_request::list_dead{request, c->id(), seq - 1, 1},
        [this, from, seq](store_event::any const& e, instant, actions& o) {
            auto const& listed = std::get<store_event::dead_listed>(e);
            if (listed.letters.empty() || listed.letters.front().seq != seq)
                return refuse(from, "there is no dead letter " + std::to_string(seq), o);
            auto const& letter = listed.letters.front();
            auto const& m = *letter.stored.message;
            auto data = letter_json(letter);
            data.update(message_json(m));
            done(from, std::move(data), o);
        },
        out);
}

void admin::dead_drop(caller from, nlohmann::json const& args, instant, actions& out)
{
    std::string why;
    auto* const c = consumer_named(args, why);
    if (!c)
        return refuse(from, why, out);
    auto const seqs = args.value("seqs", std::vector<message_seq>{});
    auto const request = core_.next_token();
    auto const id = c->id();
    // First what there is, so that the answer counts what was really dropped.
    ask_store(
        from, request, store_request::list_dead{request, id, 0, 0},
        [this, from, id, seqs](store_event::any const& before, instant, actions& o) {
            auto const had = std::get<store_event::dead_listed>(before).total;
            auto const drop = core_.next_token();
            ask_store(
                from, drop, store_request::drop_dead{drop, id, seqs},
                [this, from, id, had](store_event::any const&, instant, actions& o2) {
                    auto const count = core_.next_token();
                    ask_store(
                        from, count, store_request::list_dead{count, id, 0, 0},
                        [this, from, id, had](store_event::any const& after, instant, actions& o3) {
                            auto const has = std::get<store_event::dead_listed>(after).total;
                            if (auto const at = core_.consumers_.find(id); at != core_.consumers_.end())
                                at->second->dead = has;
                            done(from, {{"count", had - std::min(had, has)}}, o3);  // others may have died meanwhile
                        },
                        o2);
                },
                o);
        },
        out);
}

void admin::dead_replay(caller from, nlohmann::json const& args, instant, actions& out)
{
    std::string why;
    auto const* const c = consumer_named(args, why);
    if (!c)
        return refuse(from, why, out);
    auto wanted = args.value("seqs", std::vector<message_seq>{});
    std::sort(wanted.begin(), wanted.end());
    replay_page(from, c->id(), std::move(wanted), 0, 0, out);
}

void admin::replay_page(caller from, consumer_id id, std::vector<message_seq> wanted, message_seq after, std::uint64_t count,
                        actions& out)
{
    auto const request = core_.next_token();
    ask_store(
        from, request, store_request::list_dead{request, id, after, letters_page},
        [this, from, id, wanted = std::move(wanted), count](store_event::any const& e, instant now, actions& o) {
            auto const& listed = std::get<store_event::dead_listed>(e);
            auto const at = core_.consumers_.find(id);
            if (listed.letters.empty() || at == core_.consumers_.end())
                return done(from, {{"count", count}}, o);
            std::vector<message_seq> seqs;
            for (auto const& letter : listed.letters)
                if (wanted.empty() || std::binary_search(wanted.begin(), wanted.end(), letter.seq))
                    seqs.push_back(letter.seq);
            auto const last = listed.letters.back().seq;
            auto const replayed = count + seqs.size();
            if (seqs.empty())
                return replay_page(from, id, wanted, last, replayed, o);
            replay(from, *at->second, std::move(seqs),
                   [this, from, id, wanted, last, replayed](actions& o2) { replay_page(from, id, wanted, last, replayed, o2); }, now, o);
        },
        out);
}

void admin::replay(caller from, consumer& c, std::vector<message_seq> seqs, std::function<void(actions&)> then, instant now,
                   actions& out)
{
    auto const request = core_.next_token();
    auto const id = c.id();
    c.reviving = seqs;
    ask_store(
        from, request, store_request::replay_dead{request, id, seqs},
        [this, id, seqs, then = std::move(then)](store_event::any const&, instant, actions& o) {
            if (auto const at = core_.consumers_.find(id); at != core_.consumers_.end()) {
                auto& revived = *at->second;
                revived.reviving.clear();
                revived.revive(seqs);
                if (revived.is_inbox())
                    core_.mail_.undone(revived.config().owner);
                revived.dead -= std::min<std::uint64_t>(revived.dead, seqs.size());
                core_.changed_.insert(id);
            }
            then(o);
        },
        out);
    running_->undo = [this, id] {
        if (auto const at = core_.consumers_.find(id); at != core_.consumers_.end()) {
            at->second->reviving.clear();
            at->second->dirty = true;
            core_.changed_.insert(id);
        }
    };
    // Off the list and into the position in one transaction: a crash between the two would lose them. It also brings the
    // deaths that are not known to be saved yet, since this position has them pending no more.
    store_request::save_cursor save;
    save.consumer = id;
    save.position = c.position(now);
    save.deaths = c.saving_deaths;
    save.deaths.insert(save.deaths.end(), c.deaths().begin(), c.deaths().end());
    save.now_ms = now.wall_ms;
    out.requests.push_back(std::move(save));
}

}  // namespace kedge
