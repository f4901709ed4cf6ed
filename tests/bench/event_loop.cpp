#include "tests/bench/ssh_client.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

namespace kedge::bench {

using clock = std::chrono::steady_clock;

event_loop::event_loop() : epoll_{::epoll_create1(EPOLL_CLOEXEC)}
{
    if (epoll_ < 0)
        throw std::runtime_error{"epoll_create1"};
    ::prctl(PR_SET_TIMERSLACK, 1);  // the open loop needs better than the default of 50 µs
}

event_loop::~event_loop() { ::close(epoll_); }

void event_loop::add(ssh_client& client)
{
    client.drive();
    auto& made = *entries_.emplace_back(std::make_unique<entry>(entry{&client, false}));
    epoll_event want{};
    want.events = EPOLLIN;
    want.data.ptr = &made;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, client.fd(), &want) != 0)
        throw std::runtime_error{"epoll_ctl"};
}

void event_loop::pump(entry& e)
{
    bool const wants_write = e.client->pump();
    if (wants_write == e.wants_write)
        return;
    e.wants_write = wants_write;
    epoll_event want{};
    want.events = wants_write ? static_cast<std::uint32_t>(EPOLLIN | EPOLLOUT) : static_cast<std::uint32_t>(EPOLLIN);
    want.data.ptr = &e;
    if (::epoll_ctl(epoll_, EPOLL_CTL_MOD, e.client->fd(), &want) != 0)
        throw std::runtime_error{"epoll_ctl"};
}

void event_loop::run(std::string_view what, std::chrono::milliseconds limit, step const& next)
{
    auto const end = clock::now() + limit;
    for (;;) {
        auto wait = next();
        if (wait == done)
            return;
        if (clock::now() >= end)
            throw std::runtime_error{"timed out: " + std::string{what}};
        for (auto& e : entries_)
            if (!e->wants_write && e->client->has_unsent())
                pump(*e);

        wait = std::clamp(wait, std::chrono::nanoseconds{0}, std::chrono::nanoseconds{std::chrono::milliseconds{50}});
        timespec const sleep{0, static_cast<long>(wait.count())};
        pollfd watched{epoll_, POLLIN, 0};
        if (wait.count() != 0 && ::ppoll(&watched, 1, &sleep, nullptr) <= 0)
            continue;
        epoll_event ready[64];
        int const count = ::epoll_wait(epoll_, ready, 64, 0);
        for (int i = 0; i < count; ++i)
            pump(*static_cast<entry*>(ready[i].data.ptr));
    }
}

void event_loop::until(std::string_view what, std::function<bool()> const& condition, std::chrono::milliseconds limit)
{
    run(what, limit, [&] { return condition() ? done : std::chrono::nanoseconds{std::chrono::milliseconds{50}}; });
}

}  // namespace kedge::bench
