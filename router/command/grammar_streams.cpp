/// The grammar of what is stored: streams, consumers, dead letters, and their messages in files.

#include <cmath>
#include <cstdlib>

#include "router/command/grammar_call.hpp"
#include "router/command/operator_commands.hpp"
#include "router/command/units.hpp"

namespace kedge::grammar {
namespace {

std::string check_backoff(std::string const& s)
{
    for (std::size_t begin = 0, end = 0; end != s.npos; begin = end + 1) {
        end = s.find(',', begin);
        if (!parse_duration_ms(s.substr(begin, end == s.npos ? end : end - begin)))
            return "not durations joined by commas, such as 1s,10s,5m";
    }
    return {};
}

/// 0 if it is none.
double parse_factor(std::string const& s)
{
    char* end = nullptr;
    auto const value = std::strtod(s.c_str(), &end);
    return !s.empty() && *end == '\0' && std::isfinite(value) && value > 0 ? value : 0;
}
std::string check_factor(std::string const& s)
{
    auto const factor = parse_factor(s);
    return factor >= 0.001 && factor <= 1'000'000 ? "" : "not a factor from 0.001 to 1000000";
}
std::string check_rate(std::string const& s)
{
    auto const rate = parse_count(s).value_or(0);
    return rate >= 1 && rate <= 1'000'000 ? "" : "not a number from 1 to 1000000";
}

/// Numbers and such are texts until the parse is done, so that the message of a failed check stays ours.
struct range_texts {
    std::string from, to;

