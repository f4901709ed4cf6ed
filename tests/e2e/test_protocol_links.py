"""§4.1 without streams: hello, sub, unsub, groups, plain pub, who, ping, quit; §4.2 fields; unknown operations."""

import json
import time
import unittest

from harness import Case, eventually


class Hello(Case):
    def test_welcome(self):
        """§4: the server speaks first, and says this."""
        link = self.link("bot1")
        welcome = link.welcome
        self.assertEqual((welcome["protocol"], welcome["user"], welcome["node"], welcome["role"]), (1, "bot1", None, "bot"))
        self.assertRegex(welcome["server"], r"^kedge/\d+\.\d+\.\d+")
        self.assertRegex(welcome["session"], r"^[0-9a-f]{16}$")
        self.assertEqual(welcome["max_body"], 1048576)
        self.assertEqual(welcome["dedupe"], {"ms": 600000, "ids": 100000})
        self.assertIsInstance(welcome["servers"], list)
        self.assertNotIn("id", welcome)

    def test_hello_names_the_node(self):
        """§4.1: answered by a second `welcome`, bearing the id."""
        link = self.link("bot1")
        welcome = link.hello("gate", id="h", client="test 1.0")
        self.assertEqual((welcome["id"], welcome["node"], welcome["session"]), ("h", "gate", link.welcome["session"]))
        self.assertEqual(welcome["last"], {})
        link.ok("sub", subject="named")
        link.ok("pub", "x", subject="named")
        self.assertEqual(link.msgs(1)[0]["from"], "bot1/gate")

    def test_hello_without_node(self):
        """§3: a client is `user/~SESSION` while it has no node."""
        link = self.link("bot1")
        self.assertIsNone(link.hello(client="just saying")["node"])
        link.ok("sub", subject="nameless")
        link.ok("pub", "x", subject="nameless")
        self.assertEqual(link.msgs(1)[0]["from"], f"bot1/~{link.welcome['session']}")

    def test_at_most_once_and_first(self):
        """§4.1: at most once on a link, and the first operation."""
        link = self.link(node="once")
        self.assertEqual(link.refused("hello", node="twice"), "bad_request")
        late = self.link()
        late.ping()
        self.assertEqual(late.refused("hello", node="late"), "bad_request")
        self.assertEqual(late.ping().op, "pong")

    def test_replacement(self):
        """§4.1: a later link that says the same `user/node` replaces the earlier one, which gets `bye` `replaced`."""
        for form in ("lines", "frames"):
            with self.subTest(form):
                node = self.name("n")
                old = self.link(form=form, node=node)
                old.ok("sub", subject=node)
                new = self.link(form=form, node=node)
                bye, status = old.end()
                self.assertEqual((bye["code"], status), ("replaced", 1))
                new.ok("sub", subject=node)
                new.ok("pub", "x", subject=node)
                self.assertEqual(self.bodies(new.arrived()), ["x"])

    def test_replacement_within_a_session(self):
        """§1: each channel is an independent link."""
        session = self.session()
        old = self.channel(session)
        old.hello("same")
        new = self.channel(session)
        new.hello("same")
        self.assertEqual(old.end()[0]["code"], "replaced")
        self.assertEqual(new.ping().op, "pong")

    def test_nodes_of_two_users_do_not_meet(self):
        """§4.1: the same *user/node*."""
        one, two = self.link("alice", "phone"), self.link("bob", "phone")
        self.assertEqual((one.ping().op, two.ping().op), ("pong", "pong"))


