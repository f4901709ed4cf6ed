#pragma once
/// What tests of the mirror do and ask again and again.

#include <optional>
#include <string>
#include <vector>

#include "tests/migration/mirror_world.hpp"

namespace kedge::migration {

inline nlohmann::json const confirmed{{"confirm", "CHAT"}};

void must(std::optional<admin_result> const&);
void refused_because(std::optional<admin_result> const&, std::string const& words);
std::vector<std::string> sorted(std::vector<std::string>);
bool caught_up(mirror_world&);
/// Everything is on both sides, once; what was answered ok is there.
void both_sides_are_one(mirror_world&);
/// LEGACY, MIRRORING or NATS, from LEGACY; with messages of both sides, but for LEGACY.
void bring_to(mirror_world&, std::string const& state);
/// Until the status says that it is broken so.
void await_broken(mirror_world&, std::string const& reason);

}  // namespace kedge::migration
