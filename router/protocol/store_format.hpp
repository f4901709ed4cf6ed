#pragma once
/// What the header of a database says of itself: what programs can know of one that cannot read it.

#include <cstdint>

namespace kedge::store_format {

inline constexpr std::uint32_t application_id = 0x6b656467;  ///< "kedg"
inline constexpr std::uint32_t version = 3;                  ///< of the schema that this program writes; older ones are upgraded

}  // namespace kedge::store_format