class Subscriptions(Case):
    def expects(self, pattern, subjects, wanted):
        link = self.link()
        link.ok("sub", subject=pattern)
        for subject in subjects:
            link.send("pub", subject, subject=subject)
        self.assertEqual(self.bodies(link.arrived()), wanted)

    def test_patterns(self):
        """§3: `*` is one token, `>` one or more."""
        t = self.name("t")
        subjects = [t, f"{t}.a", f"{t}.b", f"{t}.a.x", f"{t}.b.x", f"{t}.a.x.y", f"{t}z.a"]
        for pattern, wanted in ((t, subjects[:1]), (f"{t}.*", subjects[1:3]), (f"{t}.>", subjects[1:6]),
                                (f"{t}.*.x", subjects[3:5]), (f"{t}.a.>", [subjects[3], subjects[5]]),
                                (f"*.a", [subjects[1], subjects[6]]), (f"{t}.*.*.>", [subjects[5]]), (f"*.*.x.*", [subjects[5]])):
            with self.subTest(pattern):
                self.expects(pattern, subjects, wanted)

    def test_one_copy_for_many_subscriptions(self):
        """§4.2: one `msg` for a link, however many of its plain subscriptions match."""
        link = self.link()
        t = self.name("t")
        for pattern in (f"{t}.a", f"{t}.*", f"{t}.>", f"*.a", f"{t}.a"):
            link.ok("sub", subject=pattern)
        link.ok("pub", "once", subject=f"{t}.a")
        self.assertEqual(self.bodies(link.arrived()), ["once"])

    def test_unsub(self):
        """§4.1"""
        link = self.link()
        t = self.name("t")
        link.ok("sub", subject=f"{t}.*")
        link.ok("sub", subject=f"{t}.a")
        link.ok("unsub", subject=f"{t}.*")
        link.ok("pub", "1", subject=f"{t}.a")
        link.ok("pub", "2", subject=f"{t}.b")
        link.ok("unsub", subject=f"{t}.a")
        link.ok("pub", "3", subject=f"{t}.a")
        self.assertEqual(self.bodies(link.arrived()), ["1"])

    def test_own_publications(self):
        """§5.5: subscribers get their own publications too."""
        t = self.name("t")
        self.expects(t, [t], [t])

    def test_every_subscriber_gets_it(self):
        t = self.name("t")
        links = [self.link(user, form=form) for user in ("alice", "bob") for form in ("lines", "frames")]
        for link in links:
            link.ok("sub", subject=t)
        links[0].ok("pub", "all", subject=t)
        for link in links:
            self.assertEqual(link.msgs(1)[0].body, b"all")
            self.assertEqual(self.bodies(link.arrived()), [])

    def test_gone_with_the_link(self):
        """A subscription ends with its link; others go on."""
        t = self.name("t")
        session = self.session()
        gone, stays = self.channel(session), self.channel(session)
        for link in (gone, stays):
            link.ok("sub", subject=t)
        gone.send("quit")
        gone.end()
        stays.ok("pub", "x", subject=t)
        self.assertEqual(self.bodies(stays.arrived()), ["x"])

    def test_msg_fields(self):
        """§4.2: a plain `msg` has these fields, and none of a stream's."""
        link = self.link(node="fields")
        t = self.name("t")
        link.ok("sub", subject=t)
        before = time.time() * 1000
        link.ok("pub", "x", subject=t, id="p1")
        msg = link.msgs(1)[0]
        self.assertEqual((msg["subject"], msg["from"], msg["pub_id"]), (t, "alice/fields", "p1"))
        self.assertLess(abs(msg["time_ms"] - before), 120_000)
        for absent in ("seq", "stream", "consumer", "tries", "group", "reply_to", "headers", "id"):
            self.assertNotIn(absent, msg)
        link.send("pub", "y", subject=t)
        self.assertNotIn("pub_id", link.msgs(1)[0])


class Groups(Case):
    def members(self, count, *patterns, group="g", user="alice"):
        links = [self.link(user) for _ in range(count)]
        for link in links:
            for pattern in patterns:
                link.ok("sub", subject=pattern, group=group)
        return links

    def published(self, subject, count):
        link = self.link("bob")
        for number in range(count):
            link.send("pub", str(number), subject=subject)
        link.ping()
        return link

    def test_in_turn(self):
        """§4.1: in a group each message goes to one member, in turn."""
        t = self.name("t")
        members = self.members(3, t)
        self.published(t, 12)
        got = [self.bodies(link.arrived()) for link in members]
        self.assertEqual([len(bodies) for bodies in got], [4, 4, 4])
        self.assertEqual(sorted(sum(got, []), key=int), [str(n) for n in range(12)])
        for bodies in got:
            self.assertEqual(bodies, sorted(bodies, key=int))

    def test_one_name_over_all_its_patterns(self):
        """§4.1: one name over all its patterns: a message that two patterns match goes to one member, once."""
        t = self.name("t")
        members = [self.link(), self.link()]
        members[0].ok("sub", subject=f"{t}.a", group="one")
        members[1].ok("sub", subject=f"{t}.*", group="one")
        members[1].ok("sub", subject=f"{t}.>", group="one")
        self.published(f"{t}.a", 10)
        got = [msg for link in members for msg in link.arrived()]
        self.assertEqual(sorted(self.bodies(got), key=int), [str(n) for n in range(10)])

    def test_copies(self):
        """§4.2: a group's copy is a message of its own and says `group`."""
        t = self.name("t")
        link = self.link()
        link.ok("sub", subject=t)
        link.ok("sub", subject=t, group="g1")
        link.ok("sub", subject=t, group="g2")
        link.ok("pub", "x", subject=t)
        self.assertEqual(sorted(msg.get("group", "") for msg in link.arrived()), ["", "g1", "g2"])

    def test_members_come_and_go(self):
        """§4.1 unsub: leaving a group leaves the others; a plain subscription stays."""
        t = self.name("t")
        one, two = self.members(2, t)
        one.ok("sub", subject=t)
        one.ok("unsub", subject=t, group="g")
        self.published(t, 4)
        self.assertEqual(len(self.bodies(two.arrived())), 4)
        self.assertEqual([msg.get("group") for msg in one.arrived()], [None] * 4)
        two.send("quit")
        two.end()
        one.ok("sub", subject=t, group="g")
        self.published(t, 1)
        self.assertEqual(sorted(msg.get("group", "") for msg in one.arrived()), ["", "g"])

    def test_group_across_users(self):
        """§4.1: the group is a name, whoever its members are."""
        t = self.name("t")
        members = self.members(1, t) + self.members(1, t, user="bot1")
        self.published(t, 4)
        self.assertEqual([len(self.bodies(link.arrived())) for link in members], [2, 2])


