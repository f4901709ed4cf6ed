#include "sshd-transport/transport_thread.hpp"

#include <exception>
#include <utility>

#include <boost/asio/post.hpp>
#include <unistd.h>

#include "router/thread_name.hpp"
#include "sshd-transport/clock.hpp"
#include "sshd-transport/log.hpp"
#include "sshd-transport/role.hpp"
#include "sshd-transport/session.hpp"

namespace kedge {
namespace {

constexpr std::chrono::milliseconds tick_every{200};
/// Handlers of one turn of the loop; then what they have for the router is handed over.
constexpr unsigned turn_handlers_max = 256;

}  // namespace

transport_thread::transport_thread(unsigned index, transport_shared& shared, limits const& bounds, directory_ptr directory)
    : index_{index}, shared_{shared}, bind_{shared.host_key_path}, limits_{std::make_shared<limits const>(bounds)},
      directory_{std::move(directory)}
{
}

transport_thread::~transport_thread()
{
    stop();
}

void transport_thread::start()
{
    thread_ = std::thread{[this] { run(); }};
}

void transport_thread::run()
{
    name_thread(("transport-" + std::to_string(index_)).c_str());
    auto const work = boost::asio::make_work_guard(loop_);
    tick();
    while (!(stopping_ && sessions_.empty())) {
        loop_.run_one();
        for (unsigned handled = 1; handled < turn_handlers_max && loop_.poll_one() > 0; ++handled) {}
        for (auto const id : std::exchange(buried_, {}))
            session_count_.fetch_sub(sessions_.erase(id), std::memory_order_relaxed);
        flush();
    }
}

void transport_thread::stop()
{
    if (!thread_.joinable()) return;
    boost::asio::post(loop_, [this] {
        stopping_ = true;
        for (auto const& [id, each] : sessions_) each->leave("the server stops");
    });
    thread_.join();
}

void transport_thread::adopt(int fd, std::string address)
{
    session_count_.fetch_add(1, std::memory_order_relaxed);
    boost::asio::post(loop_, [this, fd, address = std::move(address)]() mutable {
        if (stopping_) {
            ::close(fd);
            session_count_.fetch_sub(1, std::memory_order_relaxed);
            return shared_.entrance.left(address, std::nullopt);
        }
        auto const id = session_id{std::uint64_t{index_} << 48 | ++last_id_};
        std::shared_ptr<session> made;
        try {
            made = std::make_shared<session>(*this, id, fd, address);
        } catch (std::exception const& error) {
            log_error({.session = {}, .link = {}, .user = {}, .address = address}, "no session: {}", error.what());
            session_count_.fetch_sub(1, std::memory_order_relaxed);
            return shared_.entrance.left(address, std::nullopt);
        }
        sessions_.emplace(id, made);
        made->start();
    });
}

void transport_thread::set_limits(std::shared_ptr<limits const> bounds)
{
    boost::asio::post(loop_, [this, bounds = std::move(bounds)]() mutable { limits_ = std::move(bounds); });
}

void transport_thread::drop_unauthenticated()
{
    boost::asio::post(loop_, [this] {
        for (auto const& [id, each] : sessions_)
            if (!each->logged_in()) each->end({});  // without a reason: a client may try again, perhaps elsewhere
    });
}

void transport_thread::deliver(std::vector<link_output::any> batch)
{
    if (batch.empty()) return;
    shared_.counters.outputs_waiting.add(batch.size());
    {
        std::lock_guard const lock{mutex_};
        if (!outputs_.empty()) {
            outputs_.insert(outputs_.end(), std::make_move_iterator(batch.begin()), std::make_move_iterator(batch.end()));
            return;
        }
        outputs_ = std::move(batch);
    }
    boost::asio::post(loop_, [this] { take_outputs(); });
}

void transport_thread::take_outputs()
{
    std::vector<link_output::any> batch;
    {
        std::lock_guard const lock{mutex_};
        batch.swap(outputs_);
    }
    shared_.counters.outputs_waiting.subtract(batch.size());
    for (auto& each : batch) {
        auto const found = links_.find(each.link);
        if (found == links_.end()) continue;  // closed meanwhile
        // First the kick, since what the role does may end its link.
        found->second.owner->kick();
        found->second.speaker->on_output(std::move(each.what));
    }
}

void transport_thread::accounts_changed(directory_ptr directory)
{
    boost::asio::post(loop_, [this, directory = std::move(directory)]() mutable {
        directory_ = std::move(directory);
        for (auto const& [id, each] : sessions_) each->check_admission();
    });
}

void transport_thread::tick()
{
    auto const now = steady_ms();
    std::uint64_t outboxes = 0;
    for (auto const& [id, each] : sessions_) {
        each->tick(now);
        outboxes += each->outbox_bytes();
    }
    show_outboxes(outboxes);
    timer_.expires_after(tick_every);
    timer_.async_wait([this](boost::system::error_code error) {
        if (!error) tick();
    });
}

void transport_thread::show_outboxes(std::uint64_t bytes)
{
    // The gauge is the sum over the threads: each tells by how much its share has changed, be it less than nothing.
    shared_.counters.outbox_bytes.add(bytes - std::exchange(outbox_bytes_, bytes));
}

void transport_thread::flush()
{
    if (events_.empty()) return;
    shared_.router.submit(std::exchange(events_, {}));
}

link_id transport_thread::open_link(session& owner, role& speaker)
{
    auto const id = link_id{std::uint64_t{index_} << 48 | ++last_id_};
    links_.emplace(id, link_entry{&owner, &speaker});
    shared_.counters.links.add();
    log_debug({.session = owner.who()->session, .link = id, .user = owner.who()->user, .address = {}}, "link opened");
    return id;
}

void transport_thread::close_link(link_id link)
{
    auto const found = links_.find(link);
    if (found == links_.end()) return;
    auto const& who = *found->second.owner->who();
    log_debug({.session = who.session, .link = link, .user = who.user, .address = {}}, "link closed");
    links_.erase(found);
    shared_.counters.links.subtract();
}

void transport_thread::emit(link_id link, link_event::body&& what)
{
    events_.push_back({link, std::move(what)});
}

void transport_thread::bury(session_id id)
{
    buried_.push_back(id);
}

void transport_thread::hold(std::uint64_t token) noexcept
{
    held_by_.store(token, std::memory_order_relaxed);
    held_since_.store(steady_ms(), std::memory_order_relaxed);
}

}  // namespace kedge
