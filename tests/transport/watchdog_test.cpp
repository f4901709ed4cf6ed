#include "sshd-transport/watchdog.hpp"

#include <atomic>
#include <future>

#include "sshd-transport/clock.hpp"
#include "tests/catch.hpp"

using namespace kedge;

TEST_CASE("the watchdog names who holds a thread too long, once, and nobody else")
{
    struct report {
        std::size_t thread;
        held by;
        std::uint64_t for_ms;
    };
    std::promise<report> first;
    std::atomic<unsigned> told{0}, looked{0};
    auto const since = steady_ms();
    {
        watchdog const guard{{[] { return held{}; },                                // nobody
                              [&] { return held{since, 0xabcd}; },                  // too long, from some moment on
                              [&] { return ++looked, held{steady_ms(), 0x1234}; }}, // busy, but never for long
                             20,
                             [&](std::size_t thread, held const& by, std::uint64_t for_ms) {
                                 if (++told == 1) first.set_value({thread, by, for_ms});
                             }};
        auto const got = first.get_future().get();
        CHECK(got.thread == 1);
        CHECK(got.by.token == 0xabcd);
        CHECK(got.for_ms >= 20);
        auto const then = looked.load();
        while (looked < then + 5) std::this_thread::yield();
    }
    CHECK(told == 1);
}
