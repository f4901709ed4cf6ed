// What a mirrored message costs on its way: making its copy, knowing it again, giving a row its place, and comparing both.
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "migration/identity.hpp"
#include "router/store/sqlite/sqlite_store.hpp"

namespace {

using namespace kedge;
using namespace kedge::migration;

constexpr std::uint64_t mirror_now_ms = 1'700'000'000'000;
constexpr std::size_t mirror_batch = 4096;

row mirrored_row()
{
    static std::string const body(256, 'x');
    row made;
    made.seq = 123'456;
    made.time_ms = mirror_now_ms;
    made.sender = shared_bytes::copy_of("bench/node");
    made.message = message::make({"d.fill", {}, {}, {}, body});
    return made;
}

identity words() { return identity{std::string(32, 'k'), "BENCH", stream_id{1}}; }

void mirror_make_copy(benchmark::State& state)
{
    auto const who = words();
    auto const made = mirrored_row();
    for (auto _ : state)
        benchmark::DoNotOptimize(who.copy("0123456789abcdef", made));
}
BENCHMARK(mirror_make_copy);

void mirror_know_copy(benchmark::State& state)
{
    auto const who = words();
    auto const copy = who.copy("0123456789abcdef", mirrored_row());
    for (auto _ : state)
        benchmark::DoNotOptimize(who.look(copy));
}
BENCHMARK(mirror_know_copy);

void mirror_stamp(benchmark::State& state)
{
    auto const copy = words().copy("0123456789abcdef", mirrored_row());
    for (auto _ : state)
        benchmark::DoNotOptimize(stamp_of(copy));
}
BENCHMARK(mirror_stamp);

class mirrored_log {
public:
    mirrored_log()
    {
        char const* const parent = std::getenv("KEDGE_BENCH_FOLDER");
        std::string name = (std::filesystem::path{parent ? parent : "."} / "mirror-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw std::runtime_error{"cannot make a folder in " + name};
        folder_ = name;
        store_ = std::make_unique<sqlite_store>((folder_ / "kedge.db").string(), limits{});
        store_->load(mirror_now_ms);
        stream_config config;
        config.name = "BENCH";
        config.subjects = {"d.>"};
        for (auto const& event : run(store_request::create_stream{token{1}, config}))
            if (auto const* const created = std::get_if<store_event::stream_created>(&event))
                stream_ = created->stream.id;
        mirror_state mirror;
        mirror.stream = stream_;
        mirror.keep = true;
        run(store_request::put_mirror{token{2}, mirror});
    }
    ~mirrored_log()
    {
        store_.reset();
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    std::vector<store_event::any> run(store_request::any what)
    {
        std::vector<store_request::any> batch;
        batch.push_back(std::move(what));
        return run(std::move(batch));
    }
    std::vector<store_event::any> run(std::vector<store_request::any> batch)
    {
        std::vector<store_event::any> out;
        store_->execute(std::move(batch), out);
        return out;
    }
    void append(std::size_t count)
    {
        std::vector<store_request::any> batch;
        auto const like = mirrored_row();
        for (std::size_t i = 0; i < count; ++i) {
            store_request::append a;
            a.request = token{++tokens_};
            a.stream = stream_;
            a.epoch = 1;
            a.time_ms = mirror_now_ms;
            a.sender = like.sender;
            a.message = like.message;
            batch.emplace_back(std::move(a));
        }
        benchmark::DoNotOptimize(run(std::move(batch)));
        rows_ += count;
    }
    void place(std::size_t count)
    {
        store_request::import_messages request;
        request.request = token{++tokens_};
        request.stream = stream_;
        for (std::size_t i = 0; i < count; ++i) {
            ++placed_;
            store_request::import_messages::item item;
            item.place = item.copy_of = placed_;
            item.stamp = placed_ * 7919;
            request.items.push_back(std::move(item));
        }
        request.checkpoint = placed_;
        benchmark::DoNotOptimize(run(std::move(request)));
    }
    stream_id stream() const { return stream_; }
    message_seq rows() const { return rows_; }

private:
    std::filesystem::path folder_;
    std::unique_ptr<sqlite_store> store_;
    stream_id stream_{};
    std::uint64_t tokens_ = 100;
    message_seq rows_ = 0, placed_ = 0;
};

void mirror_read_waiting(benchmark::State& state)
{
    mirrored_log log;
    for (int i = 0; i < 25; ++i)
        log.append(mirror_batch);
    message_seq from = 1;
    std::size_t total = 0;
    for (auto _ : state)
        for (auto const& e : log.run(store_request::read_waiting{token{3}, log.stream(), from}))
            if (auto const* const found = std::get_if<store_event::rows_read>(&e)) {
                total += found->rows.size();
                from = found->end ? 1 : found->next;
            }
    state.SetItemsProcessed(static_cast<std::int64_t>(total));
}
BENCHMARK(mirror_read_waiting)->UseRealTime();

void mirror_append_and_place(benchmark::State& state)
{
    mirrored_log log;
    for (auto _ : state) {
        log.append(mirror_batch);
        log.place(mirror_batch);
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(log.rows()));
}
BENCHMARK(mirror_append_and_place)->UseRealTime();

void mirror_place(benchmark::State& state)
{
    mirrored_log log;
    std::size_t total = 0;
    for (auto _ : state) {
        state.PauseTiming();
        log.append(mirror_batch);
        state.ResumeTiming();
        log.place(mirror_batch);
        total += mirror_batch;
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(total));
}
BENCHMARK(mirror_place)->UseRealTime();

void mirror_read_placed(benchmark::State& state)
{
    mirrored_log log;
    for (int i = 0; i < 25; ++i) {
        log.append(mirror_batch);
        log.place(mirror_batch);
    }
    jet_place from = 1;
    std::size_t total = 0;
    for (auto _ : state)
        for (auto const& e : log.run(store_request::read_placed{token{3}, log.stream(), from}))
            if (auto const* const found = std::get_if<store_event::placed_read>(&e)) {
                total += found->rows.size();
                from = found->end ? 1 : found->rows.back().place + 1;
            }
    state.SetItemsProcessed(static_cast<std::int64_t>(total));
}
BENCHMARK(mirror_read_placed)->UseRealTime();

}  // namespace
