#include "tests/catch.hpp"

#include "tests/core/harness.hpp"

using namespace kedge;

namespace {

constexpr char const* key_text = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8Ht8Z3j6yDWPBHQtOp/R9rjWvfMYo3MSA/K6q8D86r ann@home";

bool has(nlohmann::json const& object, std::initializer_list<char const*> keys)
{
    return object.size() == keys.size() && std::all_of(keys.begin(), keys.end(), [&](auto const* k) { return object.contains(k); });
}

}  // namespace

TEST_CASE("admin: operators only, and only what there is")
{
    harness h;
    auto const a = h.open("ann", "user", encoding::lines, false);
    for (auto const* const name : {"status", "user add", "backup", "dead list"}) {
        auto const answer = h.admin_as(a, name);
        REQUIRE(answer);
        CHECK(answer->exit_status == 1);
        CHECK(answer->error.find("denied") == 0);
    }
    CHECK(h.counts.errors[static_cast<std::size_t>(error_code::denied)].get() == 4);
    CHECK(h.admin("sing")->exit_status == 1);
}

TEST_CASE("admin: users and keys")
{
    harness h;
    auto const empty = nlohmann::json::array();
    CHECK(h.admin("user add", {{"name", "ann"}, {"keys", empty}})->data["role"] == "user");
    CHECK(h.admin("user add", {{"name", "bot1"}, {"role", "bot"}, {"keys", {key_text}}})->exit_status == 0);
    CHECK(h.admin("user add", {{"name", "Ann!"}, {"keys", empty}})->exit_status == 1);
    CHECK(h.admin("user add", {{"name", "cat"}, {"role", "king"}, {"keys", empty}})->exit_status == 1);
    CHECK(h.admin("user add", {{"name", "cat"}, {"keys", {"rubbish"}}})->exit_status == 1);
    REQUIRE(h.directory);
    CHECK(h.directory->find_user("cat") == nullptr);
    auto const users = h.admin("user list")->data["users"];
    REQUIRE(users.size() == 2);
    CHECK(has(users[0], {"name", "role", "keys", "sessions", "added_ms", "source", "removed"}));
    CHECK(users[1]["keys"] == 1);

    CHECK(h.admin("key add", {{"user", "ann"}, {"keys", {key_text}}})->exit_status == 0);
    CHECK(h.admin("key add", {{"user", "ann"}, {"keys", empty}})->exit_status == 1);
    CHECK(h.admin("key add", {{"user", "nobody"}, {"keys", {key_text}}})->exit_status == 1);
    auto const keys = h.admin("key list", {{"user", "ann"}})->data["keys"];
    REQUIRE(keys.size() == 1);
    CHECK(has(keys[0], {"user", "type", "fingerprint", "comment", "role", "from", "expires_ms", "added_ms", "source"}));
    CHECK(keys[0]["comment"] == "ann@home");
    CHECK(h.admin("key list")->data["keys"].size() == 2);
    CHECK(h.admin("key list", {{"user", "nobody"}})->exit_status == 1);
    CHECK(h.admin("key remove", {{"user", "ann"}, {"fingerprint", "SHA256:none"}})->exit_status == 1);
    CHECK(h.admin("key remove", {{"user", "ann"}, {"fingerprint", keys[0]["fingerprint"]}})->exit_status == 0);
    CHECK(h.directory->keys().size() == 1);

    CHECK(h.admin("user remove", {{"name", "bot1"}})->exit_status == 0);
    CHECK(h.directory->find_user("bot1")->removed);
    CHECK(h.directory->keys().empty());
    CHECK(h.admin("user remove", {{"name", "bot1"}})->exit_status == 1);
    CHECK(h.admin("user remove", {{"name", "root"}})->exit_status == 1);
    h.crash();
    CHECK(h.admin("user list")->data["users"].size() == 2);
    CHECK(h.admin("user add", {{"name", "bot1"}, {"keys", empty}})->exit_status == 0);
    CHECK_FALSE(h.directory->find_user("bot1")->removed);
}

TEST_CASE("admin: users of authorized_keys stay out once they are removed")
{
    harness h;
    auto const from_file = [&] {
        auto key = *parse_public_key(key_text);
        key.user = "eve";
        key.from_file = true;
        h.step([&](core& c, instant now, actions& out) {
            c.set_file_accounts({{"eve", "bot", false, true, 0}, {"root", "operator", false, true, 0}}, {key}, now, out);
        });
    };
    from_file();
    CHECK(h.directory->find_user("eve")->role == "bot");
    CHECK(h.admin("key remove", {{"user", "eve"}, {"fingerprint", h.directory->keys().front().fingerprint}})->error.find("authorized_keys") !=
          std::string::npos);
    CHECK(h.admin("user remove", {{"name", "root"}})->error.find("another operator") != std::string::npos);
    CHECK(h.admin("user remove", {{"name", "eve"}})->exit_status == 0);
    CHECK(h.directory->find_user("eve")->removed);
    h.crash();
    from_file();
    CHECK(h.directory->find_user("eve")->removed);
}

