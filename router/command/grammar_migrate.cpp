/// The grammar of the way to NATS: streams that move, and plain subjects that are bridged.

#include "router/command/grammar_call.hpp"
#include "router/command/migrate_commands.hpp"
#include "router/command/talk_commands.hpp"
#include "router/command/units.hpp"

namespace kedge::grammar {
namespace {

constexpr char the_way[] =
    "The way of a stream; every step can be looked at first, and taken back:\n"
    "\n"
    "  LEGACY --start--> MIRRORING --switch--> NATS --complete--> COMPLETE\n"
    "         <-cancel--           <-reverse--\n"
    "\n"
    "  plan       tries all that could fail later\n"
    "  start      a copy in JetStream, kept up to date; kedge orders as before. NATS\n"
    "             clients may publish and subscribe on the same subjects from now on\n"
    "  diff       proves that both sides hold the same messages\n"
    "  switch     JetStream orders from now on; clients of kedge notice nothing\n"
    "  reverse    kedge orders again; nothing that was published meanwhile is lost\n"
    "  complete   for good, when no client needs the way back\n"
    "\n"
    "'kedge migrate status' says at any time how it stands, why it is not ready, and\n"
    "what to do next. Guide: migration/GUIDE.md\n";

/// What a command does, in more words than its line in the list has.
CLI::App* taught(CLI::App* app, std::string const& text)
{
    app->footer(text + "\n" + app->get_footer());
    return app;
}

/// A command of `migrate` that names a stream.
struct step_grammar : admin_grammar {
    std::shared_ptr<migrate_settings> how = std::make_shared<migrate_settings>();

    step_grammar(tree& t, CLI::App* parent, char const* name, char const* text, char const* typed, std::string const& lesson)
        : admin_grammar{t, parent, name, text, typed}
    {
        taught(app, lesson);
        app->final_callback([&t, s = settings, h = how] {
            h->call = s->call;
            h->json = s->json;
            t.chosen = [h](command_environment const& e) { return make_migrate(*h, e); };
        });
        arg("stream", "STREAM", "stream", "The stream", check_name)->required();
    }

