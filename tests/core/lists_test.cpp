#include "tests/catch.hpp"

#include "tests/core/harness.hpp"

using namespace kedge;

namespace {

using words = std::vector<std::string>;

account_list make(std::string name, std::string owner, words members, account_list::posting who = account_list::posting::anyone)
{
    std::sort(members.begin(), members.end());
    return {std::move(name), std::move(owner), who, std::move(members)};
}

/// ann, bob, cat and dan are users; ann/laptop and ann/desk have inboxes. Nobody may post to dan or @shut.
address_book::people const everybody{
    [](std::string_view user) { return user == "ann" || user == "bob" || user == "cat" || user == "dan"; },
    [](std::string_view node) { return node == "ann/laptop" || node == "ann/desk"; },
    [](std::string_view name) {
        bool const allowed = name != "dan" && name != "@shut";
        return access_decision{allowed, allowed ? "" : "the rules do not give " + std::string{name}};
    }};

std::string outcome(address_book::expansion const& e)
{
    if (!e.why)
        return e.recipients;
    std::string text{wire_word(e.why->code)};
    for (auto const& name : e.unknown)
        text += " " + name;
    return text;
}

address_book chain(unsigned lists)
{
    std::vector<account_list> all;
    for (unsigned i = 1; i <= lists; ++i)
        all.push_back(make("l" + std::to_string(i), "ann", {i == 1 ? "bob" : "@l" + std::to_string(i - 1)}));
    return {{}, std::move(all)};
}

address_book::list_change edit(std::string name, words add, words remove = {})
{
    address_book::list_change change;
    change.name = std::move(name);
    change.add = std::move(add);
    change.remove = std::move(remove);
    return change;
}

bool is_user(std::string_view user) { return everybody.is_user(user); }
access_decision may() { return {true, {}}; }

std::string outcome(address_book::plan const& p)
{
    if (p.why) {
        std::string text{wire_word(p.why->code)};
        for (auto const& name : p.unknown)
            text += " " + name;
        return text;
    }
    std::string text;
    for (auto const& change : p.changes) {
        if (auto const* const put = std::get_if<account_change::put_list>(&change)) {
            text += "put " + put->what.name + " of " + put->what.owner + ":";
            for (auto const& m : put->what.members)
                text += " " + m;
        } else if (auto const* const drop = std::get_if<account_change::remove_list>(&change)) {
            text += "drop " + drop->name;
        } else if (auto const* const alias = std::get_if<account_change::put_alias>(&change)) {
            text += "+" + alias->what.alias + "=" + alias->what.user + " ";
        } else if (auto const* const gone = std::get_if<account_change::remove_alias>(&change)) {
            text += "-" + gone->alias + " ";
        }
    }
    return text;
}

}  // namespace

TEST_CASE("lists: names of recipients and members")
{
    struct row {
        char const* name;
        bool recipient;
        bool member;
    };
    for (auto const& r : {row{"ann", true, true}, row{"ann/laptop", true, false}, row{"~Al_1", true, true}, row{"@Ops-2", true, true},
                          row{"", false, false}, row{"~", false, false}, row{"@", false, false}, row{"two words", false, false},
                          row{"ann/", false, false}, row{"/desk", false, false}, row{"ann/b/c", false, false}, row{"~ann/desk", false, false},
                          row{"@a/b", false, false}, row{"Ann", false, false}, row{"~~al", false, false}, row{"ann/~9f2c", false, false}}) {
        CAPTURE(r.name);
        CHECK(valid_recipient(r.name) == r.recipient);
        CHECK(valid_member(r.name) == r.member);
    }
    CHECK(valid_member("@" + std::string(64, 'x')));
    CHECK_FALSE(valid_member("@" + std::string(65, 'x')));
}

