#include "migration/nats/session.hpp"

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "migration/nats/js_api.hpp"
#include "migration/nats/wire_message.hpp"

namespace kedge::migration {
namespace {

using session_holder = std::weak_ptr<session>;

struct plain_holder {
    std::weak_ptr<session> of;
    std::shared_ptr<outlet> out;
    plain_id id{};
};

/// `Permissions Violation for Publish to "SUBJECT"`, or `for Subscription to "PATTERN"`.
std::optional<backend_event::denied> denied_in(std::string const& text)
{
    for (auto const& [words, publishing] : {std::pair{std::string_view{"Publish to \""}, true}, {std::string_view{"Subscription to \""}, false}}) {
        auto const at = text.find(words);
        if (at == text.npos) continue;
        auto const from = at + words.size();
        return backend_event::denied{text.substr(from, text.find('"', from) - from), publishing, text};
    }
    return std::nullopt;
}

template <typename Holder>
void drop_holder(void* closure) noexcept
{
    delete static_cast<Holder*>(closure);
}

}  // namespace

session::session(std::shared_ptr<outlet> out, std::uint64_t number, std::chrono::milliseconds answer)
    : outlet_(std::move(out)), number_(number), answer_(answer)
{
}

session::~session() = default;

std::variant<std::shared_ptr<session>, std::string> session::connect(connect_options options, std::shared_ptr<outlet> out,
                                                                     std::uint64_t number, std::chrono::milliseconds answer)
{
    std::shared_ptr<session> made(new session(std::move(out), number, answer));
    made->key_ = std::move(options.key);
    // libnats keeps the pointer until the connection is closed, which may be after the session's end.
    auto holder = std::make_unique<session_holder>(made);
    auto* const set = options.options.get();
    auto s = natsOptions_SetClosedCB(set, on_closed, holder.get());
    if (s == NATS_OK) s = natsOptions_SetErrorHandler(set, on_error, holder.get());
    natsConnection* connection = nullptr;
    if (s == NATS_OK) s = natsConnection_Connect(&connection, set);
    if (s == NATS_TIMEOUT) return "it greets, and then does not answer: is it frozen?";
    if (s != NATS_OK) return nats_sentence(s);
    (void)holder.release();  // on_closed has it now
    made->connection_.reset(connection);
    if (!made->listen()) {
        auto why = nats_sentence(NATS_ERR);
        made->close_connection();
        return why;
    }
    return made;
}

bool session::listen()
{
    inbox_ = new_inbox() + ".";
    auto holder = std::make_unique<session_holder>(weak_from_this());
    natsSubscription* made = nullptr;
    if (natsConnection_Subscribe(&made, connection_.get(), (inbox_ + "*").c_str(), on_reply, holder.get()) != NATS_OK) return false;
    replies_.reset(made);
    // Acknowledgements are small and wanted all: the windows of those who publish bound them.
    natsSubscription_SetPendingLimits(made, -1, -1);
    if (natsSubscription_SetOnCompleteCB(made, drop_holder<session_holder>, holder.get()) == NATS_OK) (void)holder.release();
    return true;
}

bool session::begin(backend_event::link_up up)
{
    std::lock_guard const lock(outlet_->mutex);
    if (ended_) return false;
    begun_ = true;
    up.connection = number_;
    outlet_->current = shared_from_this();
    outlet_->tell(std::move(up));
    return true;
}

std::string session::why_not_begun()
{
    std::lock_guard const lock(outlet_->mutex);
    return why_;
}

void session::end(std::string why)
{
    std::lock_guard const lock(outlet_->mutex);
    if (ended_) return;
    ended_ = true;
    why_ = why;
    for (auto const ticket : std::exchange(tickets_, {})) {
        backend_event::refused open{ticket, number_, true, false, 0, why};
        outlet_->tell(std::move(open));
    }
    ticket_ends_.clear();
    for (auto& [id, open] : std::exchange(requests_, {})) open.then(backend_event::problem{0, why, true, false});
    if (begun_) outlet_->tell(backend_event::link_down{number_, std::move(why)});
    if (outlet_->current.get() == this) outlet_->current.reset();
    outlet_->changed.notify_all();
}

void session::close_connection()
{
    natsConnection_Close(connection_.get());
}

// -- publishes

void session::publish(std::span<backend_command::publish const> all)
{
    // By the slice: acknowledgements of the first come while the last are still being sent, and want the same lock.
    constexpr std::size_t slice = 64;
    for (; !all.empty(); all = all.subspan(std::min(slice, all.size()))) publish_slice(all.first(std::min(slice, all.size())));
}

void session::publish_slice(std::span<backend_command::publish const> all)
{
    {
        std::lock_guard const lock(outlet_->mutex);
        auto const until = clock::now() + answer_;
        for (auto const& each : all) {
            if (ended_ || each.connection != number_) {
                outlet_->tell(backend_event::refused{each.ticket, each.connection, false, false, 0, "the link to NATS has changed"});
                continue;
            }
            tickets_.insert(each.ticket);
            ticket_ends_.emplace_back(until, each.ticket);
        }
        if (ended_) return;
    }
    auto const take_back = [&](std::uint64_t ticket, std::string why) {
        std::lock_guard const lock(outlet_->mutex);
        if (tickets_.erase(ticket) != 0) outlet_->tell(backend_event::refused{ticket, number_, false, false, 0, std::move(why)});
    };
    ended_messages sent;
    for (auto const& each : all) {
        if (each.connection != number_) continue;
        auto message = to_nats(each.what, (inbox_ + "p" + std::to_string(each.ticket)).c_str());
        if (!message) {
            take_back(each.ticket, "NATS has no form for this message");
            continue;
        }
        auto const s = natsConnection_PublishMsg(connection_.get(), message.get());
        if (s == NATS_OK) {
            sent.add(std::move(message));
            continue;
        }
        auto const why = nats_sentence(s);
        if (s == NATS_MAX_PAYLOAD || s == NATS_NO_SERVER_SUPPORT || s == NATS_INVALID_SUBJECT || s == NATS_INVALID_ARG) {
            take_back(each.ticket, why);
            continue;
        }
        // This one may have gone out in part; what is behind it did not.
        for (auto const& rest : all.subspan(static_cast<std::size_t>(&each - all.data()) + 1))
            if (rest.connection == number_) take_back(rest.ticket, why);
        end(s == NATS_TIMEOUT ? "the server takes nothing any more" : why);
        close_connection();
        return;
    }
}

void session::send(bus_message const& what)
{
    auto const message = to_nats(what, what.reply.empty() ? nullptr : what.reply.c_str());
    if (message) natsConnection_PublishMsg(connection_.get(), message.get());
}

void session::acknowledged(std::uint64_t ticket, natsMsg* message)
{
    constexpr int no_stream = 503;
    backend_event::any event;
    if (natsMsg_IsNoResponders(message)) {
        event = backend_event::refused{ticket, number_, true, true, no_stream, "no stream takes the subject"};
    } else {
        auto const said = std::string_view(natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message)));
        auto parsed = js_api::parse_acknowledgement(said);
        if (auto const* good = std::get_if<js_api::acknowledgement>(&parsed)) {
            event = backend_event::acked{ticket, number_, good->place, good->duplicate};
        } else {
            auto& no = std::get<backend_event::problem>(parsed);
            // Without a code it was not JetStream that answered: the message may be stored all the same.
            event = backend_event::refused{ticket, number_, true, no.code != 0, no.code, std::move(no.why)};
        }
    }
    std::lock_guard const lock(outlet_->mutex);
    if (tickets_.erase(ticket) != 0) outlet_->tell(std::move(event));
}

