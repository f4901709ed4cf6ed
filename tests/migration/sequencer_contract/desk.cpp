#include "tests/migration/sequencer_contract/side.hpp"

#include <chrono>

#include "router/host/clock.hpp"

namespace kedge::test {

message_ptr desk::plain(std::string_view id) { return message::make({"chat.room", id, {}, {}, std::string(500, 'x')}); }

std::uint64_t desk::now_ms() { return read_clock().wall_ms; }

store_request::append desk::make(stream_id stream, std::string const& sender, std::string const& id)
{
    store_request::append a;
    a.request = token{++last_token_};
    a.stream = stream;
    a.epoch = epoch;
    a.time_ms = time_ms;
    a.sender = shared_bytes::copy_of(sender);
    a.named = sender.find("/~") == std::string::npos;
    if (!id.empty())
        a.digest = std::hash<std::string>{}(id);
    a.message = plain(id);
    return a;
}

std::vector<token> desk::append(std::vector<store_request::append> batch)
{
    std::vector<token> tokens;
    for (auto const& each : batch) {
        tokens.push_back(each.request);
        asked_.push_back({each.request, each.stream, 0, {}});
    }
    side_.append(std::move(batch));
    return tokens;
}

bool desk::until(std::function<bool()> const& holds)
{
    auto const end = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (!holds()) {
        if (std::chrono::steady_clock::now() > end)
            return holds();
        side_.go_on();
    }
    return true;
}

desk::asked* desk::find(token request)
{
    for (auto& each : asked_)
        if (each.request == request)
            return &each;
    return nullptr;
}

void desk::look()
{
    auto heard = side_.heard();
    for (; looked_ < heard.size(); ++looked_) {
        auto& event = heard[looked_];
        if (auto const* const rows = std::get_if<store_event::rows_arrived>(&event)) {
            REQUIRE(!rows->rows.empty());
            for (auto const& each : rows->rows) {
                if (each.origin == token::none)
                    continue;
                auto* const of = find(each.origin);
                REQUIRE(of);
                CHECK(of->stream == rows->stream);
                INFO("a second answer to " << static_cast<std::uint64_t>(each.origin));
                CHECK(of->seq == 0);
                CHECK(!of->why);
                of->seq = each.stored.seq;
            }
        } else if (auto const* const failed = std::get_if<store_event::append_failed>(&event)) {
            auto* const of = find(failed->request);
            REQUIRE(of);
            CHECK(of->stream == failed->stream);
            INFO("a second answer to " << static_cast<std::uint64_t>(failed->request) << ": " << failed->why.message);
            CHECK(of->seq == 0);
            CHECK(!of->why);
            CHECK(!failed->why.message.empty());
            of->why = failed->why;
        }
        events_.push_back(std::move(event));
    }
}

std::size_t desk::open()
{
    look();
    std::size_t open = 0;
    for (auto const& each : asked_)
        open += each.seq == 0 && !each.why;
    return open;
}

message_seq desk::seq_of(token request)
{
    look();
    auto const* const of = find(request);
    return of ? of->seq : 0;
}

std::optional<failure> desk::why(token request)
{
    look();
    auto const* const of = find(request);
    return of ? of->why : std::nullopt;
}

std::vector<store_event::rows_arrived::arrival> desk::arrived(stream_id stream)
{
    look();
    std::vector<store_event::rows_arrived::arrival> all;
    for (auto const& event : events_)
        if (auto const* const rows = std::get_if<store_event::rows_arrived>(&event); rows && rows->stream == stream)
            all.insert(all.end(), rows->rows.begin(), rows->rows.end());
    return all;
}

std::vector<token> desk::failed(stream_id stream)
{
    look();
    std::vector<token> all;
    for (auto const& event : events_)
        if (auto const* const failed = std::get_if<store_event::append_failed>(&event); failed && failed->stream == stream)
            all.push_back(failed->request);
    return all;
}

void desk::begin()
{
    look();
    asked_.clear();
    last_token_ = 0;
    epoch = 1;
    side_.begin();
}

}  // namespace kedge::test
