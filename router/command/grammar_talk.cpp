/// The grammar of the commands that speak to users, services and bots.

#include "router/command/grammar_tree.hpp"
#include "router/command/talk_commands.hpp"
#include "router/command/units.hpp"
#include "router/protocol/limits.hpp"
#include "router/protocol/names.hpp"

#include <array>

namespace kedge::grammar {
namespace {

/// More jobs at once than any machine wants; a slip of a finger should not try.
constexpr std::uint64_t jobs_max = 1024;

std::string check_recipient(std::string const& s)
{
    return s.empty() || s.size() > 128 || !valid_utf8(s) || has_control_characters(s)
               ? "not a recipient: USER, USER/NODE, ~ALIAS or @LIST"
               : "";
}
std::string check_jobs(std::string const& s)
{
    auto const n = parse_count(s).value_or(0);
    return n == 0 || n > jobs_max ? "not a number from 1 to " + std::to_string(jobs_max) : "";
}
std::string check_timeout(std::string const& s)
{
    return parse_duration_ms(s).value_or(0) == 0 ? "not a duration such as 500ms, 5s or 2m" : "";
}
std::string check_line(std::string const& s)
{
    return s.size() > 1024 || !valid_utf8(s) || has_control_characters(s) ? "not one line of at most 1024 bytes" : "";
}
std::string check_version(std::string const& s)
{
    return s.empty() || s.size() > 64 || !valid_utf8(s) || has_control_characters(s) ? "not 1 to 64 bytes of text" : "";
}
/// A group's name is one word of a subject.
std::string check_group(std::string const& s)
{
    return valid_name(s) ? "" : "not a group: 1 to 64 letters, digits, '_' and '-'";
}

void add_post(tree& t)
{
    auto s = std::make_shared<post_settings>();
    auto words = std::make_shared<std::vector<std::string>>();
    auto* app = example(add(&t.root, "post", "Send mail to users, wherever they are and whenever they come"),
                        "kedge post alice bob/laptop 'The disk is full'\n"
                        "kedge post @admins - <report.txt");
    values(app, "to", "TO", *words,
           "USER (all nodes), USER/NODE, ~ALIAS or @LIST, one or more; then the text: of several words the last, '-' is all of "
           "standard input")
        ->required();
    values(app, "--header", "NAME:VALUE", s->headers, "A header (repeatable)", check_header);
    value(app, "--node", "NODE", s->node, "Post as this node: with --id, what was stored before is not stored again",
          check_node);
    value(app, "--id", "TEXT", s->id, "The id of the message, instead of one that is made", check_id_prefix);
    app->add_flag("--json", s->json, "Print the answer as a line of JSON");
    app->add_flag("-q,--quiet", s->quiet, "Print failures only");
    app->final_callback([&t, s, words] {
        s->to = *words;
        if (s->to.size() > 1) {
            s->text = s->to.back();
            s->to.pop_back();
        }
        // Behind an exec request nothing else stands between this and the router.
        if (s->to.size() > limits{}.post_recipients)
            throw CLI::ValidationError{"TO: more than " + std::to_string(limits{}.post_recipients) +
                                       " recipients; a list (@NAME) has room for more"};
        for (auto const& to : s->to)
            if (auto const why = check_recipient(to); !why.empty())
                throw CLI::ValidationError{"TO: '" + printable(to) + "' is " + why};
        t.chosen = [s](command_environment const& e) { return make_post(*s, e); };
    });
}

void add_inbox(tree& t)
{
    auto s = std::make_shared<consume_settings>();
    auto count = std::make_shared<std::string>();
    auto delay = std::make_shared<std::string>();
    s->node = "inbox";
    s->stream = "INBOX";
    s->consumer = "inbox";
    auto* app = example(add(&t.root, "inbox", "Read your mail, acknowledging what was read"),
                        t.remote ? "ssh bus inbox --node laptop --count 1"
                                 : "kedge inbox --node laptop\nkedge inbox --node printer --exec lp");
    value(app, "--node", "NODE", s->node,
          "Which of your nodes you are (inbox): each gets all your mail once, from its first time here on", check_node);
    value(app, "--count", "N", *count, "Stop after so many were read", check_positive);
    if (!t.remote) {
        value(app, "--exec", "COMMAND", s->exec,
              "Run this for each message, its body on standard input and KEDGE_FROM, KEDGE_SEQ, … in the environment; exit "
              "status 0 acknowledges, another has it delivered again");
        value(app, "--retry-delay", "TIME", *delay, "With --exec: how long to wait then (1s)", check_duration);
    }
    auto* json = app->add_flag("--json", s->json, "Print each message as a line of JSON");
    app->add_flag("--raw", s->raw, "Print bodies only, as they are")->excludes(json);
    app->add_flag("-q,--quiet", s->quiet, "Do not say when the inbox is attached");
    app->final_callback([&t, s, count, delay] {
        s->count = parse_count(*count).value_or(0);
        s->retry_delay_ms = parse_duration_ms(*delay).value_or(s->retry_delay_ms);
        t.chosen = [s](command_environment const& e) { return make_consume(*s, e); };
    });
}

void add_call(tree& t)
{
    auto s = std::make_shared<call_settings>();
    auto words = std::make_shared<std::array<std::string, 3>>();
    auto timeout = std::make_shared<std::string>();
    auto* app = example(add(&t.root, "call", "Ask a service, or whoever subscribes to a subject, and print the answer"),
                        "kedge call time now Europe/Oslo\n"
                        "kedge call image shrink - <in.png >out.png --raw\n"
                        "kedge call --subject sensors.attic 'how warm?' --timeout 2s");
    auto* first = value(app, "service", "SERVICE", (*words)[0], "The service; with --subject the TEXT stands here");
    auto* second = value(app, "method", "METHOD", (*words)[1], "The method");
    auto* third = value(app, "text", "TEXT", (*words)[2], "The argument; '-' is all of standard input");
    value(app, "--subject", "SUBJECT", s->subject, "Ask who subscribes here, instead of a service", check_subject);
    value(app, "--timeout", "TIME", *timeout, "How long to wait for the answer (5s)", check_timeout);
    auto* json = app->add_flag("--json", s->json, "Print the answer as a line of JSON");
    app->add_flag("--raw", s->raw, "Print the answer as it is, without an end of line of ours")->excludes(json);
    app->final_callback([&t, s, words, timeout, first, second, third] {
        bool const by_subject = !s->subject.empty();
        if (by_subject && second->count() != 0)
            throw CLI::ValidationError{"with --subject the text is the one argument: put it in quotes"};
        if (!by_subject && second->count() == 0)
            throw CLI::RequiredError{"SERVICE and METHOD, or --subject,"};
        if (!by_subject) {
            s->service = (*words)[0];
            s->method = (*words)[1];
            for (auto const& name : {s->service, s->method})
                if (auto const why = check_name(name); !why.empty())
                    throw CLI::ValidationError{"'" + printable(name) + "' is " + why};
        }
        if (auto const* const text = by_subject ? first : third; text->count() != 0)
            s->text = (*words)[by_subject ? 0 : 2];
        s->timeout_ms = parse_duration_ms(*timeout).value_or(0);
        t.chosen = [s](command_environment const& e) { return make_call(*s, e); };
    });
}

void add_serve(tree& t)
{
    auto s = std::make_shared<serve_settings>();
    auto jobs = std::make_shared<std::string>();
    auto* app = example(add(&t.root, "serve", "Make a shell command a service"),
                        "kedge serve time --method now --exec 'TZ=$(cat) date'\n"
                        "kedge serve image --method shrink --method rotate --exec ./image --jobs 4");
    value(app, "service", "SERVICE", s->service, "The name of the service", check_name)->required();
    values(app, "--method", "NAME", s->methods, "A method that it has (repeatable); KEDGE_METHOD says which was called",
           check_name)
        ->required();
    value(app, "--exec", "COMMAND", s->jobs.exec,
          "Run this for each call: the argument on standard input, the answer on standard output; another exit status than 0 "
          "is an error with the last line of standard error")
        ->required();
    value(app, "--jobs", "N", *jobs, "Calls worked on at once (1); the others wait", check_jobs);
    value(app, "--version", "TEXT", s->version, "The version that others see (1)", check_version);
    value(app, "--description", "TEXT", s->description, "What it is for", check_line);
    value(app, "--node", "NODE", s->node, "Serve as this node", check_node);
    app->add_flag("--json", s->json, "Print a line of JSON for each call");
    app->add_flag("-q,--quiet", s->quiet, "Print failures only");
    app->final_callback([&t, s, jobs] {
        if (t.remote)
            throw CLI::ValidationError{"it runs a program of your machine: use kedge there, not ssh"};
        s->jobs.at_once = parse_count(*jobs).value_or(1);
        t.chosen = [s](command_environment const& e) { return make_serve(*s, e); };
    });
}

void add_events(tree& t)
{
    auto s = std::make_shared<events_settings>();
    auto count = std::make_shared<std::string>();
    auto* app = example(add(&t.root, "events", "Print what happens at the server: nodes, services, dead letters, …"),
                        "kedge events");
    value(app, "--count", "N", *count, "Stop after so many events", check_positive);
    app->add_flag("--json", s->json, "Print each event as a line of JSON");
    app->add_flag("-q,--quiet", s->quiet, "Do not say when the subscription stands");
    app->final_callback([&t, s, count] {
        s->count = parse_count(*count).value_or(0);
        t.chosen = [s](command_environment const& e) { return make_events(*s, e); };
    });
}

void add_control(tree& t)
{
    auto s = std::make_shared<control_settings>();
    auto l = std::make_shared<listen_settings>();
    auto words = std::make_shared<std::vector<std::string>>();
    auto groups = std::make_shared<std::vector<std::string>>();
    auto timeout = std::make_shared<std::string>();
    auto expect = std::make_shared<std::string>();
    auto jobs = std::make_shared<std::string>();
    auto node = std::make_shared<std::string>();
    auto listens = std::make_shared<bool>(false);
    auto* app = example(add(&t.root, "control", "Say something to all bots, to a group or to some, and show their answers"),
                        t.remote ? "ssh bus control uptime\nssh bus control --group web reload --timeout 30s"
                                 : "kedge control uptime\nkedge control --group web reload --timeout 30s\n"
                                   "kedge control --bot weather --bot dice status\n"
                                   "kedge control --listen --group web --from op --exec ./obey");
    values(app, "text", "TEXT", *words, "What to say to them, to all unless --group or --bot; '-' is all of standard input");
    values(app, "--group", "NAME", *groups,
           t.remote ? "Only to this group; the list of this name says who should answer"
                    : "Only to this group; the list of this name says who should answer. With --listen: belong to it "
                      "(repeatable)",
           check_group);
    values(app, "--bot", "USER", s->bots, "Only to this user's bots (repeatable)", check_user);
    value(app, "--timeout", "TIME", *timeout, "How long to wait for answers (10s)", check_timeout);
    value(app, "--expect", "N", *expect, "So many answers are all, whoever gives them", check_positive);
    if (!t.remote) {
        app->add_flag("--listen", *listens, "Be a bot: run --exec for what is said, answer with what it prints");
        value(app, "--exec", "COMMAND", l->jobs.exec,
              "With --listen: what was said is on standard input; KEDGE_FROM and KEDGE_SUBJECT say by whom and where");
        values(app, "--from", "USER", l->from, "With --listen: obey only this user (repeatable)", check_user);
        value(app, "--node", "NODE", *node, "With --listen: be this node (control); control-… are waited for too", check_node);
        value(app, "--jobs", "N", *jobs, "With --listen: commands worked on at once (1)", check_jobs);
    }
    app->add_flag("--json", s->json, "Print each answer as a line of JSON, and one about them all");
    app->add_flag("-q,--quiet", s->quiet, "Print no summary");
    app->final_callback([&t, s, l, words, groups, timeout, expect, jobs, node, listens] {
        if (*listens) {
            if (!words->empty() || !s->bots.empty() || !timeout->empty() || !expect->empty())
                throw CLI::ValidationError{"--listen takes no TEXT, --bot, --timeout and --expect: it is for those who ask"};
            if (l->jobs.exec.empty())
                throw CLI::RequiredError{"--exec"};
            l->groups = *groups;
            l->node = *node;
            l->jobs.at_once = parse_count(*jobs).value_or(1);
            l->json = s->json;
            l->quiet = s->quiet;
            t.chosen = [l](command_environment const& e) { return make_listen(*l, e); };
            return;
        }
        if (!l->jobs.exec.empty() || !l->from.empty() || !node->empty() || !jobs->empty())
            throw CLI::ValidationError{"--exec, --from, --node and --jobs are for --listen"};
        if (!groups->empty() && !s->bots.empty())
            throw CLI::ValidationError{"--group and --bot exclude each other"};
        if (words->empty())
            throw CLI::RequiredError{"TEXT"};
        if (groups->size() > 1)
            throw CLI::ValidationError{"one --group at a time: a bot of two would get it twice"};
        if (!groups->empty())
            s->group = groups->front();
        for (auto const& word : *words)
            s->text += (s->text.empty() ? "" : " ") + word;
        s->timeout_ms = parse_duration_ms(*timeout).value_or(s->timeout_ms);
        s->expect = parse_count(*expect);
        t.chosen = [s](command_environment const& e) { return make_control(*s, e); };
    });
}

}  // namespace

void add_talk_commands(tree& t)
{
    add_post(t);
    add_inbox(t);
    add_call(t);
    add_serve(t);
    add_events(t);
    add_control(t);
}

}  // namespace kedge::grammar
