// Rules by key and action, bans, the audit log.

#include "tests/catch.hpp"

#include "tests/core/harness.hpp"

using namespace kedge;

namespace {

constexpr char const* fingerprint = "SHA256:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";

std::string refusal(std::optional<admin_result> const& answer)
{
    REQUIRE(answer);
    return answer->exit_status ? answer->error : "done";
}

}  // namespace

TEST_CASE("rules: each action, and who is meant")
{
    struct row {
        char const* name;
        nlohmann::json args;
        char const* says;
    };
    auto const rule_of = [](char const* action, char const* pattern) {
        return nlohmann::json{{"user", "ann"}, {"effect", "deny"}, {"action", action}, {"pattern", pattern}};
    };
    row const rows[] = {
        {"publish", rule_of("publish", "a.>"), "done"},
        {"serve", rule_of("serve", "time"), "done"},
        {"call", rule_of("call", "time.*"), "done"},
        {"post", rule_of("post", "@admins"), "done"},
        {"create a stream", rule_of("create", "stream.*"), "done"},
        {"create something else", rule_of("create", "house.*"), "stream.NAME or list.NAME"},
        {"no such action", rule_of("sing", "a"), "not an action"},
        {"no pattern", rule_of("publish", "a..b"), "not a pattern"},
        {"nobody", {{"effect", "deny"}, {"action", "publish"}, {"pattern", "a"}}, "one user, one role or one key"},
        {"two", {{"user", "ann"}, {"role", "bot"}, {"effect", "deny"}, {"action", "publish"}, {"pattern", "a"}}, "one user, one role or one key"},
        {"a key", {{"key", fingerprint}, {"effect", "deny"}, {"action", "publish"}, {"pattern", "a.{role}"}}, "done"},
        {"no key", {{"key", "SHA256:x"}, {"effect", "deny"}, {"action", "publish"}, {"pattern", "a"}}, "fingerprint"},
    };
    harness h;
    h.admin("user add", {{"name", "ann"}, {"keys", nlohmann::json::array()}});
    for (auto const& r : rows) {
        INFO(r.name);
        CHECK(refusal(h.admin("rule add", r.args)).find(r.says) != std::string::npos);
    }
}

TEST_CASE("rule test: yes or no, and which rule")
{
    harness h;
    h.admin("user add", {{"name", "ann"}, {"keys", nlohmann::json::array()}});
    h.admin("rule add", {{"user", "ann"}, {"effect", "deny"}, {"action", "publish"}, {"pattern", "secret.>"}});
    h.admin("rule add", {{"key", fingerprint}, {"effect", "allow"}, {"action", "subscribe"}, {"pattern", "$sys.>"}});
    struct row {
        nlohmann::json args;
        bool allowed;
        std::uint64_t rule;
        char const* says;
    };
    row const rows[] = {
        {{{"action", "publish"}, {"subject", "a.b"}}, true, 0, "built-in"},
        {{{"action", "publish"}, {"subject", "secret.x"}}, false, 1, "rule 1"},
        {{{"action", "subscribe"}, {"subject", "$sys.>"}}, false, 0, "no rule"},
        {{{"action", "subscribe"}, {"subject", "$sys.>"}, {"key", fingerprint}}, true, 2, "rule 2"},
        {{{"action", "create"}, {"subject", "stream.X"}}, false, 0, "no rule"},
        {{{"action", "create"}, {"subject", "stream.X"}, {"role", "operator"}}, true, 0, "operator"},
        {{{"action", "create"}, {"subject", "list.X"}}, true, 0, "built-in"},
        {{{"action", "post"}, {"subject", "bob"}}, true, 0, "built-in"},
    };
    for (auto const& r : rows) {
        auto args = r.args;
        args["user"] = "ann";
        auto const answer = h.admin("rule test", args);
        INFO(args.dump());
        REQUIRE(refusal(answer) == "done");
        CHECK(answer->data["allowed"] == r.allowed);
        CHECK(answer->data["rule"] == r.rule);
        CHECK(answer->data["why"].get<std::string>().find(r.says) != std::string::npos);
    }
    CHECK(refusal(h.admin("rule test", {{"user", "nobody"}, {"action", "publish"}, {"subject", "a"}})).find("no user") != std::string::npos);
    CHECK(refusal(h.admin("rule test", {{"user", "ann"}, {"action", "publish"}, {"subject", "a.*"}})).find("not a subject") != std::string::npos);
}

