#pragma once
/// The commands of operators that are more than one call to the router. Internal to router/command.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "router/command/commands.hpp"

namespace kedge {

/// `status` is not asked for more often.
inline constexpr std::uint64_t status_every_ms_min = 200;

struct status_settings {
    std::uint64_t every_ms = 0;  ///< 0 = once
    bool json = false;
};

/// Seqs of a stream, both ends included; 0 = the first, the last.
struct seq_range {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
};

struct export_settings {
    std::string stream;
    seq_range range;
    std::string filter;
};

struct import_settings {
    std::string stream;
    std::string node = "import";
    seq_range range;  ///< of the stream that was exported
    bool quiet = false;
};

struct replay_settings {
    std::string stream;
    seq_range range;
    std::string filter;
    std::string prefix;      ///< before each subject; empty = none
    std::uint64_t rate = 0;  ///< messages a second; 0 = as far apart as they were published
    double speed = 1;        ///< without a rate: so many times as fast
    bool quiet = false;
};

struct restore_settings {
    std::string file;
    std::string host_key;  ///< the file of one, or empty
    bool json = false;
};

std::unique_ptr<command> make_status(status_settings, command_environment const&);
std::unique_ptr<command> make_top(command_environment const&);
/// The CLI gathers what it shows: `on_admin` takes {"findings":[{check, state, said, do}…]}, state being good, unsure or bad.
std::unique_ptr<command> make_doctor(bool json, command_environment const&);
/// The CLI does it: `on_admin` takes {path, bytes}.
std::unique_ptr<command> make_restore(restore_settings, command_environment const&);
std::unique_ptr<command> make_export(export_settings, command_environment const&);
std::unique_ptr<command> make_import(import_settings, command_environment const&);
std::unique_ptr<command> make_replay(replay_settings, command_environment const&);

}  // namespace kedge
