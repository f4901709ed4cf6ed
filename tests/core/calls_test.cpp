#include "tests/core/service_steps.hpp"

using namespace kedge;

TEST_CASE("calls: a call goes to an instance and its reply comes back")
{
    harness h;
    auto const s = h.join("srv", "box");
    CHECK(h.ask(s, R"({"op":"serve","id":"1","service":"time","version":"2.1","methods":["zone","now","now"],"description":"tells it"})") ==
          lines{"ok 1"});
    auto const ok = h.last<notice::ok>(s);
    CHECK(ok.instance.size() == 16);
    CHECK(ok.instance.find_first_not_of("0123456789abcdef") == std::string::npos);
    auto const c = h.open("cat", "user", encoding::frames);
    h.heard(c);
    h.say(c, call_with("1", R"(,"timeout_ms":1234,"data64":"AP8=")"));
    auto const given = h.last<notice::call>(s);
    CHECK(given.service == "time");
    CHECK(given.method == "now");
    CHECK(given.from == "cat/~s" + std::to_string(static_cast<std::uint64_t>(c)));
    CHECK(given.left_ms == 1234);
    CHECK(given.body == std::string("\0\xff", 2));
    CHECK(h.counts.calls.get() == 1);
    answer(h, s);
    CHECK(h.heard(c) == lines{"reply 1 noon"});
    CHECK(h.last<notice::reply>(c).from == "srv/box");
    answer(h, s);  // once more: it is over
    CHECK(h.heard(c).empty());
    CHECK(h.counts.replies_dropped.get() == 1);
    for (auto const l : {s, c})
        CHECK(h.given(l) == h.credited(l));

    // Without an id nothing is answered; an empty body is a reply, too; who serves may call itself.
    CHECK(h.ask(s, R"({"op":"serve","service":"echo","version":"1","methods":["x"]})").empty());
    CHECK(h.ask(s, R"({"op":"call","id":"me","service":"echo","method":"x"})") == lines{"call echo.x"});
    answer(h, s, "");
    CHECK(h.heard(s) == lines{"reply me"});
}

TEST_CASE("calls: nobody, and no such method, are told at once")
{
    harness h;
    auto const s = h.join("srv");
    h.say(s, R"({"op":"serve","service":"time","version":"1","methods":["now","zone"]})");
    auto const w = watcher(h, "$sys.unhandled");
    auto const c = h.join("cat", "desk");
    struct {
        char const* name;
        char const* fields;
        char const* sentence;
        char const* subject;
    } const table[] = {
        {"no service", R"("service":"tim","method":"now")", "nobody serves tim", "svc.tim.now"},
        {"no method", R"("service":"time","method":"Now")", "it has now, zone", "svc.time.Now"},
        {"no subscriber", R"("subject":"work.x")", "nobody subscribes to work.x", "work.x"},
    };
    for (auto const& row : table) {
        INFO(row.name);
        CHECK(h.ask(c, std::string{R"({"op":"call","id":"1",)"} + row.fields + "}") == lines{"error 1 no_responders"});
        CHECK(h.last<notice::error>(c).message.find(row.sentence) != std::string::npos);
        CHECK(h.heard(w) == lines{std::string{R"(msg $sys.unhandled {"from":"cat/desk","subject":")"} + row.subject + "\"}"});
    }
    CHECK(h.counts.calls_unhandled.get() == 3);
    CHECK(h.counts.calls.get() == 0);
    h.close(s);
    CHECK(h.ask(c, call_now) == lines{"error 1 no_responders"});
}

