// Mail for nodes that are away: 1,000 users with some nodes each, posts to lists of 100; then each node reads all of its own.
// One run of each: the database keeps what the run before it wrote.
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include <benchmark/benchmark.h>

#include "router/store/sqlite/sqlite_store.hpp"

namespace {

using namespace kedge;

constexpr std::uint64_t mail_now_ms = 1'700'000'000'000;
constexpr std::size_t users = 1000;
constexpr std::size_t posts = 100'000;
constexpr std::size_t list_users = 100;
constexpr std::size_t lists = 50;
constexpr std::size_t batch_posts = 200;

std::string user_name(std::size_t number)
{
    auto const digits = std::to_string(number);
    return "user" + std::string(4 - digits.size(), '0') + digits;
}

class mail_server {
public:
    explicit mail_server(std::size_t nodes)
    {
        char const* const parent = std::getenv("KEDGE_BENCH_FOLDER");
        std::string name = (std::filesystem::path{parent ? parent : "."} / "mail-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw std::runtime_error{"cannot make a folder in " + name};
        folder_ = name;
        store_ = std::make_unique<sqlite_store>((folder_ / "kedge.db").string(), limits{});
        for (auto const& s : store_->load(mail_now_ms).streams)
            inbox_ = s.id;
        for (std::size_t i = 0; i < lists; ++i) {  // each user is in five of them
            std::string text;
            std::vector<bool> in(users);
            for (std::size_t k = 0; k < list_users; ++k)
                in[(i * 20 + k * (1 + i % 7)) % users] = true;
            for (std::size_t user = 0; user < users; ++user)
                if (in[user])
                    text += (text.empty() ? "" : " ") + user_name(user);
            lists_.push_back(shared_bytes::copy_of(text));
        }
        std::vector<store_request::any> batch;
        for (std::size_t i = 0; i < users * nodes; ++i) {
            consumer_config config;
            config.stream = inbox_;
            config.owner = user_name(i % users);
            config.name = config.owner + "/node" + std::to_string(i / users);
            config.filter = "inbox." + config.owner;
            batch.emplace_back(store_request::create_consumer{token{i + 1}, config, {}});
        }
        run(std::move(batch));
    }
    ~mail_server()
    {
        store_.reset();
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    void post()
    {
        static auto const sender = shared_bytes::copy_of("bench/node");
        static auto const mail = message::make({{}, {}, {}, {}, std::string(128, 'x')});
        for (std::size_t i = 0; i < posts;) {
            std::vector<store_request::any> batch;
            for (; batch.size() < batch_posts; ++i) {
                store_request::append a;
                a.request = token{i + 1};
                a.stream = inbox_;
                a.epoch = 1;
                a.time_ms = mail_now_ms;
                a.sender = sender;
                a.message = mail;
                a.recipients = lists_[i % lists];
                batch.emplace_back(std::move(a));
            }
            run(std::move(batch));
            std::vector<store_event::any> kept;
            store_->maintain(mail_now_ms, kept);
        }
    }
    std::size_t read(std::size_t user)
    {
        std::size_t rows = 0;
        for (message_seq from = 1;;) {
            store_request::read read;
            read.request = token{1};
            read.stream = inbox_;
            read.from = from;
            read.filter = "inbox." + user_name(user);
            std::vector<store_request::any> batch;
            batch.emplace_back(std::move(read));
            auto const events = run(std::move(batch));
            auto const& found = std::get<store_event::rows_read>(events.front());
            rows += found.rows.size();
            if (found.end)
                return rows;
            from = found.next;
        }
    }
    std::uint64_t file_bytes() const
    {
        std::uint64_t all = 0;
        for (auto const& entry : std::filesystem::directory_iterator{folder_})
            all += entry.file_size();
        return all;
    }

private:
    std::vector<store_event::any> run(std::vector<store_request::any> batch)
    {
        std::vector<store_event::any> out;
        store_->execute(std::move(batch), out);
        return out;
    }

    std::filesystem::path folder_;
    std::unique_ptr<sqlite_store> store_;
    stream_id inbox_{};
    std::vector<bytes_ptr> lists_;
};

void store_post(benchmark::State& state)
{
    mail_server server{static_cast<std::size_t>(state.range(0))};
    for (auto _ : state)
        server.post();
    state.SetItemsProcessed(static_cast<std::int64_t>(posts));
    state.counters["disk_bytes_a_post"] = static_cast<double>(server.file_bytes()) / posts;
}
BENCHMARK(store_post)->ArgName("nodes_a_user_away")->Arg(0)->Arg(3)->Arg(10)->Iterations(1)->Unit(benchmark::kSecond)->UseRealTime();

void store_read_inboxes(benchmark::State& state)
{
    constexpr std::size_t nodes = 3;
    mail_server server{nodes};
    server.post();
    std::size_t rows = 0;
    for (auto _ : state)
        for (std::size_t node = 0; node < nodes * users; ++node)
            rows += server.read(node % users);
    if (rows != nodes * posts * list_users)
        state.SkipWithError("a node did not get all of its own");
    state.SetItemsProcessed(static_cast<std::int64_t>(rows));
}
BENCHMARK(store_read_inboxes)->Iterations(1)->Unit(benchmark::kSecond)->UseRealTime();

}  // namespace
