#pragma once
/// What the harnesses share.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);

namespace kedge::fuzz {

/// Ends the program, whatever the build: a property that does not hold is a finding.
inline void require(bool holds, char const* property)
{
    if (holds)
        return;
    std::fprintf(stderr, "does not hold: %s\n", property);
    std::abort();
}

}  // namespace kedge::fuzz
