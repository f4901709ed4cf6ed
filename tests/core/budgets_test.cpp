#include "tests/catch.hpp"

#include "tests/core/harness.hpp"

using namespace kedge;

namespace {

std::string publishes(int from, int to, char const* subject = "a.b")
{
    std::string all;
    for (int i = from; i <= to; ++i)
        all += R"({"op":"pub","id":")" + std::to_string(i) + R"(","subject":")" + subject + R"(","data":"x"})" "\n";
    return all;
}

lines oks(int from, int to)
{
    lines all;
    for (int i = from; i <= to; ++i)
        all.push_back("ok " + std::to_string(i));
    return all;
}

limits rates(std::uint64_t messages, std::uint64_t bytes, std::uint64_t burst_ms)
{
    limits l;
    l.user_rate_messages = messages;
    l.user_rate_bytes = bytes;
    l.user_burst_ms = burst_ms;
    return l;
}

}  // namespace

TEST_CASE("rates: what is beyond the burst waits its time, in order, and is not refused")
{
    harness h{rates(10, 0, 500)};  // five at once, then one each 100 ms
    auto const a = h.join("ann");
    auto got = h.ask(a, publishes(1, 8) + R"({"op":"ping","id":"p"})" "\n");
    CHECK(got == oks(1, 5));
    h.pass(99);
    CHECK(h.heard(a).empty());
    h.pass(2);
    CHECK(h.heard(a) == oks(6, 6));
    h.pass(100);
    CHECK(h.heard(a) == oks(7, 7));
    h.pass(100);
    got = oks(8, 8);
    got.push_back("pong p");
    CHECK(h.heard(a) == got);
    CHECK(h.given(a) == h.credited(a));
}

TEST_CASE("rates: what waits keeps its credit, so the peer's window closes")
{
    harness h{rates(1, 0, 1000)};
    auto const a = h.join("ann");
    h.say(a, publishes(1, 3));
    CHECK(h.credited(a) < h.given(a));
    h.pass(1000);
    h.pass(1000);
    CHECK(h.credited(a) == h.given(a));
}

TEST_CASE("rates: bytes count by their own bucket; one message larger than the burst still passes")
{
    harness h{rates(0, 1000, 100)};
    auto const a = h.join("ann");
    auto const large = R"({"op":"pub","id":"1","subject":"a","data":")" + std::string(2000, 'x') + "\"}\n";
    CHECK(h.ask(a, large + publishes(2, 2)) == oks(1, 1));
    h.pass(1500);
    CHECK(h.heard(a).empty());
    h.pass(1000);
    CHECK(h.heard(a) == oks(2, 2));
}

TEST_CASE("rates: of one user over all links, and of no other user")
{
    harness h{rates(2, 0, 1000)};
    auto const a = h.join("ann");
    auto const b = h.join("ann");
    auto const c = h.join("bob");
    CHECK(h.ask(a, publishes(1, 2)) == oks(1, 2));
    CHECK(h.ask(b, publishes(3, 3)).empty());
    CHECK(h.ask(c, publishes(4, 5)) == oks(4, 5));
    h.pass(600);
    CHECK(h.heard(b) == oks(3, 3));
}

TEST_CASE("rates: subscribing, acknowledging and pinging are free while nothing waits before them")
{
    harness h{rates(1, 0, 1000)};
    auto const a = h.join("ann");
    CHECK(h.ask(a, publishes(1, 1)) == oks(1, 1));
    CHECK(h.ask(a, R"({"op":"sub","id":"s","subject":"x.>"})" "\n" R"({"op":"ping","id":"p"})" "\n") == lines{"ok s", "pong p"});
}

TEST_CASE("rates: a value of the user's own, and a change of it, hold at once")
{
    harness h{rates(1, 0, 1000)};
    h.admin("user add", {{"name", "ann"}, {"keys", nlohmann::json::array()}});
    auto const a = h.join("ann");
    CHECK(h.ask(a, publishes(1, 2)) == oks(1, 1));
    CHECK(h.admin("user edit", {{"name", "ann"}, {"limits", {{"user_rate_messages", 100}}}})->exit_status == 0);
    h.pass(1000);
    CHECK(h.heard(a) == oks(2, 2));
    CHECK(h.ask(a, publishes(3, 50)) == oks(3, 50));
    CHECK(h.admin("user edit", {{"name", "ann"}, {"limits", {{"user_rate_messages", nullptr}}}})->exit_status == 0);
    CHECK(h.ask(a, publishes(51, 52)) == oks(51, 51));
    auto const wrong = h.admin("user edit", {{"name", "ann"}, {"limits", {{"sessions", 1}}}});
    CHECK(wrong->exit_status == 1);
    CHECK(wrong->error.find("mail_messages") != std::string::npos);
}

TEST_CASE("rates: a link that waits and goes leaves nothing behind")
{
    harness h{rates(1, 0, 1000)};
    auto const a = h.join("ann");
    h.say(a, publishes(1, 5));
    h.close(a);
    h.pass(10'000);
    auto const b = h.join("ann");
    CHECK(h.ask(b, publishes(6, 6)) == oks(6, 6));
}

TEST_CASE("stored bytes: as much as the limit, and not one more; what goes makes room")
{
    limits l;
    l.user_stored_bytes = 3 * (32 + 1 + 1);  // row_bytes: 32, the id, the body
    harness h{l};
    h.add_stream("S", {"s.>"});
    auto const a = h.join("ann", "n");
    CHECK(h.ask(a, publishes(1, 3, "s.x")) == lines{"ok 1 S#1", "ok 2 S#2", "ok 3 S#3"});
    CHECK(h.ask(a, publishes(4, 4, "s.x")) == lines{"error 4 quota"});
    auto const b = h.join("bob", "n");
    CHECK(h.ask(b, publishes(1, 1, "s.x")) == lines{"ok 1 S#4"});
    h.crash();
    auto const again = h.join("ann", "n");
    CHECK(h.ask(again, publishes(5, 5, "s.x")) == lines{"error 5 quota"});
    CHECK(h.ask(again, publishes(1, 1, "s.x")) == lines{"error 1 quota"});  // stuck until a ping
    CHECK(h.ask(again, R"({"op":"ping","id":"p"})" "\n" + publishes(1, 1, "s.x")) == lines{"pong p", "ok 1 S#1 dup"});
    CHECK(h.admin("stream remove", {{"name", "S"}})->exit_status == 0);
    h.add_stream("T", {"s.>"});
    h.pass(2000);
    CHECK(h.ask(again, R"({"op":"ping","id":"p"})" "\n" + publishes(6, 6, "s.x")) == lines{"pong p", "ok 6 T#1"});
}
