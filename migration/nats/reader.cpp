#include "migration/nats/reader.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "migration/nats/js_api.hpp"
#include "migration/nats/wire_message.hpp"
#include "router/thread_name.hpp"

namespace kedge::migration {

using namespace std::chrono_literals;

namespace {

/// Before the same is tried again on the same link.
constexpr auto patience = 500ms;

// nats-server 2.9 gives a stream that was updated another time of creation at its next start. A message that is older than the
// stream then was in it before.
bool was_updated(nlohmann::json const& said, jet_info const& info, jet_place next)
{
    if (info.last == 0) return next == 1;
    auto const state = said.find("state");
    if (state == said.end() || !state->is_object()) return false;
    auto const first = state->find("first_ts");
    return first != state->end() && first->is_string() && js_api::parse_time(first->get<std::string>()) < info.created_ns;
}

}  // namespace

reader::reader(backend_command::read what, std::shared_ptr<outlet> out, std::string api_prefix, std::function<void()> asked)
    : what_(std::move(what)), outlet_(std::move(out)), api_(std::move(api_prefix)), asked_(std::move(asked)), next_(std::max<jet_place>(what_.from, 1))
{
    thread_ = std::thread([this] {
        name_thread("nats-read");
        run();
    });
}

reader::~reader()
{
    stop();
    thread_.join();
}

void reader::offer(std::shared_ptr<session> link)
{
    std::lock_guard const lock(mutex_);
    offered_ = std::move(link);
    changed_.notify_all();
}

void reader::consumed(std::size_t messages, std::size_t bytes)
{
    std::lock_guard const lock(mutex_);
    out_.messages -= std::min(out_.messages, messages);
    out_.bytes -= std::min(out_.bytes, bytes);
    changed_.notify_all();
}

void reader::stop()
{
    std::lock_guard const lock(mutex_);
    stopped_ = true;
    // Wakes the thread out of libnats.
    if (subscription_ != nullptr) natsSubscription_Unsubscribe(subscription_);
    changed_.notify_all();
}

bool reader::finished() const
{
    std::lock_guard const lock(mutex_);
    return finished_;
}

/// False: stopped.
bool reader::pause(std::chrono::milliseconds time)
{
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, time, [&] { return stopped_; });
}

void reader::run()
{
    std::shared_ptr<session> used;
    for (auto step = next_step::wait; step != next_step::over;) {
        std::shared_ptr<session> link;
        {
            std::unique_lock lock(mutex_);
            // After `wait` the next link is another.
            changed_.wait(lock, [&] { return stopped_ || (offered_ && (step == next_step::again || offered_ != used)); });
            if (stopped_) break;
            link = offered_;
        }
        if (link != used) silent_ = false, begun_on_ = nullptr;  // what a new link means is for who reads to know
        used = link;
        step = read_on(link);
    }
    std::lock_guard const lock(mutex_);
    finished_ = true;
    offered_.reset();
}

reader::next_step reader::read_on(std::shared_ptr<session> const& link)
{
    auto const inbox = new_inbox();
    natsSubscription* made = nullptr;
    if (natsConnection_SubscribeSync(&made, link->connection(), inbox.c_str()) != NATS_OK) return next_step::wait;
    auto const retire = [&](natsSubscription* ended) { link->retire(nats_subscription_handle(ended)); };
    std::unique_ptr<natsSubscription, decltype(retire)> const subscription(made, retire);
    // What flow control lets the server send ahead is 32 MiB; the rest is for what this does not count.
    constexpr int bytes_max = 64 * 1024 * 1024;
    natsSubscription_SetPendingLimits(made, -1, bytes_max);
    {
        std::lock_guard const lock(mutex_);
        if (stopped_) return next_step::over;
        subscription_ = made;
    }
    auto step = next_step::over;
    auto begun = begin(*link, inbox);
    if (auto const* consumer = std::get_if<std::string>(&begun)) {
        // The stream's server may have been another one meanwhile: who reads has to look whether the stream is still what it was.
        if (std::exchange(silent_, false)) {
            step = over(*link, "the server had stopped sending messages of stream " + what_.stream, false);
        } else {
            begun_on_ = link.get();
            step = pull(*link, made, inbox);
        }
        // It would go by itself; meanwhile the server would push what nobody reads.
        if (step != next_step::wait)
            link->ask(api_ + "CONSUMER.DELETE." + what_.stream + "." + *consumer, {}, [](session::reply const&) { return false; });
    } else {
        step = std::get<next_step>(begun);
    }
    {
        std::lock_guard const lock(mutex_);
        subscription_ = nullptr;
        if (stopped_) return next_step::over;
    }
    // The subscription has ended, and not with the link.
    if (step == next_step::wait && !natsConnection_IsClosed(link->connection()) && outlet_->standing() == link) return pause(patience) ? next_step::again : next_step::over;
    return step;
}

