// Plain subjects across: what the bridge says to either side for what it hears from the other.

#include "tests/catch.hpp"

#include <algorithm>

#include "migration/bridge.hpp"
#include "router/protocol/encoding.hpp"

using namespace kedge;
using namespace kedge::migration;

namespace {

struct world {
    explicit world(std::string const& stored = R"([{"pattern":"live.>","one_way":""}])")
        : at{bounds, server, "0123456789abcdef", stored, "token", numbers}
    {
        at.start(now, fx);
        up();
    }
    void up(std::uint64_t max_payload = 1024 * 1024)
    {
        backend_event::link_up e;
        e.connection = ++connection;
        e.max_payload = max_payload;
        at.link_up(e, now, fx);
    }
    template <class Command>
    std::vector<Command> commands()
    {
        std::vector<Command> found;
        for (auto const& each : fx.backend)
            if (auto const* const one = std::get_if<Command>(&each))
                found.push_back(*one);
        return found;
    }
    /// Since the last call.
    std::vector<bus_message> sent()
    {
        std::vector<bus_message> found;
        for (auto& each : commands<backend_command::send>())
            found.push_back(std::move(each.what));
        fx.backend.clear();
        return found;
    }
    template <class Operation>
    std::vector<Operation> said()
    {
        std::vector<Operation> found;
        for (auto const& each : fx.links)
            if (auto const* const op = std::get_if<link_event::operation>(&each.what))
                if (auto const* const one = std::get_if<Operation>(&op->what))
                    found.push_back(*one);
        return found;
    }
    link_id link() const { return link_id{std::uint64_t{migration_transport} << 48 | links}; }
    void hear(notice::any const& what)
    {
        at.on_router({link_output::any{link(), link_output::data{encode(what, encoding::frames)}}}, now, fx);
    }
    notice::msg msg(std::string const& subject, std::string const& from = "ann/n", std::string const& reply_to = {})
    {
        notice::msg m;
        m.subject = subject;
        m.from = from;
        m.time_ms = 5;
        m.reply_to = reply_to;
        m.headers = R"({"A":"b"})";
        m.body = "text";
        return m;
    }
    /// The subscription to NATS with that pattern.
    plain_id heard_as(std::string const& pattern)
    {
        for (auto const& each : subscriptions)
            if (each.pattern == pattern)
                return each.id;
        for (auto& each : commands<backend_command::subscribe>())
            subscriptions.push_back(each);
        for (auto const& each : subscriptions)
            if (each.pattern == pattern)
                return each.id;
        return {};
    }
    void plain(std::string const& pattern, bus_message m)
    {
        auto const id = heard_as(pattern);
        fx.links.clear();
        at.on_plain({id, std::move(m)}, now, fx);
    }
    admin_result ask(std::string name, nlohmann::json args = nlohmann::json::object(), std::vector<migration_request::known_stream> streams = {},
                     bool carry_out = true)
    {
        fx.answers.clear();
        migration_request r;
        r.request = token{++requests};
        r.call = {std::move(name), std::move(args)};
        r.streams = std::move(streams);
        at.ask(r, now, fx);
        if (!fx.store.empty() && carry_out) {
            auto const put = std::get<store_request::put_bridges>(fx.store.back());
            fx.store.clear();
            stored = put.bridges;
            CHECK(at.on_store(store_event::done{put.request}, now, fx));
        }
        return fx.answers.empty() ? admin_result{-1, {}, {}} : fx.answers.back().second;
    }
    nlohmann::json shown() { return at.status().at(0); }

    settings bounds;
    limits server;
    number_source numbers;
    instant now{1000, 1'700'000'000'000};
    effects fx;
    std::uint64_t connection = 0, links = 1, requests = 0;
    std::string stored;
    std::vector<backend_command::subscribe> subscriptions;
    bridge at;
};

std::string header(bus_message const& m, std::string const& name)
{
    for (auto const& [key, value] : m.headers)
        if (key == name)
            return value;
    return "(none)";
}

bus_message message_of(std::string subject, std::string body = "text", std::string reply = {}, bus_headers headers = {})
{
    bus_message m;
    m.subject = std::move(subject);
    m.body = std::move(body);
    m.reply = std::move(reply);
    m.headers = std::move(headers);
    return m;
}

migration_request::known_stream stream_of(std::string name, std::vector<std::string> subjects)
{
    migration_request::known_stream s;
    s.state.config.name = std::move(name);
    s.state.config.subjects = std::move(subjects);
    return s;
}

}  // namespace

