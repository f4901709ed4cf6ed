/// Users, keys and rules.

#include "router/store/memory_store.hpp"
#include "tests/store/fixture.hpp"

using namespace kedge;
using namespace kedge::test;

namespace {

account_key key(std::string const& user, std::string const& name)
{
    account_key made{user, "ssh-ed25519", std::string{"\0blob", 5} + name, "SHA256:" + name, name + "@host", "bot",
                     {"10.0.0.0/8", "::1"}, 77, 5, false};
    return made;
}

}  // namespace

TEST_CASE("users, keys and rules are known again after a restart")
{
    on_both_stores([](store_fixture& f) {
        auto& accounts = f.accounts();
        REQUIRE(accounts.put_user({"alice", "operator", false, false, 11}).has_value());
        REQUIRE(accounts.put_user({"bob", "bot", false, false, 12}).has_value());
        REQUIRE(accounts.put_key(key("alice", "k1")).has_value());
        REQUIRE(accounts.put_key(key("bob", "k1")).has_value());
        auto bare = key("bob", "k2");
        bare.role.clear();
        bare.from.clear();
        bare.comment.clear();
        REQUIRE(accounts.put_key(bare).has_value());
        rule const deny{0, rule::effect::deny, rule::act::publish, "bob", "", "a.{user}.>"};
        rule const allow{0, rule::effect::allow, rule::act::subscribe, "", "bot", "b.*"};
        CHECK(*accounts.add_rule(deny) == 1);
        CHECK(*accounts.add_rule(allow) == 2);
        f.reopen();
        f.load();
        auto const all = f.accounts().load_accounts();
        CHECK((all.users == std::vector<account_user>{{"alice", "operator", false, false, 11}, {"bob", "bot", false, false, 12}}));
        CHECK((all.keys == std::vector<account_key>{key("alice", "k1"), key("bob", "k1"), bare}));
        REQUIRE(all.rules.size() == 2);
        CHECK(all.rules[0].id == 1);
        CHECK(all.rules[0].what == rule::effect::deny);
        CHECK(all.rules[0].action == rule::act::publish);
        CHECK(all.rules[0].user == "bob");
        CHECK(all.rules[0].pattern == "a.{user}.>");
        CHECK(all.rules[1].role == "bot");
        CHECK(all.rules[1].action == rule::act::subscribe);
    });
}

TEST_CASE("a removed user stays known as removed, without keys and rules, until put again")
{
    on_both_stores([](store_fixture& f) {
        auto& accounts = f.accounts();
        REQUIRE(accounts.put_user({"alice", "user", false, false, 1}).has_value());
        REQUIRE(accounts.put_key(key("alice", "k")).has_value());
        REQUIRE(accounts.add_rule({0, rule::effect::allow, rule::act::publish, "alice", "", "x"}).has_value());
        REQUIRE(accounts.add_rule({0, rule::effect::allow, rule::act::publish, "", "user", "x"}).has_value());
        REQUIRE(accounts.remove_user("alice").has_value());
        auto all = accounts.load_accounts();
        REQUIRE(all.users.size() == 1);
        CHECK(all.users.front().removed);
        CHECK(all.keys.empty());
        CHECK(all.rules.size() == 1);
        CHECK_FALSE(accounts.put_key(key("alice", "k")).has_value());
        REQUIRE(accounts.put_user({"alice", "bot", false, false, 9}).has_value());
        all = accounts.load_accounts();
        CHECK((all.users == std::vector<account_user>{{"alice", "bot", false, false, 1}}));
    });
}

TEST_CASE("a key is put once a user; a rule's number is not used again")
{
    on_both_stores([](store_fixture& f) {
        auto& accounts = f.accounts();
        REQUIRE(accounts.put_user({"alice", "user", false, false, 1}).has_value());
        REQUIRE(accounts.put_key(key("alice", "k")).has_value());
        auto changed = key("alice", "k");
        changed.comment = "new";
        REQUIRE(accounts.put_key(changed).has_value());
        CHECK((accounts.load_accounts().keys == std::vector<account_key>{changed}));
        REQUIRE(accounts.remove_key("alice", "SHA256:k").has_value());
        CHECK_FALSE(accounts.remove_key("alice", "SHA256:k").has_value());
        REQUIRE(accounts.add_rule({}).has_value());
        REQUIRE(accounts.remove_rule(1).has_value());
        CHECK_FALSE(accounts.remove_rule(1).has_value());
        CHECK(*accounts.add_rule({}) == 2);
    });
}