TEST_CASE("lists: whom a post reaches")
{
    using posting = account_list::posting;
    address_book const book{{{"al", "ann"}, {"gone", "eve"}},
                            {make("empty", "ann", {}), make("team", "ann", {"ann", "bob"}), make("all", "bob", {"@team", "cat", "~al"}),
                             make("round", "ann", {"@about", "bob"}), make("about", "ann", {"@round", "@about", "cat"}),
                             make("stale", "ann", {"ann", "eve", "~nobody", "@nothing"}),
                             make("owners", "ann", {"bob"}, posting::owners), make("members", "ann", {"@team"}, posting::members),
                             make("round-it", "cat", {"@owners"}), make("shut", "ann", {"ann"}), make("mine", "cat", {"dan"}),
                             make("theirs", "bob", {"dan"}), make("nobodys", "", {"bob"}, posting::owners)}};
    struct row {
        words to;
        char const* by;
        char const* outcome;
    };
    for (auto const& r : {
             row{{"ann"}, "cat", "ann"},
             row{{"bob", "ann", "bob"}, "cat", "ann bob"},
             row{{"ann/laptop"}, "cat", "ann/laptop"},
             row{{"ann/laptop", "ann/desk", "ann/laptop"}, "cat", "ann/desk ann/laptop"},
             row{{"ann/laptop", "ann"}, "cat", "ann"},
             row{{"~al", "ann/desk"}, "cat", "ann"},
             row{{"@team", "bob"}, "cat", "ann bob"},
             row{{"@all"}, "cat", "ann bob cat"},
             row{{"@round"}, "cat", "bob cat"},
             row{{"@about", "@round"}, "cat", "bob cat"},
             row{{"nobody", "ann", "~no", "@no", "ann/none", "bob/desk", "nobody"}, "cat", "unknown_recipient nobody ~no @no ann/none bob/desk"},
             row{{"~gone"}, "cat", "unknown_recipient ~gone"},
             row{{"@stale"}, "cat", "unknown_recipient @nothing eve ~nobody"},
             row{{"@empty"}, "cat", "unknown_recipient @empty"},
             row{{"@empty", "bob"}, "cat", "bob"},
             row{{"@owners"}, "ann", "bob"},
             row{{"@owners"}, "bob", "denied"},
             row{{"@owners"}, "op", "bob"},
             row{{"@nobodys"}, "op", "bob"},
             row{{"@nobodys"}, "bob", "denied"},
             row{{"@members"}, "bob", "ann bob"},
             row{{"@members"}, "cat", "denied"},
             row{{"@round-it"}, "cat", "denied"},
             row{{"@shut"}, "cat", "denied"},
             row{{"dan"}, "cat", "denied"},
             row{{"dan", "nobody"}, "cat", "denied"},
             row{{"@mine"}, "cat", "denied"},    // one's own list is only short for its members
             row{{"@theirs"}, "cat", "dan"},     // another's is its owner's to answer for
         }) {
        CAPTURE(r.to, r.by);
        CHECK(outcome(book.expand(r.to, {r.by, std::string{r.by} == "op"}, 8, everybody)) == r.outcome);
    }
}

TEST_CASE("lists: nesting, at the limit and beyond")
{
    auto const book = chain(9);
    CHECK(outcome(book.expand({"@l8"}, {"cat"}, 8, everybody)) == "bob");
    CHECK(outcome(book.expand({"@l9"}, {"cat"}, 8, everybody)) == "quota");
    CHECK(outcome(book.expand({"@l9", "@l1"}, {"cat"}, 8, everybody)) == "bob");  // the shortest way counts
    limits l;
    CHECK(outcome(chain(7).change_list({"ann"}, edit("top", {"@l7"}), l, is_user, may)) == "put top of ann: @l7");
    CHECK(outcome(chain(8).change_list({"ann"}, edit("top", {"@l8"}), l, is_user, may)) == "quota");
    CHECK(outcome(chain(8).change_list({"ann"}, edit("l1", {"@l8"}), l, is_user, may)) == "put l1 of ann: @l8 bob");  // a cycle is not deep
}

