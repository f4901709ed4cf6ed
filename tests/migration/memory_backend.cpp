#include "tests/migration/memory_backend.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace kedge::migration {

using namespace backend_event;

namespace {

/// The token of a command that is answered by `answered`.
template <typename Command>
concept asks = requires(Command const& command) { command.request; };

std::optional<token> request_of(backend_command::any const& command)
{
    return std::visit(
        [](auto const& each) -> std::optional<token> {
            if constexpr (asks<std::decay_t<decltype(each)>>) return each.request;
            else return std::nullopt;
        },
        command);
}

problem away(std::string why)
{
    return {0, std::move(why), true, false};
}

}  // namespace

memory_backend::memory_backend(memory_bus& bus, memory_backend_options options) : bus_(bus), options_(options)
{
    bus_.backends_.push_back(this);
}

memory_backend::~memory_backend()
{
    close();
    std::erase(bus_.backends_, this);
}

void memory_backend::open(sink sink)
{
    sink_ = std::move(sink);
}

void memory_backend::close()
{
    if (!sink_) return;
    // What the sockets held may still arrive; what was asked is answered.
    cut("closed", {std::nullopt, std::nullopt, 0});
    while (!to_client_.empty()) deliver_one();
    readers_.clear();
    patterns_.clear();
    sink_ = nullptr;
}

void memory_backend::submit(std::vector<backend_command::any> commands)
{
    if (!sink_) return;
    for (auto& command : commands) take(std::move(command));
}

void memory_backend::take(backend_command::any command)
{
    auto const until = waiting{bus_.now_ms_ + options_.answer_ms};
    if (auto* const publish = std::get_if<backend_command::publish>(&command)) {
        auto const& what = publish->what;
        auto const refuse = [&](std::string why) {
            tell(refused{publish->ticket, publish->connection, false, false, 0, std::move(why)}, true);
        };
        if (!linked_ || publish->connection != connection_) return refuse("no link to NATS");
        if (what.bytes() - what.subject.size() - what.reply.size() > bus_.greeting.max_payload) return refuse("larger than the server's max_payload");
        tickets_[publish->ticket] = until;
        to_server_.push_back(std::move(command));
    } else if (auto const* read = std::get_if<backend_command::read>(&command)) {
        reader made;
        made.stream = read->stream;
        made.next = std::max<jet_place>(read->from, 1);
        made.handed = made.next - 1;
        made.window = read->window;
        made.window_bytes = read->window_bytes;
        readers_[read->reader] = std::move(made);
    } else if (auto const* stop = std::get_if<backend_command::stop_reading>(&command)) {
        readers_.erase(stop->reader);
    } else if (auto const* consumed = std::get_if<backend_command::consumed>(&command)) {
        if (auto const which = readers_.find(consumed->reader); which != readers_.end()) {
            which->second.out -= std::min(which->second.out, consumed->messages);
            which->second.out_bytes -= std::min(which->second.out_bytes, consumed->bytes);
        }
    } else if (auto const* subscribe = std::get_if<backend_command::subscribe>(&command)) {
        patterns_[subscribe->id] = subscribe->pattern;
    } else if (auto const* unsubscribe = std::get_if<backend_command::unsubscribe>(&command)) {
        patterns_.erase(unsubscribe->id);
    } else if (auto const request = request_of(command)) {
        requests_[*request] = linked_ ? until : waiting{};
        if (!linked_) return tell(answered{*request, away("no link to NATS")}, true);
        to_server_.push_back(std::move(command));
    } else if (linked_) {
        to_server_.push_back(std::move(command));  // a `send`; without a link it is dropped
    }
}

// -- steps

bool memory_backend::can_connect() const
{
    return sink_ && !linked_ && reachable_ && bus_.running_ && !bus_.frozen_;
}

void memory_backend::connect()
{
    linked_ = true;
    silent_since_ms_ = 0;
    auto up = bus_.greeting;
    up.connection = ++connection_;
    // Local: were it lost, its `link_down` would come without it.
    tell(std::move(up), true);
}

bool memory_backend::can_serve() const
{
    return linked_ && bus_.running_ && !bus_.frozen_;
}

