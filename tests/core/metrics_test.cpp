/// The gauges of what waits in the core, and the server's own limits on accounts: each at n and at n + 1.

#include "tests/catch.hpp"

#include "tests/core/harness.hpp"

using namespace kedge;

namespace {

std::string publishes(int from, int to, std::string const& subject)
{
    std::string all;
    for (int i = from; i <= to; ++i)
        all += "{\"op\":\"pub\",\"id\":\"" + std::to_string(i) + "\",\"subject\":\"" + subject + "\"}\n";
    return all;
}

nlohmann::json rule_of(std::string const& pattern)
{
    return {{"role", "bot"}, {"effect", "deny"}, {"action", "publish"}, {"pattern", pattern}};
}

nlohmann::json user_of(std::string const& name) { return {{"name", name}, {"keys", nlohmann::json::array()}}; }

}  // namespace

TEST_CASE("metrics: what is unanswered, in flight and held back")
{
    limits l;
    l.link_unanswered = 16;
    harness h{l};
    h.add_stream("CHAT", {"chat.>"});
    auto const a = h.join("ann");
    auto const b = h.join("bob");
    h.hold();
    h.say(b, publishes(1, 3, "chat.x"));
    h.say(a, publishes(1, 16, "chat.x"));
    h.pass(1000);
    CHECK(h.counts.operations_unanswered.get() == 19);
    CHECK(h.counts.operations_unanswered_largest.get() == 16);
    CHECK(h.counts.appends_waiting.get() == 19);
    CHECK(h.counts.inflight_bytes.get() == h.given(a) - h.credited(a) + h.given(b) - h.credited(b));
    CHECK(h.counts.inflight_bytes_largest.get() == h.given(a) - h.credited(a));
    CHECK(h.counts.operations_held.get() == 0);
    CHECK(h.counts.links_stalled.get() == 0);

    auto const before = h.given(a);
    h.say(a, publishes(17, 18, "chat.x"));
    h.pass(1000);
    CHECK(h.counts.operations_unanswered.get() == 19);
    CHECK(h.counts.operations_held.get() == 2);
    CHECK(h.counts.operations_held_bytes.get() == h.given(a) - before);
    CHECK(h.counts.links_stalled.get() == 1);

    h.release();
    h.pass(1000);
    for (auto const gauge :
         {&metrics::operations_unanswered, &metrics::operations_unanswered_largest, &metrics::operations_held,
          &metrics::operations_held_bytes, &metrics::links_stalled, &metrics::appends_waiting, &metrics::inflight_bytes,
          &metrics::inflight_bytes_largest, &metrics::store_queue_bytes})
        CHECK((h.counts.*gauge).get() == 0);
}

TEST_CASE("metrics: what links have not read")
{
    harness h;
    auto const p = h.join("pub");
    auto const a = h.join("ann");
    auto const b = h.join("bob");
    auto const read_all = [&] {
        h.pass(1000);
        return h.counts.unsent_bytes.get();
    };
    h.say(a, R"({"op":"sub","subject":"x"})");
    h.say(b, R"({"op":"sub","subject":">"})");
    REQUIRE(read_all() == 0);
    h.reads(a, false);
    h.reads(b, false);
    auto const at_a = h.handed(a);
    auto const at_b = h.handed(b);
    h.say(p, R"({"op":"pub","subject":"x"}
{"op":"pub","subject":"y"})");
    h.pass(1000);
    CHECK(h.counts.unsent_bytes.get() == h.handed(a) - at_a + h.handed(b) - at_b);
    CHECK(h.counts.unsent_bytes_largest.get() == h.handed(b) - at_b);
    CHECK(h.counts.unsent_bytes_largest.get() > h.handed(a) - at_a);
    h.reads(a, true);
    h.reads(b, true);
    CHECK(read_all() == 0);
    CHECK(h.counts.unsent_bytes_largest.get() == 0);
}

TEST_CASE("metrics: what consumers and streams hold; status tells it exactly, without waiting for the second")
{
    limits l;
    l.dead_letters = 2;
    harness h{l};
    h.add_stream("CHAT", {"chat.>"});
    auto const a = h.join("ann", "home");
    h.say(a, R"({"op":"consume","stream":"CHAT","consumer":"c"})");
    h.say(a, publishes(1, 4, "chat.x"));
    auto const number = [&](char const* name) { return h.admin("status")->data["metrics"][name].get<std::uint64_t>(); };
    CHECK(number("deliveries_pending") == 4);
    CHECK(number("deliveries_pending_largest") == 4);
    CHECK(number("remembered_ids") == 4);
    CHECK(number("store_rows") == 4);
    CHECK(number("tail_bytes") > 0);
    CHECK(number("routes") > 0);
    CHECK(number("dead_letters_kept") == 0);
    for (int seq = 1; seq <= 3; ++seq)
        h.say(a, R"({"op":"term","consumer":"c","seq":)" + std::to_string(seq) + "}");
    h.pass(1000);
    CHECK(number("deliveries_pending") == 1);
    CHECK(number("dead_letters_kept") == 2);  // the oldest went
    h.close(a);
    CHECK(number("deliveries_pending") == 1);
    CHECK(number("tail_bytes") == 0);  // nobody is attached
}

TEST_CASE("limits: users, at n and at n + 1")
{
    limits l;
    l.users = 3;
    harness h{l};
    h.step([](core& c, instant now, actions& out) { c.set_file_accounts({{"eve", "bot", false, true, 0}}, {}, now, out); });
    CHECK(h.admin("user add", user_of("ann"))->exit_status == 0);
    CHECK(h.admin("user add", user_of("bob"))->exit_status == 0);
    auto const refused = h.admin("user add", user_of("cat"));  // the key file's count
    CHECK(refused->exit_status == 1);
    CHECK_FALSE(refused->error.empty());
    CHECK(h.directory->find_user("cat") == nullptr);
    CHECK(h.admin("status")->data["metrics"]["users"] == 3);
    CHECK(h.admin("user add", user_of("ann"))->exit_status == 0);  // who is known takes no room
}

TEST_CASE("limits: rules, at n and at n + 1")
{
    limits l;
    l.rules = 2;
    harness h{l};
    CHECK(h.admin("rule add", rule_of("a.>"))->exit_status == 0);
    CHECK(h.admin("rule add", rule_of("b.>"))->exit_status == 0);
    auto const refused = h.admin("rule add", rule_of("c.>"));
    CHECK(refused->exit_status == 1);
    CHECK_FALSE(refused->error.empty());
    CHECK(h.admin("status")->data["metrics"]["rules"] == 2);
    auto const bot = h.join("bot1", {}, "bot");
    CHECK(h.ask(bot, R"({"op":"pub","id":"1","subject":"b.x"})") == lines{"error 1 denied"});
    CHECK(h.ask(bot, R"({"op":"pub","id":"2","subject":"c.x"})") == lines{"ok 2"});
    CHECK(h.admin("rule remove", {{"id", 2}})->exit_status == 0);
    CHECK(h.admin("rule add", rule_of("c.>"))->exit_status == 0);
    CHECK(h.ask(bot, R"({"op":"pub","id":"3","subject":"c.x"})") == lines{"error 3 denied"});
}