TEST_CASE("bridge: begins with what is stored: one link of the router, subscriptions on both sides as each way needs")
{
    world w{R"([{"pattern":"live.>","one_way":""},{"pattern":"up.*","one_way":"out"},{"pattern":"down","one_way":"in"}])"};
    REQUIRE_FALSE(w.fx.links.empty());
    auto const* const opened = std::get_if<link_event::opened>(&w.fx.links.front().what);
    REQUIRE(opened);
    CHECK(opened->internal);
    CHECK(opened->who->user == "nats");
    CHECK(opened->who->role != role_operator);
    std::vector<std::string> here, there;
    for (auto const& s : w.said<op::subscribe>())
        here.push_back(s.pattern);
    for (auto const& s : w.commands<backend_command::subscribe>())
        there.push_back(s.pattern);
    CHECK(here == std::vector<std::string>{"live.>", "up.*"});
    std::sort(there.begin(), there.end());
    CHECK(there == std::vector<std::string>{"_INBOX.kedge.token.*", "down", "live.>"});
    CHECK(w.at.patterns() == std::vector<std::string>{"live.>", "up.*", "down"});

    world none{""};
    CHECK(none.fx.links.empty());
    CHECK(none.fx.backend.empty());
}

TEST_CASE("bridge: what is stored and makes no sense is left out")
{
    for (auto const* const text : {"", "{", "{}", "[1]", R"([{"pattern":7}])", R"([{"pattern":"a..b"}])", R"([{"pattern":"$sys.x"}])"})
        CHECK(read_bridges(text).empty());
    auto const two = read_bridges(R"([{"pattern":"a.>"},{"pattern":"a.b"},{"pattern":"c","one_way":"in"}])");
    REQUIRE(two.size() == 2);
    CHECK(two[1] == bridge_rule{"c", bridge_rule::way::in});
    CHECK(read_bridges(write_bridges(two)) == two);
}

TEST_CASE("bridge: from kedge to NATS with headers and the sender; not what came from there")
{
    world w;
    w.fx = {};
    w.hear(w.msg("live.a"));
    auto const sent = w.sent();
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].subject == "live.a");
    CHECK(sent[0].body == "text");
    CHECK(sent[0].reply.empty());
    CHECK(header(sent[0], "A") == "b");
    CHECK(header(sent[0], "Kedge-From") == "ann/n");
    CHECK(header(sent[0], "Kedge-Origin") == "0123456789abcdef");
    w.hear(w.msg("live.a", "nats"));
    w.hear(w.msg("other.a"));
    CHECK(w.sent().empty());
    CHECK(w.shown()["out"] == 1);
    CHECK(w.shown()["dropped"] == 0);
}

TEST_CASE("bridge: from NATS to kedge with headers; not what this home sent, and nothing reserved")
{
    world w{R"([{"pattern":">","one_way":""}])"};
    w.plain(">", message_of("live.a", "text", {}, {{"A", "b"}, {"Nats-X", "1"}, {"Kedge-From", "x"}, {"A", "c"}}));
    auto const said = w.said<op::publish>();
    REQUIRE(said.size() == 1);
    CHECK(said[0].message->subject() == "live.a");
    CHECK(said[0].message->headers() == R"({"A":"b, c"})");
    CHECK(said[0].message->id().empty());
    for (auto const& m : {message_of("live.a", "", {}, {{"Kedge-Origin", "0123456789abcdef"}}), message_of("$JS.API.x"), message_of("_INBOX.y"),
                          message_of("inbox.ann"), message_of("svc.x.y")}) {
        w.plain(">", m);
        CHECK(w.fx.links.empty());
    }
    w.plain(">", message_of("live.a", "", {}, {{"Kedge-Origin", "another"}}));
    CHECK(w.said<op::publish>().size() == 1);
    CHECK(w.shown()["in"] == 2);
    CHECK(w.shown()["dropped"] == 0);
}

