#include "sshd-transport/signal_watch.hpp"

#include <vector>

#include <unistd.h>

#include "tests/catch.hpp"

using namespace kedge;

TEST_CASE("a signal that came before anybody waited is reported, once")
{
    block_signals({SIGUSR1, SIGUSR2});
    ::kill(::getpid(), SIGUSR1);
    boost::asio::io_context context{1};
    std::vector<int> came;
    signal_watch watch(context, {SIGUSR1, SIGUSR2}, [&](int number) {
        came.push_back(number);
        number == SIGUSR1 ? static_cast<void>(::kill(::getpid(), SIGUSR2)) : context.stop();
    });
    context.run();
    CHECK(came == std::vector<int>{SIGUSR1, SIGUSR2});
}

TEST_CASE("a released signal has its own action again, the others are still reported")
{
    static int volatile handled = 0;
    ::signal(SIGUSR1, [](int) { handled = handled + 1; });
    block_signals({SIGUSR1, SIGUSR2});
    boost::asio::io_context context{1};
    std::vector<int> came;
    signal_watch watch(context, {SIGUSR1, SIGUSR2}, [&](int number) {
        came.push_back(number);
        context.stop();
    });
    watch.release({SIGUSR1});
    ::kill(::getpid(), SIGUSR1);
    CHECK(handled == 1);
    ::kill(::getpid(), SIGUSR2);
    context.run();
    CHECK(came == std::vector<int>{SIGUSR2});
    ::signal(SIGUSR1, SIG_DFL);
}
