#include "migration/journal.hpp"

#include <utility>

namespace kedge::migration {

void journal::add(entry fresh)
{
    history.push_back(std::move(fresh));
    if (history.size() > history_max)
        history.pop_front();
}

std::string write_journal(journal const& j)
{
    nlohmann::json out{{"v", 1},
                       {"state", to_string(j.phase)},
                       {"authority_epoch", j.authority_epoch},
                       {"since_ms", j.since_ms},
                       {"from", j.from},
                       {"jet", j.jet},
                       {"created_ns", j.created_ns},
                       {"marked", j.marked}};
    if (j.paused)
        out["paused"] = true;
    if (j.granted_bytes != 0)
        out["granted_bytes"] = j.granted_bytes;
    if (j.broken)
        out["broken"] = {{"reason", j.broken->reason}, {"why", j.broken->why}, {"next", j.broken->next}};
    if (!j.diff.is_null())
        out["diff"] = j.diff;
    if (!j.diff_tail.is_null())
        out["diff_tail"] = j.diff_tail;
    if (!j.diff_failed.is_null())
        out["diff_failed"] = j.diff_failed;
    if (!j.diff_resume.is_null())
        out["diff_resume"] = j.diff_resume;
    if (j.behind != 0)
        out["behind"] = j.behind;
    auto& history = out["history"] = nlohmann::json::array();
    for (auto const& e : j.history)
        history.push_back({e.time_ms, e.state, e.what, e.why, e.by});
    return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

result<journal> read_journal(std::string_view text)
{
    auto const in = nlohmann::json::parse(text, nullptr, false);
    auto const damaged = [](char const* what) { return failure{error_code::internal, std::string{"the migration's journal "} + what}; };
    if (!in.is_object() || !in.contains("state"))
        return damaged("cannot be read");
    try {
        if (in.value("v", 0) != 1)
            return damaged("is of a newer version");
        journal j;
        auto const phase = parse_phase(in.at("state").get<std::string>());
        if (!phase)
            return damaged("names a state that does not exist");
        j.phase = *phase;
        j.authority_epoch = in.value("authority_epoch", std::uint64_t{1});
        j.since_ms = in.value("since_ms", std::uint64_t{0});
        j.paused = in.value("paused", false);
        j.granted_bytes = in.value("granted_bytes", std::uint64_t{0});
        if (auto const at = in.find("broken"); at != in.end())
            j.broken = journal::breakdown{at->value("reason", ""), at->value("why", ""), at->value("next", "")};
        j.from = in.value("from", "");
        j.jet = in.value("jet", "");
        j.created_ns = in.value("created_ns", std::uint64_t{0});
        j.marked = in.value("marked", "");
        j.diff = in.value("diff", nlohmann::json{});
        j.diff_failed = in.value("diff_failed", nlohmann::json{});
        j.diff_resume = in.value("diff_resume", nlohmann::json{});
        j.diff_tail = in.value("diff_tail", nlohmann::json{});
        j.behind = in.value("behind", std::uint64_t{0});
        for (auto const& e : in.value("history", nlohmann::json::array()))
            j.add({e.at(0).get<std::uint64_t>(), e.at(1).get<std::string>(), e.at(2).get<std::string>(), e.at(3).get<std::string>(),
                   e.at(4).get<std::string>()});
        return j;
    } catch (nlohmann::json::exception const&) {
        return damaged("is damaged");
    }
}

}  // namespace kedge::migration
