#pragma once
/// A picture that is drawn over the last one, about once a second, from answers of the server: `top`, `migrate status
/// --watch`. 'q' and Ctrl-C end it. Internal to router/command.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "router/command/commands.hpp"

namespace kedge {

struct live_settings {
    std::string feed;  ///< the line that has the server print an answer (JSON) a second
    admin_call call;   ///< behind an exec request: what is asked each second
    /// Lines without their ends. On a terminal none is wider than it, and they are no more than it has rows. `before` is the
    /// answer before `now`, null if there is none; `away` says why there is no newer one, empty if there is.
    std::function<std::vector<std::string>(nlohmann::json const& before, nlohmann::json const& now, std::string_view away,
                                           command_environment const&)>
        draw;
    /// Without a terminal: one picture, of two answers. Else picture after picture, a blank line between them.
    bool one_in_a_pipe = false;
    bool json = false;  ///< no pictures: each answer as it is, a line
};

std::unique_ptr<command> make_live(live_settings, command_environment const&);

}  // namespace kedge