void memory_backend::serve_command()
{
    auto const command = std::move(to_server_.front());
    to_server_.pop_front();
    if (auto const* publish = std::get_if<backend_command::publish>(&command)) {
        if (bus_.detached_) return tell(refused{publish->ticket, publish->connection, true, true, 503, "no responders"}, false);
        auto const done = bus_.publish_from(publish->what, this);
        if (done.code != 0) tell(refused{publish->ticket, publish->connection, true, true, done.code, done.why}, false);
        else if (done.place != 0 && bus_.lose_acks_ > 0) --bus_.lose_acks_;
        else if (done.place != 0 && bus_.acks_held_) held_acks_.push_back({acked{publish->ticket, publish->connection, done.place, done.duplicate}});
        else if (done.place != 0) tell(acked{publish->ticket, publish->connection, done.place, done.duplicate}, false);
    } else if (auto const* send = std::get_if<backend_command::send>(&command)) {
        bus_.publish_from(send->what, this);
    } else if (auto const request = request_of(command)) {
        if (bus_.detached_) return tell(answered{*request, problem{503, "nobody answers", false, false}}, false);
        auto out = bus_.answer(command);
        out.request = *request;
        tell(std::move(out), false);
    }
}

std::optional<reader_id> memory_backend::ready_reader() const
{
    std::vector<reader_id> ready;
    for (auto const& [id, each] : readers_) {
        if (each.silent) {
            ready.push_back(id);
            continue;
        }
        if (bus_.detached_ || (!each.begun && !bus_.readers_allowed_)) continue;
        auto const* const stream = bus_.find(each.stream);
        bool const over = stream == nullptr || !each.begun || stream->created_ns != each.created_ns;
        bool const room = each.out == 0 || (each.out < each.window && each.out_bytes < each.window_bytes);
        if (over || (room && stream->messages.lower_bound(each.next) != stream->messages.end())) ready.push_back(id);
    }
    if (ready.empty()) return std::nullopt;
    return ready[bus_.pick(ready.size())];
}

void memory_backend::serve_reader(reader_id id)
{
    auto& reader = readers_.at(id);
    auto const* const stream = bus_.find(reader.stream);
    auto const end = [&](std::string why, bool gone) {
        readers_.erase(id);
        tell(reader_ended{id, std::move(why), gone}, true);
    };
    if (stream == nullptr) return end("stream not found", true);
    if (reader.silent) return end("the server had stopped sending", false);
    if (reader.created_ns != 0 && reader.created_ns != stream->created_ns) return end("the stream was deleted and made anew", true);
    if (!reader.begun) {
        reader.created_ns = stream->created_ns;
        reader.begun = true;
        if (stream->last + 1 < reader.next)
            return end("the stream ends at " + std::to_string(stream->last) + ", before " + std::to_string(reader.next), false);
    }
    messages out{id, {}, 0};
    auto const most = 1 + bus_.pick(options_.batch_max);
    auto each = stream->messages.lower_bound(reader.next);
    for (; each != stream->messages.end() && out.batch.size() < most; ++each) {
        if (reader.out != 0 && (reader.out >= reader.window || reader.out_bytes >= reader.window_bytes)) break;
        ++reader.out;
        reader.out_bytes += each->second.bytes();
        reader.next = each->first + 1;
        out.batch.push_back(each->second);
    }
    out.behind = static_cast<std::uint64_t>(std::distance(each, stream->messages.end())) + bus_.overstated_;
    if (!out.batch.empty()) tell(std::move(out), false);
}

void memory_backend::deliver_one()
{
    auto what = std::move(to_client_.front().event);
    to_client_.pop_front();
    if (auto const* done = std::get_if<acked>(&what)) {
        if (tickets_.erase(done->ticket) == 0) return;  // given up meanwhile
    } else if (auto const* no = std::get_if<refused>(&what)) {
        if (tickets_.erase(no->ticket) == 0 && no->sent) return;
    } else if (auto const* reply = std::get_if<answered>(&what)) {
        if (requests_.erase(reply->request) == 0) return;
    } else if (auto const* batch = std::get_if<messages>(&what)) {
        if (auto const reader = readers_.find(batch->reader); reader != readers_.end()) reader->second.handed = batch->batch.back().place;
    }
    sink_(std::move(what));
}

bool memory_backend::run_one()
{
    if (!sink_) return false;
    enum class step { connect, command, reader, event };
    std::vector<step> possible;
    std::optional<reader_id> ready;
    if (can_connect()) possible.push_back(step::connect);
    if (can_serve()) {
        if (!to_server_.empty()) possible.push_back(step::command);
        ready = ready_reader();
        if (ready) possible.push_back(step::reader);
    }
    if (!to_client_.empty()) possible.push_back(step::event);
    if (possible.empty()) return false;
    switch (possible[bus_.pick(possible.size())]) {
    case step::connect: connect(); break;
    case step::command: serve_command(); break;
    case step::reader: serve_reader(*ready); break;
    case step::event: deliver_one(); break;
    }
    return true;
}

std::size_t memory_backend::run(std::size_t steps)
{
    std::size_t done = 0;
    while (done < steps && run_one()) ++done;
    return done;
}