TEST_CASE("lists: what may be changed")
{
    limits l;
    l.lists = 3;
    l.list_members = 3;
    address_book const book{{{"al", "ann"}}, {make("team", "ann", {"ann", "bob"}), make("orphan", "", {"bob"})}};
    struct row {
        char const* by;
        address_book::list_change change;
        char const* outcome;
    };
    using kind = address_book::list_change::kind;
    auto const of_kind = [](kind what, address_book::list_change change) {
        change.what = what;
        return change;
    };
    auto const owned_by = [](char const* owner, address_book::list_change change) {
        change.owner = owner;
        return change;
    };
    for (auto const& r : {
             row{"cat", edit("new", {"bob", "~al", "@team"}), "put new of cat: @team bob ~al"},
             row{"cat", edit("new", {}), "put new of cat:"},
             row{"cat", edit("new", {"@new"}), "put new of cat: @new"},
             row{"cat", edit("new", {}, {"bob"}), "unknown_list"},
             row{"cat", edit("new", {"eve", "~no", "@no", "bob"}), "unknown_recipient eve ~no @no"},
             row{"cat", edit("new", {"ann/desk"}), "bad_request"},
             row{"cat", edit("new", {"bob"}, {"x y"}), "bad_request"},
             row{"cat", edit("new one", {"bob"}), "bad_request"},
             row{"cat", edit("new", {"ann", "bob", "cat"}), "put new of cat: ann bob cat"},
             row{"cat", edit("new", {"ann", "bob", "cat", "dan"}), "quota"},
             row{"ann", edit("team", {"cat"}, {"ann"}), "put team of ann: bob cat"},
             row{"ann", edit("team", {"ann"}), ""},
             row{"ann", edit("team", {}, {"eve"}), ""},
             row{"ann", edit("team", {"cat"}), "put team of ann: ann bob cat"},
             row{"ann", edit("team", {"cat", "dan"}), "quota"},
             row{"ann", edit("team", {"cat", "dan"}, {"bob"}), "put team of ann: ann cat dan"},
             row{"bob", edit("team", {"bob"}), "not_owner"},
             row{"op", edit("team", {"cat"}, {"bob"}), "put team of ann: ann cat"},
             row{"bob", edit("orphan", {"ann"}), "not_owner"},
             row{"op", edit("orphan", {"ann"}), "put orphan of : ann bob"},
             row{"ann", owned_by("cat", edit("team", {})), "put team of cat: ann bob"},
             row{"ann", owned_by("eve", edit("team", {})), "unknown_recipient eve"},
             row{"ann", of_kind(kind::create, edit("team", {})), "exists"},
             row{"ann", of_kind(kind::edit, edit("new", {"ann"})), "unknown_list"},
             row{"ann", of_kind(kind::drop, edit("team", {})), "drop team"},
             row{"bob", of_kind(kind::drop, edit("team", {})), "not_owner"},
             row{"bob", of_kind(kind::drop, edit("none", {})), "unknown_list"},
         }) {
        CAPTURE(r.by, r.change.name, r.change.add, r.change.remove);
        CHECK(outcome(book.change_list({r.by, std::string{r.by} == "op"}, r.change, l, is_user, may)) == r.outcome);
    }
    auto const denied = [] { return access_decision{false, "no rule"}; };
    CHECK(outcome(book.change_list({"cat"}, edit("new", {"bob"}), l, is_user, denied)) == "denied");
    CHECK(outcome(book.change_list({"ann"}, edit("team", {"cat"}), l, is_user, denied)) == "put team of ann: ann bob cat");
    l.lists = 2;
    CHECK(outcome(book.change_list({"cat"}, edit("new", {"bob"}), l, is_user, may)) == "quota");
}

