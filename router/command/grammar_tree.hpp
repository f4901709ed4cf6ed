#pragma once
/// What the parts of the grammar share: the tree being built, and how arguments are declared and checked. Internal.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "router/command/command.hpp"

namespace kedge::grammar {

/// What the chosen command makes of itself; set by its callback.
using maker = std::function<std::unique_ptr<command>(command_environment const&)>;

/// While the tree is built: what is remembered beside CLI11's own data.
struct tree {
    explicit tree(bool is_remote) : remote{is_remote}
    {
        root.name("kedge");
        root.description("Messages over SSH: publish, subscribe, consume durably, and run the server.");
        root.require_subcommand(0, 1);
        root.set_help_flag("-h,--help", "Say what this is and which options it has");
        root.get_formatter()->column_width(34);
    }

    bool remote;
    CLI::App root;
    maker chosen;
    std::map<CLI::Option const*, std::vector<std::string>> choices;
    std::set<CLI::Option const*> files;
    std::string help_of;  ///< "help X": the words after it
};

/// A check of a value: a sentence, or nothing when all is well.
using check = std::string (*)(std::string const&);

std::string check_subject(std::string const&);
std::string check_pattern(std::string const&);
std::string check_subjects(std::string const&);  ///< patterns joined by commas
std::string check_name(std::string const&);
std::string check_user(std::string const&);
std::string check_node(std::string const&);
std::string check_count(std::string const&);
std::string check_positive(std::string const&);
std::string check_duration(std::string const&);
std::string check_size(std::string const&);
std::string check_header(std::string const&);
std::string check_id_prefix(std::string const&);
std::string check_key(std::string const&);
std::string check_start(std::string const&);

CLI::Option* must(CLI::Option*, check);
/// One value; `shown` stands for it in the help.
CLI::Option* value(CLI::App*, char const* name, char const* shown, std::string& to, char const* text,
                   check = nullptr);
/// An option that may come again, or the positional arguments that follow.
CLI::Option* values(CLI::App*, char const* name, char const* shown, std::vector<std::string>& to, char const* text,
                    check = nullptr);
/// A positional argument goes by what is shown of it; an option has a name, and what is shown is its value.
std::string argument_name(char const* name, char const* shown);
CLI::Option* shown_as(CLI::Option*, char const* shown);
/// What makes `values` of any option.
CLI::Option* repeated(CLI::Option*, char const* name);
CLI::Option* one_of(tree&, CLI::Option*, std::vector<std::string> words);
CLI::App* add(CLI::App* parent, char const* name, char const* text);
/// Shown below the options of `--help`, and in the manual: one or more lines that could be typed.
CLI::App* example(CLI::App*, std::string lines);

/// pub, sub, consume, ping, who.
void add_link_commands(tree&);
/// post, inbox, call, serve, events, control.
void add_talk_commands(tree&);
/// status, user, key, rule, stream, consumer, dead, backup.
void add_admin_commands(tree&);

}  // namespace kedge::grammar
