#include "tests/store/fixture.hpp"

#include <filesystem>
#include <thread>

#include <unistd.h>

#include "router/store/memory_store.hpp"
#include "router/store/sqlite/sqlite_store.hpp"
#include "tests/store/sqlite/fault_disk.hpp"

namespace kedge::test {

namespace {

class memory_fixture final : public store_fixture {
public:
    explicit memory_fixture(limits const& bounds) : store_{bounds} {}
    message_store& store() override { return store_; }
    account_store& accounts() override { return store_; }
    void reopen() override { store_.crash(); }
    void fail(fault what) override
    {
        switch (what) {
        case fault::full: return store_.fail(memory_store::fault::full);
        case fault::lost: return store_.fail(memory_store::fault::lost);
        case fault::stored: return store_.fail(memory_store::fault::stored);
        case fault::broken: return store_.fail(memory_store::fault::broken);
        }
    }
    void heal() override { store_.fail(memory_store::fault::none); }

private:
    memory_store store_;
};

class sqlite_fixture final : public store_fixture {
public:
    explicit sqlite_fixture(limits const& bounds) : bounds_{bounds}, store_{open()} {}
    ~sqlite_fixture() override { fault_disk::instance().heal(); }
    message_store& store() override { return *store_; }
    account_store& accounts() override { return *store_; }
    /// What a killed process leaves: the files as they are, without the checkpoint of an orderly end.
    void reopen() override
    {
        auto const left = folder_.file("left.db");
        for (auto const* const suffix : {"", "-wal"}) {
            std::filesystem::remove(left + suffix);
            if (std::filesystem::exists(path() + suffix))
                std::filesystem::copy_file(path() + suffix, left + suffix);
        }
        fault_disk::instance().heal();
        store_.reset();
        for (auto const* const suffix : {"", "-wal"}) {
            std::filesystem::remove(path() + suffix);
            if (std::filesystem::exists(left + suffix))
                std::filesystem::rename(left + suffix, path() + suffix);
        }
        store_ = open();
    }
    void fail(fault what) override
    {
        auto& disk = fault_disk::instance();
        switch (what) {
        case fault::full: return disk.fail_write(0, SQLITE_FULL);
        case fault::lost: return disk.fail_write(0, SQLITE_IOERR_WRITE);
        case fault::stored: return disk.fail_sync(0);
        case fault::broken: return disk.fail_everything();
        }
    }
    void heal() override { fault_disk::instance().heal(); }

private:
    std::string path() const { return folder_.file("kedge.db"); }
    std::unique_ptr<sqlite_store> open()
    {
        fault_disk::instance();  // registers itself
        return std::make_unique<sqlite_store>(path(), bounds_);
    }