TEST_CASE("calls: an instance that goes away leaves its calls unavailable")
{
    struct {
        char const* name;
        void (*go)(harness&, link_id);
    } const table[] = {
        {"crash", [](harness& h, link_id s) { h.close(s); }},
        {"quit", [](harness& h, link_id s) { h.say(s, R"({"op":"quit"})"); }},
        {"end of input", [](harness& h, link_id s) { h.end_input(s); }},
        {"replaced", [](harness& h, link_id) { h.join("srv", "box"); }},
    };
    for (auto const& row : table) {
        INFO(row.name);
        harness h;
        auto const s = h.join("srv", "box");
        h.say(s, R"({"op":"serve","service":"time","version":"1","methods":["now"]})");
        auto const c = h.join("cat");
        h.say(c, call_with("1") + "\n" + call_with("2"));
        CHECK(h.heard(c).empty());
        row.go(h, s);
        CHECK(h.heard(c) == lines{"error 1 unavailable", "error 2 unavailable"});
        CHECK(h.ask(c, call_now) == lines{"error 1 no_responders"});
        CHECK(h.counts.operations_unanswered.get() == 0);
        h.pass(10'000);
        CHECK(h.heard(c).empty());
    }
}

TEST_CASE("calls: timeouts")
{
    harness h;
    auto const s = instance(h, "srv");
    auto const c = h.join("cat");
    auto const most = h.bounds.call_timeout_ms_max;
    CHECK(h.ask(c, call_with("0", R"(,"timeout_ms":0)")) == lines{"error 0 bad_request"});
    CHECK(h.ask(c, call_with("0", R"(,"timeout_ms":)" + std::to_string(most + 1))) == lines{"error 0 bad_request"});
    CHECK(h.ask(c, call_with("longest", R"(,"timeout_ms":)" + std::to_string(most))).empty());
    CHECK(h.last<notice::call>(s).left_ms == most);
    CHECK(h.ask(c, call_with("default")).empty());
    CHECK(h.last<notice::call>(s).left_ms == 5000);
    CHECK(h.ask(c, call_with("short", R"(,"timeout_ms":7)")).empty());
    auto const from = h.now.steady_ms;
    CHECK(*h.router().due_ms() <= from + 7);
    h.pass(6);
    CHECK(h.heard(c).empty());
    h.pass(1);
    CHECK(h.heard(c) == lines{"error short timeout"});
    answer(h, s);  // late
    CHECK(h.heard(c).empty());
    CHECK(h.counts.replies_dropped.get() == 1);
    h.pass(from + 4999 - h.now.steady_ms);
    CHECK(h.heard(c).empty());
    h.pass(1);
    CHECK(h.heard(c) == lines{"error default timeout"});
    CHECK(h.last<notice::error>(c).message.find("5000 ms") != std::string::npos);
    h.pass(from + most - 1 - h.now.steady_ms);
    CHECK(h.heard(c).empty());
    h.pass(1);
    CHECK(h.heard(c) == lines{"error longest timeout"});
    CHECK(services(h, c)[0]["open"] == 0);
}

TEST_CASE("calls: an instance's error is passed on")
{
    struct {
        char const* name;
        char const* reply;
        char const* heard;     // by the caller
        char const* objected;  // by the instance
    } const table[] = {
        {"a code of ours", R"(,"error":{"code":"denied","message":"not you"},"data":"x")", "error 1 denied", ""},
        {"its own code", R"(,"error":{"code":"E 42","message":"not you"})", "error 1 E 42", ""},
        {"a code that ends links", R"(,"error":{"code":"revoked","message":"not you"})", "", "error bad_request"},
        {"a malformed error", R"(,"error":"no")", "", "error bad_request"},
    };
    for (auto const& row : table) {
        INFO(row.name);
        harness h;
        auto const s = instance(h, "srv");
        auto const c = h.join("cat");
        h.say(c, call_now);
        h.heard(s);
        answer(h, s, row.reply);
        CHECK(h.heard(s) == (*row.objected ? lines{row.objected} : lines{}));
        if (*row.heard) {
            CHECK(h.heard(c) == lines{row.heard});
            CHECK(h.last<notice::error>(c).message.find("not you") != std::string::npos);
        } else {
            CHECK(h.heard(c).empty());
            answer(h, s);  // it may try again
            CHECK(h.heard(c) == lines{"reply 1 noon"});
        }
    }
}

TEST_CASE("calls: only who was given a call can answer it")
{
    harness h;
    auto const s = instance(h, "srv");
    auto const other = instance(h, "eve");
    auto const c = h.join("cat");
    h.say(c, call_now);
    auto const handle = h.last<notice::call>(s).call;
    for (auto const& call : {handle, std::string{"1"}, std::string{"rubbish"}, std::string(16, 'F'), std::string(16, 'f')})
        CHECK(h.ask(other, R"({"op":"reply","call":")" + call + "\"}").empty());
    CHECK(h.counts.replies_dropped.get() == 5);
    CHECK(h.heard(c).empty());
    answer(h, s);
    CHECK(h.heard(c) == lines{"reply 1 noon"});
}