    void flag(char const* name, char const* key, char const* text)
    {
        app->add_flag_callback(name, [s = settings, key] { s->call.args[key] = true; }, text);
    }
    void from(tree& t)
    {
        one_of(t,
               arg("--from", "WHERE", "from",
                   "What of the history is copied: now (the default), nothing; unacked, what a consumer still has to get; first, all. "
                   "NATS clients that are subscribed see it as new",
                   nullptr),
               {"now", "unacked", "first"});
    }
    void hold()
    {
        arg("--hold", "TIME", "hold_ms", "How long publishes may wait at most, else all is as before (the server's hold_ms, 5s)", check_duration,
            as_duration);
    }
    void dry_run() { flag("--dry-run", "dry_run", "Print each step with its figures, and do nothing; exit 1 if it could not be done"); }
    void confirmed(char const* text) { app->add_flag("-y,--yes", how->yes, text); }
    void no_wait(char const* text) { app->add_flag("--no-wait", how->no_wait, text); }
};

void add_status(tree& t, CLI::App* migrate)
{
    auto s = std::make_shared<migrate_settings>();
    auto watch = std::make_shared<bool>(false);
    auto* app = example(add(migrate, "status", "How it stands: each mirrored stream, why it is not ready, what to do next"),
                        "kedge migrate status\nkedge migrate status CHAT --watch\nssh -t bus migrate status --watch");
    taught(app,
           "Of each stream: its state and its flags, who orders it, what is not copied or\n"
           "not read yet, a second's traffic, the last comparison, what keeps it from\n"
           "being ready for a switch, and the next step. A lag is told only when it is\n"
           "known: without a link to NATS it is 'unknown'.\n");
    auto stream = std::make_shared<std::string>();
    value(app, "stream", "STREAM", *stream, "Only this one", check_name);
    app->add_flag("--watch", *watch, "Again each second, in place; 'q' ends it");
    app->add_flag("--json", s->json, "Print the answer as JSON (with --watch: one a line)");
    app->final_callback([&t, s, stream, watch] {
        s->call = {"migrate status", nlohmann::json::object()};
        if (!stream->empty())
            s->call.args["stream"] = *stream;
        t.chosen = [s, stream, watch](command_environment const& e) {
            return *watch ? make_migrate_watch(*stream, s->json, e) : make_migrate(*s, e);
        };
    });
}

void add_diff(tree& t, CLI::App* migrate)
{
    step_grammar diff{t, migrate, "diff", "Compare what both sides hold, message by message",
                      "kedge migrate diff CHAT\nkedge migrate diff CHAT --tail 100000\nkedge migrate diff CHAT --follow --json",
                      "Finds what is missing, extra, different (body, header) or out of order, and\n"
                      "says of each which side it was born on and its numbers on both sides. Runs in\n"
                      "the server, slowed so that the traffic keeps its share, and goes on after a\n"
                      "restart. Exit status: 0 all is the same, 1 something is not.\n"};
    auto* tail = diff.arg("--tail", "N", "tail", "Only the last so many messages", check_positive, as_number);
    diff.app
        ->add_flag_callback("--follow", [s = diff.settings] { s->call.args["follow"] = true; }, "Begin none: wait for the one that runs, or show the last one")
        ->excludes(tail);
    diff.no_wait("Do not wait for its end");
}

void add_moves(tree& t, CLI::App* migrate)
{
    step_grammar change{t, migrate, "switch", "Let JetStream order the stream",
                        "kedge migrate switch CHAT --dry-run\nkedge migrate switch CHAT --hold 2s",
                        "Holds the stream's publishes, waits until both sides hold the same, and lets\n"
                        "the held ones go on to JetStream, in their order. No client sees an error. If it\n"
                        "takes longer than the hold, all is as before and the reason is told. Until\n"
                        "'complete' there is a way back: 'kedge migrate reverse'.\n"};
    change.dry_run();
    change.hold();
    step_grammar back{t, migrate, "reverse", "Let kedge order the stream again; the copy goes on",
                      "kedge migrate reverse CHAT --dry-run\nkedge migrate reverse CHAT\nkedge migrate reverse CHAT --abandon",
                      "The same as 'switch' with the sides exchanged. What NATS clients published is\n"
                      "read before the order changes. If NATS is gone for good, --abandon gives it up:\n"
                      "it tells which messages may be lost, and has to be confirmed.\n"};
    back.dry_run();
    back.hold();
    back.flag("--abandon", "abandon", "NATS will not come back: take what is here");
    back.confirmed("Do not ask before an --abandon");
}

void add_ends(tree& t, CLI::App* migrate)
{
    step_grammar complete{t, migrate, "complete", "Make JetStream the stream's home for good",
                          "kedge migrate complete CHAT --dry-run\nkedge migrate complete CHAT\nkedge migrate complete CHAT --yes",
                          "From state NATS only. There is no way back: 'ok' then promises what the NATS\n"
                          "cluster promises, and history is kept here only as far as consumers and dead\n"
                          "letters need it. Has to be confirmed.\n"};
    complete.dry_run();
    complete.confirmed("Do not ask");
    step_grammar cancel{t, migrate, "cancel", "End the copy; kedge goes on alone",
                        "kedge migrate cancel CHAT\nkedge migrate cancel CHAT --delete-stream",
                        "From state MIRRORING only ('reverse' comes first). What was copied stays in\n"
                        "JetStream, and a later 'start' goes on there. --delete-stream removes it for\n"
                        "NATS clients too, and has to be confirmed. Without a link to NATS it only\n"
                        "forgets the copy here, after a 'cancel'.\n"};
    cancel.flag("--delete-stream", "delete_stream", "Remove the stream in JetStream, with what NATS clients published");
    cancel.confirmed("Do not ask before a --delete-stream");
}

void add_events(tree& t, CLI::App* migrate)
{
    step_grammar events{t, migrate, "events", "What happened to the stream on its way: transitions, flags, why, and who asked",
                        "kedge migrate events CHAT\nkedge migrate events CHAT --follow",
                        "The last 100. The same are published as $sys.migration.STREAM, for programs.\n"};
    auto follow = std::make_shared<bool>(false);
    events.app->add_flag("--follow", *follow, "Print those that come from now on, until it is interrupted");
    events.app->final_callback([&t, s = events.settings, h = events.how, follow] {
        h->call = s->call;
        h->json = s->json;
        t.chosen = [h, follow](command_environment const& e) {
            if (!*follow)
                return make_migrate(*h, e);
            events_settings live;
            live.pattern = "$sys.migration." + words_of(h->call.args, "stream");
            live.json = h->json;
            return make_events(std::move(live), e);
        };
    });
}

void add_migrate(tree& t)
{
    auto* migrate = group(t, "migrate", "Move a stream to NATS JetStream, step by step, and back");
    migrate->footer(the_way);
    step_grammar plan{t, migrate, "plan", "Try all that could fail later, and say what to do about it",
                      "kedge migrate plan CHAT\nkedge migrate plan CHAT --from first",
                      "Changes nothing that stays: it connects, looks at versions, rights, limits,\n"
                      "other streams and services on the subjects, and tries to make the stream under\n"
                      "a name of its own. Exit status 1 if something stands in the way.\n"};
    plan.from(t);
    step_grammar start{t, migrate, "start", "Begin the copy, or go on after a 'cancel'; kedge orders as before",
                       "kedge migrate start CHAT\nkedge migrate start CHAT --from unacked",
                       "Makes the stream in JetStream and keeps it up to date, both ways: what NATS\n"
                       "clients publish on the same subjects comes to clients of kedge, too. Nothing\n"
                       "changes for publishers: their 'ok' does not wait for NATS.\n"};
    start.from(t);
    start.no_wait("Do not wait until it has caught up");
    add_status(t, migrate);
    add_diff(t, migrate);
    add_moves(t, migrate);
    step_grammar{t, migrate, "pause", "Copy and read nothing for a while; publishing goes on", "kedge migrate pause CHAT",
                 "From state MIRRORING only, for work on the NATS side: what is published here\n"
                 "waits to be copied, and is kept from retention until it was.\n"};
    step_grammar resume{t, migrate, "resume", "Go on after a pause, or after what was broken is mended",
                        "kedge migrate resume CHAT\nkedge migrate resume CHAT --adopt",
                        "Catches up where it was. --adopt settles what only a person can know: that the\n"
                        "database was put back from a backup on purpose (what JetStream holds beyond it\n"
                        "is taken over), or that the stream in JetStream was removed for good (it is\n"
                        "made anew and filled from here).\n"};
    resume.flag("--adopt", "adopt", "After a restore, or when the stream in JetStream is gone or was marked by a backup of this home: fill one side from the other");
    resume.no_wait("Do not wait until it has caught up");
    resume.confirmed("Do not ask before an --adopt that fills a COMPLETE stream anew");
    add_ends(t, migrate);
    add_events(t, migrate);
}

void add_bridge(tree& t)
{
    auto* bridge = group(t, "bridge", "Plain subjects that clients of NATS and of kedge share");
    admin_grammar add{t, bridge, "add", "Let what is published on either side be seen on both",
                      "kedge bridge add 'live.>'\nkedge bridge add 'metrics.>' --one-way out"};
    taught(add.app,
           "At most once, as plain messages are, with headers and reply_to: a request of a\n"
           "NATS client can be answered by a client of kedge, and the other way round. The\n"
           "pattern must not touch a stream's subjects: those are migrated.\n");
    add.arg("pattern", "PATTERN", "pattern", "Which subjects", check_pattern)->required();
    one_of(t, add.arg("--one-way", "WAY", "one_way", "Only out (to NATS), or only in (from NATS)", nullptr), {"out", "in"});
    admin_grammar remove{t, bridge, "remove", "Keep the two sides apart again", "kedge bridge remove 'live.>'"};
    remove.arg("pattern", "PATTERN", "pattern", "As it was added", check_pattern)->required();
    admin_grammar{t, bridge, "list", "List the bridges, and what has crossed them", "kedge bridge list"};
}

}  // namespace

void add_migration_commands(tree& t)
{
    add_migrate(t);
    add_bridge(t);
}

}  // namespace kedge::grammar
