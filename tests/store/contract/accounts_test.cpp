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

namespace {

account_ban ban(std::string const& user, std::string const& key, std::string const& address)
{
    return {0, user, key, address, 99, "spam", "op", 5};
}

account_list list(std::string const& name, std::string const& owner, std::vector<std::string> members)
{
    return {name, owner, account_list::posting::anyone, std::move(members)};
}

audit_entry audit(std::string const& command)
{
    return {0, 7, "op", "SHA256:op", command, R"({"name":"alice"})", "done"};
}

void add_users(account_store& accounts, std::initializer_list<char const*> names)
{
    for (auto const* const name : names)
        REQUIRE(accounts.put_user({name, "user", false, false, 1}).has_value());
}

}  // namespace

TEST_CASE("bans, aliases, lists, own limits and every kind of rule are known again after a restart")
{
    on_both_stores([](store_fixture& f) {
        auto& accounts = f.accounts();
        account_user const alice{"alice", "user", false, false, 1, {{"mail_messages", 7}, {"user_stored_bytes", 1ull << 40}}};
        REQUIRE(accounts.put_user(alice).has_value());
        std::vector<account_ban> bans{ban("alice", "", ""), ban("", "SHA256:k", ""), ban("", "", "10.0.0.0/8")};
        bans[2].until_ms = 0;
        bans[2].reason.clear();
        for (auto& b : bans)
            b.id = *accounts.add_ban(b);
        REQUIRE(accounts.put_alias({"wonder", "alice"}).has_value());
        REQUIRE(accounts.put_alias({"al", "alice"}).has_value());
        std::vector<account_list> lists{list("all", "", {"@ops", "alice", "~al"}), list("ops", "alice", {})};
        lists[1].who = account_list::posting::owners;
        for (auto const& l : lists)
            REQUIRE(accounts.put_list(l).has_value());
        std::vector<rule> rules;
        for (unsigned action = 0; action < rule::act_count; ++action) {
            rule r{0, rule::effect::deny, static_cast<rule::act>(action), "", "", "p" + std::to_string(action)};
            (action % 3 == 0 ? r.user : action % 3 == 1 ? r.role : r.key) = "who";
            r.id = *accounts.add_rule(r);
            rules.push_back(r);
        }
        f.reopen();
        f.load();
        auto const all = f.accounts().load_accounts();
        CHECK((all.users == std::vector<account_user>{alice}));
        CHECK((all.bans == bans));
        CHECK((all.aliases == std::vector<account_alias>{{"al", "alice"}, {"wonder", "alice"}}));
        CHECK((all.lists == lists));
        CHECK((all.rules == rules));
    });
}

TEST_CASE("a user's own limits are replaced as a whole")
{
    on_both_stores([](store_fixture& f) {
        auto& accounts = f.accounts();
        REQUIRE(accounts.put_user({"alice", "user", false, false, 1, {{"a", 1}, {"b", 2}}}).has_value());
        REQUIRE(accounts.put_user({"alice", "user", false, false, 1, {{"b", 3}}}).has_value());
        CHECK((accounts.load_accounts().users.front().own_limits == std::map<std::string, std::uint64_t>{{"b", 3}}));
        REQUIRE(accounts.put_user({"alice", "user", false, false, 1}).has_value());
        CHECK(accounts.load_accounts().users.front().own_limits.empty());
    });
}

TEST_CASE("an alias has one owner; a list is replaced as a whole; numbers of bans are not used again")
{
    on_both_stores([](store_fixture& f) {
        auto& accounts = f.accounts();
        add_users(accounts, {"alice", "bob"});
        REQUIRE(accounts.put_alias({"al", "alice"}).has_value());
        CHECK(accounts.put_alias({"al", "alice"}).has_value());
        CHECK(accounts.put_alias({"al", "bob"}).error().code == error_code::exists);
        CHECK(accounts.put_alias({"x", "nobody"}).error().message == "there is no user nobody");
        REQUIRE(accounts.remove_alias("al").has_value());
        CHECK(accounts.remove_alias("al").error().message == "there is no alias ~al");
        CHECK(accounts.put_alias({"al", "bob"}).has_value());

        REQUIRE(accounts.put_list(list("l", "alice", {"alice", "bob"})).has_value());
        REQUIRE(accounts.put_list(list("l", "bob", {"~al"})).has_value());
        CHECK((accounts.load_accounts().lists == std::vector<account_list>{list("l", "bob", {"~al"})}));
        REQUIRE(accounts.remove_list("l").has_value());
        CHECK(accounts.remove_list("l").error().code == error_code::unknown_list);
        INFO("its members went with it");
        REQUIRE(accounts.put_list(list("l", "alice", {})).has_value());
        CHECK(accounts.load_accounts().lists.front().members.empty());

        CHECK(*accounts.add_ban(ban("bob", "", "")) == 1);
        REQUIRE(accounts.remove_ban(1).has_value());
        CHECK(accounts.remove_ban(1).error().message == "there is no such ban");
        CHECK(*accounts.add_ban(ban("bob", "", "")) == 2);
    });
}

