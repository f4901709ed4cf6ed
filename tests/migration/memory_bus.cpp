#include "tests/migration/memory_bus.hpp"

#include <algorithm>
#include <utility>

#include "tests/migration/memory_backend.hpp"

namespace kedge::migration {

using namespace backend_event;

std::string const* find_header(bus_headers const& headers, std::string_view name)
{
    for (auto const& [key, value] : headers)
        if (key == name) return &value;
    return nullptr;
}

bool subject_fits(std::string_view pattern, std::string_view subject)
{
    for (;;) {
        auto const wanted = pattern.substr(0, pattern.find('.'));
        auto const token = subject.substr(0, subject.find('.'));
        if (wanted == ">") return !token.empty();
        if (wanted != "*" && wanted != token) return false;
        bool const pattern_ends = wanted.size() == pattern.size();
        bool const subject_ends = token.size() == subject.size();
        if (pattern_ends || subject_ends) return pattern_ends && subject_ends;
        pattern.remove_prefix(wanted.size() + 1);
        subject.remove_prefix(token.size() + 1);
    }
}

namespace {

/// Whether some subject fits both.
bool patterns_meet(std::string_view a, std::string_view b)
{
    for (;;) {
        auto const one = a.substr(0, a.find('.'));
        auto const two = b.substr(0, b.find('.'));
        if (one == ">" || two == ">") return true;
        if (one != "*" && two != "*" && one != two) return false;
        bool const a_ends = one.size() == a.size();
        bool const b_ends = two.size() == b.size();
        if (a_ends || b_ends) return a_ends && b_ends;
        a.remove_prefix(one.size() + 1);
        b.remove_prefix(two.size() + 1);
    }
}

/// What is left of a header on the wire.
std::string as_sent(std::string value)
{
    std::replace_if(value.begin(), value.end(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
    auto const first = value.find_first_not_of(' ');
    if (first == value.npos) return {};
    return value.substr(first, value.find_last_not_of(' ') - first + 1);
}

problem no_stream()
{
    return {10059, "stream not found", false, true};
}

bool same(jet_config const& a, jet_config const& b)
{
    return a.name == b.name && a.description == b.description && a.subjects == b.subjects && a.max_age_ms == b.max_age_ms &&
           a.max_bytes == b.max_bytes && a.max_msgs == b.max_msgs && a.max_msgs_per_subject == b.max_msgs_per_subject &&
           a.max_msg_bytes == b.max_msg_bytes && a.duplicates_ms == b.duplicates_ms && a.replicas == b.replicas;
}

}  // namespace

jet_info memory_stream::info() const
{
    jet_info out;
    out.config = config;
    out.first = last == 0 ? 0 : first;
    out.last = last;
    out.messages = messages.size();
    out.bytes = bytes;
    out.created_ns = created_ns;
    return out;
}

memory_bus::memory_bus(std::uint64_t seed) : random_(seed)
{
    greeting.url = "nats://127.0.0.1:4222";
    greeting.server_id = "MEMORY";
    greeting.server_name = "memory";
    greeting.version = "2.9.10";
    greeting.max_payload = 1024 * 1024;
    greeting.jetstream = true;
    greeting.headers = true;
    account.jetstream = true;
}

memory_bus::~memory_bus() = default;

void memory_bus::advance(std::uint64_t ms)
{
    now_ms_ += ms;
    if (running_ && !frozen_)
        for (auto& [name, stream] : streams_) trim(stream);
    for (auto* backend : backends_) backend->time_passed();
}

// -- messages

memory_bus::outcome memory_bus::publish(bus_message what)
{
    return publish_from(std::move(what), nullptr);
}

void memory_bus::watch(std::string pattern)
{
    watched_.push_back(std::move(pattern));
}

bool memory_bus::heard(std::string_view subject, memory_backend const* from) const
{
    auto const fits = [&](auto const& pattern) { return subject_fits(pattern, subject); };
    if (std::any_of(watched_.begin(), watched_.end(), fits)) return true;
    return std::any_of(backends_.begin(), backends_.end(), [&](auto const* each) {
        return each != from && each->linked_ &&
               std::any_of(each->patterns_.begin(), each->patterns_.end(), [&](auto const& entry) { return fits(entry.second); });
    });
}

memory_bus::outcome memory_bus::publish_from(bus_message what, memory_backend const* from)
{
    outcome out;
    if (!running_ || frozen_) {
        out.why = "the server does not answer";
        return out;
    }
    for (auto& [name, value] : what.headers) value = as_sent(std::move(value));
    what.place = 0;
    what.time_ns = 0;
    for (auto const& pattern : watched_)
        if (subject_fits(pattern, what.subject)) seen.push_back(what);
    for (auto* backend : backends_)
        if (backend != from) backend->arrived(what);
    for (auto& [name, stream] : streams_) {
        auto const& subjects = stream.config.subjects;
        if (!std::any_of(subjects.begin(), subjects.end(), [&](auto const& each) { return subject_fits(each, what.subject); })) continue;
        return store(stream, what);
    }
    // Somebody hears it, but nobody answers.
    if (heard(what.subject, from)) return out;
    out.code = 503;
    out.why = "no stream takes the subject";
    return out;
}

memory_bus::outcome memory_bus::store(memory_stream& stream, bus_message& what)
{
    outcome out;
    if (auto const refusal = refusals_.find(stream.config.name); refusal != refusals_.end()) {
        out.code = refusal->second.code;
        out.why = refusal->second.why;
        if (--refusal->second.times == 0) refusals_.erase(refusal);
        return out;
    }
    expire_ids(stream);
    // No two messages at once, as on a real clock.
    auto const now_ns = last_time_ns_ = std::max(last_time_ns_ + 1, now_ms_ * 1'000'000);
    auto const* id = find_header(what.headers, "Nats-Msg-Id");
    if (id != nullptr && !id->empty()) {
        if (auto const known = stream.ids.find(*id); known != stream.ids.end()) {
            out.place = known->second.place;
            out.duplicate = true;
            return out;
        }
    }
    if (stream.config.max_msg_bytes != 0 && what.bytes() - what.subject.size() - what.reply.size() > stream.config.max_msg_bytes) {
        out.code = 10054;
        out.why = "message size exceeds maximum allowed";
        return out;
    }
    out.place = ++stream.last;
    what.place = out.place;
    what.time_ns = now_ns;
    what.reply.clear();
    if (id != nullptr && !id->empty()) {
        stream.ids[*id] = {out.place, now_ns};
        stream.id_order.emplace_back(now_ns, *id);
    }
    stream.bytes += what.bytes();
    stream.messages.emplace(out.place, std::move(what));
    trim(stream);
    return out;
}

void memory_bus::erase(memory_stream& stream, std::map<jet_place, bus_message>::iterator which)
{
    stream.bytes -= which->second.bytes();
    stream.messages.erase(which);
    stream.first = stream.messages.empty() ? stream.last + 1 : stream.messages.begin()->first;
}

void memory_bus::trim(memory_stream& stream)
{
    auto const& config = stream.config;
    auto& messages = stream.messages;
    if (config.max_msgs_per_subject != 0 && !messages.empty()) {
        auto const& newest = messages.rbegin()->second.subject;
        std::uint64_t count = 0;
        for (auto each = messages.end(); each != messages.begin();) {
            --each;
            if (each->second.subject != newest || ++count <= config.max_msgs_per_subject) continue;
            erase(stream, each);
            break;
        }
    }
    while (!messages.empty()) {
        auto const oldest = messages.begin();
        bool const old = config.max_age_ms != 0 && oldest->second.time_ns / 1'000'000 + config.max_age_ms <= now_ms_;
        bool const many = config.max_msgs != 0 && messages.size() > config.max_msgs;
        bool const large = config.max_bytes != 0 && stream.bytes > config.max_bytes;
        if (!old && !many && !large) break;
        erase(stream, oldest);
    }
    if (messages.empty()) stream.first = stream.last + 1;
}

void memory_bus::expire_ids(memory_stream& stream)
{
    auto const window_ns = stream.config.duplicates_ms * 1'000'000;
    while (!stream.id_order.empty() && stream.id_order.front().first + window_ns <= now_ms_ * 1'000'000) {
        auto const& [time_ns, id] = stream.id_order.front();
        if (auto const known = stream.ids.find(id); known != stream.ids.end() && known->second.time_ns == time_ns) stream.ids.erase(known);
        stream.id_order.pop_front();
    }
}

void memory_bus::remember_ids(memory_stream& stream)
{
    stream.ids.clear();
    stream.id_order.clear();
    for (auto const& [place, what] : stream.messages)
        if (auto const* id = find_header(what.headers, "Nats-Msg-Id"); id != nullptr && !id->empty()) {
            stream.ids[*id] = {place, what.time_ns};
            stream.id_order.emplace_back(what.time_ns, *id);
        }
    expire_ids(stream);
}

bool memory_bus::delete_message(std::string const& name, jet_place place)
{
    auto* const stream = find(name);
    if (stream == nullptr) return false;
    auto const which = stream->messages.find(place);
    if (which == stream->messages.end()) return false;
    erase(*stream, which);
    return true;
}

// -- streams

memory_stream* memory_bus::find(std::string const& name)
{
    auto const found = streams_.find(name);
    return found == streams_.end() ? nullptr : &found->second;
}

std::optional<problem> memory_bus::create(jet_config config)
{
    if (auto const* there = find(config.name)) {
        if (same(there->config, config)) return std::nullopt;
        return problem{10058, "stream name already in use with a different configuration", false, false};
    }
    for (auto const& [name, other] : streams_)
        for (auto const& theirs : other.config.subjects)
            for (auto const& ours : config.subjects)
                if (patterns_meet(theirs, ours)) return problem{10065, "subjects overlap with an existing stream", false, false};
    memory_stream made;
    // Two streams never have the same number, however fast the test is.
    made.created_ns = last_created_ns_ = std::max(last_created_ns_ + 1, now_ms_ * 1'000'000);
    made.config = std::move(config);
    auto name = made.config.name;
    streams_.emplace(std::move(name), std::move(made));
    return std::nullopt;
}

std::optional<problem> memory_bus::update(jet_config config)
{
    auto* const there = find(config.name);
    if (there == nullptr) return no_stream();
    there->config = std::move(config);
    trim(*there);
    return std::nullopt;
}

std::optional<problem> memory_bus::remove(std::string const& name)
{
    if (streams_.erase(name) == 0) return no_stream();
    return std::nullopt;
}

answered memory_bus::answer(backend_command::any const& command)
{
    answered out;
    auto const info_or = [&](std::optional<problem> wrong, std::string const& stream) {
        if (wrong) out.what = std::move(*wrong);
        else if (auto const* there = find(stream)) out.what = there->info();
        else out.what = no_stream();
    };
    struct visitor {
        memory_bus& bus;
        answered& out;
        decltype(info_or) const& give;

        void operator()(backend_command::stream_info const& ask) { give(std::nullopt, ask.stream); }
        void operator()(backend_command::create_stream const& ask) { give(bus.create(ask.config), ask.config.name); }
        void operator()(backend_command::update_stream const& ask) { give(bus.update(ask.config), ask.config.name); }
        void operator()(backend_command::delete_stream const& ask)
        {
            if (auto wrong = bus.remove(ask.stream)) out.what = std::move(*wrong);
            else out.what = std::monostate{};
        }
        void operator()(backend_command::list_streams const&)
        {
            std::vector<jet_info> all;
            for (auto const& [name, stream] : bus.streams_) all.push_back(stream.info());
            out.what = std::move(all);
        }
        void operator()(backend_command::get_message const& ask)
        {
            auto const* const stream = bus.find(ask.stream);
            if (stream == nullptr) {
                out.what = no_stream();
                return;
            }
            auto const which = ask.or_next ? stream->messages.lower_bound(ask.place) : stream->messages.find(ask.place);
            if (which == stream->messages.end()) out.what = problem{10037, "no message found", false, true};
            else out.what = which->second;
        }
        void operator()(backend_command::account const&)
        {
            auto now = bus.account;
            now.streams = bus.streams_.size();
            for (auto const& [name, stream] : bus.streams_) now.storage += stream.bytes;
            out.what = now;
        }
        void operator()(backend_command::find_services const&) { out.what = bus.services; }
        void operator()(backend_command::publish const&) {}
        void operator()(backend_command::read const&) {}
        void operator()(backend_command::stop_reading const&) {}
        void operator()(backend_command::consumed const&) {}
        void operator()(backend_command::subscribe const&) {}
        void operator()(backend_command::unsubscribe const&) {}
        void operator()(backend_command::send const&) {}
    };
    std::visit(visitor{*this, out, info_or}, command);
    if (!fail_requests_.empty()) {
        out.what = std::move(fail_requests_.front());
        fail_requests_.pop_front();
    }
    return out;
}

void memory_bus::carry_out(backend_command::any const& command, memory_backend const* from)
{
    if (auto const* what = std::get_if<backend_command::publish>(&command)) publish_from(what->what, from);
    else if (auto const* plain = std::get_if<backend_command::send>(&command)) publish_from(plain->what, from);
    else answer(command);
}

// -- mishaps

void memory_bus::refuse_next(std::string const& stream, int code, std::string why, std::size_t times)
{
    refusals_[stream] = {code, std::move(why), times};
}

void memory_bus::freeze(bool on)
{
    frozen_ = on;
    for (auto* backend : backends_) backend->frozen(on);
}

void memory_bus::stop()
{
    if (!running_) return;
    for (auto* backend : backends_) backend->cut("the connection was closed by the server", {std::nullopt, 0, std::nullopt});
    running_ = false;
    frozen_ = detached_ = false;
}

void memory_bus::start()
{
    if (running_) return;
    running_ = true;
    for (auto& [name, stream] : streams_) remember_ids(stream);
}

void memory_bus::restore(std::map<std::string, memory_stream> directory)
{
    stop();
    streams_ = std::move(directory);
    start();
}

void memory_bus::rewind(std::string const& name, jet_place to)
{
    stop();
    if (auto* const stream = find(name)) forget_above(*stream, to);
    start();
}

void memory_bus::forget_above(memory_stream& stream, jet_place to)
{
    while (!stream.messages.empty() && stream.messages.rbegin()->first > to)
        erase(stream, std::prev(stream.messages.end()));
    stream.last = std::min(stream.last, to);
    stream.first = stream.messages.empty() ? stream.last + 1 : stream.messages.begin()->first;
}

void memory_bus::hold_acks(bool on)
{
    acks_held_ = on;
    if (!on)
        for (auto* backend : backends_) backend->release_acks();
}

void memory_bus::detach(bool on)
{
    if (on && !detached_)
        for (auto* backend : backends_) backend->detached();
    detached_ = on;
    if (!on)
        for (auto& [name, stream] : streams_) remember_ids(stream);
}

void memory_bus::rewind_detached(std::string const& name, jet_place to)
{
    if (auto* const stream = find(name)) forget_above(*stream, to);
}

std::size_t memory_bus::land_late()
{
    if (!running_ || frozen_ || detached_) return 0;
    auto const landing = std::exchange(late_, {});
    for (auto const& command : landing) carry_out(command, nullptr);
    return landing.size();
}

}  // namespace kedge::migration