    void declare(CLI::App* app, char const* from_text)
    {
        value(app, "--from", "SEQ", from, from_text, check_positive);
        value(app, "--to", "SEQ", to, "The last one", check_positive);
    }
    seq_range range() const { return {parse_count(from).value_or(0), parse_count(to).value_or(0)}; }
};

void add_stream_options(tree& t, admin_grammar& g)
{
    g.arg("--max-age", "TIME", "max_age_ms", "Forget what is older (0: keep)", check_duration, as_duration);
    g.arg("--max-bytes", "SIZE", "max_bytes", "So much in all (0: no limit)", check_size, as_size);
    g.arg("--max-msgs", "N", "max_msgs", "So many in all (0: no limit)", check_count, as_number);
    g.arg("--max-msgs-per-subject", "N", "max_msgs_per_subject", "Of each subject the last so many (0: all)", check_count, as_number);
    one_of(t,
           g.arg("--discard", "WHICH", "discard",
                 "When it is full: old (the default), the oldest go; or new, publishers are told 'quota'", nullptr),
           {"old", "new"});
    one_of(t,
           g.arg("--retention", "KIND", "retention",
                 "limits (the default), or interest: forget what every consumer has done", nullptr),
           {"limits", "interest"});
}

void add_files(tree& t, CLI::App* stream)
{
    auto e = std::make_shared<export_settings>();
    auto er = std::make_shared<range_texts>();
    auto* out = example(add(stream, "export", "Print all messages, one a line of JSON"),
                        "kedge stream export ORDERS >orders.jsonl\nkedge stream export ORDERS --from 70001 >>orders.jsonl");
    value(out, "name", "NAME", e->stream, "The stream", check_name)->required();
    er->declare(out, "The first one; goes on where an earlier export ended");
    value(out, "--filter", "PATTERN", e->filter, "Only subjects of this pattern", check_pattern);
    out->final_callback([&t, e, er] {
        e->range = er->range();
        t.chosen = [e](command_environment const& env) { return make_export(*e, env); };
    });

    auto i = std::make_shared<import_settings>();
    auto ir = std::make_shared<range_texts>();
    auto* in = example(add(stream, "import", "Publish the messages of an export, from standard input; what is there already is not stored again"),
                       "kedge stream import ORDERS <orders.jsonl\nkedge stream import ORDERS --from 70001 <orders.jsonl");
    value(in, "name", "NAME", i->stream, "The stream that must store them", check_name)->required();
    ir->declare(in, "Skip what has a lower number in the file: goes on where an import ended");
    value(in, "--node", "NODE", i->node, "Publish as this node (import): it is what a repeated import is known by", check_node);
    in->add_flag("-q,--quiet", i->quiet, "Print failures only");
    in->final_callback([&t, i, ir] {
        i->range = ir->range();
        t.chosen = [i](command_environment const& env) { return make_import(*i, env); };
    });

    auto r = std::make_shared<replay_settings>();
    auto rr = std::make_shared<range_texts>();
    auto rate = std::make_shared<std::string>();
    auto speed = std::make_shared<std::string>();
    auto* replay = example(add(&t.root, "replay", "Publish the messages of a stream again, as far apart as they were or at a rate"),
                           "kedge replay ORDERS --from 100 --to 200 --prefix test --speed 10\nkedge replay ORDERS --rate 50 --prefix test");
    value(replay, "name", "NAME", r->stream, "The stream", check_name)->required();
    rr->declare(replay, "The first one");
    value(replay, "--filter", "PATTERN", r->filter, "Only subjects of this pattern", check_pattern);
    value(replay, "--prefix", "TOKENS", r->prefix, "Put before each subject, with a dot; without it they go where they went", check_subject);
    auto* by_rate = value(replay, "--rate", "N", *rate, "So many a second", check_rate);
    value(replay, "--speed", "FACTOR", *speed, "So many times as fast as they were published (1)", check_factor)->excludes(by_rate);
    replay->add_flag("-q,--quiet", r->quiet, "Print failures only");
    replay->final_callback([&t, r, rr, rate, speed] {
        r->range = rr->range();
        r->rate = parse_count(*rate).value_or(0);
        if (!speed->empty())
            r->speed = parse_factor(*speed);
        t.chosen = [r](command_environment const& env) { return make_replay(*r, env); };
    });
}

void add_stream(tree& t)
{
    auto* stream = group(t, "stream", "What is stored");
    admin_grammar add{t, stream, "add", "Store the messages of some subjects",
                      "kedge stream add ORDERS --subjects 'orders.>' --max-age 7d\n"
                      "kedge stream add STATE --subjects 'state.>' --max-msgs-per-subject 1\n"
                      "kedge stream add JOBS --subjects 'jobs.*' --max-msgs 10000 --discard new"};
    add.arg("name", "NAME", "name", "The stream", check_name)->required();
    add.arg("--subjects", "PATTERNS", "subjects", "Patterns, joined by commas", check_subjects, as_patterns)->required();
    add_stream_options(t, add);
    admin_grammar{t, stream, "list", "List the streams", "kedge stream list"};
    admin_grammar show{t, stream, "show", "Show one stream", "kedge stream show ORDERS"};
    show.arg("name", "NAME", "name", "The stream", check_name)->required();
    admin_grammar edit{t, stream, "edit", "Change what is given, leave the rest", "kedge stream edit ORDERS --max-age 30d"};
    edit.arg("name", "NAME", "name", "The stream", check_name)->required();
    edit.arg("--subjects", "PATTERNS", "subjects", "Patterns, joined by commas", check_subjects, as_patterns);
    add_stream_options(t, edit);
    admin_grammar pause{t, stream, "pause", "Deliver nothing to its consumers; publishing goes on", "kedge stream pause ORDERS"};
    pause.arg("stream", "NAME", "stream", "The stream", check_name)->required();
    admin_grammar resume{t, stream, "resume", "Deliver again", "kedge stream resume ORDERS"};
    resume.arg("stream", "NAME", "stream", "The stream", check_name)->required();
    admin_grammar peek{t, stream, "peek", "Look at messages; nothing is taken",
                       "kedge stream peek ORDERS --from 100 --count 5\nkedge stream peek ORDERS --filter 'orders.new' --json"};
    peek.arg("stream", "NAME", "stream", "The stream", check_name)->required();
    peek.arg("--from", "SEQ", "from", "The first one", check_positive, as_number);
    peek.arg("--filter", "PATTERN", "filter", "Only subjects of this pattern", check_pattern);
    peek.arg("--count", "N", "count", "At most so many (10)", check_positive, as_number);
    admin_grammar purge{t, stream, "purge", "Forget messages: all, or those that are named",
                        "kedge stream purge ORDERS --up-to 1000\nkedge stream purge ORDERS --filter 'orders.test.>'"};
    purge.arg("stream", "NAME", "stream", "The stream", check_name)->required();
    purge.arg("--filter", "PATTERN", "filter", "Only subjects of this pattern", check_pattern);
    purge.arg("--up-to", "SEQ", "up_to", "Only up to this one", check_positive, as_number);
    add_files(t, stream);
    admin_grammar remove{t, stream, "remove", "Remove a stream and all its messages and consumers", "kedge stream remove ORDERS"};
    remove.arg("name", "NAME", "name", "The stream", check_name)->required();
}

void name_consumer(admin_grammar& g)
{
    g.arg("stream", "STREAM", "stream", "The stream", check_name)->required();
    g.arg("consumer", "CONSUMER", "consumer", "The consumer", check_name)->required();
}

void add_consumer(tree& t)
{
    auto* consumer = group(t, "consumer", "Who works through a stream");
    admin_grammar list{t, consumer, "list", "List the consumers", "kedge consumer list ORDERS"};
    list.arg("stream", "STREAM", "stream", "Only of this stream", check_name);
    struct simple {
        char const* name;
        char const* text;
        char const* typed;
    };
    for (auto const& s : {simple{"show", "Show one consumer", "kedge consumer show ORDERS billing"},
                          simple{"pause", "Deliver nothing to it", "kedge consumer pause ORDERS billing"},
                          simple{"resume", "Deliver again", "kedge consumer resume ORDERS billing"},
                          simple{"remove", "Remove a consumer, its position and its dead letters", "kedge consumer remove ORDERS billing"}}) {
        admin_grammar g{t, consumer, s.name, s.text, s.typed};
        name_consumer(g);
    }
    admin_grammar edit{t, consumer, "edit", "Change what is given, leave the rest",
                       "kedge consumer edit ORDERS billing --backoff 1s,10s,5m --max-deliver 8"};
    name_consumer(edit);
    edit.arg("--backoff", "TIMES", "backoff_ms", "Waits before the second try, the third, …, joined by commas; the last holds for all further",
             check_backoff, as_durations);
    edit.arg("--ack-wait", "TIME", "ack_wait_ms", "When what was not acknowledged is delivered again", check_duration, as_duration);
    edit.arg("--max-deliver", "N", "max_deliver", "Deliveries before a message is set aside as dead (0: no end)", check_count, as_number);

    auto* dead = group(t, "dead", "Messages that a consumer could not finish");
    admin_grammar dead_list{t, dead, "list", "List them", "kedge dead list ORDERS billing"};
    name_consumer(dead_list);
    dead_list.arg("--after", "SEQ", "after", "Only those after this one", check_count, as_number);
    dead_list.arg("--max", "N", "max", "At most so many", check_positive, as_number);
    admin_grammar dead_show{t, dead, "show", "Show one, with its body", "kedge dead show ORDERS billing 17"};
    name_consumer(dead_show);
    dead_show.arg("seq", "SEQ", "seq", "Its number", check_positive, as_number)->required();
    for (auto const& s : {simple{"replay", "Deliver them again (all, or those named)", "kedge dead replay ORDERS billing 17 18"},
                          simple{"drop", "Forget them (all, or those named)", "kedge dead drop ORDERS billing"}}) {
        admin_grammar g{t, dead, s.name, s.text, s.typed};
        name_consumer(g);
        g.settings->call.args["seqs"] = nlohmann::json::array();
        g.list("seq", "SEQ", "seqs", "Their numbers; none means all", check_positive, as_number);
    }
}

}  // namespace

void add_stream_commands(tree& t)
{
    add_stream(t);
    add_consumer(t);
}

}  // namespace kedge::grammar
