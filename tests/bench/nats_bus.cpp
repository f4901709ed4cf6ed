#include "tests/bench/nats_bus.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <thread>

#include <nats/nats.h>

#include <nlohmann/json.hpp>

#include "tests/bench/publisher.hpp"

namespace kedge::bench {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::int64_t unanswered_max = 4096;

void must(natsStatus status, char const* what)
{
    if (status != NATS_OK)
        throw std::runtime_error{std::string{what} + ": " + natsStatus_GetText(status)};
}

template <auto Destroy>
struct destroyer {
    template <class T>
    void operator()(T* what) const noexcept
    {
        Destroy(what);
    }
};
using connection_ptr = std::unique_ptr<natsConnection, destroyer<natsConnection_Destroy>>;
using jetstream_ptr = std::unique_ptr<jsCtx, destroyer<jsCtx_Destroy>>;
using subscription_ptr = std::unique_ptr<natsSubscription, destroyer<natsSubscription_Destroy>>;

struct jetstream {
    connection_ptr connection;
    jetstream_ptr context;

    jetstream(std::string const& url, jsPubAckErrHandler on_error = nullptr, void* closure = nullptr)
    {
        natsConnection* made = nullptr;
        must(natsConnection_ConnectTo(&made, url.c_str()), "cannot connect to NATS");
        connection.reset(made);
        jsOptions options;
        must(jsOptions_Init(&options), "jsOptions_Init");
        options.PublishAsync.MaxPending = unanswered_max;
        options.PublishAsync.StallWait = 30'000;
        options.PublishAsync.ErrHandler = on_error;
        options.PublishAsync.ErrHandlerClosure = closure;
        jsCtx* js = nullptr;
        must(natsConnection_JetStream(&js, made, &options), "no JetStream");
        context.reset(js);
    }

    subscription_ptr read(std::string const& stream, natsMsgHandler handler, void* closure)
    {
        jsSubOptions how;
        must(jsSubOptions_Init(&how), "jsSubOptions_Init");
        how.Stream = stream.c_str();
        how.Ordered = true;
        natsSubscription* made = nullptr;
        jsErrCode code{};
        must(js_Subscribe(&made, context.get(), ">", handler, closure, nullptr, &how, &code), "cannot read the stream");
        subscription_ptr owned{made};
        must(natsSubscription_SetPendingLimits(made, -1, -1), "natsSubscription_SetPendingLimits");
        return owned;
    }
};

void wait_for(char const* what, std::atomic<std::uint64_t> const& count, std::uint64_t wanted, std::atomic<bool> const& wrong)
{
    auto last = count.load();
    auto moved = clock::now();
    while (last < wanted && !wrong) {
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
        if (auto const now = count.load(); now != last) {
            last = now;
            moved = clock::now();
        } else if (clock::now() - moved > std::chrono::seconds{20}) {
            throw std::runtime_error{std::string{what} + ": heard " + std::to_string(last) + " of " + std::to_string(wanted)};
        }
    }
    if (wrong)
        throw std::runtime_error{std::string{what} + ": a message is missing, doubled or out of order"};
}

struct bare_reader {
    std::atomic<std::uint64_t> heard{0};
    std::atomic<bool> wrong{false};

    static void on_message(natsConnection*, natsSubscription*, natsMsg* m, void* self) noexcept
    {
        auto& r = *static_cast<bare_reader*>(self);
        auto const number = number_of({natsMsg_GetData(m), static_cast<std::size_t>(natsMsg_GetDataLength(m))});
        if (number != r.heard.load(std::memory_order_relaxed))
            r.wrong = true;
        r.heard.fetch_add(1, std::memory_order_release);
        natsMsg_Destroy(m);
    }
    static void on_failure(jsCtx*, jsPubAckErr*, void* self) noexcept { static_cast<bare_reader*>(self)->wrong = true; }
};

}  // namespace

nats_process::nats_process(std::string const& program, std::filesystem::path const& parent)
{
    std::string name = (parent / "nats-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
        throw std::system_error{errno, std::generic_category(), "mkdtemp in " + parent.string()};
    folder_ = name;
    auto const config = name + "/nats.conf";
    std::ofstream{config} << "max_payload: 2MB\n";  // kedge's largest message has to fit
    std::vector<std::string> arguments{program, "-c", config, "-a", "127.0.0.1", "-p", "-1", "-js", "-sd", name, "--ports_file_dir", name};
    std::vector<char*> argv;
    for (auto& argument : arguments)
        argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::string const log = name + "/log";
    pid_ = ::fork();
    if (pid_ < 0)
        throw std::system_error{errno, std::generic_category(), "fork"};
    if (pid_ == 0) {  // only calls that are safe after fork
        int const out = ::open(log.c_str(), O_WRONLY | O_CREAT, 0600);
        ::dup2(out, 1);
        ::dup2(out, 2);
        ::execvp(argv[0], argv.data());
        ::_exit(127);
    }
    auto const file = folder_ / (std::filesystem::path{program}.filename().string() + "_" + std::to_string(pid_) + ".ports");
    auto const end = clock::now() + std::chrono::seconds{10};
    while (url_.empty() && clock::now() < end) {
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
        std::ifstream in{file};
        auto const ports = nlohmann::json::parse(in, nullptr, false);
        if (ports.is_object() && ports.contains("nats") && !ports.at("nats").empty())
            url_ = ports.at("nats").at(0).get<std::string>();
    }
    if (url_.empty()) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        throw std::runtime_error{"nats-server told no port: " + log};
    }
}

