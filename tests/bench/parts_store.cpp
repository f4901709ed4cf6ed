// What the database makes of batches: appends, one sync each; and reading them back.
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "router/store/sqlite/sqlite_store.hpp"

namespace {

using namespace kedge;

constexpr std::uint64_t now_ms = 1'700'000'000'000;

// Below KEDGE_BENCH_FOLDER: on the disk to be measured, which /tmp may not be.
class database {
public:
    database()
    {
        char const* const parent = std::getenv("KEDGE_BENCH_FOLDER");
        std::string name = (std::filesystem::path{parent ? parent : "."} / "store-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw std::runtime_error{"cannot make a folder in " + name};
        folder_ = name;
        store_ = std::make_unique<sqlite_store>((folder_ / "kedge.db").string(), limits{});
        store_->load(now_ms);
        std::vector<store_request::any> batch;
        stream_config config;
        config.name = "BENCH";
        config.subjects = {"d.>"};
        batch.emplace_back(store_request::create_stream{token{1}, config});
        for (auto const& event : run(std::move(batch)))
            if (auto const* const created = std::get_if<store_event::stream_created>(&event))
                stream_ = created->stream.id;
    }
    ~database()
    {
        store_.reset();
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    std::vector<store_event::any> run(std::vector<store_request::any> batch)
    {
        std::vector<store_event::any> out;
        store_->execute(std::move(batch), out);
        return out;
    }

    void append(std::size_t count)
    {
        static std::string const body(128, 'x');
        static auto const sender = shared_bytes::copy_of("bench/node");
        std::vector<store_request::any> batch;
        for (std::size_t i = 0; i < count; ++i) {
            auto const id = std::to_string(++last_);
            message::parts parts;
            parts.subject = "d.fill";
            parts.id = id;
            parts.body = body;
            store_request::append a;
            a.request = token{last_};
            a.stream = stream_;
            a.epoch = 1;
            a.time_ms = now_ms;
            a.sender = sender;
            a.named = true;
            a.digest = last_;
            a.message = message::make(parts);
            batch.emplace_back(std::move(a));
        }
        rows_ += count;
        benchmark::DoNotOptimize(run(std::move(batch)));
    }

    /// From the next row on.
    void mirror()
    {
        store_request::put_mirror put;
        put.request = token{1};
        put.mirror.stream = stream_;
        put.mirror.start = rows_ + 1;
        std::vector<store_request::any> batch;
        batch.emplace_back(put);
        run(std::move(batch));
    }
    /// Finds the next rows in JetStream.
    void place(std::size_t count)
    {
        store_request::import_messages import;
        import.request = token{1};
        import.stream = stream_;
        for (std::size_t i = 0; i < count; ++i) {
            store_request::import_messages::item item;
            item.place = ++placed_;
            item.stamp = item.place * 0x9e3779b97f4a7c15;
            item.copy_of = placed_;
            import.items.push_back(std::move(item));
        }
        import.checkpoint = placed_;
        std::vector<store_request::any> batch;
        batch.emplace_back(std::move(import));
        benchmark::DoNotOptimize(run(std::move(batch)));
    }
    /// Stores what NATS clients published.
    void import(std::size_t count)
    {
        static std::string const body(128, 'x');
        static auto const sender = shared_bytes::copy_of("nats");
        store_request::import_messages import;
        import.request = token{1};
        import.stream = stream_;
        for (std::size_t i = 0; i < count; ++i) {
            store_request::import_messages::item item;
            item.place = ++placed_;
            item.stamp = item.place * 0x9e3779b97f4a7c15;
            message::parts parts;
            parts.subject = "d.fill";
            parts.body = body;
            item.message = message::make(parts);
            item.sender = sender;
            item.time_ms = now_ms;
            import.items.push_back(std::move(item));
        }
        import.checkpoint = placed_;
        std::vector<store_request::any> batch;
        batch.emplace_back(std::move(import));
        benchmark::DoNotOptimize(run(std::move(batch)));
    }
    void maintain()
    {
        std::vector<store_event::any> out;
        store_->maintain(now_ms, out);
    }

    stream_id stream() const { return stream_; }

private:
    std::filesystem::path folder_;
    std::unique_ptr<sqlite_store> store_;
    stream_id stream_{};
    std::uint64_t last_ = 1'000'000'000;
    message_seq rows_ = 0;
    jet_place placed_ = 0;
};

void store_append(benchmark::State& state)
{
    database db;
    auto const count = static_cast<std::size_t>(state.range(0));
    for (auto _ : state)
        db.append(count);
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * count));
}
BENCHMARK(store_append)->ArgName("batch")->Arg(1)->Arg(100)->Arg(1000)->Arg(10'000)->UseRealTime();

// With copies in JetStream: what an append costs then, what it costs to find the copies, and to store what was born there. `rows`
// = so many are there before, all placed.
void fill_mirrored(database& db, std::size_t rows)
{
    db.mirror();
    for (std::size_t i = 0; i < rows; i += 10'000) {
        db.append(10'000);
        db.place(10'000);
        db.maintain();
    }
}

void store_append_mirrored(benchmark::State& state)
{
    database db;
    auto const count = static_cast<std::size_t>(state.range(0));
    fill_mirrored(db, static_cast<std::size_t>(state.range(1)));
    for (auto _ : state)
        db.append(count);
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * count));
}
BENCHMARK(store_append_mirrored)->ArgNames({"batch", "rows"})->Args({1000, 0})->Args({1000, 10'000})->Args({1000, 1'000'000})->UseRealTime();

void store_place(benchmark::State& state)
{
    database db;
    auto const count = static_cast<std::size_t>(state.range(0));
    fill_mirrored(db, static_cast<std::size_t>(state.range(1)));
    for (auto _ : state) {
        state.PauseTiming();
        db.append(count);
        db.maintain();
        state.ResumeTiming();
        db.place(count);
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * count));
}
BENCHMARK(store_place)->ArgNames({"batch", "rows"})->Args({1000, 0})->Args({1000, 1'000'000})->UseRealTime();

void store_import(benchmark::State& state)
{
    database db;
    auto const count = static_cast<std::size_t>(state.range(0));
    fill_mirrored(db, 0);
    for (auto _ : state)
        db.import(count);
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * count));
}
BENCHMARK(store_import)->ArgName("batch")->Arg(1000)->UseRealTime();

void store_read(benchmark::State& state)
{
    constexpr message_seq rows = 100'000;
    database db;
    for (message_seq i = 0; i < rows; i += 10'000)
        db.append(10'000);
    message_seq from = 1;
    std::size_t total = 0;
    for (auto _ : state) {
        store_request::read read;
        read.request = token{1};
        read.stream = db.stream();
        read.from = from;
        std::vector<store_request::any> batch;
        batch.emplace_back(std::move(read));
        for (auto const& e : db.run(std::move(batch)))
            if (auto const* const found = std::get_if<store_event::rows_read>(&e)) {
                total += found->rows.size();
                from = found->end ? 1 : found->next;
            }
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(total));
}
BENCHMARK(store_read)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
