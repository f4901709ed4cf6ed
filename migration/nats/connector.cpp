#include "migration/nats/connector.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "migration/nats/connect_options.hpp"
#include "migration/nats/greeting.hpp"
#include "router/thread_name.hpp"

namespace kedge::migration {

using namespace std::chrono_literals;

connector::connector(settings settings, std::shared_ptr<outlet> out, std::function<void(std::shared_ptr<session>)> up)
    : settings_(std::move(settings)), outlet_(std::move(out)), up_(std::move(up))
{
    if (::pipe2(interrupt_, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    thread_ = std::thread([this] {
        name_thread("nats");  // libnats's own have it too
        run();
    });
}

connector::~connector()
{
    {
        std::lock_guard const lock(outlet_->mutex);
        stopping_ = true;
        outlet_->changed.notify_all();
    }
    ::close(interrupt_[1]);
    thread_.join();
    ::close(interrupt_[0]);
}

void connector::failed(server_url const& server, std::string const& why)
{
    auto& last = last_why_[server.text()];
    if (why == last) return;
    last = why;
    std::lock_guard const lock(outlet_->mutex);
    if (!stopping_) outlet_->tell(backend_event::link_failed{server.text() + ": " + why});
}

/// libnats cannot be interrupted while it connects, and waits without bound in a TLS handshake: it does so in a thread that may be
/// left to itself. What it makes too late is closed there.
connector::attempt connector::connect_within(connect_options options, std::uint64_t number)
{
    struct shared {
        std::mutex mutex;
        std::condition_variable changed;
        std::optional<attempt> result;
        bool abandoned = false;
    };
    constexpr int hanging_max = 4;
    if (hanging_->load() >= hanging_max) return "the server does not end TLS handshakes that it began: " + std::to_string(hanging_max) + " hang";
    auto const state = std::make_shared<shared>();
    std::thread([state, hanging = hanging_, out = outlet_, number, answer = std::chrono::milliseconds(settings_.answer_ms),
                 options = std::make_shared<connect_options>(std::move(options))] {
        auto made = session::connect(std::move(*options), out, number, answer);
        std::unique_lock lock(state->mutex);
        if (state->abandoned) {
            lock.unlock();
            --*hanging;
            if (auto* const late = std::get_if<std::shared_ptr<session>>(&made)) (*late)->close_connection();
            return;
        }
        state->result = std::move(made);
        state->changed.notify_all();
    }).detach();

    auto const until = std::chrono::steady_clock::now() + std::chrono::milliseconds(settings_.connect_ms) + 500ms;
    std::unique_lock lock(state->mutex);
    while (!state->result && !stopping_ && std::chrono::steady_clock::now() < until) state->changed.wait_for(lock, 20ms);
    if (state->result) return std::move(*state->result);
    state->abandoned = true;
    ++*hanging_;
    return "the connection did not stand within " + std::to_string(settings_.connect_ms) + " ms";
}

connector::attempt connector::try_server(server_url const& server, backend_event::link_up& up)
{
    auto const greeted = read_greeting(server, settings_.connect_ms, interrupt_[0]);
    if (auto const* wrong = std::get_if<std::string>(&greeted)) return *wrong;
    auto const& greeting = std::get<struct greeting>(greeted);
    auto options = make_connect_options(settings_, server, greeting);
    if (auto* const wrong = std::get_if<std::string>(&options)) return std::move(*wrong);
    up.url = server.text();
    up.server_id = greeting.server_id;
    up.server_name = greeting.server_name;
    up.version = greeting.version;
    up.max_payload = greeting.max_payload;
    up.jetstream = greeting.jetstream;
    up.headers = greeting.headers;
    return connect_within(std::move(std::get<connect_options>(options)), ++connection_);
}

void connector::run()
{
    constexpr auto wait_min = 50ms, wait_max = 1000ms;
    std::vector<server_url> servers;
    for (auto const& each : settings_.servers)
        if (auto url = parse_server_url(each)) servers.push_back(std::move(*url));
    auto wait = wait_min;
    for (std::size_t next = 0; !stopping_ && !servers.empty(); ++next) {
        auto const& server = servers[next % servers.size()];
        backend_event::link_up up;
        auto made = try_server(server, up);
        if (auto const* link = std::get_if<std::shared_ptr<session>>(&made)) {
            if ((*link)->begin(up)) {
                wait = wait_min;
                last_why_.clear();
                up_(*link);
                std::unique_lock lock(outlet_->mutex);
                outlet_->changed.wait(lock, [&] { return stopping_ || outlet_->current != *link; });
                lock.unlock();
                (*link)->end("closed");
                (*link)->close_connection();
                --next;  // the same again first
            } else {
                failed(server, (*link)->why_not_begun());
                (*link)->close_connection();
            }
        } else {
            failed(server, std::get<std::string>(made));
        }
        std::unique_lock lock(outlet_->mutex);
        outlet_->changed.wait_for(lock, wait, [&] { return stopping_.load(); });
        wait = std::min<std::chrono::milliseconds>(wait * 2, wait_max);
    }
}

}  // namespace kedge::migration
