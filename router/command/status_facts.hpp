#pragma once
/// What `status` and `top` read out of the server's answer. Internal to router/command.

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "router/command/commands.hpp"

namespace kedge {

/// An array of it, or an empty one.
nlohmann::json const& array_of(nlohmann::json const& data, std::string_view name);
/// A number of it, or of its "metrics"; 0 if there is none.
double number_of(nlohmann::json const& data, std::string_view name);
double metric_of(nlohmann::json const& data, std::string_view name);

/// "kedge/1.0, up 3d 4h  all is well".
std::string status_head(nlohmann::json const& data, command_environment const&);
/// Why it is not well, a sentence each.
std::vector<std::string> status_why(nlohmann::json const& data);
/// "waiting: …" and what else is worth a line: sessions, who is slowed down, mail, services, bans. Only what there is.
std::vector<std::string> status_lines(nlohmann::json const& data);

}  // namespace kedge
