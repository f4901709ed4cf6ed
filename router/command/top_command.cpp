/// `kedge top`: `status` once a second, as a picture that is drawn over the last one. Without a terminal one picture.

#include "router/command/live_screen.hpp"
#include "router/command/operator_commands.hpp"
#include "router/command/top_screen.hpp"

namespace kedge {

std::unique_ptr<command> make_top(command_environment const& e)
{
    return make_live({"status --json --every 1s", {"status", nlohmann::json::object()}, draw_top, true, false}, e);
}

}  // namespace kedge
