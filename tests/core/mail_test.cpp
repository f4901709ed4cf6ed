#include "tests/catch.hpp"

#include "tests/core/harness.hpp"

using namespace kedge;

TEST_CASE("mail: which node a row is for")
{
    struct row {
        char const* recipients;
        char const* user;
        addressed outcome;
    };
    using a = addressed;
    for (auto const& r : {row{"al", "al", a::this_node}, row{"al/n", "al", a::this_node}, row{"al/m", "al", a::other_nodes},
                          row{"al/m al/n", "al", a::this_node}, row{"al/m al/o", "al", a::other_nodes}, row{"al-x", "al", a::not_at_all},
                          row{"alb", "al", a::not_at_all}, row{"a al-x al/m alb b", "al", a::other_nodes}, row{"a al-x al/n alb b", "al", a::this_node},
                          row{"a al al-x alb b", "al", a::this_node}, row{"a b c", "al", a::not_at_all}, row{"b", "al", a::not_at_all},
                          row{"a", "al", a::not_at_all}, row{"al/nn", "al", a::other_nodes}, row{"aa al", "al", a::this_node},
                          row{"", "al", a::not_at_all}}) {
        CAPTURE(r.recipients);
        CHECK(addressed_to(r.recipients, r.user, std::string{r.user} + "/n") == r.outcome);
    }
    std::string many;
    for (int i = 1000; i < 2000; ++i)
        many += (many.empty() ? "u" : " u") + std::to_string(i);
    for (int i = 990; i < 2010; ++i) {
        auto const user = "u" + std::to_string(i);
        CHECK(addressed_to(many, user, user + "/n") == (i >= 1000 && i < 2000 ? a::this_node : a::not_at_all));
    }
}

TEST_CASE("mail: what a user has stored is what the slowest node has not done")
{
    mailboxes boxes;
    auto const bound = [](std::string_view) { return mail_sum{3, 0}; };
    auto const full = [&](char const* recipients) { return boxes.full(recipients, 10, 10, bound); };
    boxes.load({"ann", 5, 500});
    CHECK(boxes.stored("ann") == mail_sum{});  // nobody waits for it
    CHECK(full("ann").empty());
    mail_sum desk = boxes.total("ann");
    boxes.add_inbox("ann", &desk);
    mail_sum laptop = desk;
    boxes.add_inbox("ann", &laptop);
    for (int i = 0; i < 3; ++i)
        boxes.arrived("ann", 10);
    CHECK(boxes.stored("ann") == mail_sum{3, 30});
    CHECK(full("ann bob") == std::vector<std::string>{"ann"});
    desk = {8, 530};
    CHECK(boxes.stored("ann") == mail_sum{3, 30});
    laptop = {6, 510};
    CHECK(boxes.stored("ann") == mail_sum{2, 20});
    CHECK(full("ann/laptop").empty());

    SECTION("what is under way takes room")
    {
        boxes.sent("ann bob", 10);
        CHECK(full("ann") == std::vector<std::string>{"ann"});
        CHECK(boxes.stored("ann") == mail_sum{2, 20});
        boxes.not_sent("ann bob", 10);
        CHECK(full("ann").empty());
    }
    SECTION("a node that goes takes its share along")
    {
        boxes.remove_inbox("ann", &laptop);
        CHECK(boxes.stored("ann") == mail_sum{});
        boxes.remove_inbox("ann", &desk);
        CHECK(boxes.inboxes() == 0);
    }
    SECTION("a node that counted too much does not give room that is not there")
    {
        desk = laptop = {100, 1000};
        CHECK(boxes.stored("ann") == mail_sum{});
    }
    SECTION("bytes, at the limit and beyond")
    {
        auto const bytes = [](std::string_view) { return mail_sum{0, 30}; };
        CHECK(boxes.full("ann", 10, 10, bytes).empty());
        CHECK(boxes.full("ann", 11, 10, bytes).size() == 1);
    }
    SECTION("no more names than wanted")
    {
        boxes.add_inbox("bob", &desk);
        auto const none = [](std::string_view) { return mail_sum{1, 1}; };
        CHECK(boxes.full("ann bob", 10, 10, none).size() == 2);
        CHECK(boxes.full("ann bob", 10, 1, none).size() == 1);
    }
}

// --- With a router and a store ---------------------------------------------------------------------------------------