TEST_CASE("admin: what was carried out of a command that failed holds")
{
    limits l;
    l.user_keys = 1;
    harness h{l};
    h.admin("user add", {{"name", "ann"}, {"keys", {key_text}}});
    h.step([&](core&, instant, actions&) {});
    // The store knows a limit of its own that the router does not check: rules and users are full.
    limits tight;
    tight.users = 1;
    h.disk = memory_store{tight};
    h.crash();
    CHECK(h.admin("user add", {{"name", "ann"}, {"keys", nlohmann::json::array()}})->exit_status == 0);
    auto const failed = h.admin("user add", {{"name", "bob"}, {"keys", {key_text}}});
    CHECK(failed->exit_status == 1);
    CHECK(h.directory->find_user("bob") == nullptr);
    CHECK(h.directory->keys().empty());
}

TEST_CASE("admin: rules")
{
    harness h;
    h.admin("user add", {{"name", "ann"}, {"keys", nlohmann::json::array()}});
    nlohmann::json const good{{"user", "ann"}, {"effect", "deny"}, {"action", "publish"}, {"pattern", "x.{user}.>"}};
    auto const with = [&](char const* key, nlohmann::json value) {
        auto changed = good;
        changed[key] = std::move(value);
        return changed;
    };
    CHECK(h.admin("rule add", good)->data == nlohmann::json{{"id", 1}});
    for (auto const& bad : {with("role", "bot"), with("user", ""), with("user", "nobody"), with("effect", "maybe"),
                            with("action", "look"), with("pattern", "a..b"), with("pattern", "")})
        CHECK(h.admin("rule add", bad)->exit_status == 1);
    auto rules = h.admin("rule list")->data["rules"];
    REQUIRE(rules.size() == 19);  // eighteen are built in
    CHECK(rules[18]["user"] == "ann");
    CHECK(rules[18]["builtin"] == false);
    CHECK(rules[0]["builtin"] == true);
    for (auto const* const key : {"id", "effect", "action", "pattern", "builtin"})
        CHECK(rules[18].contains(key));
    h.admin("rule add", {{"role", "bot"}, {"effect", "allow"}, {"action", "publish"}, {"pattern", "b.>"}});
    CHECK(h.admin("rule list")->data["rules"].size() == 19);  // it took the place of the built-in one
    CHECK(h.admin("rule remove", {{"id", 9}})->exit_status == 1);
    CHECK(h.admin("rule remove", {{"id", 1}})->exit_status == 0);
}

TEST_CASE("admin: streams")
{
    limits l;
    l.streams = 2;
    l.stream_subjects = 2;
    harness h{l};
    auto const added = h.admin("stream add", {{"name", "A"}, {"subjects", {"a.>"}}, {"max_age_ms", 5000u}, {"max_bytes", 1000u},
                                              {"max_msgs", 10u}, {"retention", "interest"}});
    REQUIRE(added->exit_status == 0);
    CHECK(has(added->data, {"stream", "subjects", "first_seq", "last_seq", "messages", "bytes", "max_age_ms", "max_bytes",
                            "max_msgs", "max_msgs_per_subject", "retention", "discard", "paused", "consumers", "state", "authority"}));
    CHECK(h.admin("stream show", {{"name", "A"}})->data == added->data);
    CHECK(h.admin("stream list")->data["streams"] == nlohmann::json::array({h.admin("stream show", {{"name", "INBOX"}})->data, added->data}));
    nlohmann::json const bad[] = {
        {{"name", "A"}, {"subjects", {"b"}}},        {{"name", "B"}, {"subjects", {"a.x"}}},
        {{"name", "B"}, {"subjects", {"$sys.x"}}},   {{"name", "B"}, {"subjects", {"inbox.x"}}},
        {{"name", "B"}, {"subjects", {"a..b"}}},     {{"name", "B"}, {"subjects", nlohmann::json::array()}},
        {{"name", "B!"}, {"subjects", {"b"}}},       {{"name", "B"}, {"subjects", {"b", "c", "d"}}},
        {{"name", "B"}, {"subjects", {"b"}}, {"retention", "never"}},
    };
    for (auto const& args : bad) {
        INFO(args.dump());
        CHECK(h.admin("stream add", args)->exit_status == 1);
    }
    CHECK(h.admin("stream add", {{"name", "B"}, {"subjects", {"b"}}})->exit_status == 0);
    CHECK(h.admin("stream add", {{"name", "C"}, {"subjects", {"c"}}})->exit_status == 1);
    CHECK(h.admin("stream edit", {{"name", "A"}, {"subjects", {"b"}}})->exit_status == 1);
    auto const edited = h.admin("stream edit", {{"name", "A"}, {"max_msgs", 3u}})->data;
    CHECK(edited["max_msgs"] == 3);
    CHECK(edited["max_age_ms"] == 5000);
    CHECK(h.admin("stream edit", {{"name", "NONE"}})->exit_status == 1);
    CHECK(h.admin("stream show", {{"name", "NONE"}})->exit_status == 1);
    CHECK(h.admin("stream remove", {{"name", "NONE"}})->exit_status == 1);
    h.disk.fail(memory_store::fault::broken);
    CHECK(h.admin("stream remove", {{"name", "B"}})->exit_status == 1);
    CHECK(h.admin("stream remove", {{"name", "B"}})->exit_status == 0);
    CHECK(h.admin("stream list")->data["streams"].size() == 2);
    CHECK(h.counts.streams.get() == 2);
    CHECK(h.admin("stream remove", {{"name", "INBOX"}})->exit_status == 1);
    CHECK(h.admin("stream edit", {{"name", "INBOX"}, {"max_msgs", 1u}})->exit_status == 1);
}

