#pragma once
/// What a person reads who opens a shell: who they are here, and what they can do.

#include <string>

#include "router/link_port.hpp"

namespace kedge {

/// `terminal`: lines end in CR LF.
std::string greeting(principal const&, bool terminal);

}  // namespace kedge