namespace {

/// ann, bob and cat are known; "hello" opens inboxes.
struct post_office : harness {
    explicit post_office(limits l = {}) : harness{l}
    {
        for (auto const* const user : {"ann", "bob", "cat"})
            admin("user add", {{"name", user}, {"keys", nlohmann::json::array()}});
    }
    link_id inbox(std::string const& user, std::string const& node)
    {
        auto const l = open(user);
        heard(l);
        say(l, R"({"op":"hello","id":"h","inbox":true,"node":")" + node + "\"}");
        auto const answer = heard(l);
        REQUIRE(!answer.empty());
        REQUIRE(answer.front() == "welcome h " + node);
        early = {answer.begin() + 1, answer.end()};
        return l;
    }
    static std::string post(std::string const& id, std::string const& to, std::string const& body)
    {
        return R"({"op":"post","id":")" + id + R"(","to":[)" + to + R"(],"data":")" + body + "\"}";
    }
    static std::string acks(std::string const& id, message_seq seq)
    {
        return R"({"op":"ack","id":")" + id + R"(","consumer":"inbox","seq":)" + std::to_string(seq) + "}";
    }
    nlohmann::json nodes() { return admin("node list")->data["nodes"]; }
    nlohmann::json mail_of(std::string const& node) { return admin("node show", {{"node", node}})->data["nodes"][0]["mail"]["messages"]; }

    lines early;  ///< deliveries heard with the welcome
};

}  // namespace

TEST_CASE("mail: a post reaches each node of each user, once")
{
    post_office h;
    auto const desk = h.inbox("ann", "desk");
    auto const laptop = h.inbox("ann", "laptop");
    auto const bob = h.inbox("bob", "desk");
    auto const from = h.join("cat", "phone");
    CHECK(h.ask(from, h.post("1", R"("ann","bob","ann","ann/desk")", "all")) == lines{"ok 1 INBOX#1"});
    CHECK(h.heard(desk) == lines{"msg inbox.ann INBOX#1 c=inbox t=1 all"});
    CHECK(h.heard(laptop) == lines{"msg inbox.ann INBOX#1 c=inbox t=1 all"});
    CHECK(h.heard(bob) == lines{"msg inbox.bob INBOX#1 c=inbox t=1 all"});
    auto const msg = h.last<notice::msg>(desk);
    CHECK(msg.from == "cat/phone");
    CHECK(msg.pub_id == "1");
    CHECK(h.ask(from, h.post("2", R"("ann/laptop")", "one")) == lines{"ok 2 INBOX#2"});
    CHECK(h.heard(desk).empty());
    CHECK(h.heard(laptop) == lines{"msg inbox.ann INBOX#2 c=inbox t=1 one"});
    CHECK(h.ask(laptop, R"({"op":"ack","id":"a","consumer":"inbox","upto":2})") == lines{"ok a"});
    CHECK(h.ask(desk, R"({"op":"nak","id":"a","consumer":"inbox","stream":"INBOX","seq":1})") ==
          lines{"ok a", "msg inbox.ann INBOX#1 c=inbox t=2 all"});
    CHECK(h.ask(desk, h.acks("b", 1)) == lines{"ok b"});
    CHECK(h.ask(desk, R"({"op":"post","to":["ann"]})") == lines{"msg inbox.ann INBOX#3 c=inbox t=1"});  // without an id, to oneself
    CHECK(h.given(from) == h.credited(from));
    CHECK(h.admin("consumer list")->data["consumers"].size() == 3);
}

TEST_CASE("mail: all or nothing")
{
    post_office h;
    h.inbox("ann", "desk");
    auto const from = h.join("cat");
    CHECK(h.ask(from, h.post("1", R"("ann","nobody","~no","@no","ann/none","bob/desk")", "x")) == lines{"error 1 unknown_recipient"});
    CHECK(h.last<notice::error>(from).unknown == std::vector<std::string>{"nobody", "~no", "@no", "ann/none", "bob/desk"});
    CHECK(h.ask(from, h.post("2", R"("bob","ann")", "x")) == lines{"ok 2 INBOX#1"});  // it does not stick
    for (auto const* const to : {R"("two words")", R"("ann","@")", R"("~")", R"("a/b/c")"})
        CHECK(h.ask(from, h.post("3", to, "x")) == lines{"error 3 bad_request"});
    h.admin("user remove", {{"name", "bob"}});
    CHECK(h.ask(from, h.post("4", R"("ann","bob")", "x")) == lines{"error 4 unknown_recipient"});
    h.admin("rule add", {{"user", "cat"}, {"effect", "deny"}, {"action", "post"}, {"pattern", "ann"}});
    CHECK(h.ask(from, h.post("5", R"("ann/desk")", "x")) == lines{"error 5 denied"});
    CHECK(h.given(from) == h.credited(from));
}

