#include "clients/lib/client_pump.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <utility>

#include "router/protocol/limits.hpp"

namespace asio = boost::asio;

namespace kedge::client_lib {
namespace {

/// How often time is looked at: often while publishes wait to be tried again, seldom else.
constexpr std::chrono::milliseconds watch_busy{20};
constexpr std::chrono::milliseconds watch_idle{500};

session_options session_options_of(client_options const& o)
{
    session_options s;
    s.node = o.node;
    s.inbox = o.inbox;
    s.client = o.client.empty() ? "kedge-client/" KEDGE_VERSION : o.client;
    s.operations_max = o.operations_max;
    s.bytes_max = o.bytes_max;
    s.retry_ms = static_cast<std::uint64_t>(o.retry_for.count());
    s.seed = std::random_device{}();
    return s;
}

}  // namespace

std::string random_name()
{
    std::random_device random;
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "%08x%08x", random(), random());
    return text.data();
}

ssh_login login_of(client_options const& o)
{
    return {o.identities, o.agent, o.known_hosts, o.accept_new, o.connect_timeout};
}

client_pump::client_pump(asio::any_io_executor e, client_options const& o)
    : executor_{e}, options_{o}, session_{session_options_of(o)},
      backoff_{o.servers.size(), o.wait_min, o.wait_max, std::random_device{}()}, retry_timer_{e}, watch_timer_{e},
      body_max_{limits{}.body_bytes}
{
    if (o.inbox && o.node.empty())
        throw std::invalid_argument{"an inbox needs a node"};
    if (o.servers.empty())
        throw std::invalid_argument{"no server is named"};
    for (auto const& text : o.servers) {
        auto address = parse_address(text);
        if (!address)
            throw std::invalid_argument{"'" + text + "' is not of the form USER@HOST:PORT"};
        servers_.push_back(std::move(*address));
    }
}

std::uint64_t client_pump::now_ms() const
{
    using namespace std::chrono;
    return static_cast<std::uint64_t>(duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count());
}

void client_pump::start()
{
    without_link_since_ms_ = now_ms();
    asio::post(executor_, [self = shared_from_this()] { self->connect(); });
}

void client_pump::stop()
{
    stopped_ = true;
    if (connection_)
        connection_->close();
    connection_.reset();
    retry_timer_.cancel();
    watch_timer_.cancel();
}

void client_pump::close(std::function<void()> done)
{
    closed_ = std::move(done);
    asio::post(executor_, [self = shared_from_this()] { self->finish_if_closed(); });
}

/// Orderly end: when nothing is unanswered, `quit`; when that is answered, done.
bool client_pump::finish_if_closed()
{
    if (stopped_ || !closed_)
        return stopped_;
    if (session_.current() == session::state::ended) {
        auto const done = std::exchange(closed_, {});
        stop();
        done();
        return true;
    }
    if (session_.idle() && session_.current() == session::state::ready)
        session_.submit(op::quit{}).has_value();  // the answer, `bye`, ends the session
    wake();
    return false;
}

result<void> client_pump::submit(op::any what)
{
    if (closed_)
        return failure{error_code::unavailable, "the client is closing"};
    auto submitted = session_.submit(std::move(what));
    had_room_ = session_.wants_more();
    wake();
    return submitted;
}

result<void> client_pump::submit_numbered(std::string stream, op::publish what)
{
    if (closed_)
        return failure{error_code::unavailable, "the client is closing"};
    auto submitted = session_.submit_numbered(std::move(stream), std::move(what));
    had_room_ = session_.wants_more();
    wake();
    return submitted;
}

void client_pump::abandon(std::string const& id)
{
    session_.abandon(id);
    finish_if_closed();
}

void client_pump::wake()
{
    if (connection_ && open_)
        connection_->wake();
    // Some answers are known without a server (no link, nothing to undo); they too come later, not from within the call.
    if (session_.has_notices() && !notices_posted_) {
        notices_posted_ = true;
        asio::post(executor_, [self = shared_from_this()] {
            self->notices_posted_ = false;
            self->dispatch();
        });
    }
}

void client_pump::pause()
{
    paused_ = true;
    if (connection_)
        connection_->pause();
}

void client_pump::resume()
{
    paused_ = false;
    if (connection_)
        connection_->resume();
}

void client_pump::connect()
{
    if (stopped_)
        return;
    welcomed_ = open_ = false;
    connection_ = ssh_connection::open(executor_, servers_[backoff_.server()], login_of(options_),
                                       {ssh_request::kind::subsystem, "kedge"}, *this);
}