TEST_CASE("bridge: what cannot be represented or is too large is dropped, counted, and the reason said")
{
    world w;
    w.server.body_bytes = 10;
    w.server.header_bytes = 1500;
    struct {
        char const* name;
        bus_message what;
        char const* why;
    } const cases[] = {
        {"body", message_of("live.a", "12345678901"), "body"},
        {"tokens", message_of("live.1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16"), "subject"},
        {"not UTF-8", message_of("live.\xff"), "subject"},
        {"name", message_of("live.a", "", {}, {{"Bad_Name", "x"}}), "header"},
        {"empty", message_of("live.a", "", {}, {{"A", ""}}), "header"},
        {"control", message_of("live.a", "", {}, {{"A", "x\ty"}}), "header"},
        {"headers", message_of("live.a", "", {}, {{"A", std::string(1000, 'x')}, {"B", std::string(1000, 'x')}}), "header_bytes"},
    };
    std::uint64_t dropped = 0;
    for (auto const& c : cases) {
        INFO(c.name);
        w.plain("live.>", c.what);
        CHECK(w.fx.links.empty());
        CHECK(w.shown()["dropped"] == ++dropped);
        CHECK(w.shown()["why"].get<std::string>().find(c.why) != std::string::npos);
    }
    w.plain("live.>", message_of("live.a", "1234567890"));
    CHECK(w.said<op::publish>().size() == 1);

    w.up(300);
    w.fx = {};
    auto large = w.msg("live.a");
    large.body = std::string(300, 'x');
    w.hear(large);
    CHECK(w.sent().empty());
    CHECK(w.shown()["dropped"] == ++dropped);
    CHECK(w.shown()["why"].get<std::string>().find("max_payload") != std::string::npos);
    w.at.link_down();
    w.hear(w.msg("live.a"));
    CHECK(w.shown()["dropped"] == ++dropped);
    CHECK(w.at.count().dropped == dropped);
}

TEST_CASE("bridge: no more than bridge_bytes are on their way into kedge")
{
    world w;
    w.bounds.bridge_bytes = 1000;
    auto const m = message_of("live.a", std::string(400, 'x'));
    std::size_t bytes = 0;
    for (int i = 0; i < 4; ++i) {
        w.plain("live.>", m);
        for (auto const& each : w.fx.links)
            bytes += std::get<link_event::operation>(each.what).bytes;
    }
    CHECK(w.shown()["in"] == 2);
    CHECK(w.shown()["dropped"] == 2);
    w.at.on_router({link_output::any{w.link(), link_output::credit{bytes}}}, w.now, w.fx);
    w.plain("live.>", m);
    CHECK(w.shown()["in"] == 3);
    w.plain("live.>", message_of("live.a", std::string(2000, 'x')));
    CHECK(w.shown()["dropped"] == 3);
    w.at.on_router({link_output::any{w.link(), link_output::credit{1u << 20}}}, w.now, w.fx);
    w.plain("live.>", message_of("live.a", std::string(2000, 'x')));  // alone even a large one passes
    CHECK(w.shown()["in"] == 4);
}

TEST_CASE("bridge: no more than bridge_bytes wait for a NATS that does not read")
{
    world w;
    w.bounds.bridge_bytes = 1000;
    auto m = w.msg("live.a");
    m.body = std::string(600, 'x');
    w.fx = {};
    w.hear(m);
    w.hear(m);
    CHECK(w.sent().size() == 1);
    CHECK(w.shown()["dropped"] == 1);
    CHECK(w.shown()["why"].get<std::string>().find("waited for NATS") != std::string::npos);
    w.at.unsent(900);
    w.hear(m);
    CHECK(w.sent().empty());
    w.at.unsent(0);
    w.hear(m);
    CHECK(w.sent().size() == 1);
    CHECK(w.shown()["out"] == 2);
}

