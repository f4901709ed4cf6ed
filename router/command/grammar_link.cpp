/// The grammar of the commands that run on a link of their own.

#include "router/command/commands.hpp"
#include "router/command/grammar_tree.hpp"
#include "router/command/units.hpp"

namespace kedge::grammar {
namespace {

/// Text that is turned into a number after the parse, so that the message of a failed check stays ours.
struct texts {
    std::string count, chunk, window, ack_wait, max_deliver, start, retry_delay, delay;
};

void add_publish(tree& t)
{
    auto s = std::make_shared<publish_settings>();
    auto x = std::make_shared<texts>();
    auto* app = add(&t.root, "pub", "Publish a message, or one a line of standard input");
    value(app, "subject", "SUBJECT", s->subject, "Where to", check_subject)->required();
    app->add_option("TEXT", s->text, "The message; '-' reads standard input, a message a line")->type_name("");
    value(app, "--chunk", "BYTES", x->chunk, "With '-': a message every so many bytes, whatever they are", check_size);
    values(app, "--header", "NAME:VALUE", s->headers, "A header of each message (repeatable)", check_header);
    value(app, "--reply-to", "SUBJECT", s->reply_to, "Where answers are wanted", check_subject);
    value(app, "--node", "NODE", s->node, "Publish as this node: what was stored before is not stored again", check_node);
    value(app, "--id-prefix", "TEXT", s->id_prefix,
          "Ids are TEXT-1, TEXT-2, …: with --node, the same input sent again stores nothing twice", check_id_prefix);
    app->add_flag("--json", s->json, "Print each answer as a line of JSON");
    app->add_flag("-q,--quiet", s->quiet, "Print failures only");
    app->final_callback([&t, s, x] {
        s->chunk_bytes = parse_size(x->chunk).value_or(0);
        t.chosen = [s](command_environment const& e) { return make_publish(*s, e); };
    });
}

void add_subscribe(tree& t)
{
    auto s = std::make_shared<subscribe_settings>();
    auto x = std::make_shared<texts>();
    auto* app = add(&t.root, "sub", "Print the messages that arrive on some subjects");
    values(app, "pattern", "PATTERN", s->patterns, "Subjects: '*' is any one word, a last '>' all the rest", check_pattern)
        ->required();
    value(app, "--count", "N", x->count, "Stop after so many messages", check_positive);
    value(app, "--group", "NAME", s->group, "Share the messages with the others of this group", check_name);
    auto* json = app->add_flag("--json", s->json, "Print each message as a line of JSON");
    app->add_flag("--raw", s->raw, "Print bodies only, as they are")->excludes(json);
    app->add_flag("-q,--quiet", s->quiet, "Do not say when the subscription stands");
    app->final_callback([&t, s, x] {
        s->count = parse_count(x->count).value_or(0);
        t.chosen = [s](command_environment const& e) { return make_subscribe(*s, e); };
    });
}

void add_consume(tree& t)
{
    auto s = std::make_shared<consume_settings>();
    auto x = std::make_shared<texts>();
    auto* app = add(&t.root, "consume", "Work through a stream as a durable consumer, acknowledging what was done");
    value(app, "stream", "STREAM", s->stream, "The stream", check_name)->required();
    value(app, "--consumer", "NAME", s->consumer, "The consumer; made if there is none of this name", check_name)
        ->required();
    app->add_option("--filter", s->filter, "Only subjects of this pattern (of a new consumer)")->type_name("PATTERN");
    must(app->get_option("--filter"), check_pattern);
    value(app, "--start", "WHERE", x->start,
          "Where a new consumer begins: first, new (the default), a sequence number, or a time", check_start);
    value(app, "--count", "N", x->count, "Stop after so many messages were acknowledged", check_positive);
    if (!t.remote) {
        value(app, "--exec", "COMMAND", s->exec,
              "Run this for each message, its body on standard input and KEDGE_SUBJECT, KEDGE_SEQ, … in the "
              "environment; exit status 0 acknowledges, another has it delivered again");
        value(app, "--retry-delay", "TIME", x->retry_delay, "With --exec: how long to wait then (1s)", check_duration);
    }
    value(app, "--window", "N", x->window, "Messages on their way at once", check_positive);
    value(app, "--ack-wait", "TIME", x->ack_wait, "When what was not acknowledged is delivered again (30s)",
          check_duration);
    value(app, "--max-deliver", "N", x->max_deliver, "Deliveries before a message is set aside as dead (0: no end)",
          check_count);
    auto* json = app->add_flag("--json", s->json, "Print each message as a line of JSON");
    app->add_flag("--raw", s->raw, "Print bodies only, as they are")->excludes(json);
    app->add_flag("-q,--quiet", s->quiet, "Do not say when the consumer is attached");
    app->final_callback([&t, s, x] {
        using kind = op::start_position::kind;
        if (x->start == "first")
            s->start = {kind::first, 0};
        else if (auto const seq = parse_count(x->start))
            s->start = {kind::seq, *seq};
        else if (auto const time = parse_time_ms(x->start))
            s->start = {kind::time, *time};
        s->count = parse_count(x->count).value_or(0);
        s->window = parse_count(x->window);
        s->ack_wait_ms = parse_duration_ms(x->ack_wait);
        s->max_deliver = parse_count(x->max_deliver);
        s->retry_delay_ms = parse_duration_ms(x->retry_delay).value_or(s->retry_delay_ms);
        t.chosen = [s](command_environment const& e) { return make_consume(*s, e); };
    });
}

void add_ask(tree& t)
{
    auto p = std::make_shared<ask_settings>();
    auto px = std::make_shared<texts>();
    auto* ping = add(&t.root, "ping", "Ask the server for a sign of life");
    value(ping, "--count", "N", px->count, "Ask so many times (1)", check_positive);
    ping->add_flag("--json", p->json, "Print the answer as JSON");
    ping->final_callback([&t, p, px] {
        p->count = parse_count(px->count).value_or(1);
        t.chosen = [p](command_environment const& e) { return make_ask(*p, e); };
    });

    auto w = std::make_shared<ask_settings>();
    auto what = std::make_shared<std::string>("nodes");
    auto* who = add(&t.root, "who", "Say who and what is here");
    one_of(t, value(who, "what", "WHAT", *what, "nodes (the default), streams, consumers, services or lists"),
           {"nodes", "streams", "consumers", "services", "lists"});
    who->add_flag("--json", w->json, "Print the answer as JSON");
    who->final_callback([&t, w, what] {
        using kind = op::who::kind;
        std::map<std::string, kind> const kinds{{"nodes", kind::nodes},
                                                {"streams", kind::streams},
                                                {"consumers", kind::consumers},
                                                {"services", kind::services},
                                                {"lists", kind::lists}};
        w->who = kinds.at(*what);
        t.chosen = [w](command_environment const& e) { return make_ask(*w, e); };
    });
}

}  // namespace

void add_link_commands(tree& t)
{
    add_publish(t);
    add_subscribe(t);
    add_consume(t);
    add_ask(t);
}

}  // namespace kedge::grammar