TEST_CASE("bans: in the directory as long as they stand, over a restart")
{
    using verdict = account_directory::verdict;
    harness h;
    h.admin("user add", {{"name", "ann"}, {"keys", nlohmann::json::array()}});
    auto const until = h.now.wall_ms + 1000;
    auto const why = [&](std::uint64_t at, char const* address = "10.0.0.1") { return h.directory->admit("ann", "key", address, at).why; };
    CHECK(why(0) == verdict::unknown_key);
    CHECK(refusal(h.admin("ban add", {{"user", "ann"}, {"until_ms", until}, {"reason", "noise"}})) == "done");
    CHECK(why(until - 1) == verdict::banned);
    CHECK(why(until) == verdict::unknown_key);
    CHECK(refusal(h.admin("ban add", {{"address", "10.0.0.0/8"}, {"for_ms", 5000}})) == "done");
    CHECK(why(until) == verdict::banned);
    CHECK(why(h.now.wall_ms + 5000) == verdict::unknown_key);
    CHECK(why(until, "11.0.0.1") == verdict::unknown_key);
    CHECK(refusal(h.admin("ban add", {{"key", key_fingerprint("key")}})) == "done");
    CHECK(why(until, "11.0.0.1") == verdict::banned);

    h.crash();
    auto const bans = h.admin("ban list")->data["bans"];
    REQUIRE(bans.size() == 3);
    CHECK(bans[0]["user"] == "ann");
    CHECK(bans[0]["reason"] == "noise");
    CHECK(bans[0]["over"] == false);
    for (int id = 1; id <= 3; ++id)
        CHECK(refusal(h.admin("ban remove", {{"id", id}})) == "done");
    CHECK(refusal(h.admin("ban remove", {{"id", 1}})).find("no ban") != std::string::npos);
    CHECK(why(0) == verdict::unknown_key);
}

TEST_CASE("bans: what is refused")
{
    harness h;
    h.admin("user add", {{"name", "ann"}, {"keys", nlohmann::json::array()}});
    auto const me = h.open("boss", "operator", encoding::lines, false);
    struct row {
        nlohmann::json args;
        char const* says;
    };
    row const rows[] = {
        {nlohmann::json::object(), "one user, one key or one address"},
        {{{"user", "ann"}, {"address", "::1"}}, "one user, one key or one address"},
        {{{"user", "nobody"}}, "no user"},
        {{{"key", "x"}}, "fingerprint"},
        {{{"address", "10.0.0.0/33"}}, "network"},
        {{{"user", "ann"}, {"until_ms", 1}}, "over already"},
        {{{"user", "ann"}, {"reason", std::string(1025, 'x')}}, "1024"},
    };
    for (auto const& r : rows) {
        INFO(r.args.dump());
        CHECK(refusal(h.admin_as(me, "ban add", r.args)).find(r.says) != std::string::npos);
    }
    h.admin("user add", {{"name", "boss"}, {"role", "operator"}, {"keys", nlohmann::json::array()}});
    CHECK(refusal(h.admin_as(me, "ban add", {{"user", "boss"}})).find("yourself") != std::string::npos);
}

TEST_CASE("bans: as many as the limit, and not one more")
{
    limits l;
    l.bans = 2;
    harness h{l};
    CHECK(refusal(h.admin("ban add", {{"address", "1.2.3.1"}})) == "done");
    CHECK(refusal(h.admin("ban add", {{"address", "1.2.3.2"}})) == "done");
    CHECK(refusal(h.admin("ban add", {{"address", "1.2.3.3"}})).find("2 bans already") != std::string::npos);
}

TEST_CASE("audit: what changes something is written down, done or refused; what reads is not")
{
    harness h;
    h.admin("user add", {{"name", "ann"}, {"keys", nlohmann::json::array()}});
    h.admin("user list");
    h.admin("user remove", {{"name", "nobody"}});
    h.admin("status");
    auto const a = h.open("ann", "user", encoding::lines, false);
    h.admin_as(a, "stream add", {{"name", "S"}, {"subjects", {"s.>"}}});
    h.crash();
    auto const entries = h.admin("audit list")->data["entries"];
    REQUIRE(entries.size() == 3);
    CHECK(entries[2]["command"] == "user add");
    CHECK(entries[2]["outcome"] == "done");
    CHECK(entries[2]["args"].get<std::string>().find("\"ann\"") != std::string::npos);
    CHECK(entries[1]["outcome"].get<std::string>().find("no user") != std::string::npos);
    CHECK(entries[0]["user"] == "ann");
    CHECK(entries[0]["outcome"] != "done");
    auto const older = h.admin("audit list", {{"count", 1}, {"before", entries[1]["id"]}})->data["entries"];
    REQUIRE(older.size() == 1);
    CHECK(older[0]["command"] == "user add");
}

TEST_CASE("audit: as many entries as the limit; the oldest go")
{
    limits l;
    l.audit_entries = 2;
    harness h{l};
    for (auto const* name : {"ann", "bob", "cat"})
        h.admin("user add", {{"name", name}, {"keys", nlohmann::json::array()}});
    auto const entries = h.admin("audit list")->data["entries"];
    REQUIRE(entries.size() == 2);
    CHECK(entries[1]["args"].get<std::string>().find("bob") != std::string::npos);
}
