/// Any bytes, read as lines.
#include "tests/fuzz/decoding.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size)
{
    kedge::fuzz::check_decoder(kedge::encoding::lines, kedge::fuzz::tight_limits(),
                               {reinterpret_cast<char const*>(data), size});
    return 0;
}