TEST_CASE("calls: what was given to an instance before it was unserved can still be answered")
{
    harness h;
    auto const s = instance(h, "srv");
    auto const c = h.join("cat");
    h.say(c, call_now);
    h.say(s, R"({"op":"unserve","service":"time"})");
    CHECK(h.heard(c).empty());
    CHECK(h.ask(c, call_with("2")) == lines{"error 2 no_responders"});
    h.say(s, R"({"op":"serve","service":"time","version":"1","methods":["now"]})");
    answer(h, s);
    CHECK(h.heard(c) == lines{"reply 1 noon"});
    CHECK(services(h, c)[0]["open"] == 0);  // the new instance never had it
}

TEST_CASE("calls: a caller that goes away is forgotten")
{
    harness h;
    auto const s = instance(h, "srv");
    auto const c = h.join("cat");
    h.say(c, call_now);
    h.close(c);
    CHECK(services(h, s)[0]["open"] == 0);
    answer(h, s);
    CHECK(h.counts.replies_dropped.get() == 1);
    h.pass(10'000);

    // One that only ends its input waits for its answers.
    auto const d = h.join("dan");
    h.say(d, call_with("1") + "\n" + call_with("2", R"(,"timeout_ms":100)"));
    h.end_input(d);
    CHECK(h.heard(d).empty());
    h.pass(100);
    CHECK(h.heard(d) == lines{"error 2 timeout"});
    h.say(s, R"({"op":"reply","data":"noon","call":"0000000000000002"})");
    CHECK(h.heard(d) == lines{"reply 1 noon", "bye quit", "closed 0"});

    // Also when the last answer is that the instance went away.
    auto const e = h.join("eve");
    h.say(e, call_now);
    h.end_input(e);
    h.close(s);
    CHECK(h.heard(e) == lines{"error 1 unavailable", "bye quit", "closed 0"});
}

TEST_CASE("calls: the id of an open call is taken")
{
    harness h;
    auto const s = instance(h, "srv");
    auto const c = h.join("cat");
    auto const d = h.join("dan");
    h.say(c, call_now);
    CHECK(h.ask(c, call_now) == lines{"error 1 exists"});
    CHECK(h.ask(d, call_now).empty());  // another link's ids are its own
    CHECK(h.ask(c, R"({"op":"call","id":"1","subject":"x"})") == lines{"error 1 exists"});
    h.say(s, R"({"op":"reply","call":"0000000000000001"})");
    CHECK(h.heard(c) == lines{"reply 1"});
    CHECK(h.ask(c, call_now).empty());
    CHECK(h.last<notice::call>(s).call != "0000000000000001");
}

TEST_CASE("calls: a call by subject is answered by the first publish to its reply subject")
{
    harness h;
    auto const a = h.join("ann");
    auto const b = h.join("bob", "desk");
    auto const spy = h.join("spy");
    h.say(a, R"({"op":"sub","subject":"work.*"})");
    h.say(b, R"({"op":"sub","subject":"work.x","group":"g"})");
    for (auto const* const pattern : {"_call.>", "_call.*", "_call.x"})
        CHECK(h.ask(spy, std::string{R"({"op":"sub","id":"1","subject":")"} + pattern + R"("})") == lines{"error 1 denied"});
    CHECK(h.ask(spy, R"({"op":"sub","id":"1","subject":">"})") == lines{"ok 1"});
    auto const c = h.join("cat");
    CHECK(h.ask(c, R"({"op":"call","id":"1","subject":"work.x","data":"do"})").empty());
    CHECK(h.heard(a) == lines{"msg work.x do"});
    CHECK(h.heard(b) == lines{"msg work.x g=g do"});
    auto const got = h.last<notice::msg>(b);
    CHECK(got.reply_to == h.last<notice::msg>(a).reply_to);
    CHECK(got.reply_to.starts_with("_call."));
    CHECK(got.reply_to.size() == 6 + 32);
    CHECK(got.reply_to.find_first_not_of("0123456789abcdef", 6) == std::string::npos);
    CHECK(got.from == "cat/~s" + std::to_string(static_cast<std::uint64_t>(c)));

    auto const publish = [&](link_id by, std::string const& subject, std::string const& data) {
        return h.ask(by, R"({"op":"pub","id":"p","subject":")" + subject + R"(","data":")" + data + "\"}");
    };
    auto wrong = got.reply_to;
    wrong.back() = wrong.back() == '0' ? '1' : '0';
    for (auto const& subject : {wrong, got.reply_to + "0", got.reply_to.substr(0, 22), std::string{"_call.x"}, got.reply_to + ".x"})
        CHECK(publish(a, subject, "forged") == lines{"ok p"});
    CHECK(h.counts.replies_dropped.get() == 5);
    CHECK(h.heard(c).empty());
    CHECK(h.ask(b, R"({"op":"reply","call":")" + got.reply_to.substr(6, 16) + "\"}").empty());  // not given to it as a call
    CHECK(h.heard(c).empty());

    CHECK(publish(b, got.reply_to, "done") == lines{"ok p"});
    CHECK(h.heard(c) == lines{"reply 1 done"});
    CHECK(h.last<notice::reply>(c).from == "bob/desk");
    CHECK(publish(a, got.reply_to, "too late") == lines{"ok p"});
    CHECK(h.heard(c).empty());
    CHECK(h.counts.replies_dropped.get() == 7);
    CHECK(h.heard(spy) == lines{"msg work.x do"});
    CHECK(h.given(b) == h.credited(b));

    h.say(c, R"({"op":"call","id":"2","subject":"work.y","timeout_ms":10})");
    h.pass(10);
    CHECK(h.heard(c) == lines{"error 2 timeout"});
}

