#include "migration/diff_report.hpp"

#include <utility>

namespace kedge::migration {

std::string_view to_string(defect d) noexcept
{
    switch (d) {
    case defect::missing: return "missing";
    case defect::extra: return "extra";
    case defect::body: return "body";
    case defect::header: return "header";
    case defect::order: return "order";
    }
    return "";
}

void diff_report::add(diff_finding f)
{
    switch (f.kind) {
    case defect::missing: ++counts_.missing; break;
    case defect::extra: ++counts_.extra; break;
    case defect::body:
    case defect::header: ++counts_.different; break;
    case defect::order: ++counts_.out_of_order; break;
    }
    if (findings_.size() < diff_run::findings_max)
        findings_.push_back(std::move(f));
}

void diff_report::print(nlohmann::json& into, bool with_findings) const
{
    into["missing"] = counts_.missing;
    into["extra"] = counts_.extra;
    into["different"] = counts_.different;
    into["out_of_order"] = counts_.out_of_order;
    if (!with_findings)
        return;
    auto& list = into["findings"] = nlohmann::json::array();
    for (auto const& f : findings_)
        list.push_back({{"kind", to_string(f.kind)},
                        {"origin", f.native ? "nats" : "ssh"},
                        {"seq", f.seq},
                        {"place", f.place},
                        {"text", f.text}});
}

void diff_report::save(nlohmann::json& into) const
{
    into["counts"] = {counts_.missing, counts_.extra, counts_.different, counts_.out_of_order};
    auto& list = into["findings"] = nlohmann::json::array();
    for (auto const& f : findings_)
        list.push_back({static_cast<int>(f.kind), f.native, f.seq, f.place, f.text});
}

diff_report diff_report::load(nlohmann::json const& state)
{
    diff_report made;
    auto const& counts = state.at("counts");
    made.counts_ = {counts.at(0), counts.at(1), counts.at(2), counts.at(3)};
    for (auto const& f : state.at("findings"))
        made.findings_.push_back({static_cast<defect>(f.at(0).get<int>()), f.at(1), f.at(2), f.at(3), f.at(4)});
    return made;
}

}  // namespace kedge::migration