    limits bounds_;
    scratch_folder folder_;
    std::unique_ptr<sqlite_store> store_;
};

}  // namespace

std::vector<store_event::any> store_fixture::run(std::vector<store_request::any> batch)
{
    std::vector<store_event::any> events;
    store().execute(std::move(batch), events);
    return events;
}

std::vector<store_event::any> store_fixture::maintain()
{
    std::vector<store_event::any> events;
    for (int slices = 0; store().maintain(now_ms, events); ++slices)
        REQUIRE(slices < 10'000);
    return events;
}

void on_both_stores(std::function<void(store_fixture&)> const& test, limits const& bounds)
{
    {
        INFO("memory_store");
        memory_fixture memory{bounds};
        memory.load();
        test(memory);
    }
    INFO("sqlite_store");
    sqlite_fixture file{bounds};
    file.load();
    test(file);
}

scratch_folder::scratch_folder()
{
    path_ = (std::filesystem::temp_directory_path() / "kedge-test-XXXXXX").string();
    if (::mkdtemp(path_.data()) == nullptr)
        throw std::runtime_error{"no temporary folder"};
}

scratch_folder::~scratch_folder()
{
    std::error_code unused;
    std::filesystem::remove_all(path_, unused);
}

message_ptr text_message(std::string_view subject, std::string_view body, std::string_view id)
{
    return message::make({subject, id, {}, {}, body});
}

token next_token()
{
    static std::uint64_t last = 0;
    return token{++last};
}

store_request::append append(stream_id stream, std::string_view subject, std::string_view body)
{
    store_request::append request;
    request.request = next_token();
    request.stream = stream;
    request.epoch = 1;
    request.time_ms = start_ms;
    request.sender = shared_bytes::copy_of("bob/~9f2c41d07a55e8b1");
    request.message = text_message(subject, body);
    return request;
}

store_request::append append_id(stream_id stream, std::string_view id, std::string_view sender)
{
    auto request = append(stream, "s.id");
    request.sender = shared_bytes::copy_of(sender);
    request.named = true;
    request.digest = std::hash<std::string_view>{}(id);
    request.message = text_message("s.id", "x", id);
    return request;
}

store_request::append append_n(stream_id stream, std::uint64_t n, std::string_view sender)
{
    auto request = append(stream, "s.n");
    request.sender = shared_bytes::copy_of(sender);
    request.named = true;
    request.n = n;
    return request;
}

stream_id add_stream(store_fixture& f, std::string const& name, stream_config config)
{
    config.name = name;
    if (config.subjects.empty())
        config.subjects = {">"};
    return only<store_event::stream_created>(f.run({store_request::create_stream{next_token(), config}})).stream.id;
}

consumer_id add_consumer(store_fixture& f, stream_id stream, std::string const& name, op::start_position start)
{
    consumer_config config;
    config.stream = stream;
    config.name = name;
    config.owner = "alice";
    return only<store_event::consumer_created>(f.run({store_request::create_consumer{next_token(), config, start}})).consumer.id;
}

void fill(store_fixture& f, stream_id stream, std::size_t rows, std::string_view body)
{
    constexpr std::size_t batch_rows = 500;
    for (std::size_t done = 0; done < rows;) {
        std::vector<store_request::any> batch;
        for (; batch.size() < batch_rows && done < rows; ++done)
            batch.push_back(append(stream, "s." + std::to_string(done % 7), body));
        auto const size = batch.size();
        auto const arrived = only<store_event::rows_arrived>(f.run(std::move(batch)));
        REQUIRE(arrived.rows.size() == size);
    }
}

error_code failed_code(std::vector<store_event::any> const& events)
{
    return only<store_event::failed>(events).why.code;
}

std::vector<row> read_all(store_fixture& f, stream_id stream, std::string const& filter, message_seq from, std::size_t rows_max)
{
    std::vector<row> all;
    for (int calls = 0;; ++calls) {
        REQUIRE(calls < 100'000);
        store_request::read request;
        request.request = next_token();
        request.stream = stream;
        request.from = from;
        request.filter = filter;
        request.rows_max = rows_max;
        auto answer = only<store_event::rows_read>(f.run({request}));
        REQUIRE(answer.request == request.request);
        REQUIRE(answer.rows.size() <= rows_max);
        REQUIRE((answer.end || answer.next > from));
        all.insert(all.end(), answer.rows.begin(), answer.rows.end());
        if (answer.end)
            return all;
        from = answer.next;
    }
}

std::string found_wrong(store_fixture& f)
{
    store_request::check const request{next_token()};
    auto events = f.run({request});
    for (int looks = 0; of<store_event::checked>(events).empty(); ++looks) {
        REQUIRE(looks < 1'000'000);
        f.store().maintain(f.now_ms, events);
        std::this_thread::yield();
    }
    std::string all;
    auto const checked = of<store_event::checked>(events);
    for (auto const& sentence : checked.front().findings)
        all += sentence + '\n';
    return all;
}

std::vector<message_seq> seqs_of(std::vector<row> const& rows)
{
    std::vector<message_seq> seqs;
    for (auto const& r : rows)
        seqs.push_back(r.seq);
    return seqs;
}

stream_state state_of(store_contents const& contents, stream_id id)
{
    for (auto const& state : contents.streams)
        if (state.id == id)
            return state;
    FAIL("the stream is gone");
    return {};
}

}  // namespace kedge::test
