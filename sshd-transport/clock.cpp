#include "sshd-transport/clock.hpp"

#include <chrono>
#include <cstdio>
#include <random>

namespace kedge {

std::uint64_t steady_ms() noexcept
{
    using namespace std::chrono;
    return static_cast<std::uint64_t>(duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count());
}

std::uint64_t wall_ms() noexcept
{
    using namespace std::chrono;
    return static_cast<std::uint64_t>(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

std::uint64_t random_token()
{
    thread_local std::random_device device;  // opens a file once a thread
    return std::uint64_t{device()} << 32 | device();
}

std::string token_text(std::uint64_t token)
{
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(token));
    return text;
}

}  // namespace kedge
