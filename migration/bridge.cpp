#include "migration/bridge.hpp"

#include <algorithm>
#include <charconv>
#include <utility>
#include <variant>

#include "migration/bus_headers.hpp"
#include "migration/identity.hpp"
#include "router/protocol/subject.hpp"

namespace kedge::migration {

namespace {

constexpr std::string_view origin_header = "Kedge-Origin";
constexpr std::string_view call_prefix = "_call.";  // reply subjects of calls: one reply, and the core knows them
constexpr std::uint64_t reopen_ms = 1000;
constexpr std::uint64_t listen_again_ms = 2000;  // while a rule refuses a subscription
constexpr char listen_id = 's';                  // begins the id of a subscription; those of calls are numbers
constexpr std::size_t frame_max = 64 * 1024 * 1024;  // of the router's own making: a bound against mistakes alone
constexpr std::size_t header_block_bytes = 12;       // what begins and ends NATS's headers

std::string_view header_of(bus_message const& m, std::string_view name)
{
    auto const at = std::ranges::find(m.headers, name, &bus_headers::value_type::first);
    return at == m.headers.end() ? std::string_view{} : std::string_view{at->second};
}

std::optional<std::uint64_t> number_in(std::string_view text)
{
    std::uint64_t value = 0;
    auto const [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);
    return wrong == std::errc{} && end == text.data() + text.size() ? std::optional{value} : std::nullopt;
}

}  // namespace

bridge::bridge(settings const& bounds, limits const& server, std::string home, std::string_view stored, std::string_view inbox,
               number_source& numbers)
    : bounds_{bounds},
      server_{server},
      home_{std::move(home)},
      inbox_{"_INBOX.kedge." + std::string{inbox} + "."},
      numbers_{numbers},
      decoder_{encoding::frames, frame_max}
{
    for (auto& rule : read_bridges(stored)) {
        patterns_.push_back(rule.pattern);
        crossings_[++last_crossing_].rule = std::move(rule);
    }
}

// --- What crosses, and what does not ----------------------------------------------------------------------------------

void bridge::drop(crossing& at, std::string why)
{
    ++at.dropped;
    at.why = std::move(why);
}

void bridge::drop(number which, std::string why)
{
    if (auto const at = crossings_.find(which); at != crossings_.end())
        drop(at->second, std::move(why));
}

bridge::crossing* bridge::carrying_out(std::string_view subject)
{
    for (auto& [id, each] : crossings_)
        if (each.rule.goes_out() && matches(each.rule.pattern, subject))
            return &each;
    return nullptr;
}

// --- The link of the router ------------------------------------------------------------------------------------------

void bridge::open(effects& out)
{
    open_due_ms_ = 0;
    decoder_ = notice_decoder{encoding::frames, frame_max};
    under_way_ = 0;
    calls_.clear();
    link_ = link_id{std::uint64_t{migration_transport} << 48 | ++links_};
    auto who = std::make_shared<principal>();
    who->user = native_sender;
    who->role = native_sender;  // may do what users may: a reply_to must not lead NATS clients to what is for operators
    who->session = "bridge";
    link_event::opened opened;
    opened.session = session_id{static_cast<std::uint64_t>(*link_)};
    opened.who = std::move(who);
    opened.internal = true;
    out.links.push_back({*link_, std::move(opened)});
    for (auto const& [id, each] : crossings_)
        if (each.rule.goes_out())
            listen(id, out);
}

/// Again is harmless: the router knows what the link has.
void bridge::listen(number which, effects& out)
{
    say(op::subscribe{listen_id + std::to_string(which), crossings_.at(which).rule.pattern, {}}, 0, out);
}

void bridge::say(op::any what, std::size_t bytes, effects& out)
{
    if (!link_)
        return;
    under_way_ += bytes;
    out.links.push_back({*link_, link_event::operation{std::move(what), bytes}});
}

void bridge::on_router(std::vector<link_output::any> told, instant now, effects& fx)
{
    for (auto& each : told) {
        if (!link_ || each.link != *link_)
            continue;
        if (auto const* const credit = std::get_if<link_output::credit>(&each.what)) {
            under_way_ -= std::min(under_way_, credit->bytes);
        } else if (std::holds_alternative<link_output::close>(each.what)) {
            fx.links.push_back({*link_, link_event::closed{}});
            link_.reset();
            calls_.clear();
            open_due_ms_ = now.steady_ms + reopen_ms;
        } else if (auto const* const data = std::get_if<link_output::data>(&each.what)) {
            decoder_.feed(data->bytes->view());
            while (auto next = decoder_.next()) {
                if (!*next)
                    break;
                auto& heard = **next;
                if (auto* const m = std::get_if<notice::msg>(&heard))
                    out(std::move(*m), now, fx);
                else if (auto* const reply = std::get_if<notice::reply>(&heard))
                    answered(std::move(*reply), fx);
                else if (auto const* const error = std::get_if<notice::error>(&heard))
                    failed(*error, now);
                else if (auto const* const ok = std::get_if<notice::ok>(&heard); ok && ok->id.starts_with(listen_id))
                    listens(ok->id);
            }
        }
    }
}

// --- From kedge to NATS ----------------------------------------------------------------------------------------------

std::string bridge::send(bus_message&& m, effects& fx)
{
    auto const bytes = m.bytes();
    if (!up_)
        return "there was no link to NATS";
    if (bytes + header_block_bytes > up_->max_payload)
        return "a message of " + std::to_string(bytes) + " bytes is more than NATS takes (max_payload)";
    if (unsent_ > 0 && unsent_ + bytes > bounds_.bridge_bytes)
        return "more than " + std::to_string(bounds_.bridge_bytes) + " bytes waited for NATS to read them";
    unsent_ += bytes;
    fx.backend.emplace_back(backend_command::send{std::move(m)});
    return {};
}

void bridge::out(notice::msg&& m, instant now, effects& fx)
{
    if (m.from == native_sender)
        return;  // it came over the bridge
    auto* const at = carrying_out(m.subject);
    if (!at)
        return;  // of a bridge that has just been removed
    auto const not_sent = [&](std::string why) {
        nobody_there(m.reply_to, fx);
        drop(*at, std::move(why));
    };
    if (!up_)
        return not_sent("there was no link to NATS");
    bus_message sent;
    fill(sent, *message::make({m.subject, m.pub_id, {}, m.headers, m.body}), m.from, m.time_ms);
    sent.headers.emplace_back(origin_header, home_);
    number request = 0;
    if (!m.reply_to.empty()) {
        auto const comes_back = std::ranges::any_of(crossings_, [&](auto const& each) {
            return each.second.rule.comes_in() && matches(each.second.rule.pattern, m.reply_to);
        });
        if (comes_back) {
            sent.reply = m.reply_to;
        } else if (may_wait()) {
            auto const bridge_number = std::ranges::find_if(crossings_, [&](auto const& each) { return &each.second == at; })->first;
            request = requests_.add({m.reply_to, bridge_number, now.steady_ms + bounds_.bridge_reply_ms});
            sent.reply = inbox_ + std::to_string(request);
        } else {
            drop(*at, "too many requests wait for a reply: one was sent as a message that expects none");
        }
    }
    if (auto why = send(std::move(sent), fx); !why.empty()) {
        requests_.remove(request);
        return not_sent(std::move(why));
    }
    ++at->out;
}

/// The core knows whether somebody here may answer a call all the same.
void bridge::nobody_there(std::string const& reply_to, effects& fx)
{
    if (reply_to.starts_with(call_prefix))
        say(op::reply{reply_to, std::string{wire_word(error_code::no_responders)}, {}, message::make({})}, 0, fx);
}

void bridge::answered(notice::reply&& r, effects& fx)
{
    auto const id = number_in(r.id);
    auto const* const call = id ? calls_.find(*id) : nullptr;
    if (!call)
        return;
    bus_message sent;
    fill(sent, *message::make({"reply", {}, {}, r.headers, r.body}), r.from, 0);
    std::erase_if(sent.headers, [](auto const& header) { return header.first == "Kedge-Time"; });
    sent.headers.emplace_back(origin_header, home_);
    sent.subject = call->reply;
    auto const which = call->bridge;
    calls_.remove(*id);
    if (auto why = send(std::move(sent), fx); !why.empty())
        return drop(which, std::move(why));
    if (auto const at = crossings_.find(which); at != crossings_.end())
        ++at->second.out;
}

bridge::crossing* bridge::listening(std::string_view id)
{
    auto const which = number_in(id.substr(1));
    auto const at = which ? crossings_.find(*which) : crossings_.end();
    return at == crossings_.end() ? nullptr : &at->second;
}

void bridge::listens(std::string_view id)
{
    if (auto* const at = listening(id); at && std::exchange(at->deaf, false))
        at->why.clear();
}

void bridge::failed(notice::error const& e, instant now)
{
    // Rules may change again; that one took a subscription away is said without an id.
    if (e.code == error_code::denied && (e.id.empty() || e.id.front() == listen_id) && listen_due_ms_ == 0)
        listen_due_ms_ = now.steady_ms + listen_again_ms;
    if (e.id.starts_with(listen_id)) {
        if (auto* const at = listening(e.id)) {
            at->deaf = true;
            at->why = e.message;
        }
        return;
    }
    if (e.id.empty()) {
        ++refused_;
        refused_why_ = e.message;
        return;
    }
    auto const id = number_in(e.id);
    auto const* const call = id ? calls_.find(*id) : nullptr;
    if (!call)
        return;
    // Nobody here, or nobody in time: somebody in NATS may answer all the same.
    if (e.code != error_code::no_responders && e.code != error_code::timeout && e.code != error_code::unavailable)
        drop(call->bridge, e.message);
    calls_.remove(*id);
}

// --- From NATS to kedge ----------------------------------------------------------------------------------------------

void bridge::link_up(backend_event::link_up const& up, instant, effects&)
{
    up_ = up;
    for (auto& [id, each] : crossings_)
        each.barred.clear();  // it is subscribed to again, and refused again
}

void bridge::link_down() { up_.reset(); }

void bridge::on_plain(backend_event::plain&& e, instant now, effects& fx)
{
    if (replies_heard_ && e.id == *replies_heard_)
        return replied(std::move(e.what), fx);
    for (auto& [id, each] : crossings_)
        if (each.rule.comes_in() && each.heard == e.id)
            return in(each, id, std::move(e.what), now, fx);
}

void bridge::denied(backend_event::denied const& e)
{
    auto const why = "NATS does not allow it: " + e.why;
    if (e.publishing) {
        auto* const at = carrying_out(e.subject);
        if (!at)
            return;  // a reply, or of a bridge that has just been removed
        return drop(*at, why);  // `out` stays: it counts what was handed to the server, and never goes down
    }
    for (auto& [id, each] : crossings_)
        if ((each.rule.comes_in() && each.rule.pattern == e.subject) || (each.rule.goes_out() && e.subject == inbox_ + "*"))
            each.barred = why;
}

message_ptr bridge::take(bus_message const& m, std::string_view subject, std::string_view id, std::string_view reply_to, std::string& why) const
{
    if (m.body.size() > server_.body_bytes) {
        why = "a body of " + std::to_string(m.body.size()) + " bytes is more than limits.body_bytes";
        return nullptr;
    }
    auto const headers = native_headers(m);
    if (auto const* const odd = std::get_if<unrepresentable>(&headers)) {
        why = "a message on " + m.subject + " cannot be shown: " + odd->why;
        return nullptr;
    }
    auto const& text = std::get<std::string>(headers);
    if (text.size() > server_.header_bytes) {
        why = "headers of " + std::to_string(text.size()) + " bytes are more than limits.header_bytes";
        return nullptr;
    }
    return message::make({subject, id, reply_to, text, m.body});
}

void bridge::publish(message_ptr what, effects& fx)
{
    auto const cost = what->cost();
    say(op::publish{std::move(what), 0}, cost, fx);
}

void bridge::in(crossing& at, number which, bus_message&& m, instant now, effects& fx)
{
    if (header_of(m, origin_header) == home_)
        return;  // ours, over an earlier connection
    if (is_reserved(m.subject))
        return;  // a pattern that begins with a wildcard does not mean these
    if (!valid_subject(m.subject))
        return drop(at, "a subject that kedge does not have (16 tokens, 255 bytes of UTF-8 at most)");
    if (!link_)
        return drop(at, "the bridge was not open");
    if (under_way_ > 0 && under_way_ + m.bytes() > bounds_.bridge_bytes)
        return drop(at, "more than " + std::to_string(bounds_.bridge_bytes) + " bytes waited to come in");
    // Whoever answers publishes to what a bridge carries out: it finds its own way.
    bool const finds_its_way = !m.reply.empty() && valid_subject(m.reply) && carrying_out(m.reply) != nullptr;
    bool const asks = !m.reply.empty() && !finds_its_way && may_wait();
    std::string why;
    if (!asks) {
        auto taken = take(m, m.subject, {}, finds_its_way ? std::string_view{m.reply} : std::string_view{}, why);
        if (!taken)
            return drop(at, std::move(why));
        if (!m.reply.empty() && !finds_its_way)
            drop(at, "too many requests wait for a reply: one came in as a message that expects none");
        ++at.in;
        return publish(std::move(taken), fx);
    }
    auto const timeout_ms = std::min(bounds_.bridge_reply_ms, server_.call_timeout_ms_max);
    auto const id = calls_.add({m.reply, which, now.steady_ms + timeout_ms});
    auto taken = take(m, m.subject, std::to_string(id), {}, why);
    if (!taken) {
        calls_.remove(id);
        return drop(at, std::move(why));
    }
    ++at.in;
    auto const cost = taken->cost();
    say(op::call{{}, {}, timeout_ms, std::move(taken)}, cost, fx);
}

void bridge::replied(bus_message&& m, effects& fx)
{
    auto const id = number_in(std::string_view{m.subject}.substr(std::min(inbox_.size(), m.subject.size())));
    auto const* const asked = id ? requests_.find(*id) : nullptr;
    if (!asked)
        return;
    auto const which = asked->bridge;
    auto const to = asked->reply;
    if (m.body.empty() && header_of(m, "Status") == "503") {
        nobody_there(to, fx);
        return requests_.remove(*id);
    }
    if (to.starts_with(call_prefix))
        requests_.remove(*id);
    std::string why;
    auto taken = link_ ? take(m, to, {}, {}, why) : nullptr;
    if (!taken)
        return drop(which, link_ ? std::move(why) : "the bridge was not open for a reply");
    if (auto const at = crossings_.find(which); at != crossings_.end())
        ++at->second.in;
    publish(std::move(taken), fx);
}

// --- Time ------------------------------------------------------------------------------------------------------------

void bridge::tick(instant now, effects& out)
{
    calls_.expire(now.steady_ms);
    requests_.expire(now.steady_ms);
    if (open_due_ms_ && open_due_ms_ <= now.steady_ms) {
        open_due_ms_ = 0;
        if (!crossings_.empty())
            open(out);
    }
    if (listen_due_ms_ && listen_due_ms_ <= now.steady_ms) {
        listen_due_ms_ = 0;
        for (auto const& [id, each] : crossings_)
            if (each.rule.goes_out())
                listen(id, out);
    }
}

std::optional<std::uint64_t> bridge::due_ms() const
{
    auto due = calls_.due_ms();
    auto const set = [](std::uint64_t ms) { return ms ? std::optional{ms} : std::nullopt; };
    for (auto const other : {requests_.due_ms(), set(open_due_ms_), set(listen_due_ms_)})
        if (other)
            due = due ? std::min(*due, *other) : *other;
    return due;
}

}  // namespace kedge::migration
