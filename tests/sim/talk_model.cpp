#include "tests/sim/talk_model.hpp"

#include <algorithm>

namespace kedge::sim {

namespace {

template <class T>
constexpr bool has_id = requires(T const& what) { what.id; };

std::string id_of(op::any const& operation)
{
    return std::visit(
        [](auto const& what) -> std::string {
            if constexpr (has_id<decltype(what)>)
                return what.id;
            else if constexpr (std::is_same_v<std::decay_t<decltype(what)>, op::quit> || std::is_same_v<std::decay_t<decltype(what)>, op::reply>)
                return {};
            else
                return std::string{what.message->id()};
        },
        operation);
}

}  // namespace

void talk_model::fail(party const& p, std::string const& what)
{
    throw violation{"link " + std::to_string(static_cast<std::uint64_t>(p.id)) + " of " + p.sender() + ": " + what};
}

void talk_model::started(store_contents const& contents, account_store::contents const& accounts)
{
    parties_.clear();
    events_ = {};
    services.restarted();
    commands_.clear();
    paused_.clear();
    rates_.clear();
    watcher_ = {};
    watcher_over_ = false;
    mail.loaded(contents);
    mail.book.load(accounts);
    for (auto const& u : accounts.users)
        if (auto const rate = u.own_limits.find("user_rate_messages"); rate != u.own_limits.end()) {
            auto const burst = std::max<std::uint64_t>(rate->second * u.own_limits.at("user_burst_ms"), 1000);
            rates_[u.name] = {rate->second, burst, burst, 0};
        }
    std::map<stream_id, std::string> names;
    for (auto const& s : contents.streams) {
        names[s.id] = s.config.name;
        if (s.config.paused)
            paused_.insert({s.config.name, {}});
    }
    for (auto const& c : contents.consumers)
        if (c.config.paused)
            paused_.insert({names.at(c.config.stream), c.config.name});
}

void talk_model::inbox_made(consumer_state const& c)
{
    paused_.erase({std::string{inbox_stream}, c.config.name});  // what was said of one that went
    mail.inbox_made(c);
}

void talk_model::draining()
{
    services.draining();
    for (auto& [id, p] : parties_)
        p.serves.clear();  // what was given already may still be answered
}

void talk_model::before(link_event::any const& e, instant now)
{
    if (auto const* const opened = std::get_if<link_event::opened>(&e.what)) {
        auto& p = parties_[e.link];
        p.id = e.link;
        p.who = opened->who;
        p.heard_ms = now.steady_ms;
        return;
    }
    auto const at = parties_.find(e.link);
    if (at == parties_.end())
        return;
    auto& p = at->second;
    if (auto const* const request = std::get_if<link_event::admin_request>(&e.what)) {
        auto const& args = request->call.args;
        command c{request->call.name, {args.value("stream", ""), args.value("consumer", "")}};
        if (c.name.ends_with("resume"))
            paused_.erase(c.what);
        commands_[{e.link, request->request}] = std::move(c);
    } else if (std::holds_alternative<link_event::input_ended>(e.what)) {
        p.finishing = true;
        p.serves.clear();
    } else if (std::holds_alternative<link_event::closed>(e.what)) {
        p.ended = true;
        services.ended(p);
        watcher_over_ = watcher_over_ || e.link == watcher_;
        std::erase_if(commands_, [&](auto const& c) { return c.first.first == e.link; });
    }
    auto const* const operation = std::get_if<link_event::operation>(&e.what);
    if (!operation || p.ended || p.finishing)
        return;
    auto const& o = operation->what;
    p.heard_ms = now.steady_ms;
    if (auto const id = id_of(o); !id.empty())
        ++p.open[id];
    if (auto const* const post = std::get_if<op::post>(&o))
        ++messages_.of(post->message->body()).open_sends;
    else if (auto const* const hello = std::get_if<op::hello>(&o))
        p.keepalive = hello->keepalive;
    else if (auto const* const call = std::get_if<op::call>(&o))
        services.call(p, *call);
    else if (auto const* const reply = std::get_if<op::reply>(&o))
        services.reply(p, *reply);
    else if (auto const* const publish = std::get_if<op::publish>(&o))
        services.published(publish->message->subject(), publish->message->body());
    else if (auto const* const ack = std::get_if<op::ack>(&o); ack && ack->consumer == "inbox")
        mail.acked(p.sender(), *ack);
    else if (auto const* const term = std::get_if<op::term>(&o); term && term->consumer == "inbox")
        mail.acked(p.sender(), {{}, "inbox", {}, {term->seq}, 0});
    else if (auto const* const serve = std::get_if<op::serve>(&o))
        p.asks_to_serve[serve->id] = {serve->service, {{}, serve->methods}};
    else if (auto const* const unserve = std::get_if<op::unserve>(&o))
        p.asks_to_stop[unserve->id] = unserve->service;
    else if (std::holds_alternative<op::quit>(o)) {
        p.finishing = true;
        p.serves.clear();
    }
}

void talk_model::appended(store_request::append const& a, instant now)
{
    if (a.recipients)
        mail.addressed(a);
    std::string const sender{a.sender->view()};
    auto const at = rates_.find(sender.substr(0, sender.find('/')));
    if (at == rates_.end())
        return;
    auto& r = at->second;
    if (r.at_ms)
        r.level = std::min(r.burst, r.level + r.rate * (now.steady_ms - r.at_ms));
    r.at_ms = now.steady_ms;
    if (r.level < 1000)
        throw violation{sender + " publishes above its rate of " + std::to_string(r.rate) + "/s"};
    r.level -= 1000;
}

void talk_model::hear_answer(party& p, std::string const& id)
{
    auto const at = p.open.find(id);
    if (at == p.open.end() && p.finishing)
        return;  // what was said after the end may be answered or not
    if (at == p.open.end() || at->second == 0)
        fail(p, "id " + id + " is answered, but was not asked or is answered already");
    if (--at->second == 0)
        p.open.erase(at);
}

void talk_model::said(link_id link, notice::any const& n, instant now)
{
    auto const at = parties_.find(link);
    if (at == parties_.end())
        return;
    auto& p = at->second;
    if (p.ended)
        fail(p, "something is said after the end");
    if (auto const* const welcome = std::get_if<notice::welcome>(&n)) {
        if (!welcome->has_last)
            return;
        if (!welcome->id.empty())
            hear_answer(p, welcome->id);
        p.node = welcome->node;
        for (auto const& [id, other] : parties_)
            if (id != link && !other.ended && !p.node.empty() && other.sender() == p.sender())
                fail(p, "has taken a node that link " + std::to_string(static_cast<std::uint64_t>(id)) + " still bears");
    } else if (auto const* const ok = std::get_if<notice::ok>(&n)) {
        hear_answer(p, ok->id);
        if (auto const asked = p.asks_to_serve.find(ok->id); asked != p.asks_to_serve.end()) {
            if (ok->instance.empty())
                fail(p, "serves without an instance");
            asked->second.second.id = ok->instance;
            // Once more with the same values is the same instance.
            if (auto const known = p.serves.find(asked->second.first); known != p.serves.end() && known->second.id != ok->instance)
                fail(p, "has two instances of one service");
            if (!p.finishing)
                p.serves.insert_or_assign(asked->second.first, asked->second.second);
        }
        if (auto const asked = p.asks_to_stop.find(ok->id); asked != p.asks_to_stop.end())
            p.serves.erase(asked->second);
        if (ok->stream == inbox_stream)
            messages_.acknowledged_post(p.sender(), *ok);
    } else if (auto const* const pong = std::get_if<notice::pong>(&n)) {
        if (!pong->id.empty())
            hear_answer(p, pong->id);
    } else if (auto const* const error = std::get_if<notice::error>(&n)) {
        if (error->id.empty())
            return;
        hear_answer(p, error->id);
        if (!services.failed(parties_, p, *error, now))
            messages_.refused_post(error->id, error->code);
    } else if (auto const* const reply = std::get_if<notice::reply>(&n)) {
        hear_answer(p, reply->id);
        if (!services.replied(parties_, p, *reply) && reply->from != "$sys")
            fail(p, "a reply to no call");
    } else if (auto const* const call = std::get_if<notice::call>(&n)) {
        services.given(parties_, p, *call, now);
    } else if (auto const* const msg = std::get_if<notice::msg>(&n)) {
        hear_msg(p, *msg, now);
    } else if (auto const* const bye = std::get_if<notice::bye>(&n)) {
        if (bye->code == error_code::idle && (!p.keepalive || now.steady_ms < p.heard_ms + limits_.idle_ms))
            fail(p, "is said to be idle, but is not");
        p.ended = true;
        services.ended(p);
        watcher_over_ = watcher_over_ || link == watcher_;
    }
}

void talk_model::hear_msg(party& p, notice::msg const& m, instant now)
{
    if (m.from == "$sys") {
        if (p.id == watcher_)
            events_.heard(m);
        return;
    }
    if (m.reply_to.starts_with("_call."))
        services.given(m, now);
    ++deliveries_;
    if (m.consumer.empty())
        return;
    auto const name = m.stream == inbox_stream ? p.sender() : m.consumer;
    if (paused_.contains({m.stream, {}}) || paused_.contains({m.stream, name}))
        fail(p, m.stream + " " + name + " is paused, but seq " + std::to_string(m.seq) + " is delivered");
    if (m.stream == inbox_stream)
        mail.delivered(p.sender(), m);
}

void talk_model::answered(link_id link, link_output::admin_answer const& a)
{
    auto const at = commands_.find({link, a.request});
    if (at == commands_.end())
        throw violation{"an administrative command is answered twice, or was not asked"};
    if (a.result.exit_status == 0 && at->second.name.ends_with("pause"))
        paused_.insert(at->second.what);
    commands_.erase(at);
}

void talk_model::changed(account_request const& asked, account_result const& done)
{
    for (std::size_t i = 0; i < done.carried_out && i < asked.changes.size(); ++i)
        mail.book.apply(asked.changes[i]);
}

void talk_model::end_batch(instant now)
{
    if (!watcher_over_)
        events_.agrees(parties_);
    services.check_due(parties_, now, std::exchange(ticked_, false));
}

void talk_model::check_answered() const
{
    for (auto const& [id, p] : parties_) {
        if (!p.ended && !p.open.empty())
            fail(p, p.open.begin()->first + " was never answered");
        if (!p.ended && p.finishing)
            fail(p, "was never told bye");
    }
    if (!commands_.empty())
        throw violation{"command " + commands_.begin()->second.name + " was never answered"};
}

}  // namespace kedge::sim
