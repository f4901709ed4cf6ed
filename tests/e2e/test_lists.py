"""§4.1 `alias`, `list`; issue item 2: unique, owned, editable at run time, from the protocol and the CLI."""

import json
import unittest

from harness import Case


class People(Case):
    def setUp(self):
        self.alice, self.bob, self.carol = self.user(), self.user(), self.user()

    def reaches(self, address, *users, sender="op"):
        """Who gets a post to that address: exactly `users`, once each."""
        links = {user: self.inbox(user, self.name("n")) for user in (self.alice, self.bob, self.carol)}
        poster = self.link(sender)
        poster.ok("post", "the post", to=[address])
        self.link("op").ok("post", "the end", to=list(links))
        got = {}
        for user, link in links.items():
            while (text := link.expect("msg").body) != b"the end":
                got[user] = got.get(user, 0) + 1
                self.assertEqual(text, b"the post")
        self.assertEqual(got, {user: 1 for user in users})

    def unknown(self, *addresses):
        answer = self.link("op").ask("post", "x", to=list(addresses))
        self.assertEqual((answer.op, answer["code"]), ("error", "unknown_recipient"))
        return answer["unknown"]

    def lists(self, user="op"):
        return {entry["list"]: entry for entry in json.loads(self.link(user).ask("who", what="lists").body)["lists"]}

    def run_as(self, user, *words):
        """An exec request; the exit status, and what it printed."""
        status, out, error = self.server.execute(user, *words)
        if status:
            self.assertTrue(error, "a failure says why")
        return status, out


class Aliases(People):
    def test_add_and_remove(self):
        link, alias = self.link(self.alice), "~" + self.name("al")
        link.ok("alias", add=[alias])
        self.reaches(alias, self.alice)
        link.ok("alias", add=[alias])  # it is hers already
        link.ok("alias", remove=[alias])
        self.assertEqual(self.unknown(alias), [alias])
        self.assertEqual(self.unknown(alias, self.alice), [alias])

    def test_unique_over_all_users(self):
        """§4.1: unique over all users; all or nothing."""
        alias, other = "~" + self.name("al"), "~" + self.name("al")
        alice, bob = self.link(self.alice), self.link(self.bob)
        alice.ok("alias", add=[alias])
        self.assertEqual(bob.refused("alias", add=[other, alias]), "exists")
        self.assertEqual(self.unknown(other), [other])
        self.reaches(alias, self.alice)
        alice.ok("alias", remove=[alias])
        bob.ok("alias", add=[alias])
        self.reaches(alias, self.bob)

    def test_not_anothers(self):
        """§4.1: *this user's* aliases."""
        alias = "~" + self.name("al")
        self.link(self.alice).ok("alias", add=[alias])
        self.assertIn(self.link(self.bob).refused("alias", remove=[alias]), ("not_owner", "unknown_recipient", "denied"))
        self.reaches(alias, self.alice)

    def test_names(self):
        link = self.link(self.alice)
        for bad in ("~Not Good", "~", "~a/b", "@list", "~" + "x" * 65, 7, ""):
            with self.subTest(bad):
                self.assertEqual(link.refused("alias", add=[bad]), "bad_request")
        self.assertEqual(link.refused("alias", add="~al"), "bad_request")

    def test_it_lasts(self):
        alias = "~" + self.name("al")
        self.link(self.alice).ok("alias", add=[alias])
        self.server.kill()
        self.server.start()
        self.reaches(alias, self.alice)
        self.assertEqual(self.link(self.bob).refused("alias", add=[alias]), "exists")

    def test_commands(self):
        """Issue item 2: from the CLI, by their owners and operators."""
        own, given = self.name("al"), self.name("al")
        self.assertEqual(self.run_as(self.alice, "alias", "add", own)[0], 0)
        self.assertEqual(self.run_as("op", "alias", "add", given, "--user", self.alice)[0], 0)
        self.reaches("~" + own, self.alice)
        self.reaches("~" + given, self.alice)
        self.assertNotEqual(self.run_as(self.bob, "alias", "remove", own)[0], 0)
        self.assertNotEqual(self.run_as(self.bob, "alias", "add", self.name("al"), "--user", self.alice)[0], 0)
        status, out = self.run_as(self.alice, "alias", "list", "--json")
        found = {(a["alias"].lstrip("~"), a["user"]) for a in json.loads(out)["aliases"]}
        self.assertEqual((status, found), (0, {(own, self.alice), (given, self.alice)}))
        self.assertEqual(self.run_as(self.alice, "alias", "remove", own)[0], 0)
        self.assertEqual(self.run_as("op", "alias", "remove", given)[0], 0)
        self.assertEqual(sorted(self.unknown("~" + own, "~" + given)), sorted(["~" + own, "~" + given]))

    def test_of_a_removed_user(self):
        """Nobody is behind it any more."""
        alias = "~" + self.name("al")
        self.link(self.alice).ok("alias", add=[alias])
        self.server.admin("user", "remove", self.alice)
        self.assertEqual(self.unknown(alias), [alias])