nats_process::~nats_process()
{
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

double run_bare(std::string const& url, bare_options const& o)
{
    bare_reader reader;
    jetstream writer{url, bare_reader::on_failure, &reader}, listener{url};
    static std::uint64_t runs = 0;
    auto const stream = "BARE" + std::to_string(++runs), subject = "bare." + std::to_string(runs) + ".numbers";
    jsStreamConfig config;
    must(jsStreamConfig_Init(&config), "jsStreamConfig_Init");
    char const* const subjects[] = {subject.c_str()};
    config.Name = stream.c_str();
    config.Subjects = const_cast<char const**>(subjects);
    config.SubjectsLen = 1;
    jsErrCode code{};
    must(js_AddStream(nullptr, writer.context.get(), &config, nullptr, &code), "cannot make a stream");
    auto reading = listener.read(stream, bare_reader::on_message, &reader);

    std::string body(std::max<std::size_t>(o.body_bytes, sizeof(std::uint64_t)), 'x');
    std::string const row_prefix = "r 0123456789abcdef ", mac = " 0123456789abcdef0123456789abcdef";
    auto const began = clock::now();
    for (std::uint64_t i = 0; i < o.messages; ++i) {
        std::memcpy(body.data(), &i, sizeof i);
        if (!o.headers) {
            must(js_PublishAsync(writer.context.get(), subject.c_str(), body.data(), static_cast<int>(body.size()), nullptr), "publishing");
            continue;
        }
        natsMsg* m = nullptr;
        must(natsMsg_Create(&m, subject.c_str(), nullptr, body.data(), static_cast<int>(body.size())), "natsMsg_Create");
        auto const number = std::to_string(i);
        must(natsMsgHeader_Add(m, "Kedge-Row", (row_prefix + number + mac).c_str()), "header");
        must(natsMsgHeader_Add(m, "Kedge-From", "bench/publisher"), "header");
        must(natsMsgHeader_Add(m, "Kedge-Time", "1700000000000"), "header");
        must(natsMsgHeader_Add(m, "Nats-Msg-Id", ("0123456789abcdef.BENCH." + number + ".01234567").c_str()), "header");
        auto const status = js_PublishMsgAsync(writer.context.get(), &m, nullptr);
        natsMsg_Destroy(m);
        must(status, "publishing");
    }
    wait_for("the bare program", reader.heard, o.messages, reader.wrong);
    std::chrono::duration<double> const took = clock::now() - began;
    reading.reset();
    must(js_DeleteStream(writer.context.get(), stream.c_str(), nullptr, &code), "cannot delete a stream");
    return static_cast<double>(o.messages) / took.count();
}

namespace {

struct copy_reader {
    std::vector<std::string> const& subjects;
    std::vector<std::uint64_t> next = std::vector<std::uint64_t>(subjects.size());
    std::atomic<std::uint64_t> heard{0};
    std::atomic<bool> wrong{false};

    static void on_message(natsConnection*, natsSubscription*, natsMsg* m, void* self) noexcept
    {
        auto& r = *static_cast<copy_reader*>(self);
        auto const number = number_of({natsMsg_GetData(m), static_cast<std::size_t>(natsMsg_GetDataLength(m))});
        std::size_t i = 0;
        while (i < r.subjects.size() && r.subjects[i] != natsMsg_GetSubject(m))
            ++i;
        if (i == r.subjects.size() || number != r.next[i]++)
            r.wrong = true;
        r.heard.fetch_add(1, std::memory_order_release);
        natsMsg_Destroy(m);
    }
};

}  // namespace

void check_copy(std::string const& url, std::string const& stream, std::vector<std::string> const& subjects,
                std::vector<std::uint64_t> const& counts)
{
    std::uint64_t wanted = 0;
    for (auto const count : counts)
        wanted += count;
    copy_reader reader{subjects};
    jetstream listener{url};
    jsStreamInfo* info = nullptr;
    jsErrCode code{};
    must(js_GetStreamInfo(&info, listener.context.get(), stream.c_str(), nullptr, &code), "cannot look at the stream");
    auto const held = info->State.Msgs;
    jsStreamInfo_Destroy(info);
    if (held != wanted)
        throw std::runtime_error{"JetStream has " + std::to_string(held) + " messages of " + std::to_string(wanted)};
    auto const reading = listener.read(stream, copy_reader::on_message, &reader);
    wait_for("reading the copy", reader.heard, wanted, reader.wrong);
    for (std::size_t i = 0; i < counts.size(); ++i)
        if (reader.next[i] != counts[i])
            throw std::runtime_error{"JetStream has " + std::to_string(reader.next[i]) + " messages of " + std::to_string(counts[i]) + " on " + subjects[i]};
}

}  // namespace kedge::bench
