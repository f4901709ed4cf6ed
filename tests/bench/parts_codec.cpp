// What one message costs on its way through the codec.
#include <string>

#include <benchmark/benchmark.h>

#include "router/protocol/decoder.hpp"
#include "router/protocol/encoding.hpp"

namespace {

using namespace kedge;

constexpr std::size_t messages_in_a_block = 100;

std::string publishes(encoding form)
{
    message::parts parts;
    std::string const body(128, 'x');
    parts.subject = "bench.plain.a";
    parts.id = "1000000001";
    parts.body = body;
    op::any const one = op::publish{message::make(parts), 0};
    std::string block;
    for (std::size_t i = 0; i < messages_in_a_block; ++i)
        encode(one, form, block);
    return block;
}

void decode_publish(benchmark::State& state)
{
    auto const form = static_cast<encoding>(state.range(0));
    auto const block = publishes(form);
    operation_decoder decoder{form, limits{}};
    for (auto _ : state) {
        decoder.feed(block);
        while (auto next = decoder.next())
            benchmark::DoNotOptimize(next);
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * messages_in_a_block));
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * block.size()));
}
BENCHMARK(decode_publish)->ArgName("lines")->Arg(0)->Arg(1);

void encode_delivery(benchmark::State& state)
{
    auto const form = static_cast<encoding>(state.range(0));
    std::string const body(128, 'x');
    msg_view view;
    view.subject = "bench.plain.a";
    view.from = "alice/laptop";
    view.time_ms = 1'795'237'981'049;
    view.stream = "BENCH";
    view.seq = 123'456;
    view.consumer = "worker";
    view.tries = 1;
    view.pub_id = "1000000001";
    view.body = body;
    for (auto _ : state)
        benchmark::DoNotOptimize(encode(view, form));
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(encode_delivery)->ArgName("lines")->Arg(0)->Arg(1);

void encode_an_ok(benchmark::State& state)
{
    for (auto _ : state)
        benchmark::DoNotOptimize(encode_ok("1000000001", "BENCH", 123'456, false, encoding::frames));
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(encode_an_ok);

}  // namespace