std::variant<std::string, backend_event::problem> reader::ask(session& link, std::string const& subject, std::string const& payload)
{
    std::optional<std::variant<std::string, backend_event::problem>> answer;
    link.ask(subject, payload, [&](session::reply reply) {
        std::lock_guard const lock(mutex_);
        if (auto const* text = std::get_if<std::string_view>(&reply)) answer = std::string(*text);
        else answer = std::get<backend_event::problem>(std::move(reply));
        changed_.notify_all();
        return false;
    });
    asked_();
    // Not cut short by `stop`: the handler uses what is here, and is called within the time of an answer.
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return answer.has_value(); });
    return std::move(*answer);
}

/// The consumer's name; or what to do instead.
std::variant<std::string, reader::next_step> reader::begin(session& link, std::string const& inbox)
{
    using nlohmann::json;
    auto const request = [&](std::string const& subject, std::string const& payload) -> js_api::answer_json {
        auto said = ask(link, api_ + subject, payload);
        if (auto* wrong = std::get_if<backend_event::problem>(&said)) return std::move(*wrong);
        return js_api::parse_answer(std::get<std::string>(said));
    };
    auto const made = request("CONSUMER.CREATE." + what_.stream, js_api::reader_json(what_.stream, inbox, next_).dump());
    if (auto const* wrong = std::get_if<backend_event::problem>(&made)) return problem(link, *wrong);
    auto const said = request("STREAM.INFO." + what_.stream, {});
    if (auto const* wrong = std::get_if<backend_event::problem>(&said)) return problem(link, *wrong);
    auto const info = js_api::parse_info(std::get<json>(said));
    auto const& consumer = std::get<json>(made);
    if (!info || !consumer.contains("name") || !consumer.at("name").is_string())
        return over(link, "the server's answer about stream " + what_.stream + " cannot be understood", false);
    if (created_ns_ != 0 && created_ns_ != info->created_ns && !was_updated(std::get<json>(said), *info, next_))
        return over(link, "the stream was deleted and made anew", true);
    // The consumer was made before the stream was asked for: if it is older than the stream it is of the one before.
    if (consumer.contains("created") && consumer.at("created").is_string() &&
        js_api::parse_time(consumer.at("created").get<std::string>()) < info->created_ns)
        return next_step::again;
    created_ns_ = info->created_ns;
    if (info->last + 1 < next_)
        return over(link, "the stream ends at " + std::to_string(info->last) + ", before " + std::to_string(next_), false);
    return consumer.at("name").get<std::string>();
}

reader::next_step reader::problem(session& link, backend_event::problem const& what)
{
    if (what.missing) return over(link, what.why, true);
    constexpr int nobody = 503, temporarily_unavailable = 10008, no_quorum = 10009, jetstream_off = 10076, insufficient = 10023;
    bool const passing = what.away || what.code == nobody || what.code == temporarily_unavailable || what.code == no_quorum ||
                         what.code == jetstream_off || what.code == insufficient;
    if (!passing || begun_on_ == &link) return over(link, what.why, false);
    return pause(patience) ? next_step::again : next_step::over;
}

reader::next_step reader::over(session& link, std::string why, bool gone)
{
    {
        std::lock_guard const lock(mutex_);
        if (stopped_) return next_step::over;
    }
    std::lock_guard const lock(outlet_->mutex);
    // If the link went meanwhile the next one decides.
    if (outlet_->current.get() != &link) return next_step::wait;
    outlet_->tell(backend_event::reader_ended{what_.reader, std::move(why), gone});
    return next_step::over;
}

