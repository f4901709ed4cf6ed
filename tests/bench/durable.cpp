// Durable publishing and consuming: every figure here counts what the server acknowledged, that is committed and synced.
#include <algorithm>
#include <deque>

#include "tests/bench/publisher.hpp"
#include "tests/bench/scenario.hpp"

namespace kedge::bench {

namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t body_bytes = 128;
constexpr std::size_t unsent_max = 256 * 1024;
constexpr std::uint64_t unanswered_max = 32'768;

void make_stream(context& c)
{
    ssh_client{c.server.where()}.exec("stream add BENCH --subjects d.>");
}

std::string hello(std::string_view node)
{
    return make_frame(R"({"op":"hello","id":"h","node":")" + std::string{node} + R"("})");
}

std::chrono::milliseconds limit_of(context const& c)
{
    return std::chrono::duration_cast<std::chrono::milliseconds>(c.duration) + 30s;
}

struct outcome {
    std::uint64_t messages = 0;
    double seconds = 0;
};

// Publishes on one link until `enough` (messages made so far), then waits for every answer.
outcome fill(context& c, publisher::answer how, std::function<bool(std::uint64_t made)> const& enough)
{
    ssh_client client{c.server.where()};
    bench_link& link = client.open_link();
    event_loop loop;
    loop.add(client);
    link.send(hello("filler"));
    loop.until("hello", [&] { return link.welcomes == 2; });

    publisher source{"d.fill", body_bytes, how};
    dense_check seqs{1};
    std::uint64_t answered = 0;
    link.on_frame = [&](heard_frame const& frame) {
        if (frame.what == heard::ok) {
            seqs.heard(number_in(frame.header, "seq"));
            ++answered;
        } else if (frame.what == heard::stored) {
            auto const up_to = number_in(frame.header, "n") - publisher::first_number + 1;
            check(up_to > answered && up_to <= source.made(), "`stored` with an n that does not rise or was never sent");
            check(number_in(frame.header, "seq") == up_to, "`stored` with a seq that is not the row's");
            answered = up_to;
        }
    };
    auto const start = clock::now();
    bool sending = true;
    loop.run("durable publishing", limit_of(c), [&] {
        sending = sending && !enough(source.made());
        if (sending) {
            while (source.made() - answered + source.block() <= unanswered_max && link.unsent() < unsent_max)
                link.send(source.next(source.block()));
            return std::chrono::nanoseconds{1ms};
        }
        return answered == source.made() ? event_loop::done : std::chrono::nanoseconds{10ms};
    });
    std::chrono::duration<double> const took = clock::now() - start;
    barrier(loop, link);
    check(stream_rows(loop, link, "BENCH") == source.made(), "the stream does not hold what was acknowledged");
    return {source.made(), took.count()};
}

std::vector<figure> run_pipelined(context& c, publisher::answer how, std::string name)
{
    make_stream(c);
    auto const end = clock::now() + c.duration;
    auto const got = fill(c, how, [&](std::uint64_t) { return clock::now() >= end; });
    return {{std::move(name), static_cast<double>(got.messages) / got.seconds, "messages/s", 100'000}};
}

}  // namespace

std::vector<figure> run_durable_by_id(context& c)
{
    return run_pipelined(c, publisher::answer::id, "durable, one link, by id");
}

std::vector<figure> run_durable_by_n(context& c)
{
    return run_pipelined(c, publisher::answer::n, "durable, one link, by n");
}

std::vector<figure> run_durable_links(context& c)
{
    constexpr std::size_t count = 50;
    make_stream(c);
    std::deque<ssh_client> clients;
    std::vector<bench_link*> links;
    std::vector<publisher> sources;
    event_loop loop;
    for (std::size_t i = 0; i < count; ++i) {
        auto& link = clients.emplace_back(c.server.where()).open_link();
        link.send(hello("w" + std::to_string(i)));
        links.push_back(&link);
        sources.emplace_back("d.link." + std::to_string(i), body_bytes, publisher::answer::id);
        loop.add(clients.back());
    }
    loop.until("hello", [&] { return std::all_of(links.begin(), links.end(), [](auto* l) { return l->welcomes == 2; }); });

    auto const start = clock::now();
    auto const last_send = start + c.duration;
    loop.run("waiting publishers", limit_of(c), [&] {
        bool const sending = clock::now() < last_send;
        bool idle = true;
        for (std::size_t i = 0; i < count; ++i) {
            if (links[i]->oks == sources[i].made() && sending)
                links[i]->send(sources[i].next(1));
            idle = idle && links[i]->oks == sources[i].made();
        }
        return idle && !sending ? event_loop::done : std::chrono::nanoseconds{10ms};
    });
    std::chrono::duration<double> const took = clock::now() - start;
    std::uint64_t total = 0;
    for (auto const& source : sources)
        total += source.made();
    check(stream_rows(loop, *links.front(), "BENCH") == total, "the stream does not hold what was acknowledged");
    return {{"durable, 50 links in step", static_cast<double>(total) / took.count(), "messages/s"}};
}

std::vector<figure> run_consume(context& c)
{
    constexpr std::uint64_t ack_every = 1'024;
    make_stream(c);
    auto const wanted = static_cast<std::uint64_t>(c.duration.count() * 100'000);
    auto const rows = fill(c, publisher::answer::n, [&](std::uint64_t made) { return made >= wanted; }).messages;

    ssh_client client{c.server.where()};
    bench_link& link = client.open_link();
    event_loop loop;
    loop.add(client);
    loop.until("welcome", [&] { return link.welcomes == 1; });
    dense_check seqs{1};
    link.on_frame = [&](heard_frame const& frame) {
        if (frame.what != heard::msg)
            return;
        auto const seq = number_in(frame.header, "seq");
        seqs.heard(seq);
        check(number_of(frame.body_start) + 1 == seq, "a row does not hold the body that was published");
    };
    auto const start = clock::now();
    link.send(make_frame(R"({"op":"consume","id":"c","stream":"BENCH","consumer":"bench","start":"first","window":16384})"));
    std::uint64_t acknowledged = 0;
    bool finishing = false;
    loop.run("consuming", limit_of(c), [&] {
        if (link.msgs - acknowledged >= ack_every || (link.msgs == rows && !finishing)) {
            acknowledged = link.msgs;
            finishing = acknowledged == rows;
            link.send(make_frame(R"({"op":"ack","consumer":"bench","upto":)" + std::to_string(acknowledged)
                                 + (finishing ? R"(,"id":"last"})" : "}")));
        }
        return link.oks == 2 ? event_loop::done : std::chrono::nanoseconds{1ms};
    });
    std::chrono::duration<double> const took = clock::now() - start;
    barrier(loop, link);
    check(link.msgs == rows, "the consumer heard more than the stream holds");
    return {{"consume with ack", static_cast<double>(rows) / took.count(), "messages/s"}};
}

}  // namespace kedge::bench
