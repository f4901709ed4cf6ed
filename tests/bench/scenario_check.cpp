#include "tests/bench/scenario.hpp"

#include <stdexcept>

#include <nlohmann/json.hpp>

namespace kedge::bench {

void check(bool good, std::string_view what)
{
    if (!good)
        throw std::runtime_error{std::string{what}};
}

void barrier(event_loop& loop, bench_link& link)
{
    auto const want = link.pongs + 1;
    link.send(make_frame(R"({"op":"ping","id":"barrier"})"));
    loop.until("pong", [&] { return link.pongs >= want; });
}

std::uint64_t stream_rows(event_loop& loop, bench_link& link, std::string_view stream)
{
    std::string body;
    link.on_frame = [&](heard_frame const& frame) {
        if (frame.what == heard::reply)
            body = frame.body_start;
    };
    link.send(make_frame(R"({"op":"who","id":"rows","what":"streams"})"));
    loop.until("who", [&] { return !body.empty(); });
    link.on_frame = nullptr;
    auto const answer = nlohmann::json::parse(body);
    for (auto const& entry : answer.at("streams"))
        if (entry.at("stream") == stream)
            return entry.at("messages");
    throw std::runtime_error{"`who` does not name the stream"};
}

}  // namespace kedge::bench