TEST_CASE("bridge: a request of NATS is a call here, and its answer goes to the reply subject")
{
    world w;
    w.plain("live.>", message_of("live.q", "?", "_INBOX.abc", {{"A", "b"}}));
    auto const calls = w.said<op::call>();
    REQUIRE(calls.size() == 1);
    CHECK(calls[0].service.empty());
    CHECK(calls[0].message->subject() == "live.q");
    CHECK(calls[0].message->headers() == R"({"A":"b"})");
    CHECK(calls[0].timeout_ms == w.bounds.bridge_reply_ms);
    auto const id = std::string{calls[0].message->id()};
    w.fx = {};
    SECTION("answered")
    {
        w.hear(notice::reply{id, "bob/n", "!", R"({"C":"d"})"});
        auto const sent = w.sent();
        REQUIRE(sent.size() == 1);
        CHECK(sent[0].subject == "_INBOX.abc");
        CHECK(sent[0].body == "!");
        CHECK(header(sent[0], "C") == "d");
        CHECK(header(sent[0], "Kedge-From") == "bob/n");
        w.hear(notice::reply{id, "bob/n", "!"});  // once
        CHECK(w.sent().empty());
    }
    SECTION("by nobody: somebody in NATS may")
    {
        for (auto const code : {error_code::no_responders, error_code::timeout, error_code::unavailable}) {
            w.hear(notice::error{id, code, "no", {}});
            CHECK(w.sent().empty());
            CHECK(w.shown()["dropped"] == 0);
        }
    }
    SECTION("refused by a rule: that is a drop")
    {
        w.hear(notice::error{id, error_code::denied, "a rule", {}});
        CHECK(w.shown()["dropped"] == 1);
        CHECK(w.shown()["why"] == "a rule");
    }
    SECTION("not in time, and never")
    {
        CHECK(w.at.due_ms() == w.now.steady_ms + w.bounds.bridge_reply_ms);
        w.now.steady_ms += w.bounds.bridge_reply_ms;
        w.at.tick(w.now, w.fx);
        CHECK_FALSE(w.at.due_ms());
        w.hear(notice::reply{id, "bob/n", "!"});
        CHECK(w.sent().empty());
    }
}

TEST_CASE("bridge: reply subjects that a bridge carries find their own way")
{
    world w;
    w.plain("live.>", message_of("live.q", "?", "live.answers"));
    auto const published = w.said<op::publish>();
    REQUIRE(published.size() == 1);
    CHECK(published[0].message->reply_to() == "live.answers");
    CHECK(w.said<op::call>().empty());
    w.fx = {};
    w.hear(w.msg("live.q", "ann/n", "live.answers"));
    auto const sent = w.sent();
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].reply == "live.answers");
}

TEST_CASE("bridge: a reply_to of kedge becomes one of the inbox, and what comes there is published to it")
{
    world w;
    auto const inbox = std::string{"_INBOX.kedge.token.*"};
    w.heard_as(inbox);
    w.fx = {};
    SECTION("a subject: as many replies as come")
    {
        w.hear(w.msg("live.q", "ann/n", "mine.answers"));
        auto const reply = w.sent().at(0).reply;
        CHECK(reply == "_INBOX.kedge.token.1");
        for (int i = 0; i < 2; ++i) {
            w.plain(inbox, message_of(reply, "!", {}, {{"A", "b"}}));
            auto const said = w.said<op::publish>();
            REQUIRE(said.size() == 1);
            CHECK(said[0].message->subject() == "mine.answers");
            CHECK(said[0].message->headers() == R"({"A":"b"})");
        }
        w.now.steady_ms += w.bounds.bridge_reply_ms;
        w.at.tick(w.now, w.fx);
        w.plain(inbox, message_of(reply, "late"));
        CHECK(w.fx.links.empty());
    }
    SECTION("a call: one reply")
    {
        w.hear(w.msg("live.q", "ann/n", "_call.00"));
        auto const reply = w.sent().at(0).reply;
        w.plain(inbox, message_of(reply, "!"));
        CHECK(w.said<op::publish>().size() == 1);
        w.plain(inbox, message_of(reply, "!"));
        CHECK(w.fx.links.empty());
    }
    SECTION("nobody there")
    {
        w.hear(w.msg("live.q", "ann/n", "_call.00"));
        auto const reply = w.sent().at(0).reply;
        w.plain(inbox, message_of(reply, "", {}, {{"Status", "503"}}));
        auto const said = w.said<op::reply>();
        REQUIRE(said.size() == 1);
        CHECK(said[0].call == "_call.00");
        CHECK(said[0].error_code == "no_responders");
        CHECK(w.said<op::publish>().empty());
        w.hear(w.msg("live.q", "ann/n", "mine.answers"));
        w.plain(inbox, message_of(w.sent().at(0).reply, "", {}, {{"Status", "503"}}));
        CHECK(w.fx.links.empty());
    }
    SECTION("what nobody waits for")
    {
        for (auto const* const subject : {"_INBOX.kedge.token.9", "_INBOX.kedge.token.x", "_INBOX.kedge.token.", "_INBOX"}) {
            w.plain(inbox, message_of(subject));
            CHECK(w.fx.links.empty());
        }
    }
}