// -- requests

void session::ask(std::string const& subject, std::string const& payload, std::chrono::milliseconds wait, handler then)
{
    std::uint64_t id = 0;
    {
        std::lock_guard const lock(outlet_->mutex);
        if (ended_) {
            then(backend_event::problem{0, why_, true, false});
            return;
        }
        id = ++last_request_;
        requests_.emplace(id, request{subject, std::move(then), clock::now() + wait});
    }
    auto const s = natsConnection_PublishRequest(connection_.get(), subject.c_str(), (inbox_ + "r" + std::to_string(id)).c_str(),
                                                 payload.data(), static_cast<int>(payload.size()));
    if (s != NATS_OK) fail_request(id, {0, nats_sentence(s), true, false});
}

void session::fail_request(std::uint64_t id, backend_event::problem what)
{
    std::lock_guard const lock(outlet_->mutex);
    auto found = requests_.extract(id);
    if (!found.empty()) found.mapped().then(std::move(what));
}

void session::replied(std::uint64_t id, natsMsg* message)
{
    std::lock_guard const lock(outlet_->mutex);
    auto const found = requests_.find(id);
    if (found == requests_.end()) return;
    constexpr int no_responders = 503;
    auto const said = std::string_view(natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message)));
    bool const more = natsMsg_IsNoResponders(message)
                          ? found->second.then(backend_event::problem{no_responders, "nobody answers: is JetStream enabled there?", false, false})
                          : found->second.then(said);
    if (!more) requests_.erase(found);
}

