// Services: instances, calls of their methods, calls by subject, and the events about them.

#include <algorithm>
#include <charconv>

#include "router/core/core.hpp"

namespace kedge {

namespace {

constexpr std::uint64_t timeout_ms_default = 5000;
constexpr std::string_view reply_prefix = "_call.";
constexpr std::size_t hex_digits = 16;

std::string in_hex(std::uint64_t value)
{
    static constexpr char digits[] = "0123456789abcdef";
    std::string text(hex_digits, '0');
    for (auto at = text.rbegin(); value; value >>= 4, ++at)
        *at = digits[value & 0xf];
    return text;
}

/// Nothing but what `in_hex` writes.
std::optional<std::uint64_t> from_hex(std::string_view text)
{
    std::uint64_t value = 0;
    auto const [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (wrong != std::errc{} || end != text.data() + text.size() || in_hex(value) != text)
        return std::nullopt;
    return value;
}

std::string listed(std::vector<std::string> const& names)
{
    std::string text;
    for (auto const& name : names)
        text += (text.empty() ? "" : ", ") + name;
    return text;
}

std::string reply_subject(open_call const& c)
{
    return std::string{reply_prefix} + in_hex(static_cast<std::uint64_t>(c.number)) + in_hex(c.secret);
}

}  // namespace

// --- Instances -------------------------------------------------------------------------------------------------------

void core::serve(link& l, op::serve&& what, instant now, actions& out)
{
    auto const refuse = [&](error_code code, std::string why) { answer_error(l, what.id, {code, std::move(why)}, out); };
    if (draining_)
        return refuse(error_code::draining, "the server is about to stop");
    if (auto const decision = l.access->may_serve(what.service); !decision.allowed)
        return refuse(error_code::denied, decision.why);
    auto const& bounds = config_.limits;
    std::sort(what.methods.begin(), what.methods.end());
    what.methods.erase(std::unique(what.methods.begin(), what.methods.end()), what.methods.end());
    if (auto const* const known = services_.find(l.id, what.service)) {
        if (known->version != what.version || known->methods != what.methods || known->description != what.description)
            return refuse(error_code::exists, "this link serves " + what.service + " with other values already: unserve it first");
        if (!what.id.empty())
            send(l, notice::ok{what.id, {}, 0, false, in_hex(known->id)}, out);
        return;
    }
    if (auto const count = services_.of(l.id).size(); count >= bounds.link_services)
        return refuse(error_code::quota, "the link serves " + std::to_string(count) + " services already");

    service_instance added;
    added.id = random();
    added.at = l.id;
    added.user = l.who->user;
    added.service = std::move(what.service);
    added.version = std::move(what.version);
    added.methods = std::move(what.methods);
    added.description = std::move(what.description);
    added.since_ms = now.wall_ms;
    auto const& i = services_.add(std::move(added));
    if (!what.id.empty())
        send(l, notice::ok{what.id, {}, 0, false, in_hex(i.id)}, out);
    tell_of(i, "$sys.service.connect", now, out);
    if (services_.instances(i.service) == 1)
        tell_of(i, "$sys.service.online", now, out);
}

void core::unserve(link& l, op::unserve const& what, instant now, actions& out)
{
    auto* const i = services_.find(l.id, what.service);
    if (!i)
        return answer_error(l, what.id, {error_code::bad_request, "this link does not serve " + what.service}, out);
    withdraw(*i, now, out);
    answer_ok(l, what.id, out);
}

void core::withdraw(service_instance& i, instant now, actions& out)
{
    auto const gone = i;
    services_.remove(i);
    tell_of(gone, "$sys.service.disconnect", now, out);
    if (services_.instances(gone.service) == 0)
        tell_of(gone, "$sys.service.offline", now, out);
}

void core::withdraw_all(link& l, instant now, actions& out)
{
    for (auto* const i : services_.of(l.id))
        withdraw(*i, now, out);
}

void core::withdraw_denied(link& l, instant now, actions& out)
{
    for (auto* const i : services_.of(l.id))
        if (auto decision = l.access->may_serve(i->service); !decision.allowed) {
            answer_error(l, {}, {error_code::denied, std::move(decision.why)}, out);
            withdraw(*i, now, out);
        }
}

void core::stop_serving(link& l, instant now, actions& out)
{
    withdraw_all(l, now, out);
    while (auto const c = calls_.take_at(l.id))
        over(*c, failure{error_code::unavailable, "the instance of " + c->service + " that had the call has gone away"}, out);
}

void core::tell_of(service_instance const& i, std::string_view subject, instant now, actions& out)
{
    event(subject, {{"service", i.service}, {"version", i.version}, {"instance", in_hex(i.id)}, {"user", i.user}}, now, out);
}

nlohmann::json core::about(service_instance const& i) const
{
    auto const& l = *links_.at(i.at);
    return {{"service", i.service},
            {"version", i.version},
            {"instance", in_hex(i.id)},
            {"user", i.user},
            {"node", l.node ? nlohmann::json(l.node->name.substr(i.user.size() + 1)) : nlohmann::json()},
            {"methods", i.methods},
            {"description", i.description},
            {"open", i.open},
            {"since_ms", i.since_ms}};
}

// --- Calls -----------------------------------------------------------------------------------------------------------

void core::call(link& l, op::call&& what, instant now, actions& out)
{
    auto const& m = *what.message;
    auto const refuse = [&](error_code code, std::string why) {
        answer_error(l, std::string{m.id()}, {code, std::move(why)}, out);
    };
    auto const& bounds = config_.limits;
    if (draining_)
        return refuse(error_code::draining, "the server is about to stop");
    if (what.timeout_ms > bounds.call_timeout_ms_max)
        return refuse(error_code::bad_request, "timeout_ms must be 1 to " + std::to_string(bounds.call_timeout_ms_max));
    if (calls_.has(l.id, m.id()))
        return refuse(error_code::exists, "a call with the id " + std::string{m.id()} + " is open on this link");
    if (auto const open = calls_.of_caller(l.id); open >= bounds.link_calls && !l.internal)
        return refuse(error_code::quota, "the link has " + std::to_string(open) + " open calls already");

    open_call c;
    c.caller = l.id;
    c.id = m.id();
    c.timeout_ms = what.timeout_ms ? what.timeout_ms : std::min(timeout_ms_default, bounds.call_timeout_ms_max);
    c.due_ms = now.steady_ms + c.timeout_ms;
    auto const failed = what.service.empty() ? call_subject(l, m, std::move(c), now, out)
                                             : call_method(l, what, std::move(c), out);
    if (!failed)
        return;
    if (failed->code == error_code::no_responders && !l.internal) {  // else somebody outside may answer
        counts_.calls_unhandled.add_alone();
        auto const subject = what.service.empty() ? std::string{m.subject()} : "svc." + what.service + "." + what.method;
        event("$sys.unhandled", {{"subject", subject}, {"from", l.sender->view()}}, now, out);
    }
    answer_error(l, std::string{m.id()}, *failed, out);
}

open_call const& core::begin(link& l, open_call&& c)
{
    ++l.unanswered;
    counts_.calls.add_alone();
    return calls_.open(std::move(c));
}

std::optional<failure> core::call_method(link& l, op::call const& what, open_call c, actions& out)
{
    if (auto const decision = l.access->may_call(what.service + "." + what.method); !decision.allowed)
        return failure{error_code::denied, decision.why};
    notice::call given{{}, what.service, what.method, std::string{l.sender->view()}, c.timeout_ms, std::string{what.message->body()}};
    // The encoding escapes what it must, and the rest of the notice is short: what is meant is a bound, not an exact one.
    auto const size = given.body.size();
    auto const choice = services_.choose(what.service, what.method, [&](service_instance const& i) {
        auto const& to = *links_.at(i.at);
        return to.unsent() == 0 || to.unsent() + size <= config_.limits.link_unsent_bytes;
    });
    if (!choice.served)
        return failure{error_code::no_responders, "nobody serves " + what.service};
    if (!choice.has_method)
        return failure{error_code::no_responders,
                       what.service + " has no method " + what.method + "; it has " + listed(services_.methods(what.service))};
    if (!choice.to)
        return failure{error_code::unavailable, "no instance of " + what.service + " reads what it is given"};

    auto& i = *choice.to;
    c.service = i.service;
    c.at = i.at;
    c.instance = i.id;
    given.call = in_hex(static_cast<std::uint64_t>(begin(l, std::move(c)).number));
    services_.begin(i);
    counts_.delivered.add_alone();
    send(*links_.at(i.at), given, out);
    return std::nullopt;
}

std::optional<failure> core::call_subject(link& l, message const& m, open_call c, instant now, actions& out)
{
    // Subscribers get a message: who may not publish there must not reach them by a call either.
    for (auto const& decision : {l.access->may_call(m.subject()), l.access->may_publish(m.subject())})
        if (!decision.allowed)
            return failure{error_code::denied, decision.why};
    auto& to = route_for(m.subject());
    // The server's own links ask for others: they do not answer themselves.
    bool const hears_itself = l.internal && std::ranges::find(to.links, &l) != to.links.end();
    if (to.of)
        return failure{error_code::bad_request,
                       "the stream " + to.of->name() + " stores " + std::string{m.subject()} + ": a call needs a subject of no stream"};
    if (to.targets() == std::size_t{hears_itself})
        return failure{error_code::no_responders, "nobody subscribes to " + std::string{m.subject()}};
    c.secret = random();
    if (to.groups.empty() && std::ranges::all_of(to.links, [](link const* t) { return t->internal; }))
        c.outside = m.subject();
    auto const reply_to = reply_subject(begin(l, std::move(c)));
    msg_view view;
    view.subject = m.subject();
    view.from = l.sender->view();
    view.time_ms = now.wall_ms;
    view.reply_to = reply_to;
    view.headers = m.headers();
    view.body = m.body();
    deliver_plain(to, view, out);
    return std::nullopt;
}

void core::nobody_outside(std::string_view reply_to, instant now, actions& out)
{
    auto const* const c = call_of(reply_to);
    if (!c || c->outside.empty())
        return;
    auto const gone = *calls_.take(c->number);
    auto const* const caller = find(gone.caller);
    counts_.calls_unhandled.add_alone();
    if (caller)
        event("$sys.unhandled", {{"subject", gone.outside}, {"from", caller->sender->view()}}, now, out);
    over(gone, failure{error_code::no_responders, "nobody subscribes to " + gone.outside}, out);
}

open_call const* core::call_of(std::string_view reply_to) const
{
    if (!reply_to.starts_with(reply_prefix))
        return nullptr;
    auto const name = reply_to.substr(reply_prefix.size());
    auto const number = from_hex(name.substr(0, hex_digits));
    auto const* const c = number && name.size() == 2 * hex_digits ? calls_.find(call_number{*number}) : nullptr;
    return c && c->service.empty() && reply_to == reply_subject(*c) ? c : nullptr;
}

void core::reply(link& l, op::reply const& what, instant now, actions& out)
{
    if (l.internal) {  // it serves nothing: what it was given was a message
        if (what.error_code == wire_word(error_code::no_responders))
            nobody_outside(what.call, now, out);
        return;
    }
    auto const number = from_hex(what.call);
    auto const* const c = number ? calls_.find(call_number{*number}) : nullptr;
    if (!c || c->service.empty() || c->at != l.id) {
        counts_.replies_dropped.add_alone();
        return;
    }
    if (what.error_code.empty()) {
        answer_call(c->number, l, *what.message, out);
        return;
    }
    auto const known = parse_error_code(what.error_code);
    if (known && ends_link(*known)) {
        // Followed by `bye`, as the caller would expect it to be, it is the server's to say.
        answer_error(l, {}, {error_code::bad_request, "the reply to call " + what.call + " has the error " + what.error_code +
                                                          ", which ends links: choose another code"}, out);
        return;
    }
    notice::error passed_on{c->id, known.value_or(error_code::internal), what.error_message, {}};
    if (!known)
        passed_on.word = what.error_code;
    auto const ended = *calls_.take(c->number);
    give_back(ended);
    if (auto* const caller = find(ended.caller)) {
        send(*caller, passed_on, out);
        answered(*caller);
    }
}

bool core::reply_by_publish(link& l, message const& m, actions& out)
{
    if (!m.subject().starts_with(reply_prefix))
        return false;
    // Whoever was told the subject may answer: no rule need give it. Nobody else ever gets what is published there.
    if (auto const* const c = call_of(m.subject()))
        answer_call(c->number, l, m, out);
    else
        counts_.replies_dropped.add_alone();
    if (!m.id().empty())
        send(l, encode_ok(m.id(), {}, 0, false, l.form), out);
    return true;
}

void core::answer_call(call_number number, link& from, message const& reply, actions& out)
{
    auto const c = *calls_.take(number);
    auto const body = reply.body();
    auto* const caller = find(c.caller);
    // A caller with a thousand open calls that does not read must not gather a thousand bodies.
    if (caller && caller->unsent() && caller->unsent() + body.size() > config_.limits.link_unsent_bytes) {
        over(c, failure{error_code::unavailable, "the reply of " + std::to_string(body.size()) +
                                                     " bytes has no room behind what this link has not read yet"}, out);
        return;
    }
    give_back(c);
    if (caller) {
        send(*caller, notice::reply{c.id, std::string{from.sender->view()}, std::string{body}, std::string{reply.headers()}}, out);
        answered(*caller);
    }
}

void core::over(open_call const& c, failure why, actions& out)
{
    give_back(c);
    if (auto* const caller = find(c.caller)) {
        answer_error(*caller, c.id, std::move(why), out);
        answered(*caller);
    }
}

void core::give_back(open_call const& c)
{
    if (c.service.empty())
        return;
    if (auto* const i = services_.find(c.at, c.service); i && i->id == c.instance)
        services_.end(*i);
    if (auto const* const at = find(c.at); at && may_end(*at))
        ending_.push_back(at->id);
}

void core::forget_calls(link& l)
{
    while (auto const c = calls_.take_of(l.id)) {
        --l.unanswered;
        give_back(*c);
    }
}

bool core::may_end(link const& l) const { return l.finishing && l.unanswered == 0 && !calls_.any_at(l.id); }

std::uint64_t core::random() { return config_.random ? config_.random() : static_cast<std::uint64_t>(next_token()); }

void core::expire_calls(instant now, actions& out)
{
    while (auto const c = calls_.take_due(now.steady_ms))
        over(*c, failure{error_code::timeout, "no answer within " + std::to_string(c->timeout_ms) + " ms"}, out);
}

}  // namespace kedge