TEST_CASE("admin: a request that cannot be met is no trouble of the store")
{
    harness h;
    CHECK(h.admin("backup", {{"path", "/x"}})->data["path"] == "/x");
    CHECK(h.admin("backup", {{"path", "/x"}})->exit_status == 1);
    CHECK(h.router().not_ready_because().empty());
    h.disk.fail(memory_store::fault::broken);
    CHECK(h.admin("backup", {{"path", "y"}})->exit_status == 1);
    CHECK_FALSE(h.router().not_ready_because().empty());
    CHECK(h.admin("status")->data["why"].size() == 1);
    CHECK(h.admin("backup", {{"path", "y"}})->data["path"] == "/home/y");
    CHECK(h.router().not_ready_because().empty());
    CHECK(h.admin("backup", {{"path", ""}})->exit_status == 1);
}

TEST_CASE("admin: commands that need the store take turns, and one whose caller is gone goes on")
{
    harness h;
    h.hold();
    auto const other = h.open("op", "operator", encoding::lines, false);
    CHECK_FALSE(h.admin_as(other, "stream add", {{"name", "A"}, {"subjects", {"a"}}}));
    CHECK_FALSE(h.admin("stream add", {{"name", "A"}, {"subjects", {"a"}}}));
    CHECK(h.admin("stream list")->data["streams"].size() == 1);  // needs no store: at once
    h.close(other);
    h.release();
    auto const answers = h.admin_answers();
    REQUIRE(answers.size() == 2);
    CHECK(answers[1].exit_status == 1);  // the first one made it
    CHECK(h.admin("stream list")->data["streams"].size() == 2);
}

TEST_CASE("admin: consumers and status")
{
    harness h;
    h.add_stream("CHAT", {"chat.>"});
    auto const a = h.join("ann");
    h.say(a, R"({"op":"consume","stream":"CHAT","consumer":"work"})");
    h.close(a);
    h.say(h.join("bob"), R"({"op":"pub","subject":"chat.x"})");
    auto const list = h.admin("consumer list", {{"stream", "CHAT"}})->data["consumers"];
    REQUIRE(list.size() == 1);
    CHECK(has(list[0], {"stream", "consumer", "owner", "filter", "next_seq", "pending", "lag", "links", "dead", "paused", "backoff_ms", "ack_wait_ms", "max_deliver"}));
    CHECK(list[0]["lag"] == 1);
    CHECK(h.admin("consumer list")->data["consumers"].size() == 1);
    CHECK(h.admin("consumer list", {{"stream", "NONE"}})->exit_status == 1);
    CHECK(h.admin("consumer show", {{"stream", "CHAT"}, {"consumer", "none"}})->exit_status == 1);
    auto const status = h.admin("status")->data;
    CHECK(has(status, {"server", "uptime_ms", "time_ms", "bans", "sessions", "links", "nodes", "streams", "consumers", "migration", "metrics", "limits", "why"}));
    CHECK(status["why"].size() == 1);
    CHECK(status["metrics"]["published_durable"] == 1);
    CHECK(status["limits"]["link_subscriptions"] == 1000);
    CHECK(h.admin("consumer remove", {{"stream", "CHAT"}, {"consumer", "none"}})->exit_status == 1);
    CHECK(h.admin("consumer remove", {{"stream", "CHAT"}, {"consumer", "work"}})->exit_status == 0);
    CHECK(h.counts.consumers.get() == 0);
}
