#include "tests/sim/service_model.hpp"

#include <algorithm>

namespace kedge::sim {

namespace {

constexpr std::uint64_t timeout_ms_default = 5000;

bool has(party::instance const& i, std::string const& method)
{
    return std::find(i.methods.begin(), i.methods.end(), method) != i.methods.end();
}

}  // namespace

void service_model::fail(one const& c, std::string const& what)
{
    throw violation{"call " + c.id + " of " + c.from + " (" + c.service + "." + c.method + "): " + what};
}

void service_model::restarted()
{
    calls_.clear();
    handles_.clear();
    draining_ = false;
}

service_model::one* service_model::open_of(link_id caller, std::string const& id, bool given)
{
    one* found = nullptr;
    for (auto& [number, c] : calls_)
        if (!c.over && c.caller == caller && c.id == id && (!found || c.given == given))
            found = &c;
    return found;
}

std::size_t service_model::open_at(std::string const& instance) const
{
    return static_cast<std::size_t>(std::count_if(calls_.begin(), calls_.end(), [&](auto const& entry) {
        return entry.second.given && !entry.second.over && entry.second.instance == instance;
    }));
}

void service_model::call(party const& by, op::call const& what)
{
    auto& c = calls_[messages_.of(what.message->body()).number];
    c.caller = by.id;
    c.from = by.sender();
    c.id = what.message->id();
    c.service = what.service;
    c.method = what.method;
    c.timeout_ms = what.timeout_ms ? what.timeout_ms : timeout_ms_default;
}

void service_model::reply(party const& by, op::reply const& what)
{
    auto const at = handles_.find(what.call);
    if (at == handles_.end())
        return;
    if (auto& c = calls_.at(at->second); c.at == by.id)
        c.said.push_back({what.message ? std::string{what.message->body()} : std::string{}, what.error_code});
}

void service_model::published(std::string_view subject, std::string_view body)
{
    if (auto const at = handles_.find(std::string{subject}); at != handles_.end())
        calls_.at(at->second).said.push_back({std::string{body}, {}});
}

void service_model::ended(party const& p)
{
    for (auto& [number, c] : calls_)
        if (c.caller == p.id)
            c.over = true;
}

void service_model::given(parties const& all, party const& to, notice::call const& n, instant now)
{
    auto const at = calls_.find(messages_.of(n.body).number);
    if (at == calls_.end())
        throw violation{"a call is given that nobody made: " + n.body.substr(0, 40)};
    auto& c = at->second;
    if (c.given)
        fail(c, "is given to a second link");
    if (c.over)
        fail(c, "is given to an instance, but is over");
    auto const serves = to.serves.find(n.service);
    if (to.ended || to.finishing || serves == to.serves.end() || !has(serves->second, n.method))
        fail(c, "is given to link " + std::to_string(static_cast<std::uint64_t>(to.id)) + ", which does not serve it (any more)");
    if (n.service != c.service || n.method != c.method || n.from != all.at(c.caller).sender() || n.left_ms > c.timeout_ms || n.left_ms == 0)
        fail(c, "is given as another");
    auto const load = open_at(serves->second.id);
    for (auto const& [id, p] : all)
        if (auto const other = p.serves.find(c.service); !p.ended && other != p.serves.end() && has(other->second, c.method)
            && open_at(other->second.id) < load)
            fail(c, "is given to an instance with " + std::to_string(load) + " open calls, link "
                        + std::to_string(static_cast<std::uint64_t>(id)) + " has fewer");
    c.given = true;
    c.at = to.id;
    c.instance = serves->second.id;
    c.given_ms = now.steady_ms;
    c.handle = n.call;
    if (!handles_.emplace(n.call, at->first).second)
        fail(c, "has the handle of another");
}

void service_model::given(notice::msg const& m, instant now)
{
    auto const at = calls_.find(messages_.of(m.body).number);
    if (at == calls_.end() || !at->second.service.empty())
        throw violation{"a reply subject stands on what is no call by subject: " + m.body.substr(0, 40)};
    auto& c = at->second;
    if (c.over)
        fail(c, "is given to a subscriber, but is over");
    if (c.given && c.handle != m.reply_to)
        fail(c, "has two reply subjects");
    if (!c.given)
        c.given_ms = now.steady_ms;
    c.given = true;
    c.handle = m.reply_to;
    handles_.emplace(m.reply_to, at->first);
}

bool service_model::replied(parties const& all, party const& to, notice::reply const& n)
{
    auto* const c = open_of(to.id, n.id, true);
    if (!c)
        return false;
    if (!c->given)
        fail(*c, "is answered, but nobody was given it");
    if (c->said.empty() || !c->said.front().code.empty() || c->said.front().body != n.body)
        fail(*c, "is answered by what was not said first");
    if (!c->service.empty() && n.from != all.at(c->at).sender())
        fail(*c, "is answered by another than who has it");
    c->over = true;
    ++answered_;
    return true;
}

bool service_model::failed(parties const& all, party const& to, notice::error const& n, instant now)
{
    auto const word = n.word.empty() ? std::string{wire_word(n.code)} : n.word;
    auto* const c = open_of(to.id, n.id, word != "exists");
    if (!c)
        return false;
    bool const by_instance = !c->said.empty() && c->said.front().code == word;
    if (!by_instance) {
        if (c->given && !c->service.empty() && !c->said.empty())
            fail(*c, "was answered by its instance, but ends with " + word);
        if (word == "timeout") {
            if ((!c->given && !c->service.empty()) || now.steady_ms < c->given_ms + c->timeout_ms)
                fail(*c, "times out before its time");
        } else if (word == "no_responders") {
            if (c->given)
                fail(*c, "was given to an instance, and yet there is none");
            for (auto const& [id, p] : all)
                if (auto const s = p.serves.find(c->service); !p.ended && s != p.serves.end() && has(s->second, c->method))
                    fail(*c, "finds nobody, but link " + std::to_string(static_cast<std::uint64_t>(id)) + " serves it");
        } else if (word == "unavailable") {
            if (!c->given && !c->service.empty() && n.message.find("reads") == std::string::npos)
                fail(*c, "is unavailable before it was given to anybody");
            if (c->given && !c->service.empty())
                if (auto const& p = all.at(c->at); !p.ended && !p.finishing && n.message.find("room") == std::string::npos)
                    fail(*c, "is unavailable, but its instance is there");
        } else if (word == "draining") {
            if (!draining_)
                fail(*c, "is refused by a server that does not drain");
        } else if (word != "exists" && word != "quota") {
            fail(*c, "ends with " + word);
        }
    }
    c->over = true;
    ++answered_;
    return true;
}

void service_model::check_due(parties const& all, instant now, bool ticked) const
{
    for (auto const& [number, c] : calls_) {
        if (c.over || !c.given)
            continue;
        if (!c.service.empty()) {
            if (auto const& p = all.at(c.at); p.ended || p.finishing)
                fail(c, "is not told that its instance has gone");
            if (!c.said.empty())
                fail(c, "is not told what its instance said");
        }
        if (ticked && now.steady_ms >= c.given_ms + c.timeout_ms)
            fail(c, "is over its time and not told so");
    }
}

}  // namespace kedge::sim