TEST_CASE("mail: recipients of a post, at the limit and beyond")
{
    limits l;
    l.post_recipients = 2;
    post_office h{l};
    auto const from = h.join("cat");
    CHECK(h.ask(from, h.post("1", R"("ann","bob")", "x")) == lines{"ok 1 INBOX#1"});
    CHECK(h.ask(from, h.post("2", R"("ann","bob","ann")", "x")) == lines{"error 2 bad_request"});
}

TEST_CASE("mail: answers to posts come in the order sent, the malformed and the refused too")
{
    post_office h;
    auto const from = h.join("cat", "phone");
    h.hold();
    h.say(from, h.post("1", "\"ann\"", "x") + "\n" + R"({"op":"post","id":"2","to":[]})" + "\n" + h.post("3", "\"nobody\"", "x") + "\n" +
                    h.post("4", "\"bob\"", "x"));
    CHECK(h.heard(from).empty());
    h.release();
    CHECK(h.heard(from) == lines{"ok 1 INBOX#1", "error 2 bad_request", "error 3 unknown_recipient", "ok 4 INBOX#2"});
}

TEST_CASE("mail: once, whatever becomes of the recipients")
{
    post_office h;
    auto from = h.join("cat", "phone");
    h.ask(from, R"({"op":"list","id":"l","list":"team","add":["ann","bob"]})");
    CHECK(h.ask(from, h.post("m", R"("@team","ann")", "x")) == lines{"ok m INBOX#1"});
    CHECK(h.ask(from, h.post("m", R"("ann","@team","ann")", "x")) == lines{"ok m INBOX#1 dup"});
    CHECK(h.ask(from, h.post("m", R"("@team")", "x")) == lines{"error m exists"});
    CHECK(h.ask(from, h.post("m", R"("@team","ann")", "y")) == lines{"error m exists"});
    h.crash();
    from = h.join("cat", "phone");
    h.ask(from, R"({"op":"list","id":"l","list":"team","delete":true})");
    CHECK(h.ask(from, h.post("m", R"("@team","ann")", "x")) == lines{"ok m INBOX#1 dup"});
    h.hold();
    h.say(from, h.post("n", "\"ann\"", "x"));
    h.say(from, h.post("n", "\"ann\"", "x"));
    h.release();
    CHECK(h.heard(from) == lines{"ok n INBOX#2", "ok n INBOX#2 dup"});
}

TEST_CASE("mail: a node that was away gets what it missed, in order, across crashes")
{
    post_office h;
    h.close(h.inbox("ann", "laptop"));
    auto desk = h.inbox("ann", "desk");
    auto const send = [&](char const* to, char const* body) {
        auto const from = h.join("cat");
        REQUIRE(h.ask(from, h.post("1", to, body)).front().starts_with("ok 1 INBOX#"));
    };
    send("\"ann\"", "one");
    send("\"bob\"", "not hers");
    send("\"ann/desk\"", "desk only");
    h.crash();
    send("\"ann/laptop\"", "laptop only");
    send("\"ann\"", "two");
    auto laptop = h.inbox("ann", "laptop");
    CHECK(h.early == lines{"msg inbox.ann INBOX#1 c=inbox t=1 one", "msg inbox.ann INBOX#4 c=inbox t=1 laptop only",
                           "msg inbox.ann INBOX#5 c=inbox t=1 two"});
    CHECK(h.ask(laptop, h.acks("a", 4)) == lines{"ok a"});
    desk = h.inbox("ann", "desk");
    CHECK(h.early == lines{"msg inbox.ann INBOX#1 c=inbox t=1 one", "msg inbox.ann INBOX#3 c=inbox t=1 desk only",
                           "msg inbox.ann INBOX#5 c=inbox t=1 two"});
    CHECK(h.ask(desk, R"({"op":"ack","id":"a","consumer":"inbox","upto":5})") == lines{"ok a"});
    h.crash();
    laptop = h.inbox("ann", "laptop");
    CHECK(h.early.size() == 2);
    desk = h.inbox("ann", "desk");
    CHECK(h.early.empty());
}