TEST_CASE("a removed user leaves its aliases, its places in lists and its lists; bans stay")
{
    on_both_stores([](store_fixture& f) {
        auto& accounts = f.accounts();
        add_users(accounts, {"alice", "bob"});
        REQUIRE(accounts.put_alias({"al", "alice"}).has_value());
        REQUIRE(accounts.put_alias({"bo", "bob"}).has_value());
        REQUIRE(accounts.put_list(list("hers", "alice", {"bob"})).has_value());
        REQUIRE(accounts.put_list(list("his", "bob", {"@hers", "alice", "bob", "~al", "~bo"})).has_value());
        REQUIRE(accounts.add_ban(ban("alice", "", "")).has_value());
        REQUIRE(accounts.remove_user("alice").has_value());
        auto const all = accounts.load_accounts();
        CHECK((all.aliases == std::vector<account_alias>{{"bo", "bob"}}));
        CHECK((all.lists == std::vector<account_list>{list("hers", "", {"bob"}), list("his", "bob", {"@hers", "bob", "~bo"})}));
        CHECK(all.bans.size() == 1);
        INFO("who is removed gets no alias");
        CHECK_FALSE(accounts.put_alias({"al", "alice"}).has_value());
    });
}

TEST_CASE("bans, aliases of a user, lists and their members are bounded")
{
    limits bounds;
    bounds.bans = 2;
    bounds.user_aliases = 2;
    bounds.lists = 2;
    bounds.list_members = 2;
    on_both_stores(
        [](store_fixture& f) {
            auto& accounts = f.accounts();
            add_users(accounts, {"alice", "bob"});
            for (std::string const name : {"a", "b"}) {
                REQUIRE(accounts.add_ban(ban(name, "", "")).has_value());
                REQUIRE(accounts.put_alias({name, "alice"}).has_value());
                REQUIRE(accounts.put_list(list(name, "alice", {"alice", "bob"})).has_value());
            }
            CHECK(accounts.add_ban(ban("c", "", "")).error().code == error_code::quota);
            CHECK(accounts.put_alias({"c", "alice"}).error().code == error_code::quota);
            CHECK(accounts.put_list(list("c", "alice", {})).error().code == error_code::quota);
            CHECK(accounts.put_list(list("a", "alice", {"a", "b", "c"})).error().code == error_code::quota);
            INFO("what is there can still be changed");
            CHECK(accounts.put_alias({"a", "alice"}).has_value());
            CHECK(accounts.put_alias({"c", "bob"}).has_value());
            CHECK(accounts.put_list(list("a", "bob", {"bob"})).has_value());
        },
        bounds);
}

TEST_CASE("the audit log keeps its newest entries, and is read from the newest down in pages")
{
    limits bounds;
    bounds.audit_entries = 3;
    on_both_stores(
        [](store_fixture& f) {
            auto& accounts = f.accounts();
            CHECK(accounts.read_audit(0, 10).empty());
            for (char const* const command : {"one", "two", "three"})
                REQUIRE(accounts.add_audit(audit(command)).has_value());
            CHECK(accounts.read_audit(0, 10).size() == 3);
            REQUIRE(accounts.add_audit(audit("four")).has_value());
            f.reopen();
            f.load();
            auto const all = f.accounts().read_audit(0, 10);
            REQUIRE(all.size() == 3);
            auto expected = audit("four");
            expected.id = 4;
            CHECK(all[0] == expected);
            CHECK(all[2].command == "two");
            auto const page = f.accounts().read_audit(4, 1);
            REQUIRE(page.size() == 1);
            CHECK(page[0].command == "three");
            CHECK(f.accounts().read_audit(2, 10).empty());
            INFO("a lowered limit holds from the next entry on");
            limits lower;
            lower.audit_entries = 1;
            f.accounts().set_limits(lower);
            REQUIRE(f.accounts().add_audit(audit("five")).has_value());
            CHECK(f.accounts().read_audit(0, 10).size() == 1);
        },
        bounds);
}