TEST_CASE("what is not there is refused with a sentence")
{
    on_both_stores([](store_fixture& f) {
        auto& accounts = f.accounts();
        CHECK(accounts.remove_user("nobody").error().code == error_code::bad_request);
        CHECK(accounts.put_key(key("nobody", "k")).error().message == "there is no user nobody");
        CHECK(accounts.remove_key("nobody", "SHA256:x").error().message == "nobody has no such key");
        CHECK(accounts.remove_rule(5).error().code == error_code::bad_request);
    });
}

TEST_CASE("users, keys of a user and rules are bounded")
{
    limits bounds;
    bounds.users = 2;
    bounds.user_keys = 2;
    bounds.rules = 2;
    on_both_stores(
        [](store_fixture& f) {
            auto& accounts = f.accounts();
            for (char const* const name : {"a", "b"}) {
                REQUIRE(accounts.put_user({name, "user", false, false, 1}).has_value());
                REQUIRE(accounts.put_key(key("a", name)).has_value());
                REQUIRE(accounts.add_rule({}).has_value());
            }
            CHECK(accounts.put_user({"c", "user", false, false, 1}).error().code == error_code::quota);
            CHECK(accounts.put_key(key("a", "c")).error().code == error_code::quota);
            CHECK(accounts.add_rule({}).error().code == error_code::quota);
            INFO("what is there can still be changed");
            CHECK(accounts.put_user({"a", "bot", false, false, 1}).has_value());
            CHECK(accounts.put_key(key("a", "a")).has_value());
            CHECK(accounts.put_key(key("b", "c")).has_value());
        },
        bounds);
}

TEST_CASE("limits on accounts can change while the store is open")
{
    limits bounds;
    bounds.users = 1;
    bounds.user_keys = 1;
    bounds.rules = 1;
    on_both_stores(
        [](store_fixture& f) {
            auto& accounts = f.accounts();
            auto const add = [&](std::string const& name) {
                return accounts.put_user({name, "user", false, false, 1}).has_value() + accounts.put_key(key("a", name)).has_value()
                    + accounts.add_rule({}).has_value();
            };
            CHECK(add("a") == 3);
            CHECK(add("b") == 0);
            limits changed;
            changed.users = changed.user_keys = changed.rules = 2;
            accounts.set_limits(changed);
            CHECK(add("b") == 3);
            CHECK(add("c") == 0);
            changed.users = changed.user_keys = changed.rules = 1;
            accounts.set_limits(changed);
            CHECK(add("c") == 0);
            auto const all = accounts.load_accounts();
            INFO("what is there beyond a lowered limit stays");
            CHECK(all.users.size() + all.keys.size() + all.rules.size() == 6);
        },
        bounds);
}

TEST_CASE("a disk that fails is told, and nothing of the change stays")
{
    on_both_stores([](store_fixture& f) {
        if (dynamic_cast<memory_store*>(&f.store()) != nullptr)
            return;  // its faults are those of batches
        REQUIRE(f.accounts().put_user({"alice", "user", false, false, 1}).has_value());
        f.fail(store_fixture::fault::full);
        CHECK(f.accounts().put_key(key("alice", "k")).error().code == error_code::store_full);
        f.fail(store_fixture::fault::lost);
        CHECK(f.accounts().remove_user("alice").error().code == error_code::internal);
        f.heal();
        auto const all = f.accounts().load_accounts();
        CHECK(all.keys.empty());
        CHECK_FALSE(all.users.front().removed);
        CHECK(f.accounts().put_key(key("alice", "k")).has_value());
    });
}