TEST_CASE("mail: more than a window, and more than one read, through tail and store")
{
    post_office h;
    auto const from = h.join("cat", "phone");
    h.close(h.inbox("ann", "laptop"));
    h.inbox("ann", "desk");
    h.inbox("bob", "desk");  // keeps the tail alive
    for (int i = 1; i <= 700; ++i)
        h.say(from, h.post(std::to_string(i), i % 7 == 0 ? "\"ann/desk\"" : i % 5 == 0 ? "\"bob\"" : "\"ann\"", "x"));
    auto const laptop = h.inbox("ann", "laptop");
    std::vector<message_seq> seqs;
    auto const take = [&](lines const& heard) {
        for (auto const& line : heard)
            if (line.starts_with("msg "))
                seqs.push_back(std::stoull(line.substr(line.find('#') + 1)));
    };
    take(h.early);
    CHECK(seqs.size() == 256);
    while (seqs.size() < 700) {
        auto const before = seqs.size();
        take(h.ask(laptop, R"({"op":"ack","id":"a","consumer":"inbox","upto":)" + std::to_string(seqs.back()) + "}"));
        if (seqs.size() == before)
            break;
    }
    std::vector<message_seq> wanted;
    for (message_seq i = 1; i <= 700; ++i)
        if (i % 7 != 0 && i % 5 != 0)
            wanted.push_back(i);
    CHECK(seqs == wanted);
    CHECK(h.mail_of("ann/laptop") == 0);
}

TEST_CASE("mail: an inbox begins when it is opened, and everything later on the link waits for it")
{
    post_office h;
    auto const from = h.join("cat");
    h.ask(from, h.post("1", "\"ann\"", "before"));
    auto const a = h.open("ann");
    h.heard(a);
    h.hold();
    h.say(a, R"({"op":"hello","id":"h","node":"desk","inbox":true})" "\n" R"({"op":"sub","id":"s","subject":"x"})" "\n"
             R"({"op":"ping","id":"p"})");
    CHECK(h.heard(a).empty());
    h.release();
    CHECK(h.heard(a) == lines{"welcome h desk", "ok s", "pong p"});
    h.ask(from, h.post("2", "\"ann\"", "after"));
    CHECK(h.heard(a) == lines{"msg inbox.ann INBOX#2 c=inbox t=1 after"});
    CHECK(h.given(a) == h.credited(a));
}

TEST_CASE("mail: the end of the input waits for an inbox that is being opened")
{
    post_office h;
    auto const a = h.open("ann");
    h.heard(a);
    h.hold();
    h.say(a, R"({"op":"hello","id":"h","node":"desk","inbox":true})" "\n" R"({"op":"pub","id":"1","subject":"x"})");
    h.end_input(a);
    h.release();
    CHECK(h.heard(a) == lines{"welcome h desk", "ok 1", "bye quit", "closed 0"});
    auto const b = h.open("ann");
    h.heard(b);
    h.hold();
    h.say(b, R"({"op":"hello","id":"h","node":"laptop","inbox":true})");
    h.end_input(b);
    h.release();
    CHECK(h.heard(b) == lines{"welcome h laptop", "bye quit", "closed 0"});
}

TEST_CASE("mail: a later link takes the node with its inbox, also while it is being opened")
{
    post_office h;
    auto const from = h.join("cat");
    auto const first = h.inbox("ann", "desk");
    h.ask(from, h.post("1", "\"ann\"", "x"));
    h.inbox("ann", "desk");
    CHECK(h.early == lines{"msg inbox.ann INBOX#1 c=inbox t=2 x"});
    auto const heard = h.heard(first);
    CHECK(lines(heard.end() - 2, heard.end()) == lines{"bye replaced", "closed 1"});
    h.hold();
    auto const third = h.open("bob");
    auto const fourth = h.open("bob");
    for (auto const l : {third, fourth})
        h.say(l, R"({"op":"hello","id":"h","node":"desk","inbox":true})");
    h.release();
    CHECK(h.heard(third) == lines{"welcome", "bye replaced", "closed 1"});
    CHECK(h.heard(fourth) == lines{"welcome", "welcome h desk"});
    h.ask(from, h.post("2", "\"bob\"", "x"));
    CHECK(h.heard(fourth) == lines{"msg inbox.bob INBOX#2 c=inbox t=1 x"});
}