TEST_CASE("calls: a call by subject is for plain subjects that the caller may publish to")
{
    harness h;
    h.add_stream("CHAT", {"chat.>"});
    auto const a = h.join("ann");
    h.say(a, R"({"op":"sub","subject":"chat.x"})" "\n" R"({"op":"sub","subject":"secret.x"})");
    auto const c = h.join("cat");
    auto const call = [&](std::string const& subject) { return h.ask(c, R"({"op":"call","id":"1","subject":")" + subject + "\"}"); };
    CHECK(call("chat.x") == lines{"error 1 bad_request"});
    CHECK(call("inbox.ann") == lines{"error 1 denied"});
    CHECK(call("svc.time.now") == lines{"error 1 denied"});
    CHECK(call("$sys.broadcast") == lines{"error 1 denied"});
    CHECK(call("secret.x").empty());
    add_rule(h, "deny", "publish", "secret.>");
    auto const d = h.join("dan");
    CHECK(h.ask(d, R"({"op":"call","id":"1","subject":"secret.x"})") == lines{"error 1 denied"});
    CHECK(h.heard(a) == lines{"msg secret.x"});

    // Who may answer was told the subject: a rule that gives nothing else does not stand in its way.
    add_rule(h, "allow", "publish", "nothing");
    h.say(a, R"({"op":"pub","subject":")" + h.last<notice::msg>(a).reply_to + R"(","data":"yes"})");
    CHECK(h.heard(c) == lines{"reply 1 yes"});
}

TEST_CASE("calls: an instance that does not read gets no calls")
{
    limits l;
    l.link_unsent_bytes = 64 * 1024;
    harness h{l};
    auto const slow = instance(h, "slow");
    auto const c = h.join("cat");
    h.reads(slow, false);
    std::string const big(40'000, 'x');
    auto const call = [&](std::string const& id) { return h.ask(c, call_with(id, R"(,"data":")" + big + "\"")); };
    CHECK(call("1").empty());
    CHECK(call("2") == lines{"error 2 unavailable"});
    auto const quick = instance(h, "quick");
    CHECK(call("3").empty());
    CHECK(call("4").empty());  // though it is the busier one
    CHECK(h.heard(quick).size() == 2);
    h.reads(slow, true);
    CHECK(call("5").empty());
    CHECK(h.heard(slow).size() == 2);
    CHECK(h.counts.slow_consumers.get() == 0);
}

TEST_CASE("calls: a caller that does not read gathers no replies beyond its bound")
{
    limits l;
    l.link_unsent_bytes = 64 * 1024;
    harness h{l};
    auto const s = instance(h, "srv");
    auto const c = h.join("cat");
    std::vector<std::string> handles;
    for (auto const* const id : {"1", "2", "3"}) {
        h.say(c, call_with(id));
        handles.push_back(h.last<notice::call>(s).call);
    }
    h.reads(c, false);
    for (auto const& handle : handles)
        h.say(s, R"({"op":"reply","call":")" + handle + R"(","data":")" + std::string(40'000, 'x') + "\"}");
    auto const heard = h.heard(c);
    REQUIRE(heard.size() == 3);
    CHECK(heard[0].starts_with("reply 1 xxx"));
    CHECK(heard[1] == "error 2 unavailable");
    CHECK(heard[2] == "error 3 unavailable");
}
