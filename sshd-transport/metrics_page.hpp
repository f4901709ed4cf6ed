#pragma once
/// The page of /metrics: the table of router/metrics.hpp, every limit, refusals and errors by reason, the process, the build.

#include <span>
#include <string>
#include <string_view>

#include "router/metrics.hpp"
#include "router/protocol/limits.hpp"

namespace kedge {

/// In Prometheus' text format. `refusals` names `metrics::refused` by index. Any thread; reads /proc/self.
std::string metrics_page(metrics const&, limits const&, std::span<std::string_view const> refusals);

}  // namespace kedge