/// False: the link has ended, and with it what was not handed.
bool reader::hand(session& link, backend_event::messages& batch, std::size_t bytes)
{
    if (batch.batch.empty()) return true;
    auto const count = batch.batch.size();
    auto const last = batch.batch.back().place;
    {
        std::lock_guard const lock(mutex_);
        if (stopped_) return false;
        out_.messages += count;
        out_.bytes += bytes;
    }
    {
        std::lock_guard const lock(outlet_->mutex);
        if (outlet_->current.get() == &link) {
            outlet_->tell(std::exchange(batch, {what_.reader, {}, 0}));
            next_ = last + 1;
            return true;
        }
    }
    std::lock_guard const lock(mutex_);
    out_.messages -= count;
    out_.bytes -= bytes;
    return false;
}

/// What may be read before the window is full; waits until that is something. False: stopped, or the link has ended.
bool reader::wait_for_room(session& link, window& room)
{
    std::unique_lock lock(mutex_);
    for (;;) {
        if (stopped_) return false;
        if (out_.messages < what_.window && out_.bytes < what_.window_bytes) break;
        if (out_.messages == 0) break;
        changed_.wait_for(lock, 1s);
        lock.unlock();
        bool const stands = outlet_->standing().get() == &link;
        lock.lock();
        if (!stands) return false;
    }
    room.messages = std::max<std::size_t>(1, what_.window - std::min(what_.window, out_.messages));
    room.bytes = std::max<std::size_t>(1, what_.window_bytes - std::min(what_.window_bytes, out_.bytes));
    return true;
}

reader::next_step reader::pull(session& link, natsSubscription* subscription, std::string const& inbox)
{
    constexpr std::size_t batch_messages = 512, batch_bytes = 256 * 1024;
    constexpr int heartbeat_ms = 500, heartbeats_missed_max = 3;
    backend_event::messages batch{what_.reader, {}, 0};
    ended_messages taken;
    std::size_t bytes = 0;
    std::uint64_t last = 0;  // consumer sequence
    int missed = 0;
    window room;
    if (!wait_for_room(link, room)) return next_step::wait;
    auto const hand_over = [&] {
        bool const told = hand(link, batch, bytes);
        bytes = 0;
        return told && wait_for_room(link, room);
    };
    for (;;) {
        if (batch.batch.size() >= std::min(room.messages, batch_messages) || bytes >= std::min(room.bytes, batch_bytes)) {
            if (!hand_over()) return next_step::wait;
        }
        natsMsg* raw = nullptr;
        auto const s = natsSubscription_NextMsg(&raw, subscription, batch.batch.empty() ? heartbeat_ms : 0);
        nats_message_handle message(raw);
        if (s == NATS_TIMEOUT) {
            if (!batch.batch.empty()) {
                if (!hand_over()) return next_step::wait;
            } else if (++missed > heartbeats_missed_max) {
                silent_ = true;
                return next_step::again;
            }
            continue;
        }
        missed = 0;
        if (s == NATS_SLOW_CONSUMER) continue;  // the next message's number says what was dropped
        if (s != NATS_OK) return next_step::wait;
        if (inbox == natsMsg_GetSubject(raw)) {
            // A status of the server. What came before it must have been handed over first: the answer to flow control asks for more.
            if (!hand_over()) return next_step::wait;
            char const* stalled = nullptr;
            auto const* reply = natsMsg_GetReply(raw);
            if (reply == nullptr && natsMsgHeader_Get(raw, "Nats-Consumer-Stalled", &stalled) == NATS_OK) reply = stalled;
            if (reply != nullptr) {
                natsConnection_Publish(link.connection(), reply, nullptr, 0);
                continue;
            }
            char const* sent = nullptr;
            std::uint64_t number = 0;
            if (natsMsgHeader_Get(raw, "Nats-Last-Consumer", &sent) == NATS_OK && sent != nullptr &&
                std::from_chars(sent, sent + std::strlen(sent), number).ec == std::errc{} && number > last)
                return next_step::again;
            continue;
        }
        auto const* const reply = natsMsg_GetReply(raw);
        auto const told = js_api::parse_delivery(reply == nullptr ? "" : reply);
        if (!told) continue;  // somebody wrote to the inbox
        if (told->consumer_seq <= last) continue;
        if (told->consumer_seq != last + 1 || told->place < next_) {
            if (!hand_over()) return next_step::wait;
            return next_step::again;
        }
        last = told->consumer_seq;
        auto& made = batch.batch.emplace_back(from_nats(raw));
        made.reply.clear();  // JetStream's own
        made.place = told->place;
        made.time_ns = told->time_ns;
        batch.behind = told->behind;
        bytes += made.bytes();
        taken.add(std::move(message));
    }
}

}  // namespace kedge::migration
