#pragma once
/// Short ways to say what a test wants of a stream's mirror.

#include <string>
#include <vector>

#include "tests/store/fixture.hpp"

namespace kedge::test {

using outcome = store_event::imported::outcome;
using item = store_request::import_messages::item;

inline store_request::put_mirror mirror(stream_id stream, message_seq start = 1, bool keep = false, std::string journal = "{}")
{
    store_request::put_mirror request;
    request.request = next_token();
    request.mirror.stream = stream;
    request.mirror.start = start;
    request.mirror.keep = keep;
    request.mirror.journal = std::move(journal);
    return request;
}

inline std::uint64_t stamp_of(jet_place place) { return place * 0x9e3779b97f4a7c15; }

inline item copy_of(message_seq seq, jet_place place)
{
    item of;
    of.place = place;
    of.stamp = stamp_of(place);
    of.copy_of = seq;
    return of;
}

inline item native(jet_place place, std::string_view body = "native", std::string_view subject = "s.native")
{
    item of;
    of.place = place;
    of.stamp = stamp_of(place);
    of.message = text_message(subject, body);
    of.sender = shared_bytes::copy_of("nats");
    of.time_ms = start_ms;
    return of;
}

inline item nothing(jet_place place)
{
    item of;
    of.place = place;
    of.stamp = stamp_of(place);
    return of;
}

/// The checkpoint is the last item's place.
inline store_request::import_messages import(stream_id stream, std::vector<item> items, std::string lanes = "{}")
{
    store_request::import_messages request;
    request.request = next_token();
    request.stream = stream;
    request.checkpoint = items.empty() ? 0 : items.back().place;
    request.stamp = stamp_of(request.checkpoint);
    request.items = std::move(items);
    request.lanes = std::move(lanes);
    return request;
}

/// Carries it out; returns its answer.
inline store_event::imported imported(store_fixture& f, store_request::import_messages request)
{
    auto const asked = request.request;
    auto const answers = of<store_event::imported>(f.run({std::move(request)}));
    REQUIRE(answers.size() == 1);
    CHECK(answers.front().request == asked);
    return answers.front();
}

inline store_request::take_back take_back(stream_id stream, jet_place above, std::size_t rows_max = 10'000, std::string lanes = "back")
{
    store_request::take_back request;
    request.request = next_token();
    request.stream = stream;
    request.above = above;
    request.stamp = stamp_of(above);
    request.rows_max = rows_max;
    request.lanes = std::move(lanes);
    return request;
}

/// All rows that wait, read in as many calls as it takes.
inline std::vector<row> all_waiting(store_fixture& f, stream_id stream, message_seq from = 1, std::size_t rows_max = 100)
{
    std::vector<row> all;
    for (int calls = 0;; ++calls) {
        REQUIRE(calls < 100'000);
        store_request::read_waiting request;
        request.request = next_token();
        request.stream = stream;
        request.from = from;
        request.rows_max = rows_max;
        auto const answer = only<store_event::rows_read>(f.run({request}));
        REQUIRE(answer.request == request.request);
        REQUIRE(answer.rows.size() <= rows_max);
        REQUIRE((answer.end || answer.next > from));
        all.insert(all.end(), answer.rows.begin(), answer.rows.end());
        if (answer.end)
            return all;
        from = answer.next;
    }
}

inline store_event::placed_read placed(store_fixture& f, stream_id stream, jet_place from = 1, jet_place to = jet_place_max, bool downwards = false,
                                       std::size_t rows_max = 1024)
{
    store_request::read_placed request;
    request.request = next_token();
    request.stream = stream;
    request.from = from;
    request.to = to;
    request.rows_max = rows_max;
    request.downwards = downwards;
    return only<store_event::placed_read>(f.run({request}));
}

/// "place:seq place:seq …", as read.
inline std::string text_of(std::vector<store_event::placed_row> const& rows)
{
    std::string all;
    for (auto const& each : rows)
        all += (all.empty() ? "" : " ") + std::to_string(each.place) + ':' + std::to_string(each.seq);
    return all;
}

inline mirror_state mirror_of(store_contents const& contents, stream_id stream)
{
    for (auto const& each : contents.mirrors)
        if (each.stream == stream)
            return each;
    FAIL("the mirror is gone");
    return {};
}

}  // namespace kedge::test
