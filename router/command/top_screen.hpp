#pragma once
/// The picture that `top` shows, made of two answers of `status`. Pure; internal to router/command.

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "router/command/command.hpp"

namespace kedge {

/// Lines without their ends; on a terminal none is wider than it, and they are no more than it has rows. `before` is the
/// answer that came before `now`, null if there is none: then no rates are shown. `away`: why there is no newer one.
std::vector<std::string> draw_top(nlohmann::json const& before, nlohmann::json const& now, std::string_view away,
                                  command_environment const&);

}  // namespace kedge
