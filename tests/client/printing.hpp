#pragma once
/// How Catch2 shows a failed `result<void>`.

#include <ostream>

#include "router/protocol/error.hpp"

namespace kedge {

inline std::ostream& operator<<(std::ostream& out, failure const& f)
{
    return out << wire_word(f.code) << ": " << f.message;
}

}  // namespace kedge