session::clock::time_point session::expire(clock::time_point now)
{
    std::lock_guard const lock(outlet_->mutex);
    auto const denied = last_denied_.empty() ? std::string() : " (" + last_denied_ + ")";
    auto const late = " within " + std::to_string(answer_.count()) + " ms" + denied;
    while (!ticket_ends_.empty() && (ticket_ends_.front().first <= now || !tickets_.contains(ticket_ends_.front().second))) {
        auto const ticket = ticket_ends_.front().second;
        ticket_ends_.pop_front();
        if (tickets_.erase(ticket) != 0)
            outlet_->tell(backend_event::refused{ticket, number_, true, false, 0, "no acknowledgement" + late});
    }
    auto next = ticket_ends_.empty() ? clock::time_point::max() : ticket_ends_.front().first;
    for (auto each = requests_.begin(); each != requests_.end();) {
        if (each->second.until <= now) {
            auto gone = requests_.extract(each++);
            gone.mapped().then(backend_event::problem{0, "no answer" + late, true, false});
        } else {
            next = std::min(next, each->second.until);
            ++each;
        }
    }
    return next;
}

// -- plain messages

void session::retire(nats_subscription_handle what)
{
    natsSubscription_Unsubscribe(what.get());
    // The thread that hands messages out also takes this answer: then it is behind all of them.
    if (natsConnection_FlushTimeout(connection_.get(), answer_.count()) != NATS_OK) keep(std::move(what));
}

void session::keep(nats_subscription_handle what)
{
    if (!what) return;
    natsSubscription_Unsubscribe(what.get());
    std::lock_guard const lock(outlet_->mutex);
    ended_subscriptions_.push_back(std::move(what));
}

nats_subscription_handle session::subscribe(plain_id id, std::string const& pattern, std::uint64_t bytes_max)
{
    auto holder = std::make_unique<plain_holder>(plain_holder{weak_from_this(), outlet_, id});
    natsSubscription* made = nullptr;
    if (natsConnection_Subscribe(&made, connection_.get(), pattern.c_str(), on_plain, holder.get()) != NATS_OK) return nullptr;
    natsSubscription_SetPendingLimits(made, -1, static_cast<int>(std::min<std::uint64_t>(bytes_max, 1u << 30)));
    if (natsSubscription_SetOnCompleteCB(made, drop_holder<plain_holder>, holder.get()) == NATS_OK) (void)holder.release();
    return nats_subscription_handle(made);
}

// -- libnats's threads

void session::on_reply(natsConnection*, natsSubscription*, natsMsg* raw, void* closure) noexcept
{
    nats_message_handle message(raw);
    auto const self = static_cast<session_holder*>(closure)->lock();
    if (!self) return;
    self->heard(raw);
    self->answers_.add(std::move(message));
}

void session::heard(natsMsg* raw)
{
    std::string_view const subject(natsMsg_GetSubject(raw));
    if (subject.size() < inbox_.size() + 2) return;
    auto const which = subject.substr(inbox_.size());
    std::uint64_t number = 0;
    auto const parsed = std::from_chars(which.data() + 1, which.data() + which.size(), number);
    if (parsed.ec != std::errc{} || parsed.ptr != which.data() + which.size()) return;
    if (which.front() == 'p') acknowledged(number, raw);
    else if (which.front() == 'r') replied(number, raw);
}

void session::on_plain(natsConnection*, natsSubscription*, natsMsg* raw, void* closure) noexcept
{
    nats_message_handle const message(raw);
    auto const& holder = *static_cast<plain_holder*>(closure);
    backend_event::plain event{holder.id, from_nats(raw)};
    if (natsMsg_IsNoResponders(raw)) event.what.headers.emplace_back("Status", "503");  // it stands in the first line, which is no header
    auto const self = holder.of.lock();
    std::lock_guard const lock(holder.out->mutex);
    if (self && self->begun_ && !self->ended_) holder.out->tell(std::move(event));
}

void session::on_closed(natsConnection* connection, void* closure) noexcept
{
    if (auto const self = static_cast<session_holder*>(closure)->lock()) {
        char const* text = nullptr;
        auto const s = natsConnection_GetLastError(connection, &text);
        std::string why = s == NATS_STALE_CONNECTION ? "the server does not answer pings"
                          : text != nullptr && *text != '\0' ? text
                                                             : "the server closed the connection";
        self->end(std::move(why));
    }
    drop_holder<session_holder>(closure);
}

void session::on_error(natsConnection*, natsSubscription*, natsStatus status, void* closure) noexcept
{
    if (status != NATS_NOT_PERMITTED) return;
    if (auto const self = static_cast<session_holder*>(closure)->lock()) self->refused(nats_sentence(status));
}

/// `Permissions Violation for Publish to "SUBJECT"`: a request to that subject is never answered.
void session::refused(std::string const& text)
{
    std::lock_guard const lock(outlet_->mutex);
    last_denied_ = text;
    if (begun_ && !ended_)
        if (auto event = denied_in(text)) outlet_->tell(std::move(*event));
    for (auto each = requests_.begin(); each != requests_.end();) {
        auto const here = each++;
        if (text.find('"' + here->second.subject + '"') == text.npos) continue;
        auto gone = requests_.extract(here);
        gone.mapped().then(backend_event::problem{0, text, false, false});
    }
}

}  // namespace kedge::migration
