#pragma once
/// Inside of recover.hpp: makes the parts of a salvaged database agree with each other again.

#include "router/store/sqlite/database.hpp"
#include "router/store/sqlite/recover.hpp"

namespace kedge::sqlite {

/// One transaction. What it has to change or drop is added to `report.lost`.
void mend(database&, recovery& report);

}  // namespace kedge::sqlite