class Others(Case):
    def who(self, link, what=None):
        answer = link.ask("who", **({"what": what} if what else {}))
        self.assertEqual((answer.op, answer["from"]), ("reply", "$sys"))
        return json.loads(answer.body)

    def test_who_nodes(self):
        """§4.1 `who`: nodes is the default; the answer's body is JSON."""
        link = self.link("alice", "watch")
        nameless = self.link("bob")
        for what in (None, "nodes"):
            nodes = self.who(link, what)["nodes"]
            self.assertTrue(any((n["user"], n["node"]) == ("alice", "watch") for n in nodes), nodes)
            mine = [n for n in nodes if n["session"] == nameless.welcome["session"]]
            self.assertEqual([(n["user"], n["node"]) for n in mine], [("bob", None)])
            self.assertIsInstance(mine[0]["since_ms"], int)
        nameless.send("quit")
        nameless.end()
        eventually(lambda: all(n["session"] != nameless.welcome["session"] for n in self.who(link)["nodes"]), "bob is gone")

    def test_who_streams_and_consumers(self):
        name, token = self.filled(3)
        link = self.link()
        link.ok("consume", stream=name, consumer="c", start="first", filter=f"{token}.x")
        link.msgs(3)
        stream, = (s for s in self.who(link, "streams")["streams"] if s["stream"] == name)
        self.assertEqual((stream["subjects"], stream["first_seq"], stream["last_seq"], stream["messages"]),
                         ([f"{token}.>"], 1, 3, 3))
        self.assertGreater(stream["bytes"], 0)
        consumer, = (c for c in self.who(link, "consumers")["consumers"] if c["stream"] == name)
        self.assertEqual((consumer["consumer"], consumer["owner"], consumer["filter"], consumer["pending"], consumer["links"]),
                         ("c", "alice", f"{token}.x", 3, 1))

    def test_who_else(self):
        link = self.link()
        for what in ("services", "lists"):
            self.assertEqual(list(self.who(link, what)), [what])
        self.assertEqual(link.refused("who", what="weather"), "bad_request")
        link.send("who")
        self.assertEqual(link.expect("error")["code"], "bad_request")

    def test_ping(self):
        """§4.1: `pong`, with the id if there is one. §4 says that without id nothing is answered unless it fails; the row of
        `ping` says `pong`, and a client that must ping within 90 s needs no id."""
        link = self.link()
        self.assertEqual(dict(link.ask("ping", id="p")), {"op": "pong", "id": "p"})

    def test_quit(self):
        """§4.1: `bye` and the channel closes with exit status 0."""
        for form in ("lines", "frames"):
            link = self.link(form=form)
            link.send("quit")
            bye, status = link.end()
            self.assertEqual((bye["code"], status), ("quit", 0))

    def test_quit_answers_what_came_before(self):
        """§5.7: operations take effect in the order sent."""
        name, token = self.stream()
        link = self.link()
        for number in range(50):
            link.send("pub", "x", subject=token + ".x", id=str(number))
        link.send("quit")
        self.assertEqual(link.end()[1], 0)
        oks = [n for n in link.rest() if n.op == "ok"]
        self.assertEqual([n["seq"] for n in oks], list(range(1, 51)))

    def test_nothing_is_answered_without_id(self):
        """§4: an operation without an id is not answered unless it fails."""
        name, token = self.stream()
        link = self.link()
        link.send("sub", subject="quiet.>")
        link.send("unsub", subject="quiet.>")
        link.send("pub", "x", subject="nobody.listens")
        link.send("pub", "x", subject=token + ".x")
        link.send("consume", stream=name, consumer="c")
        link.send("detach", consumer="c")
        self.assertEqual(link.arrived(), [])
        link.send("pub", "x", subject="bad..subject")
        error = link.expect("error")
        self.assertEqual(error["code"], "bad_request")
        self.assertNotIn("id", error)

    def test_unknown_operations(self):
        """§6 `unknown_op`; the link goes on."""
        link = self.link()
        for op in ("frobnicate", "PING", "welcome", "msg", ""):
            with self.subTest(op):
                self.assertIn(link.refused(op), ("unknown_op",) if op else ("unknown_op", "bad_request"))
        link.send("nothing")
        self.assertEqual(link.expect("error")["code"], "unknown_op")


if __name__ == "__main__":
    unittest.main()