std::size_t memory_backend::deliver(std::size_t events)
{
    std::size_t done = 0;
    for (; done < events && sink_ && !to_client_.empty(); ++done) deliver_one();
    return done;
}

// -- mishaps

void memory_backend::cut(std::string why, cut_options options)
{
    if (!linked_) return;
    // Towards us: a part arrives. What does not leaves its ticket open, or its reader where the sink last saw it.
    auto told = options.told ? *options.told : bus_.pick(to_client_.size() + 1);
    std::deque<under_way> kept;
    std::set<std::uint64_t> tickets_told;
    std::set<token> requests_told;
    for (auto& each : to_client_) {
        if (!each.local && told == 0) {
            if (auto const* batch = std::get_if<messages>(&each.event)) {
                auto const which = readers_.find(batch->reader);
                if (which == readers_.end()) continue;
                which->second.next = std::min(which->second.next, batch->batch.front().place);
                which->second.out -= std::min(which->second.out, batch->batch.size());
                for (auto const& message : batch->batch) which->second.out_bytes -= std::min(which->second.out_bytes, message.bytes());
            }
            continue;
        }
        if (!each.local) --told;
        if (auto const* done = std::get_if<acked>(&each.event)) tickets_told.insert(done->ticket);
        if (auto const* no = std::get_if<refused>(&each.event)) tickets_told.insert(no->ticket);
        if (auto const* reply = std::get_if<answered>(&each.event)) requests_told.insert(reply->request);
        kept.push_back(std::move(each));
    }
    to_client_ = std::move(kept);

    // Towards the server: a part is carried out, unanswered; of the rest a part arrives later.
    bool const works = bus_.running_ && !bus_.frozen_;
    auto const landed = !works ? 0 : std::min(to_server_.size(), options.landed ? *options.landed : bus_.pick(to_server_.size() + 1));
    auto const landing = std::exchange(to_server_, {});
    for (std::size_t i = 0; i < landed; ++i) bus_.carry_out(landing[i], this);
    auto const rest = landing.size() - landed;
    auto const late = std::min(rest, options.late ? *options.late : bus_.pick(rest + 1));
    for (std::size_t i = 0; i < late; ++i) bus_.late_.push_back(landing[landed + i]);

    linked_ = false;
    held_acks_.clear();
    silent_since_ms_ = 0;
    for (auto& [id, reader] : readers_) reader.begun = reader.silent = false;
    for (auto const& [ticket, _] : tickets_)
        if (!tickets_told.contains(ticket)) tell(refused{ticket, connection_, true, false, 0, why}, true);
    for (auto const& [request, _] : requests_)
        if (!requests_told.contains(request)) tell(answered{request, away(why)}, true);
    tell(link_down{connection_, std::move(why)}, true);
}

void memory_backend::frozen(bool on)
{
    silent_since_ms_ = on && linked_ ? bus_.now_ms_ : 0;
}

/// What was under way is gone, in both directions, and nobody says so.
void memory_backend::detached()
{
    if (!linked_) return;
    held_acks_.clear();
    auto const landed = bus_.pick(to_server_.size() + 1);
    auto const landing = std::exchange(to_server_, {});
    for (std::size_t i = 0; i < landed; ++i) bus_.carry_out(landing[i], this);
    auto told = bus_.pick(to_client_.size() + 1);
    std::erase_if(to_client_, [&](under_way const& each) { return !each.local && (told == 0 || (--told, false)); });
    for (auto& [id, reader] : readers_) reader.silent = reader.begun;
}

void memory_backend::release_acks()
{
    for (auto& each : std::exchange(held_acks_, {})) to_client_.push_back(std::move(each));
}

void memory_backend::time_passed()
{
    if (linked_ && silent_since_ms_ != 0 && bus_.now_ms_ - silent_since_ms_ >= memory_bus::silence_ms) cut("the server does not answer pings");
    auto const expired = [&](auto& open, auto&& told) {
        for (auto& [key, wait] : open)
            if (wait.until_ms != 0 && wait.until_ms <= bus_.now_ms_) {
                wait.until_ms = 0;  // told once
                told(key);
            }
    };
    expired(tickets_, [&](std::uint64_t ticket) { tell(refused{ticket, connection_, true, false, 0, "no acknowledgement in time"}, true); });
    expired(requests_, [&](token request) { tell(answered{request, away("no answer in time")}, true); });
}

void memory_backend::arrived(bus_message const& what)
{
    if (!linked_) return;
    for (auto const& [id, pattern] : patterns_)
        if (subject_fits(pattern, what.subject)) tell(plain{id, what}, false);
}

}  // namespace kedge::migration
