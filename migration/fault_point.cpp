#include "migration/fault_point.hpp"

#include <csignal>
#include <cstdlib>

#include <unistd.h>

namespace kedge::migration {

fault_point::fault_point()
{
    auto const* const text = std::getenv("KEDGE_FAULT_POINT");
    if (!text)
        return;
    label_ = text;
    if (auto const hash = label_.find('#'); hash != std::string::npos) {
        times_ = std::strtoul(label_.c_str() + hash + 1, nullptr, 10);
        label_.resize(hash);
    }
}

void fault_point::pass(std::vector<std::string> const& reached)
{
    if (label_.empty())
        return;
    for (auto const& each : reached)
        if (each == label_ && --times_ == 0)
            ::kill(::getpid(), SIGKILL);
}

}  // namespace kedge::migration