TEST_CASE("lists: aliases are unique and bounded")
{
    limits l;
    l.user_aliases = 2;
    address_book const book{{{"al", "ann"}, {"bo", "bob"}}, {}};
    struct row {
        char const* by;
        char const* user;
        words add;
        words remove;
        char const* outcome;
    };
    for (auto const& r : {
             row{"ann", "ann", {"~x"}, {}, "+x=ann "},
             row{"ann", "ann", {"x", "~x"}, {}, "+x=ann "},
             row{"ann", "ann", {"~al"}, {}, ""},
             row{"ann", "ann", {"~x", "~y"}, {}, "quota"},
             row{"ann", "ann", {"~x", "~y"}, {"~al"}, "-al +x=ann +y=ann "},
             row{"ann", "ann", {"~al"}, {"~al"}, "-al +al=ann "},
             row{"ann", "ann", {"~x", "~bo"}, {}, "exists"},
             row{"ann", "ann", {}, {"~bo"}, "not_owner"},
             row{"ann", "ann", {}, {"~none"}, ""},
             row{"op", "op", {}, {"~bo"}, "-bo "},
             row{"op", "bob", {"~z"}, {}, "+z=bob "},
             row{"ann", "ann", {"@x"}, {}, "bad_request"},
             row{"ann", "ann", {"~"}, {}, "bad_request"},
             row{"ann", "ann", {}, {"a/b"}, "bad_request"},
         }) {
        CAPTURE(r.by, r.user, r.add, r.remove);
        CHECK(outcome(book.change_aliases({r.by, std::string{r.by} == "op"}, r.user, r.add, r.remove, l)) == r.outcome);
    }
}

TEST_CASE("lists: a removed user leaves nothing behind")
{
    address_book book{{{"al", "ann"}, {"bo", "bob"}}, {make("team", "ann", {"ann", "bob", "~al"})}};
    book.apply(account_change::remove_user{"ann"});
    CHECK(book.user_of("al") == nullptr);
    CHECK(book.aliases().size() == 1);
    CHECK(book.find_list("team")->members == words{"bob"});
    CHECK(book.find_list("team")->owner.empty());
    limits l;
    l.user_aliases = 1;
    CHECK(outcome(book.change_aliases({"ann"}, "ann", {"~al"}, {}, l)) == "+al=ann ");
}

// --- With a router and a store ---------------------------------------------------------------------------------------

namespace {

struct people : harness {
    explicit people(limits l = {}) : harness{l}
    {
        for (auto const* const user : {"ann", "bob", "cat"})
            admin("user add", {{"name", user}, {"keys", nlohmann::json::array()}});
    }
    link_id shell(std::string const& user) { return open(user, "user", encoding::lines, false); }
    nlohmann::json lists()
    {
        auto const l = join("cat");
        ask(l, R"({"op":"who","id":"w","what":"lists"})");
        return nlohmann::json::parse(last<notice::reply>(l).body)["lists"];
    }
};

}  // namespace

TEST_CASE("lists: by operations, and what comes later on the link sees them")
{
    people h;
    auto const a = h.join("ann");
    CHECK(h.ask(a, R"({"op":"alias","id":"1","add":["~al"]})" "\n" R"({"op":"list","id":"2","list":"team","add":["~al","bob"]})" "\n"
                   R"({"op":"post","id":"3","to":["@team"]})" "\n" R"({"op":"list","id":"4","list":"team","delete":true})" "\n"
                   R"({"op":"post","id":"5","to":["@team"]})" "\n" R"({"op":"alias","id":"6","remove":["~al"]})" "\n"
                   R"({"op":"post","id":"7","to":["~al"]})") ==
          lines{"ok 1", "ok 2", "ok 3 INBOX#1", "ok 4", "error 5 unknown_recipient", "ok 6", "error 7 unknown_recipient"});
    CHECK(h.ask(a, R"({"op":"list","id":"1","list":"team","add":["bob","eve"]})") == lines{"error 1 unknown_recipient"});
    CHECK(h.last<notice::error>(a).unknown == words{"eve"});
    CHECK(h.ask(a, R"({"op":"list","id":"1","list":"team","delete":true,"add":["bob"]})") == lines{"error 1 bad_request"});
    CHECK(h.ask(a, R"({"op":"list","id":"1","list":"team","delete":true})") == lines{"error 1 unknown_list"});
    CHECK(h.ask(a, R"({"op":"alias","add":["~x"]})").empty());
    CHECK(h.ask(a, R"({"op":"alias","remove":["~x"],"add":["@x"]})") == lines{"error bad_request"});
    CHECK(h.given(a) == h.credited(a));
}

