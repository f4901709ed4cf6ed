#pragma once
/// A number from the environment: how long a simulation runs, and which of its seeds.

#include <cstdint>
#include <cstdlib>

namespace kedge::sim {

inline std::uint64_t variable(char const* name, std::uint64_t otherwise)
{
    char const* const text = std::getenv(name);
    return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace kedge::sim