TEST_CASE("bridge: only so many requests wait, both ways together; those beyond cross and expect no reply")
{
    world w;
    w.bounds.bridge_replies = 2;
    w.plain("live.>", message_of("live.q", "1", "_INBOX.a"));
    CHECK(w.said<op::call>().size() == 1);
    w.hear(w.msg("live.q", "ann/n", "mine"));
    CHECK_FALSE(w.sent().at(0).reply.empty());
    w.hear(w.msg("live.q", "ann/n", "mine"));
    CHECK(w.sent().at(0).reply.empty());
    w.plain("live.>", message_of("live.q", "2", "_INBOX.a"));
    CHECK(w.said<op::call>().empty());
    REQUIRE(w.said<op::publish>().size() == 1);
    CHECK(w.said<op::publish>()[0].message->reply_to().empty());
    CHECK(w.shown()["dropped"] == 2);
    CHECK(w.shown()["in"] == 2);
    CHECK(w.shown()["out"] == 2);
}

TEST_CASE("bridge: its link ends and is opened again")
{
    world w;
    w.plain("live.>", message_of("live.q", "1", "_INBOX.a"));
    auto const id = std::string{w.said<op::call>().at(0).message->id()};
    w.fx = {};
    w.at.on_router({link_output::any{w.link(), link_output::close{1}}}, w.now, w.fx);
    REQUIRE(w.fx.links.size() == 1);
    CHECK(std::holds_alternative<link_event::closed>(w.fx.links[0].what));
    w.plain("live.>", message_of("live.a"));
    CHECK(w.fx.links.empty());
    CHECK(w.shown()["dropped"] == 1);
    auto const due = w.at.due_ms();
    REQUIRE(due);
    w.now.steady_ms = *due;
    w.fx = {};
    w.at.tick(w.now, w.fx);
    w.links = 2;
    REQUIRE(w.fx.links.size() == 2);
    CHECK(w.fx.links[0].link == w.link());
    CHECK(std::holds_alternative<link_event::opened>(w.fx.links[0].what));
    CHECK(w.said<op::subscribe>().size() == 1);
    w.hear(notice::reply{id, "bob/n", "late"});  // of the link before
    CHECK(w.sent().empty());
    w.plain("live.>", message_of("live.a"));
    CHECK(w.said<op::publish>().size() == 1);
}

TEST_CASE("bridge: what the router refuses without saying of which message is counted")
{
    world w;
    w.hear(notice::error{{}, error_code::denied, "a rule says no", {}});
    auto const list = w.ask("bridge list").data;
    CHECK(list["refused"] == 1);
    CHECK(list["why"] == "a rule says no");
    CHECK(w.at.count().dropped == 1);
    w.at.lost_inward(3);
    w.at.lost_outward(4);
    CHECK(w.ask("bridge list").data["lost"] == nlohmann::json{{"in", 3}, {"out", 4}});
    CHECK(w.at.count().dropped == 8);
}

TEST_CASE("bridge: a subscription that a rule takes away is asked for until it is given back")
{
    world w{R"([{"pattern":"live.>","one_way":""},{"pattern":"down","one_way":"in"}])"};
    CHECK_FALSE(w.at.due_ms());
    w.hear(notice::error{{}, error_code::denied, "a rule of nats", {}});  // as the router takes it away
    for (int again = 0; again < 3; ++again) {
        auto const due = w.at.due_ms();
        REQUIRE(due);
        REQUIRE(*due > w.now.steady_ms);
        w.now.steady_ms = *due;
        w.fx = {};
        w.at.tick(w.now, w.fx);
        auto const asked = w.said<op::subscribe>();
        REQUIRE(asked.size() == 1);
        CHECK(asked[0].pattern == "live.>");
        if (again < 2) {
            w.hear(notice::error{asked[0].id, error_code::denied, "a rule of nats", {}});
            CHECK(w.shown()["why"] == "a rule of nats");
        } else {
            w.hear(notice::ok{asked[0].id, {}, 0, false, {}});
            CHECK(w.shown()["why"] == "");
        }
    }
    CHECK_FALSE(w.at.due_ms());
    CHECK(w.ask("bridge list").data["refused"] == 1);  // asking again loses no message
}

