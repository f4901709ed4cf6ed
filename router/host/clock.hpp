#pragma once
/// Reads both clocks; the only place of the router that does.

#include <chrono>

#include "router/core/actions.hpp"

namespace kedge {

inline instant read_clock()
{
    using namespace std::chrono;
    return {static_cast<std::uint64_t>(duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count()),
            static_cast<std::uint64_t>(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count())};
}

}  // namespace kedge