TEST_CASE("lists: many held operations that change nothing do not wait for the clock")
{
    people h;
    auto const a = h.join("ann");
    h.hold();
    std::string said;
    lines wanted;
    for (int i = 0; i < 20; ++i) {
        said += R"({"op":"alias","id":")" + std::to_string(i) + R"(","add":["~al"]})" + "\n";
        wanted.push_back("ok " + std::to_string(i));
    }
    h.say(a, said);
    h.end_input(a);
    CHECK(h.heard(a).empty());
    h.release();
    wanted.insert(wanted.end(), {"bye quit", "closed 0"});
    CHECK(h.heard(a) == wanted);
}

TEST_CASE("lists: two who change at the same time do not undo each other")
{
    people h;
    auto const a = h.join("ann");
    auto const op = h.join("root", {}, "operator");
    auto const shell = h.shell("ann");
    h.ask(a, R"({"op":"list","id":"1","list":"team","add":["ann"]})");
    h.hold();
    h.say(a, R"({"op":"list","id":"2","list":"team","add":["bob"]})");
    h.say(op, R"({"op":"list","id":"3","list":"team","add":["cat"],"remove":["ann"]})");
    auto const b = h.join("bob");
    h.say(b, R"({"op":"list","id":"4","list":"team","add":["bob"]})");
    CHECK_FALSE(h.admin_as(shell, "list edit", {{"list", "team"}, {"posting", "members"}}));
    h.release();
    CHECK(h.heard(a) == lines{"ok 2"});
    CHECK(h.heard(op) == lines{"ok 3"});
    CHECK(h.heard(b) == lines{"error 4 not_owner"});
    CHECK(h.admin_answers().back().exit_status == 0);
    CHECK(h.lists() == nlohmann::json{{{"list", "team"}, {"owner", "ann"}, {"posting", "members"}, {"members", {"bob", "cat"}}}});
    h.crash();
    CHECK(h.lists().size() == 1);
}

TEST_CASE("lists: a removed user is not put back by an edit that was decided before")
{
    people h;
    auto const a = h.join("ann");
    h.ask(a, R"({"op":"list","id":"1","list":"team","add":["ann","bob"]})");
    h.hold();
    CHECK_FALSE(h.admin("user remove", {{"name", "bob"}}));
    h.say(a, R"({"op":"list","id":"2","list":"team","add":["cat"]})");
    h.release();
    CHECK(h.heard(a) == lines{"ok 2"});
    CHECK(h.lists()[0]["members"] == nlohmann::json{"ann", "cat"});
    h.crash();
    CHECK(h.lists()[0]["members"] == nlohmann::json{"ann", "cat"});
}

TEST_CASE("lists: the store has the last word, and a link that has gone wants nothing more")
{
    people h;
    limits tight;
    tight.lists = 1;
    tight.user_aliases = 1;
    h.disk = memory_store{tight};
    h.crash();
    for (auto const* const user : {"ann", "bob"})
        h.admin("user add", {{"name", user}, {"keys", nlohmann::json::array()}});
    auto const a = h.join("ann");
    CHECK(h.ask(a, R"({"op":"alias","id":"1","add":["~x","~y"]})") == lines{"error 1 quota"});
    CHECK(h.ask(a, R"({"op":"post","id":"2","to":["~x"]})") == lines{"ok 2 INBOX#1"});  // what was carried out holds
    h.hold();
    h.say(a, R"({"op":"list","list":"one"})");
    auto const b = h.join("bob");
    h.say(b, R"({"op":"list","list":"two"})");
    h.close(b);
    h.release();
    CHECK(h.lists().size() == 1);
    CHECK(h.ask(a, R"({"op":"list","id":"3","list":"two"})") == lines{"error 3 quota"});
}

