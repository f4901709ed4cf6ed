#pragma once
/// Tells systemd what the service is doing (sd_notify(3)): one datagram to $NOTIFY_SOCKET. Does nothing without one.

#include <string_view>

namespace kedge {

/// E.g. "READY=1". Never fails loudly: a supervisor that is gone must not take the service with it.
void notify_supervisor(std::string_view state) noexcept;

}  // namespace kedge