class UserLimit(People):
    config = "[limits]\nuser_aliases = 3\nlists = 2\nlist_members = 4\nlist_nesting = 3\n"

    def test_aliases(self):
        link = self.link(self.alice)
        names = ["~" + self.name("al") for _ in range(4)]
        link.ok("alias", add=names[:3])
        self.assertEqual(link.refused("alias", add=names[3:]), "quota")
        link.ok("alias", remove=names[:1])
        link.ok("alias", add=names[3:])

    def test_lists_members_nesting(self):
        link = self.link(self.alice)
        members = [self.user() for _ in range(5)]
        link.ok("list", list="one", add=members[:4])
        self.assertEqual(link.refused("list", list="one", add=members[4:]), "quota")
        link.ok("list", list="two", add=["@one"])
        self.assertEqual(link.refused("list", list="three", add=["@one"]), "quota")
        link.ok("list", list="two", delete=True)
        link.ok("list", list="three", add=["@one"])


class Lists(People):
    def test_create_edit_delete(self):
        link, name = self.link(self.alice), self.name("list")
        link.ok("list", list=name, add=[self.alice, self.bob])
        self.reaches("@" + name, self.alice, self.bob)
        link.ok("list", list=name, add=[self.carol], remove=[self.alice])
        self.reaches("@" + name, self.bob, self.carol)
        entry = self.lists()[name]
        self.assertEqual((entry["owner"], sorted(entry["members"])), (self.alice, sorted([self.bob, self.carol])))
        link.ok("list", list=name, delete=True)
        self.assertEqual(self.unknown("@" + name), ["@" + name])
        self.assertNotIn(name, self.lists())
        self.assertEqual(link.refused("list", list=name, delete=True), "unknown_list")

    def test_owners(self):
        """§4.1: its creator and operators own it."""
        name = self.name("list")
        self.link(self.alice).ok("list", list=name, add=[self.alice])
        bob = self.link(self.bob)
        for fields in ({"add": [self.bob]}, {"remove": [self.alice]}, {"delete": True}):
            with self.subTest(**fields):
                self.assertEqual(bob.refused("list", list=name, **fields), "not_owner")
        self.reaches("@" + name, self.alice)
        self.link("op").ok("list", list=name, add=[self.bob])
        self.reaches("@" + name, self.alice, self.bob)

    def test_members(self):
        """§4.1: members are users, aliases or lists; unknown ones are named."""
        link, name, alias = self.link(self.alice), self.name("list"), "~" + self.name("al")
        self.link(self.bob).ok("alias", add=[alias])
        answer = link.ask("list", list=name, add=[self.alice, "nobody-here", "~nothing", "@nowhere"])
        self.assertEqual((answer.op, answer["code"]), ("error", "unknown_recipient"))
        self.assertEqual(sorted(answer["unknown"]), ["@nowhere", "nobody-here", "~nothing"])
        self.assertNotIn(name, self.lists())
        link.ok("list", list=name, add=[self.alice, alias])
        self.reaches("@" + name, self.alice, self.bob)
        self.assertEqual(link.refused("list", list="bad name", add=[self.alice]), "bad_request")

    def test_cycles(self):
        """§4.1: cycles are harmless."""
        link, one, two, three = self.link(self.alice), self.name("one"), self.name("two"), self.name("three")
        link.ok("list", list=one, add=[self.alice])
        link.ok("list", list=two, add=["@" + one, self.bob])
        link.ok("list", list=three, add=["@" + two, "@" + one])
        link.ok("list", list=one, add=["@" + three, "@" + one])
        for name in (one, two, three):
            self.reaches("@" + name, self.alice, self.bob)

    def test_nesting(self):
        """§8 list nesting 8: what lies deeper is refused, never left out in silence."""
        link = self.link(self.alice)
        names = [self.name("deep") for _ in range(12)]
        link.ok("list", list=names[0], add=[self.bob])
        for inner, outer in zip(names, names[1:]):
            if link.ask("list", list=outer, add=["@" + inner]).op == "error":
                break
        self.reaches("@" + names[7], self.bob)
        self.assertEqual(self.link("op").ask("post", "x", to=["@" + names[11]]).op, "error")

    def test_it_lasts(self):
        name, inner = self.name("list"), self.name("list")
        link = self.link(self.alice)
        link.ok("list", list=inner, add=[self.bob])
        link.ok("list", list=name, add=[self.carol, "@" + inner])
        self.server.kill()
        self.server.start()
        self.reaches("@" + name, self.bob, self.carol)
        self.assertEqual(self.link(self.bob).refused("list", list=name, delete=True), "not_owner")

    def test_commands(self):
        """Issue item 2: editable at run time by their owners and operators from the CLI."""
        name = self.name("list")
        self.assertEqual(self.run_as(self.alice, "list", "add", name, self.alice, self.bob)[0], 0)
        self.reaches("@" + name, self.alice, self.bob)
        self.assertNotEqual(self.run_as(self.bob, "list", "edit", name, "--add", self.carol)[0], 0)
        self.assertEqual(self.run_as(self.alice, "list", "edit", name, "--add", self.carol, "--remove", self.bob)[0], 0)
        self.reaches("@" + name, self.alice, self.carol)
        status, out = self.run_as("op", "list", "show", name, "--json")
        shown = json.loads(out)
        shown = shown["lists"][0] if "lists" in shown else shown
        self.assertEqual((status, shown["list"], shown["owner"], sorted(shown["members"])),
                         (0, name, self.alice, sorted([self.alice, self.carol])))
        self.assertIn(name, self.run_as("op", "who", "lists")[1])
        self.assertNotEqual(self.run_as(self.bob, "list", "remove", name)[0], 0)
        self.assertEqual(self.run_as("op", "list", "remove", name)[0], 0)
        self.assertNotIn(name, self.lists())

    def test_another_owner(self):
        """An owner hands a list on."""
        name = self.name("list")
        self.link(self.alice).ok("list", list=name, add=[self.alice])
        self.assertEqual(self.run_as("op", "list", "edit", name, "--owner", self.bob)[0], 0)
        self.assertEqual(self.link(self.alice).refused("list", list=name, delete=True), "not_owner")
        self.link(self.bob).ok("list", list=name, add=[self.bob])

    def test_who_may_post(self):
        """Issue item 2: who may post to a list: members, anyone, owners."""
        name, outer = self.name("list"), self.name("outer")
        self.link(self.alice).ok("list", list=name, add=[self.bob])
        self.link(self.carol).ok("list", list=outer, add=["@" + name])
        for posting, allowed in (("anyone", (self.alice, self.bob, self.carol, "op")), ("members", (self.alice, self.bob, "op")),
                                 ("owners", (self.alice, "op"))):
            self.assertEqual(self.run_as(self.alice, "list", "edit", name, "--posting", posting)[0], 0)
            self.assertEqual(self.lists()[name]["posting"], posting)
            for user in (self.bob, self.carol, "op", self.alice):
                with self.subTest(posting=posting, user=user):
                    answer = self.link(user).ask("post", "x", to=["@" + name])
                    if user in allowed:
                        self.assertEqual(answer.op, "ok", dict(answer))
                    else:
                        self.assertEqual((answer.op, answer.get("code")), ("error", "denied"))
        # Nobody gets round it by a list of one's own around it.
        answer = self.link(self.carol).ask("post", "x", to=["@" + outer])
        self.assertEqual((answer.op, answer.get("code")), ("error", "denied"))


if __name__ == "__main__":
    unittest.main()