TEST_CASE("lists: by commands, for everybody what is theirs")
{
    people h;
    auto const ann = h.shell("ann");
    auto const bob = h.shell("bob");
    struct row {
        link_id by;
        char const* name;
        nlohmann::json args;
        bool done;
    };
    auto const op = h.root;
    for (auto const& r : {
             row{ann, "alias add", {{"alias", "al"}}, true},
             row{ann, "alias add", {{"alias", "bo"}, {"user", "bob"}}, false},
             row{op, "alias add", {{"alias", "bo"}, {"user", "bob"}}, true},
             row{op, "alias add", {{"alias", "x"}, {"user", "eve"}}, false},
             row{bob, "alias remove", {{"alias", "al"}}, false},
             row{bob, "alias remove", {{"alias", "none"}}, false},
             row{ann, "alias list", {{"user", "bob"}}, false},
             row{ann, "list add", {{"list", "team"}, {"members", {"ann", "~al"}}, {"posting", "members"}}, true},
             row{ann, "list add", {{"list", "team"}}, false},
             row{ann, "list add", {{"list", "bad"}, {"posting", "nobody"}}, false},
             row{bob, "list edit", {{"list", "team"}, {"add", {"bob"}}}, false},
             row{ann, "list edit", {{"list", "none"}, {"add", {"bob"}}}, false},
             row{ann, "list edit", {{"list", "team"}, {"add", {"bob"}}, {"remove", {"~al"}}, {"posting", "owners"}}, true},
             row{ann, "list show", {{"list", "none"}}, false},
             row{bob, "list remove", {{"list", "team"}}, false},
             row{op, "list edit", {{"list", "team"}, {"owner", "bob"}}, true},
             row{ann, "list edit", {{"list", "team"}, {"owner", "ann"}}, false},
         }) {
        CAPTURE(r.name, r.args.dump());
        auto const answer = h.admin_as(r.by, r.name, r.args);
        REQUIRE(answer);
        CHECK((answer->exit_status == 0) == r.done);
        CHECK(answer->error.empty() == r.done);
    }
    CHECK(h.admin_as(ann, "alias list")->data["aliases"] == nlohmann::json{{{"alias", "al"}, {"user", "ann"}}});
    CHECK(h.admin("alias list")->data["aliases"].size() == 2);
    CHECK(h.admin("alias list", {{"user", "bob"}})->data["aliases"].size() == 1);
    CHECK(h.admin_as(bob, "list show")->data["lists"] ==
          nlohmann::json{{{"list", "team"}, {"owner", "bob"}, {"posting", "owners"}, {"members", {"ann", "bob"}}}});
    CHECK(h.admin_as(bob, "list remove", {{"list", "team"}})->exit_status == 0);
    CHECK(h.admin("alias remove", {{"alias", "al"}})->exit_status == 0);
    h.crash();
    CHECK(h.admin("list show")->data["lists"].empty());
    CHECK(h.admin("alias list")->data["aliases"].size() == 1);
}

TEST_CASE("lists: aliases of those who are only in authorized_keys")
{
    harness h;
    h.step([&](core& c, instant now, actions& out) { c.set_file_accounts({{"eve", "bot", false, true, 0}}, {}, now, out); });
    auto const e = h.join("eve", {}, "bot");
    CHECK(h.ask(e, R"({"op":"alias","id":"1","add":["~ev"]})") == lines{"ok 1"});
    CHECK(h.ask(e, R"({"op":"post","id":"2","to":["~ev"]})") == lines{"ok 2 INBOX#1"});
    CHECK(h.directory->find_user("eve")->role == "bot");
}
