#include "router/command/grammar.hpp"

#include <set>
#include <utility>

#include "router/command/commands.hpp"
#include "router/command/grammar_tree.hpp"
#include "router/command/units.hpp"

namespace kedge {

using namespace grammar;

namespace {

void build(tree& t)
{
    add_link_commands(t);
    add_talk_commands(t);
    add_admin_commands(t);

    auto* help = add(&t.root, "help", "Explain a command");
    auto words = std::make_shared<std::vector<std::string>>();
    help->add_option("COMMAND", *words, "The command")->type_name("")->expected(0, 2);
    help->final_callback([&t, words] {
        t.chosen = nullptr;
        t.help_of = "help";
        for (auto const& word : *words)
            t.help_of += ' ' + word;
    });
    auto shell = std::make_shared<std::string>();
    auto* completion = add(&t.root, "completion", "Print a shell's completion script");
    one_of(t, value(completion, "shell", "SHELL", *shell, "bash or zsh"), {"bash", "zsh"})->required();
    completion->final_callback([&t, shell] { t.help_of = "completion " + *shell; });
    auto* manual = add(&t.root, "man", "Print the manual page (troff)");
    manual->final_callback([&t] { t.help_of = "man"; });
}

void add_connection(CLI::App& app, connection_options& o, std::string& timeout, std::set<CLI::Option const*>& files)
{
    app.add_option("--home", o.home, "The home of a server on this machine ($KEDGE_HOME, else ~/.local/share/kedge)")
        ->type_name("DIR");
    files.insert(app.get_option("--home"));
    app.add_option("--to", o.to, "Another server, over SSH; PORT is 2222 if absent")->type_name("USER@HOST:PORT");
    values(&app, "-i,--identity", "FILE", o.identities, "A private key (repeatable); else ssh's own and the agent's");
    files.insert(app.get_option("-i"));
    value(&app, "--known-hosts", "FILE", o.known_hosts, "Where the keys of servers are kept (~/.ssh/known_hosts)");
    files.insert(app.get_option("--known-hosts"));
    app.add_flag("--accept-new", o.accept_new, "Trust a server that is not known yet, and remember its key");
    app.add_flag("--no-agent", o.no_agent, "Do not ask the SSH agent for keys");
    value(&app, "--timeout", "TIME", timeout, "How long to try to reach the server (5s)", check_duration);
    app.add_flag("--version", o.version, "Print the version");
}

command_description describe(CLI::App const& app, tree const& t, std::set<CLI::Option const*> const& files)
{
    command_description d;
    d.name = app.get_name();
    d.text = app.get_description();
    d.example = app.get_footer();
    for (auto const* option : app.get_options()) {
        command_description::option o;
        if (option->get_positional()) {
            o.value = option->get_name();
        } else {
            for (auto const& name : option->get_snames())
                o.names.push_back("-" + name);
            for (auto const& name : option->get_lnames())
                o.names.push_back("--" + name);
            if (option->get_items_expected_max() != 0)
                o.value = option->get_type_name();
        }
        o.text = option->get_description();
        if (auto const found = t.choices.find(option); found != t.choices.end())
            o.choices = found->second;
        o.file = files.contains(option);
        o.required = option->get_required();
        o.repeats = option->get_items_expected_max() > 1 ||
                    option->get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
        d.options.push_back(std::move(o));
    }
    for (auto const* sub : app.get_subcommands([](CLI::App const*) { return true; }))
        d.commands.push_back(describe(*sub, t, files));
    return d;
}

}  // namespace

command_description describe_commands(bool remote)
{
    tree t{remote};
    build(t);
    connection_options o;
    std::string timeout;
    auto files = t.files;
    if (!remote)
        add_connection(t.root, o, timeout, files);
    return describe(t.root, t, files);
}

parsed_connection parse_connection(std::span<std::string const> arguments)
{
    CLI::App app;
    connection_options o;
    std::string timeout;
    std::set<CLI::Option const*> files;
    add_connection(app, o, timeout, files);
    // Help of the whole is the grammar's: it lists the commands too.
    app.set_help_flag();
    auto* help = app.add_flag("-h,--help");
    app.prefix_command();
    std::vector<std::string> reversed{arguments.rbegin(), arguments.rend()};
    try {
        app.parse(std::move(reversed));
    } catch (CLI::ParseError const& e) {
        return command_stop{2, "", complaint(std::string_view{e.what()}, {})};
    }
    o.timeout_ms = parse_duration_ms(timeout).value_or(o.timeout_ms);
    o.words = app.remaining();
    if (help->count() != 0)
        o.words = {"help"};
    return o;
}

parsed_command parse_command(std::span<std::string const> words, command_environment const& environment)
{
    tree t{environment.remote};
    build(t);
    connection_options o;
    std::string timeout;
    if (!environment.remote)
        add_connection(t.root, o, timeout, t.files);  // for the help; `parse_connection` has taken them
    std::vector<std::string> reversed{words.rbegin(), words.rend()};
    try {
        t.root.parse(std::move(reversed));
    } catch (CLI::CallForHelp const&) {
        return command_stop{0, t.root.help(), ""};  // of the command that was named
    } catch (CLI::ParseError const& e) {
        std::string at = "kedge";
        for (auto const* app = &t.root; !app->get_subcommands().empty();)
            at += ' ' + (app = app->get_subcommands().front())->get_name();
        return command_stop{2, "", complaint(std::string_view{e.what()}, environment) + "Try: " + at + " --help\n"};
    }
    if (t.chosen)
        return t.chosen(environment);
    auto const asked = split_words(t.help_of).value_or(std::vector<std::string>{});
    if (asked.empty())
        return command_stop{2, "", t.root.help()};  // no command at all
    if (asked[0] == "man")
        return command_stop{0, manual_page(describe_commands(environment.remote)), ""};
    if (asked[0] == "completion") {
        auto const tree_of_all = describe_commands(environment.remote);
        return command_stop{0, asked[1] == "bash" ? bash_completion(tree_of_all) : zsh_completion(tree_of_all), ""};
    }
    // "help X" is "X --help".
    std::vector<std::string> topic{asked.begin() + 1, asked.end()};
    auto const* at = &t.root;
    for (auto const& word : topic) {
        auto const found = at->get_subcommands([&](CLI::App const* a) { return a->get_name() == word; });
        if (found.empty())
            return command_stop{2, "", complaint("there is no command '" + word + "'", environment)};
        at = found.front();
    }
    topic.emplace_back("--help");
    return parse_command(topic, environment);
}

}  // namespace kedge
