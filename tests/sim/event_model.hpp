#pragma once
/// What somebody sees who watches `$sys.>` from the start: every pair of events balances and agrees with what there is.

#include <map>
#include <set>
#include <string>

#include "router/protocol/notice.hpp"
#include "tests/sim/party.hpp"

namespace kedge::sim {

class event_model {
public:
    void heard(notice::msg const&);
    /// At the end of a batch what was told is what there is.
    void agrees(parties const&) const;

private:
    std::set<std::string> here_;                            // nodes
    std::map<std::string, std::set<std::string>> serving_;  // service -> instances
    std::set<std::string> online_;                          // services
};

}  // namespace kedge::sim
