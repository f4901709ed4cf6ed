#pragma once
/// Ends the process where a test of crashes wants it to end.

#include <string>
#include <vector>

namespace kedge::migration {

/// KEDGE_FAULT_POINT=LABEL, or LABEL#N for the Nth time; without it nothing ever happens. One thread.
class fault_point {
public:
    fault_point();
    /// By SIGKILL, if the label is among them.
    void pass(std::vector<std::string> const& reached);

private:
    std::string label_;
    unsigned long times_ = 1;
};

}  // namespace kedge::migration