TEST_CASE("mail: an inbox that the store refuses names nobody, and may be asked for again")
{
    post_office h;
    auto const a = h.open("ann");
    h.heard(a);
    h.disk.fail(memory_store::fault::broken);
    h.say(a, R"({"op":"hello","id":"h","node":"desk","inbox":true})");
    CHECK(h.heard(a) == lines{"error h internal"});
    CHECK(h.ask(a, R"({"op":"hello","id":"h","node":"desk","inbox":true})") == lines{"welcome h desk"});
}

TEST_CASE("mail: who may see it")
{
    post_office h;
    auto const watch = h.join("ann");
    CHECK(h.ask(watch, R"({"op":"sub","id":"1","subject":"inbox.ann"})") == lines{"ok 1"});
    auto const spy = h.join("bob", {}, "operator");
    for (auto const* const pattern : {"inbox.ann", "inbox.*", "inbox.>"})
        CHECK(h.ask(spy, R"({"op":"sub","id":"1","subject":")" + std::string{pattern} + "\"}") == lines{"error 1 denied"});
    CHECK(h.ask(spy, R"({"op":"consume","id":"1","stream":"INBOX","consumer":"x","filter":"inbox.ann"})") == lines{"error 1 denied"});
    auto const from = h.join("cat");
    h.ask(from, h.post("1", "\"ann\",\"bob\"", "x"));
    CHECK(h.heard(watch) == lines{"msg inbox.ann INBOX#1 x"});
    h.inbox("ann", "desk");
    h.admin("rule add", {{"user", "ann"}, {"effect", "deny"}, {"action", "subscribe"}, {"pattern", "inbox.ann"}});
    auto const late = h.open("ann");
    CHECK(h.ask(late, R"({"op":"hello","id":"h","node":"laptop","inbox":true})") == lines{"error h denied"});
}