TEST_CASE("bridge: a call that cannot cross is told so at once, a message with a reply_to is not")
{
    struct row {
        char const* name;
        bool linked;
        std::uint64_t max_payload;
    };
    for (auto const& r : {row{"no link to NATS", false, 1024}, row{"more than NATS takes", true, 8}}) {
        INFO(r.name);
        world w;
        w.at.link_down();
        if (r.linked)
            w.up(r.max_payload);
        for (auto const* const reply_to : {"_call.00000000000000010000000000000002", "mine.answers"}) {
            w.fx = {};
            w.hear(w.msg("live.q", "ann/n", reply_to));
            CHECK(w.sent().empty());
            auto const told = w.said<op::reply>();
            CHECK(told.size() == (reply_to[0] == '_' ? 1 : 0));
            if (!told.empty())
                CHECK(told[0].error_code == "no_responders");
        }
        CHECK_FALSE(w.at.due_ms());  // nothing waits for a reply
        CHECK(w.shown()["dropped"] == 2);
    }
}

TEST_CASE("bridge commands: added and removed when the store has it, one change at a time")
{
    world w{""};
    CHECK(w.ask("bridge list").data["bridges"].empty());
    CHECK(w.ask("bridge add", {{"pattern", "live.>"}}, {}, false).exit_status == -1);
    CHECK(w.at.patterns().empty());
    CHECK(w.fx.links.empty());
    CHECK(w.ask("bridge add", {{"pattern", "other"}}, {}, false).error.find("under way") != std::string::npos);
    auto const put = std::get<store_request::put_bridges>(w.fx.store.at(0));
    SECTION("the store fails")
    {
        CHECK(w.at.on_store(store_event::failed{put.request, {error_code::store_full, "the disk is full"}}, w.now, w.fx));
        CHECK(w.fx.answers.back().second.error == "the disk is full");
        CHECK(w.at.patterns().empty());
        CHECK(w.commands<backend_command::subscribe>().empty());
    }
    SECTION("and does not")
    {
        CHECK_FALSE(w.at.on_store(store_event::done{token{7}}, w.now, w.fx));
        CHECK(w.at.on_store(store_event::done{put.request}, w.now, w.fx));
        w.fx.store.clear();
        CHECK(w.fx.answers.back().second.exit_status == 0);
        CHECK(w.at.patterns() == std::vector<std::string>{"live.>"});
        CHECK(w.said<op::subscribe>().size() == 1);
        CHECK(w.ask("bridge add", {{"pattern", "live.>"}}).exit_status == 0);  // the same again
        CHECK(w.fx.store.empty());
        CHECK(w.ask("bridge add", {{"pattern", "live.>"}, {"one_way", "in"}}).exit_status == 1);
        CHECK(w.ask("bridge add", {{"pattern", "up"}, {"one_way", "sideways"}}).exit_status == 1);
        CHECK(w.ask("bridge add", {{"pattern", "up"}, {"one_way", "out"}}).exit_status == 0);
        CHECK(read_bridges(w.stored).size() == 2);
        CHECK(w.ask("bridge remove", {{"pattern", "none"}}).exit_status == 1);
        w.hear(w.msg("live.a"));
        w.fx.links.clear();
        CHECK(w.ask("bridge remove", {{"pattern", "live.>"}}).exit_status == 0);
        CHECK(w.said<op::unsubscribe>().size() == 1);
        CHECK(w.commands<backend_command::unsubscribe>().size() == 1);
        CHECK(w.at.patterns() == std::vector<std::string>{"up"});
        CHECK(w.at.count().out == 1);  // stays counted
        CHECK(read_bridges(w.stored).size() == 1);
    }
}

TEST_CASE("bridge commands: what is refused")
{
    world w;
    w.bounds.bridges = 2;
    auto const streams = std::vector{stream_of("CHAT", {"chat.>", "talk.*"}), stream_of("INBOX", {})};
    struct {
        char const* pattern;
        char const* why;
    } const cases[] = {{"a..b", "is not a pattern"}, {"$sys.>", "reserved"}, {"_INBOX.>", "reserved"}, {"inbox.ann", "reserved"},
                       {"svc.>", "reserved"},        {"live.x", "overlaps"}, {"*.x", "overlaps"},      {"chat.room", "of stream CHAT"},
                       {"talk.>", "of stream CHAT"}};
    for (auto const& c : cases) {
        INFO(c.pattern);
        auto const answer = w.ask("bridge add", {{"pattern", c.pattern}}, streams);
        CHECK(answer.exit_status == 1);
        CHECK(answer.error.find(c.why) != std::string::npos);
    }
    CHECK(w.ask("bridge add", {{"pattern", "second"}}, streams).exit_status == 0);
    CHECK(w.ask("bridge add", {{"pattern", "third"}}, streams).error.find("2 bridges already") != std::string::npos);
}