void client_pump::on_open()
{
    auto const self = shared_from_this();
    open_ = true;
    lasting_failures_ = 0;
    session_.link_up(now_ms());
    if (paused_)
        connection_->pause();
    watch();
}

/// The connection asks for bytes.
void client_pump::on_writable(std::string& out, std::size_t bytes_max)
{
    session_.fill(out, bytes_max, now_ms());
    if (!had_room_ && session_.wants_more()) {
        had_room_ = true;
        // Not from here: the program would publish while bytes are being taken.
        asio::post(executor_, [self = shared_from_this()] {
            if (!self->stopped_ && self->on_room)
                self->on_room();
        });
    }
}

void client_pump::on_data(std::string_view bytes, bool is_error_stream)
{
    if (is_error_stream)
        return;
    auto const self = shared_from_this();
    auto const handled = session_.receive(bytes, now_ms());
    dispatch();
    if (stopped_)
        return;
    if (!handled)
        drop(handled.error().message.empty() ? std::string{sentence(handled.error().code)} : handled.error().message);
}

void client_pump::dispatch()
{
    auto const self = shared_from_this();
    for (auto& n : session_.take_notices()) {
        if (auto const* w = std::get_if<notice::welcome>(&n)) {
            body_max_ = w->max_body != 0 ? w->max_body : body_max_;
            if (!welcomed_)
                backoff_.succeeded();
            welcomed_ = true;
        }
        if (on_notice)
            on_notice(n);
        if (stopped_)
            return;
    }
    if (session_.current() == session::state::ended && !closed_) {
        auto const why = session_.ended_because();
        give_up(why ? std::string{wire_word(why->code)} + ": " + why->message : "the session has ended");
        return;
    }
    if (!had_room_ && session_.wants_more()) {
        had_room_ = true;
        if (on_room)
            on_room();
    }
    if (!finish_if_closed() && !stopped_ && connection_ && open_)
        connection_->wake();
}

/// Time: silence, publishes that wait to be tried again.
void client_pump::watch()
{
    watch_timer_.expires_after(session_.recovering() ? watch_busy : watch_idle);
    watch_timer_.async_wait([self = shared_from_this()](boost::system::error_code ec) {
        if (ec || self->stopped_ || !self->open_)
            return;
        if (!self->paused_)
            if (auto const alive = self->session_.tick(self->now_ms()); !alive) {
                self->drop(alive.error().message);
                return;
            }
        self->wake();
        self->watch();
    });
}

/// The link is of no use any more.
void client_pump::drop(std::string const& why)
{
    if (connection_)
        connection_->close();
    on_end(std::nullopt, ssh_failure{trouble::lost, why});
}

void client_pump::on_end(std::optional<int>, std::optional<ssh_failure> why)
{
    if (stopped_)
        return;
    auto const self = shared_from_this();
    bool const was_open = std::exchange(open_, false);
    connection_.reset();
    watch_timer_.cancel();
    if (was_open) {
        without_link_since_ms_ = now_ms();
        session_.link_down(now_ms());
        dispatch();
        if (stopped_)
            return;
    }
    std::string const sentence = why ? why->message : "the server closed the link";
    if (why && is_lasting(why->what) && ++lasting_failures_ >= servers_.size()) {
        give_up(sentence);
        return;
    }
    if (!why || !is_lasting(why->what))
        lasting_failures_ = 0;
    retry_after(was_open && welcomed_ ? backoff_.lost() : backoff_.failed(), sentence);
}

void client_pump::retry_after(std::chrono::milliseconds wait, std::string const& why)
{
    if (options_.give_up_after.count() > 0 &&
        now_ms() - without_link_since_ms_ + static_cast<std::uint64_t>(wait.count()) >=
            static_cast<std::uint64_t>(options_.give_up_after.count())) {
        give_up(why);
        return;
    }
    if (on_disconnected)
        on_disconnected(why);
    if (stopped_)
        return;
    retry_timer_.expires_after(wait);
    retry_timer_.async_wait([self = shared_from_this()](boost::system::error_code ec) {
        if (!ec)
            self->connect();
    });
}

void client_pump::give_up(std::string const& why)
{
    auto const ended = on_ended;
    auto const closed = std::exchange(closed_, {});
    stop();
    if (ended)
        ended(why);
    if (closed)
        closed();
}

}  // namespace kedge::client_lib
