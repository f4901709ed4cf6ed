#include "router/command/grammar_tree.hpp"

#include <algorithm>

#include "router/command/commands.hpp"
#include "router/command/units.hpp"
#include "router/protocol/names.hpp"
#include "router/protocol/subject.hpp"

namespace kedge::grammar {
namespace {

std::string when(bool good, char const* otherwise) { return good ? std::string{} : std::string{otherwise}; }

}  // namespace

std::string check_subject(std::string const& s)
{
    return when(valid_subject(s), "not a subject: 1 to 16 words joined by '.', without spaces, '*' and '>'");
}
std::string check_pattern(std::string const& s)
{
    return when(valid_pattern(s), "not a pattern: words joined by '.', '*' for one word, a last '>' for the rest");
}
std::string check_name(std::string const& s)
{
    return when(valid_name(s), "not a name: 1 to 64 letters, digits, '_' and '-'");
}
std::string check_user(std::string const& s)
{
    return when(valid_user(s), "not a user's name: 1 to 32 of a-z, 0-9, '_' and '-'");
}
std::string check_node(std::string const& s)
{
    return when(valid_node(s), "not a node's name: 1 to 32 of a-z, 0-9, '_' and '-'");
}
std::string check_count(std::string const& s) { return when(parse_count(s).has_value(), "not a number"); }
std::string check_positive(std::string const& s)
{
    return when(parse_count(s).value_or(0) != 0, "not a number from 1");
}
std::string check_duration(std::string const& s)
{
    return when(parse_duration_ms(s).has_value(), "not a duration such as 500ms, 5m, 12h or 7d");
}
std::string check_size(std::string const& s)
{
    return when(parse_size(s).has_value(), "not a size such as 4096, 64M or 1G");
}
std::string check_header(std::string const& s)
{
    auto const made = headers_json({s});
    return made ? std::string{} : made.error().message;
}
std::string check_id_prefix(std::string const& s)
{
    return when(valid_operation_id(s) && s.size() <= 40, "not 1 to 40 bytes of text");
}
std::string check_key(std::string const& s)
{
    return when(!s.empty() && s.size() <= 16'384 && valid_utf8(s), "not a public key");
}
std::string check_start(std::string const& s)
{
    return when(s == "first" || s == "new" || parse_count(s).value_or(0) != 0 || parse_time_ms(s).has_value(),
                "not 'first', 'new', a number from 1 or a time such as 2026-11-21T08:00:00Z");
}
std::string check_subjects(std::string const& s)
{
    std::size_t begin = 0;
    for (;;) {
        auto const end = s.find(',', begin);
        if (auto why = check_pattern(s.substr(begin, end - begin)); !why.empty())
            return why;
        if (end == s.npos)
            return {};
        begin = end + 1;
    }
}

CLI::Option* must(CLI::Option* option, check c)
{
    // CLI11 puts the option's name before the sentence.
    option->check(CLI::Validator{[c](std::string& value) { return c(value); }, "", ""});
    return option;
}

CLI::Option* value(CLI::App* app, char const* name, char const* shown, std::string& to, char const* text, check c)
{
    auto* option = shown_as(app->add_option(argument_name(name, shown), to, text), shown);
    return c != nullptr ? must(option, c) : option;
}

CLI::Option* values(CLI::App* app, char const* name, char const* shown, std::vector<std::string>& to, char const* text,
                    check c)
{
    auto* option = shown_as(app->add_option(argument_name(name, shown), to, text), shown);
    repeated(option, name);
    return c != nullptr ? must(option, c) : option;
}

std::string argument_name(char const* name, char const* shown)
{
    return std::string_view{name}.starts_with("-") ? name : shown;
}

CLI::Option* shown_as(CLI::Option* option, char const* shown)
{
    return option->type_name(option->get_positional() ? "" : shown);
}

CLI::Option* repeated(CLI::Option* option, char const* name)
{
    // An option takes one value each time; only a positional argument takes what follows.
    if (std::string_view{name}.starts_with("-"))
        return option->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
    // Of so many CLI11 says "…" in the usage; of fewer, how many.
    return option->expected(1, CLI::detail::expected_max_vector_size);
}

CLI::Option* one_of(tree& t, CLI::Option* option, std::vector<std::string> words)
{
    t.choices[option] = words;
    option->check(CLI::Validator{[words](std::string& given) {
                                     if (std::find(words.begin(), words.end(), given) != words.end())
                                         return std::string{};
                                     std::string text = "not one of";
                                     for (auto const& word : words)
                                         text += ' ' + word;
                                     return text;
                                 },
                                 "", ""});
    return option;
}

CLI::App* add(CLI::App* parent, char const* name, char const* text)
{
    auto* app = parent->add_subcommand(name, text);
    app->get_formatter()->column_width(34);
    app->set_help_flag("-h,--help", "Say what this is and which options it has");
    return app;
}

CLI::App* example(CLI::App* app, std::string lines)
{
    std::string text = lines.find('\n') == lines.npos ? "Example:" : "Examples:";
    for (std::size_t at = 0; at < lines.size();) {
        auto const end = std::min(lines.find('\n', at), lines.size());
        text += "\n  " + lines.substr(at, end - at);
        at = end + 1;
    }
    app->footer(text);
    return app;
}

}  // namespace kedge::grammar
