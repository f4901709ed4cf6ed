#pragma once
/// How the grammar declares a command that is one call to the router. Internal.

#include <functional>
#include <memory>
#include <string>

#include "router/command/commands.hpp"
#include "router/command/grammar_tree.hpp"

namespace kedge::grammar {

/// One administrative command; its options become the call's arguments.
struct admin_grammar {
    CLI::App* app;
    std::shared_ptr<admin_settings> settings = std::make_shared<admin_settings>();
    /// What CLI11 cannot say about the options together; throws CLI::ParseError.
    std::shared_ptr<std::function<void()>> verify = std::make_shared<std::function<void()>>();

    /// `typed`: one or more lines of its use, for the help.
    admin_grammar(tree&, CLI::App* parent, char const* name, char const* text, char const* typed);

    /// Each value, if given, becomes `args[key]` as `convert` makes it.
    using converter = nlohmann::json (*)(std::string const&);
    CLI::Option* arg(char const* name, char const* shown, char const* key, char const* text, check, converter = nullptr);
    /// All values that are given become an array.
    CLI::Option* list(char const* name, char const* shown, char const* key, char const* text, check, converter = nullptr);
    /// Exactly one of these must be given.
    void need_one_of(std::vector<CLI::Option*>, char const* names);
};

nlohmann::json as_number(std::string const&);
nlohmann::json as_duration(std::string const&);
nlohmann::json as_size(std::string const&);
nlohmann::json as_patterns(std::string const&);   ///< joined by commas
nlohmann::json as_durations(std::string const&);  ///< likewise

/// A word of the tree that only groups commands.
CLI::App* group(tree&, char const* name, char const* text);

/// user, key, rule, ban, audit.
void add_account_commands(tree&);
/// alias, list, node.
void add_book_commands(tree&);
/// stream, consumer, dead, replay.
void add_stream_commands(tree&);
/// migrate, bridge.
void add_migration_commands(tree&);

}  // namespace kedge::grammar
