#pragma once
/// `kedge migrate …` and `kedge bridge …`: what the grammar makes of them, and how their answers are shown. Internal to
/// router/command. Answers: migration/README.md, "What commands answer".

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "router/command/commands.hpp"
#include "router/command/progress.hpp"

namespace kedge {

struct migrate_settings {
    admin_call call;
    bool json = false;
    bool no_wait = false;  ///< do not wait for what goes on after the answer
    bool yes = false;      ///< what asks to be confirmed is
};

/// A command of one stream, or several calls that together are one: asked before, carried out, watched, asked after.
std::unique_ptr<command> make_migrate(migrate_settings, command_environment const&);
/// `status --watch`; `stream` is empty for all.
std::unique_ptr<command> make_migrate_watch(std::string stream, bool json, command_environment const&);

/// The line that makes the server carry out this call and nothing else, and answer at once.
std::string migrate_line(admin_call const&);

/// The member of `data`, or an empty object.
nlohmann::json const& object_of(nlohmann::json const& data, std::string_view name);
/// Text that may be shown; empty if there is none.
std::string words_of(nlohmann::json const& data, std::string_view name);
bool is_true(nlohmann::json const& data, std::string_view name);
/// `streams` of a status that are mirrored, or were.
std::vector<nlohmann::json> mirrored_of(nlohmann::json const& status);
/// How far a stream's copy is behind, or its diff.
progress catching_up_of(nlohmann::json const& stream);
progress diff_progress(nlohmann::json const& diff);

/// Of the answer to `migrate status`: lines without their ends; on a terminal none is wider than it.
std::vector<std::string> migration_lines(nlohmann::json const& status, command_environment const&);
/// The connection in one line: "up since …".
std::string link_line(nlohmann::json const& link);
/// "SQLite", "JetStream".
std::string_view authority_name(nlohmann::json const& stream);
/// "MIRRORING: SQLite orders it, 12 messages behind".
std::string stream_line(nlohmann::json const& stream);
/// Rows of the table that `top` and `status` show of mirrored streams: stream, state, lag, seconds, rate_out, rate_in, note.
nlohmann::json migration_rows(nlohmann::json const& migration);

/// The other answers, for people.
std::string render_migrate(admin_call const&, nlohmann::json const& data, command_environment const&);

}  // namespace kedge