TEST_CASE("mail: the quota refuses, and loses nothing that is stored")
{
    limits l;
    l.mail_messages = 3;
    post_office h{l};
    auto from = h.join("cat", "phone");
    auto const full = [&](std::string const& to) {
        auto const answer = h.ask(from, R"({"op":"post","to":[)" + to + "]}\n" + R"({"op":"ping","id":"p"})");
        REQUIRE(answer == lines{"error quota", "pong p"});
        return h.last<notice::error>(from).message;
    };
    for (int i = 1; i <= 5; ++i)
        h.ask(from, h.post("0" + std::to_string(i), "\"ann\"", "x"));  // no node, so nothing waits
    h.close(h.inbox("ann", "desk"));
    auto const laptop = h.inbox("ann", "laptop");
    auto const bob = h.inbox("bob", "desk");
    for (int i = 1; i <= 3; ++i)
        CHECK(h.ask(from, h.post(std::to_string(i), "\"ann\"", "x")) == lines{"ok " + std::to_string(i) + " INBOX#" + std::to_string(i + 5)});
    CHECK(full("\"ann\"").find("ann") != std::string::npos);
    full("\"bob\",\"ann/laptop\"");
    CHECK(h.heard(bob).empty());
    CHECK(h.ask(from, h.post("4", "\"bob\"", "x")) == lines{"ok 4 INBOX#9"});
    h.ask(laptop, R"({"op":"ack","id":"a","consumer":"inbox","upto":8})");
    CHECK(h.mail_of("ann/laptop") == 0);
    CHECK(h.mail_of("ann/desk") == 3);
    full("\"ann\"");

    SECTION("the slowest node makes room as it gets on")
    {
        auto const desk = h.inbox("ann", "desk");
        CHECK(h.early.size() == 3);
        CHECK(h.ask(desk, h.acks("a", 7)) == lines{"ok a"});
        CHECK(h.ask(from, h.post("5", "\"ann\"", "x")) == lines{"ok 5 INBOX#10"});
        full("\"ann\"");
    }
    SECTION("across a crash")
    {
        h.crash();
        from = h.join("cat", "phone");
        full("\"ann\"");
        auto const desk = h.inbox("ann", "desk");
        h.ask(desk, h.acks("a", 6));
        h.crash();
        from = h.join("cat", "phone");
        CHECK(h.ask(from, h.post("5", "\"ann\"", "x")) == lines{"ok 5 INBOX#10"});
        full("\"ann\"");
    }
    SECTION("what is under way counts")
    {
        auto const desk = h.inbox("ann", "desk");
        h.ask(desk, R"({"op":"ack","id":"a","consumer":"inbox","seq":[6,7]})");
        h.hold();
        h.say(from, h.post("5", "\"ann\"", "x") + "\n" + h.post("6", "\"ann\"", "x") + "\n" + h.post("7", "\"ann\"", "x"));
        h.release();
        CHECK(h.heard(from) == lines{"ok 5 INBOX#10", "ok 6 INBOX#11", "error 7 quota"});
    }
    SECTION("what failed does not")
    {
        auto const desk = h.inbox("ann", "desk");
        h.ask(desk, h.acks("a", 6));
        h.disk.fail(memory_store::fault::full);
        CHECK(h.ask(from, h.post("5", "\"ann\"", "x")) == lines{"error 5 store_full"});
        CHECK(h.ask(from, R"({"op":"ping","id":"p"})" "\n" + h.post("5", "\"ann\"", "x")) == lines{"pong p", "ok 5 INBOX#10"});
    }
    SECTION("dead letters make room")
    {
        auto const desk = h.inbox("ann", "desk");
        h.ask(desk, R"({"op":"term","id":"a","consumer":"inbox","seq":6})");
        CHECK(h.ask(from, h.post("5", "\"ann\"", "x")) == lines{"ok 5 INBOX#10"});
        full("\"ann\"");
        h.admin("dead replay", {{"stream", "INBOX"}, {"consumer", "ann/desk"}});
        full("\"ann\"");
        CHECK(h.admin("dead show", {{"stream", "INBOX"}, {"consumer", "ann/desk"}, {"seq", 6}})->error.starts_with("denied"));
    }
    SECTION("a node that goes makes room")
    {
        CHECK(h.admin("node remove", {{"node", "ann/desk"}})->exit_status == 0);
        CHECK(h.ask(from, h.post("5", "\"ann\"", "x")) == lines{"ok 5 INBOX#10"});
    }
    SECTION("a user's own limit")
    {
        CHECK(h.admin("user edit", {{"name", "ann"}, {"limits", {{"mail_messages", 4}}}})->exit_status == 0);
        CHECK(h.ask(from, h.post("5", "\"ann\"", "x")) == lines{"ok 5 INBOX#10"});
        full("\"ann\"");
    }
    SECTION("a repetition is no new mail")
    {
        CHECK(h.ask(from, h.post("3", "\"ann\"", "x")) == lines{"ok 3 INBOX#8 dup"});
    }
}

TEST_CASE("mail: bytes of the quota, at the limit and beyond")
{
    limits l;
    l.mail_bytes = 1'048'576;
    post_office h{l};
    auto const from = h.join("cat");
    h.close(h.inbox("ann", "desk"));
    auto const fits = std::string(l.mail_bytes - 32 - 1, 'x');  // a row costs 32 bytes and its id
    CHECK(h.ask(from, h.post("1", "\"ann\"", fits + "x")) == lines{"error 1 quota"});
    h.ask(from, R"({"op":"ping","id":"p"})");
    CHECK(h.ask(from, h.post("1", "\"ann\"", fits)) == lines{"ok 1 INBOX#1"});
}

