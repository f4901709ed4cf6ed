#include "tests/migration/mirror_steps.hpp"

#include <algorithm>
#include <set>

#include "tests/catch.hpp"

namespace kedge::migration {

void must(std::optional<admin_result> const& result)
{
    REQUIRE(result.has_value());
    INFO(result->error << ' ' << result->data.dump());
    REQUIRE(result->exit_status == 0);
}

void refused_because(std::optional<admin_result> const& result, std::string const& words)
{
    REQUIRE(result.has_value());
    INFO(result->error << ' ' << result->data.dump());
    CHECK(result->exit_status == 1);
    CHECK(result->error.find(words) != std::string::npos);
}

std::vector<std::string> sorted(std::vector<std::string> list)
{
    std::sort(list.begin(), list.end());
    return list;
}

bool caught_up(mirror_world& w)
{
    auto const s = w.status();
    return s["lag"]["known"] == true && s["lag"]["messages"] == 0;
}

void both_sides_are_one(mirror_world& w)
{
    REQUIRE(w.until([&] { return caught_up(w); }));
    auto const log = sorted(w.log());
    auto const jet = sorted(w.jet());
    CHECK(log == jet);
    CHECK(std::set<std::string>(log.begin(), log.end()).size() == log.size());
    for (auto const& body : w.accepted)
        CHECK(std::binary_search(log.begin(), log.end(), body));
}

void bring_to(mirror_world& w, std::string const& state)
{
    REQUIRE(w.until([&] { return w.status()["flags"].empty() || w.state() == "LEGACY"; }));
    w.settle();
    if (state == "LEGACY")
        return;
    must(w.run("start"));
    w.publish(20);
    w.publish_native(5);
    REQUIRE(w.until([&] { return caught_up(w); }));
    if (state == "MIRRORING")
        return;
    must(w.run("switch"));
    REQUIRE(w.state() == "NATS");
}

void await_broken(mirror_world& w, std::string const& reason)
{
    INFO(reason);
    REQUIRE(w.until([&] {
        auto const broken = w.status()["broken"];
        return !broken.is_null() && broken["reason"] == reason;
    }));
}

}  // namespace kedge::migration
