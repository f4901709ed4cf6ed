/// `kedge migrate status --watch`: the status once a second, drawn over the last one.

#include "router/command/live_screen.hpp"
#include "router/command/migrate_commands.hpp"
#include "router/command/page.hpp"

namespace kedge {
namespace {

std::vector<std::string> draw(nlohmann::json const&, nlohmann::json const& now, std::string_view away, command_environment const& e)
{
    std::vector<std::string> lines;
    if (!away.empty()) {
        page trouble{e};
        trouble.marked("! ", style::red, printable(away) + "; trying again", style::red);
        lines = trouble.lines();
    }
    for (auto& line : migration_lines(now, e))
        lines.push_back(std::move(line));
    if (!e.out_is_terminal || e.rows == 0)
        return lines;
    std::size_t const room = e.rows - 1;
    if (lines.size() > room) {
        auto const more = lines.size() - room;
        lines.resize(room);
        if (room > 0)
            lines.back() = styled("… " + std::to_string(more + 1) + " more lines: kedge migrate status STREAM --watch", style::dim, e);
    }
    lines.resize(room);
    lines.push_back(styled("q ends", style::dim, e));
    for (auto& line : lines)
        line = fitted(line, e.columns);
    return lines;
}

}  // namespace

std::unique_ptr<command> make_migrate_watch(std::string stream, bool json, command_environment const& e)
{
    live_settings s;
    s.call = {"migrate status", nlohmann::json::object()};
    std::vector<std::string> words{"migrate", "status"};
    if (!stream.empty()) {
        s.call.args["stream"] = stream;
        words.push_back(std::move(stream));
    }
    words.insert(words.end(), {"--watch", "--json"});
    s.feed = join_words(words);
    s.draw = draw;
    s.json = json;
    return make_live(std::move(s), e);
}

}  // namespace kedge
