/// The grammar of the commands that are one call to the router each.

#include "router/command/commands.hpp"
#include "router/command/grammar_tree.hpp"
#include "router/command/units.hpp"

namespace kedge::grammar {
namespace {

/// One administrative command; its options become the call's arguments.
struct admin_grammar {
    CLI::App* app;
    std::shared_ptr<admin_settings> settings = std::make_shared<admin_settings>();
    /// What CLI11 cannot say about the options together; throws CLI::ParseError.
    std::shared_ptr<std::function<void()>> verify = std::make_shared<std::function<void()>>();

    admin_grammar(tree& tr, CLI::App* parent, char const* name, char const* text) : app{add(parent, name, text)}
    {
        settings->call.name = parent == &tr.root ? name : parent->get_name() + ' ' + name;
        app->add_flag("--json", settings->json, "Print the answer as JSON");
        app->final_callback([&tr, s = settings, v = verify] {
            if (*v)
                (*v)();
            tr.chosen = [s](command_environment const& e) { return make_admin(*s, e); };
        });
    }

    /// Each value, if given, becomes `args[key]` as `convert` makes it.
    using converter = nlohmann::json (*)(std::string const&);
    CLI::Option* arg(char const* name, char const* shown, char const* key, char const* text, check c,
                     converter convert = [](std::string const& s) { return nlohmann::json(s); })
    {
        auto s = settings;
        auto* option = app->add_option_function<std::string>(
            argument_name(name, shown), [s, key, convert](std::string const& v) { s->call.args[key] = convert(v); }, text);
        shown_as(option, shown);
        return c != nullptr ? must(option, c) : option;
    }
    CLI::Option* list(char const* name, char const* shown, char const* key, char const* text, check c,
                      converter convert = [](std::string const& s) { return nlohmann::json(s); })
    {
        auto s = settings;
        auto* option = app->add_option_function<std::vector<std::string>>(
            argument_name(name, shown),
            [s, key, convert](std::vector<std::string> const& all) {
                auto array = nlohmann::json::array();
                for (auto const& v : all)
                    array.push_back(convert(v));
                s->call.args[key] = std::move(array);
            },
            text);
        shown_as(option, shown);
        repeated(option, name);
        return c != nullptr ? must(option, c) : option;
    }
};

nlohmann::json as_number(std::string const& s) { return parse_count(s).value(); }
nlohmann::json as_duration(std::string const& s) { return parse_duration_ms(s).value(); }
nlohmann::json as_size(std::string const& s) { return parse_size(s).value(); }
nlohmann::json as_patterns(std::string const& s)
{
    auto all = nlohmann::json::array();
    for (std::size_t begin = 0, end = 0; end != s.npos; begin = end + 1) {
        end = s.find(',', begin);
        all.push_back(s.substr(begin, end == s.npos ? end : end - begin));
    }
    return all;
}

CLI::App* group(tree& t, char const* name, char const* text)
{
    auto* app = add(&t.root, name, text);
    app->require_subcommand(1);
    return app;
}

void add_accounts(tree& t)
{
    char const* const key_shown = t.remote ? "KEY" : "FILE";
    char const* const key_text = t.remote ? "The text of a public key (repeatable)" : "A file with public keys (repeatable)";
    std::vector<std::string> const roles{"operator", "user", "bot"};

    auto* user = group(t, "user", "Who may log in");
    admin_grammar user_add{t, user, "add", "Add a user, or change the role of one"};
    user_add.arg("name", "NAME", "name", "The user", check_user)->required();
    one_of(t, user_add.arg("--role", "ROLE", "role", "operator, user (the default) or bot", nullptr), roles);
    user_add.settings->call.args["keys"] = nlohmann::json::array();
    t.files.insert(user_add.list("--key", key_shown, "keys", key_text, check_key));
    admin_grammar{t, user, "list", "List the users"};
    admin_grammar user_remove{t, user, "remove", "Remove a user, end the sessions, and keep the user out"};
    user_remove.arg("name", "NAME", "name", "The user", check_user)->required();

    auto* key = group(t, "key", "Public keys of users");
    admin_grammar key_add{t, key, "add", "Give a user another key"};
    key_add.arg("user", "USER", "user", "The user", check_user)->required();
    t.files.insert(key_add.list("key", key_shown, "keys", key_text, check_key)->required());
    admin_grammar key_list{t, key, "list", "List the keys"};
    key_list.arg("user", "USER", "user", "Only of this user", check_user);
    admin_grammar key_remove{t, key, "remove", "Take a key from a user and end its sessions"};
    key_remove.arg("user", "USER", "user", "The user", check_user)->required();
    key_remove.arg("fingerprint", "FINGERPRINT", "fingerprint", "As 'key list' shows it: SHA256:…", nullptr)->required();

    auto* rule = group(t, "rule", "Who may publish and subscribe where");
    admin_grammar rule_add{t, rule, "add", "Add a rule; one that denies wins over all that allow"};
    auto* of_user = rule_add.arg("--user", "USER", "user", "For this user", check_user);
    auto* of_role = one_of(t, rule_add.arg("--role", "ROLE", "role", "For this role", nullptr), roles);
    of_user->excludes(of_role);
    one_of(t, rule_add.arg("effect", "EFFECT", "effect", "allow or deny", nullptr)->required(), {"allow", "deny"});
    one_of(t, rule_add.arg("action", "ACTION", "action", "publish or subscribe", nullptr)->required(),
           {"publish", "subscribe"});
    rule_add.arg("pattern", "PATTERN", "pattern", "Subjects; {user} stands for the user's name", nullptr)->required();
    *rule_add.verify = [of_user, of_role] {
        if (of_user->count() + of_role->count() == 0)
            throw CLI::RequiredError{"--user or --role"};
    };
    admin_grammar{t, rule, "list", "List the rules, the built-in ones too"};
    admin_grammar rule_remove{t, rule, "remove", "Remove a rule"};
    rule_remove.arg("id", "ID", "id", "As 'rule list' shows it", check_positive, as_number)->required();
}

void add_stream_options(tree& t, admin_grammar& g)
{
    g.arg("--max-age", "TIME", "max_age_ms", "Forget what is older (0: keep)", check_duration, as_duration);
    g.arg("--max-bytes", "SIZE", "max_bytes", "Forget the oldest beyond this size (0: keep)", check_size, as_size);
    g.arg("--max-msgs", "N", "max_msgs", "Forget the oldest beyond so many (0: keep)", check_count, as_number);
    one_of(t,
           g.arg("--retention", "KIND", "retention",
                 "limits (the default), or interest: forget what every consumer has done", nullptr),
           {"limits", "interest"});
}

void add_streams(tree& t)
{
    auto* stream = group(t, "stream", "What is stored");
    admin_grammar stream_add{t, stream, "add", "Store the messages of some subjects"};
    stream_add.arg("name", "NAME", "name", "The stream", check_name)->required();
    stream_add.arg("--subjects", "PATTERNS", "subjects", "Patterns, joined by commas", check_subjects, as_patterns)
        ->required();
    add_stream_options(t, stream_add);
    admin_grammar{t, stream, "list", "List the streams"};
    admin_grammar stream_show{t, stream, "show", "Show one stream"};
    stream_show.arg("name", "NAME", "name", "The stream", check_name)->required();
    admin_grammar stream_edit{t, stream, "edit", "Change what is given, leave the rest"};
    stream_edit.arg("name", "NAME", "name", "The stream", check_name)->required();
    stream_edit.arg("--subjects", "PATTERNS", "subjects", "Patterns, joined by commas", check_subjects, as_patterns);
    add_stream_options(t, stream_edit);
    admin_grammar stream_remove{t, stream, "remove", "Remove a stream and all its messages and consumers"};
    stream_remove.arg("name", "NAME", "name", "The stream", check_name)->required();

    auto* consumer = group(t, "consumer", "Who works through a stream");
    admin_grammar consumer_list{t, consumer, "list", "List the consumers"};
    consumer_list.arg("stream", "STREAM", "stream", "Only of this stream", check_name);
    for (auto const& [name, text] : {std::pair{"show", "Show one consumer"},
                                     std::pair{"remove", "Remove a consumer, its position and its dead letters"}}) {
        admin_grammar g{t, consumer, name, text};
        g.arg("stream", "STREAM", "stream", "The stream", check_name)->required();
        g.arg("consumer", "CONSUMER", "consumer", "The consumer", check_name)->required();
    }

    auto* dead = group(t, "dead", "Messages that a consumer could not finish");
    auto const common = [](admin_grammar& g) {
        g.arg("stream", "STREAM", "stream", "The stream", check_name)->required();
        g.arg("consumer", "CONSUMER", "consumer", "The consumer", check_name)->required();
    };
    admin_grammar dead_list{t, dead, "list", "List them"};
    common(dead_list);
    dead_list.arg("--after", "SEQ", "after", "Only those after this one", check_count, as_number);
    dead_list.arg("--max", "N", "max", "At most so many", check_positive, as_number);
    admin_grammar dead_show{t, dead, "show", "Show one, with its body"};
    common(dead_show);
    dead_show.arg("seq", "SEQ", "seq", "Its number", check_positive, as_number)->required();
    for (auto const& [name, text] : {std::pair{"replay", "Deliver them again (all, or those named)"},
                                     std::pair{"drop", "Forget them (all, or those named)"}}) {
        admin_grammar g{t, dead, name, text};
        common(g);
        g.settings->call.args["seqs"] = nlohmann::json::array();
        g.list("seq", "SEQ", "seqs", "Their numbers; none means all", check_positive, as_number);
    }
}

}  // namespace

void add_admin_commands(tree& t)
{
    admin_grammar{t, &t.root, "status", "How the server is, on one screen"};
    add_accounts(t);
    add_streams(t);
    admin_grammar backup{t, &t.root, "backup", "Copy the database while the server runs"};
    t.files.insert(
        backup.arg("file", t.remote ? "PATH" : "FILE", "path",
                   t.remote ? "A file on the server, or '-' for standard output" : "Where to, or '-' for standard output",
                   nullptr)
            ->required());
}

}  // namespace kedge::grammar
