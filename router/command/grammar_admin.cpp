/// The grammar of the commands of operators: what they share, and those of the server as a whole.

#include "router/command/grammar_call.hpp"
#include "router/command/operator_commands.hpp"
#include "router/command/units.hpp"

namespace kedge::grammar {

admin_grammar::admin_grammar(tree& t, CLI::App* parent, char const* name, char const* text, char const* typed)
    : app{example(add(parent, name, text), typed)}
{
    settings->call.name = parent == &t.root ? name : parent->get_name() + ' ' + name;
    app->add_flag("--json", settings->json, "Print the answer as JSON");
    app->final_callback([&t, s = settings, v = verify] {
        if (*v)
            (*v)();
        t.chosen = [s](command_environment const& e) { return make_admin(*s, e); };
    });
}

CLI::Option* admin_grammar::arg(char const* name, char const* shown, char const* key, char const* text, check c,
                                converter convert)
{
    auto const take = [s = settings, key, convert](std::string const& v) {
        s->call.args[key] = convert != nullptr ? convert(v) : nlohmann::json(v);
    };
    auto* option = shown_as(app->add_option_function<std::string>(argument_name(name, shown), take, text), shown);
    return c != nullptr ? must(option, c) : option;
}

CLI::Option* admin_grammar::list(char const* name, char const* shown, char const* key, char const* text, check c,
                                 converter convert)
{
    auto const take = [s = settings, key, convert](std::vector<std::string> const& all) {
        auto array = nlohmann::json::array();
        for (auto const& v : all)
            array.push_back(convert != nullptr ? convert(v) : nlohmann::json(v));
        s->call.args[key] = std::move(array);
    };
    auto* option = app->add_option_function<std::vector<std::string>>(argument_name(name, shown), take, text);
    shown_as(option, shown);
    repeated(option, name);
    return c != nullptr ? must(option, c) : option;
}

void admin_grammar::need_one_of(std::vector<CLI::Option*> options, char const* names)
{
    *verify = [options = std::move(options), names] {
        std::size_t given = 0;
        for (auto const* option : options)
            given += option->count() != 0 ? 1 : 0;
        if (given == 0)
            throw CLI::RequiredError{names};
        if (given > 1)
            throw CLI::ValidationError{std::string{"only one of "} + names};
    };
}

namespace {

template <class Convert>
nlohmann::json each_of(std::string const& s, Convert convert)
{
    auto all = nlohmann::json::array();
    for (std::size_t begin = 0, end = 0; end != s.npos; begin = end + 1) {
        end = s.find(',', begin);
        all.push_back(convert(s.substr(begin, end == s.npos ? end : end - begin)));
    }
    return all;
}

}  // namespace

nlohmann::json as_number(std::string const& s) { return parse_count(s).value(); }
nlohmann::json as_duration(std::string const& s) { return parse_duration_ms(s).value(); }
nlohmann::json as_size(std::string const& s) { return parse_size(s).value(); }
nlohmann::json as_patterns(std::string const& s)
{
    return each_of(s, [](std::string const& one) { return nlohmann::json(one); });
}
nlohmann::json as_durations(std::string const& s) { return each_of(s, as_duration); }

CLI::App* group(tree& t, char const* name, char const* text)
{
    auto* app = add(&t.root, name, text);
    app->require_subcommand(1);
    return app;
}

namespace {

void add_status(tree& t)
{
    auto s = std::make_shared<status_settings>();
    auto every = std::make_shared<std::string>();
    auto* app = example(add(&t.root, "status", "How the server is, on one screen"), "kedge status\nkedge status --every 10s --json");
    value(app, "--every", "TIME", *every, "Again and again, until it is interrupted", check_duration);
    app->add_flag("--json", s->json, "Print the answer as JSON");
    app->final_callback([&t, s, every] {
        if (!every->empty()) {
            s->every_ms = *parse_duration_ms(*every);
            if (s->every_ms < status_every_ms_min)
                throw CLI::ValidationError{"--every: at least " + format_duration_ms(status_every_ms_min)};
        }
        t.chosen = [s](command_environment const& e) { return make_status(*s, e); };
    });
}

void add_doctor(tree& t)
{
    auto json = std::make_shared<bool>(false);
    auto* app = example(add(&t.root, "doctor", "Look at the installation and say what to do about what is wrong"),
                        "kedge doctor\nkedge --to op@bus.example doctor --json");
    app->add_flag("--json", *json, "Print what was found as JSON");
    app->final_callback([&t, json] { t.chosen = [json](command_environment const& e) { return make_doctor(*json, e); }; });
}

void add_restore(tree& t)
{
    auto s = std::make_shared<restore_settings>();
    auto* app = example(add(&t.root, "restore", "Put a backup into a home that has no database; its server must not run"),
                        "kedge --home /var/lib/kedge restore kedge-today.db");
    auto* file = app->add_option("file", s->file, "What 'kedge backup' wrote")->type_name("FILE")->required();
    auto* key = app->add_option("--host-key", s->host_key, "The server's old private host key, so that clients know it again")->type_name("FILE");
    t.files.insert({file, key});
    app->add_flag("--json", s->json, "Print what was done as JSON");
    app->final_callback([&t, s] { t.chosen = [s](command_environment const& e) { return make_restore(*s, e); }; });
}

}  // namespace

void add_admin_commands(tree& t)
{
    add_status(t);
    auto* top = example(add(&t.root, "top", "How the server is, live, in a terminal; 'q' ends it"), "kedge top\nssh -t bus top");
    top->final_callback([&t] { t.chosen = [](command_environment const& e) { return make_top(e); }; });
    if (!t.remote) {
        add_doctor(t);
        add_restore(t);
    }
    add_account_commands(t);
    add_book_commands(t);
    add_stream_commands(t);
    add_migration_commands(t);
    admin_grammar{t, &t.root, "check", "Read the whole store and say what is wrong in it", "kedge check"};
    admin_grammar backup{t, &t.root, "backup", "Copy the database while the server runs", "kedge backup kedge-today.db"};
    t.files.insert(
        backup.arg("file", t.remote ? "PATH" : "FILE", "path",
                   t.remote ? "A file on the server, or '-' for standard output" : "Where to, or '-' for standard output",
                   nullptr)
            ->required());
}

}  // namespace kedge::grammar
