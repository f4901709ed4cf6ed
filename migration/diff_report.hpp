#pragma once
/// What a diff has found: exact counts and the first findings, as JSON for operators and for the journal.

#include <vector>

#include <nlohmann/json.hpp>

#include "migration/diff.hpp"

namespace kedge::migration {

class diff_report {
public:
    void add(diff_finding);
    diff_counts const& counts() const noexcept { return counts_; }
    std::vector<diff_finding> const& findings() const noexcept { return findings_; }

    /// The counts, and with them the findings, as `migrate diff` prints them.
    void print(nlohmann::json& into, bool with_findings) const;
    void save(nlohmann::json& into) const;
    /// What `save` wrote. Throws nlohmann::json::exception if it is something else.
    static diff_report load(nlohmann::json const&);

private:
    diff_counts counts_;
    std::vector<diff_finding> findings_;  // at most diff_run::findings_max
};

}  // namespace kedge::migration
