// What finding the subscribers of a subject costs, as subscriptions that do not match grow in number.
#include <string>

#include <benchmark/benchmark.h>

#include "router/core/subject_index.hpp"

namespace {

void match_subject(benchmark::State& state)
{
    kedge::subject_index<int> index;
    for (std::int64_t i = 0; i < state.range(0); ++i) {
        auto const n = std::to_string(i);
        index.add("other." + n + ".>", 1);
        index.add("chat." + n, 2);
        index.add("*." + n + ".x", 3);
    }
    index.add("chat.*", 4);
    index.add("chat.>", 5);
    for (auto _ : state) {
        int sum = 0;
        index.match("chat.nobody", [&](int value) { sum += value; });
        benchmark::DoNotOptimize(sum);
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(match_subject)->ArgName("unrelated")->Arg(0)->Arg(1'000)->Arg(100'000);

void add_and_remove(benchmark::State& state)
{
    kedge::subject_index<int> index;
    for (int i = 0; i < 10'000; ++i)
        index.add("other." + std::to_string(i) + ".>", 1);
    for (auto _ : state) {
        index.add("chat.room.*.new", 7);
        benchmark::DoNotOptimize(index.remove("chat.room.*.new", 7));
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(add_and_remove);

}  // namespace