TEST_CASE("mail: nodes retire when they stay away, with notice")
{
    limits l;
    l.node_idle_ms = 3'600'000;
    post_office h{l};
    auto const watch = h.join("root", {}, "operator");
    h.ask(watch, R"({"op":"sub","id":"1","subject":"$sys.node.leave"})");
    auto const from = h.join("cat");
    h.inbox("ann", "stays");
    h.close(h.inbox("ann", "goes"));
    CHECK(h.heard(watch).size() == 1);
    h.ask(from, h.post("1", "\"ann\"", "x"));
    h.pass(l.node_idle_ms - 1000);
    CHECK(h.heard(watch).empty());
    h.pass(1000);
    CHECK(h.heard(watch).size() == 1);
    CHECK(nlohmann::json::parse(h.last<notice::msg>(watch).body) == nlohmann::json{{"user", "ann"}, {"node", "goes"}, {"reason", "retired"}});
    CHECK(h.ask(from, h.post("2", R"("ann/goes")", "x")) == lines{"error 2 unknown_recipient"});
    CHECK(h.nodes().size() == 1);
    h.crash();  // who was connected has not been away since its hello
    h.pass(600'000);
    CHECK(h.nodes().size() == 1);
    h.inbox("ann", "goes");
    CHECK(h.early.empty());
}

TEST_CASE("mail: nodes have time to come back after a stop that was longer than they may stay away")
{
    post_office h;
    h.close(h.inbox("ann", "desk"));
    h.now.wall_ms += 2 * h.bounds.node_idle_ms;
    h.crash();
    h.pass(599'000);
    CHECK(h.nodes().size() == 1);
    h.pass(2'000);
    CHECK(h.nodes().empty());
}

TEST_CASE("mail: node list, show, remove")
{
    post_office h;
    auto const desk = h.inbox("ann", "desk");
    h.close(h.inbox("ann", "laptop"));
    h.join("bob", "plain");
    auto const from = h.join("cat");
    h.ask(from, h.post("1", "\"ann\"", "12345"));
    h.ask(desk, h.acks("a", 1));
    auto const nodes = h.nodes();
    REQUIRE(nodes.size() == 3);
    CHECK(nodes[0]["node"] == "ann/desk");
    CHECK(nodes[0]["online"] == true);
    CHECK(nodes[0]["mail"]["messages"] == 0);
    CHECK(nodes[1]["online"] == false);
    CHECK(nodes[1]["inbox"] == true);
    CHECK(nodes[1]["mail"] == nlohmann::json{{"messages", 1}, {"bytes", 38}});
    CHECK(nodes[2]["inbox"] == false);
    auto const ann = h.open("ann", "user", encoding::lines, false);
    auto const bob = h.open("bob", "user", encoding::lines, false);
    CHECK(h.admin_as(ann, "node list")->data["nodes"].size() == 2);
    auto const shown = h.admin("user show", {{"name", "ann"}})->data;
    CHECK(shown["mail"] == nodes[1]["mail"]);
    CHECK(shown["nodes"].size() == 2);
    CHECK(shown["aliases"].empty());
    CHECK(shown["lists"].empty());
    CHECK(h.admin_as(bob, "node list", {{"user", "ann"}})->exit_status == 1);
    CHECK(h.admin_as(bob, "node show", {{"node", "ann/laptop"}})->exit_status == 1);
    CHECK(h.admin_as(bob, "node remove", {{"node", "ann/laptop"}})->exit_status == 1);
    CHECK(h.admin_as(ann, "node remove", {{"node", "ann/desk"}})->error.find("connected") != std::string::npos);
    CHECK(h.admin_as(ann, "node remove", {{"node", "ann/laptop"}})->exit_status == 0);
    CHECK(h.admin("node remove", {{"node", "ann/none"}})->exit_status == 1);
    CHECK(h.nodes().size() == 2);
    h.crash();
    CHECK(h.nodes().size() == 2);
    CHECK(h.admin("consumer list")->data["consumers"].size() == 1);
}

TEST_CASE("mail: a removed user takes nodes and inboxes along, at the latest when its links have gone")
{
    post_office h;
    h.close(h.inbox("ann", "laptop"));
    auto const desk = h.inbox("ann", "desk");
    h.admin("user remove", {{"name", "ann"}});
    CHECK(h.nodes().size() == 1);
    h.close(desk);
    CHECK(h.nodes().empty());
    CHECK(h.admin("consumer list")->data["consumers"].empty());
    h.crash();
    CHECK(h.nodes().empty());
}

TEST_CASE("mail: a node that was removed while the store failed can come back, as a new one")
{
    post_office h;
    h.close(h.inbox("ann", "laptop"));
    h.hold();
    h.admin("node remove", {{"node", "ann/laptop"}});
    h.disk.fail(memory_store::fault::broken);
    h.release();
    CHECK(h.nodes().empty());
    auto const again = h.open("ann");
    h.heard(again);
    h.say(again, R"({"op":"hello","id":"h","node":"laptop","inbox":true})" "\n");
    CHECK(h.heard(again) == lines{"welcome h laptop"});
    h.crash();
    REQUIRE(h.nodes().size() == 1);
    CHECK(h.nodes()[0]["node"] == "ann/laptop");
}
