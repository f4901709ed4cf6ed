"""Bridges: what is published on a plain subject on either side is seen once on both, requests are answered across, and nothing
comes back to where it came from. Against the real nats-server."""

import json
import time
import unittest

from harness import eventually
from migrating import Migrating
from nats import header


class Bridged(Migrating):
    def bridge(self, *words, server=None):
        status, value, error = self.run_migrate("bridge", *words, server=server)
        self.assertEqual(status, 0, error)
        return value

    def bridge_refused(self, *words):
        status, _, error = self.run_migrate("bridge", *words)
        self.assertNotEqual(status, 0)
        return error

    def bridges(self, server=None):
        return {each["pattern"]: each for each in self.bridge("list", server=server)["bridges"]}

    def open_bridge(self, pattern="live.>", *words, server=None, probe="live.probe"):
        """Added, and until both sides have taken up their subscriptions: those of NATS are told without an answer."""
        self.bridge("add", pattern, *words, server=server)
        self.await_crossing(probe, server=server)

    def await_crossing(self, probe="live.probe", server=None):
        link, native = self.link("bob", server=server), self.native(self.nats)
        link.ok("sub", subject=probe)
        heard = native.subscribe(probe)
        native.flush()

        def comes_in():
            native.publish(probe, b"in")
            native.flush()
            return any(n.op == "msg" and n.body == b"in" for n in link.arrived())

        def goes_out():
            link.send("pub", b"out", subject=probe)
            link.ping()
            native.flush()
            return any(m.body == b"out" for m in heard.rest())

        rule = next(each for pattern, each in self.bridges(server).items() if pattern.split(".")[0] in (probe.split(".")[0], "*", ">"))
        if rule["one_way"] != "out":
            eventually(comes_in, "the bridge carries in")
        if rule["one_way"] != "in":
            eventually(goes_out, "the bridge carries out")
        link.close()
        native.close()

    def dropped(self, pattern="live.>"):
        return self.bridges()[pattern]["dropped"]


class Crossing(Bridged):
    def test_both_ways(self):
        """Subject, headers and body; `from` is `nats` here and the sender stands in a header there; each is seen once."""
        self.open_bridge()
        alice, bob = self.link("alice", "desk"), self.link("bob", form="frames")
        native, ear = self.native(self.nats), self.native(self.nats)
        bob.ok("sub", subject="live.>")
        alice.ok("sub", subject="live.a")
        heard = ear.subscribe("live.>")
        ear.flush()
        body = bytes(range(256))
        alice.send("pub", "hello", subject="live.a", headers={"Colour": "blue", "Two": "2"})
        alice.send("pub", subject="live.empty")
        bob.send("pub", body, subject="live.bytes")
        got = [heard.next() for _ in range(3)]
        by_subject = {m.subject: m for m in got}
        self.assertEqual(by_subject["live.a"].body, b"hello")
        self.assertEqual(header(by_subject["live.a"].headers, "Colour"), "blue")
        self.assertEqual(header(by_subject["live.a"].headers, "Two"), "2")
        self.assertEqual(header(by_subject["live.a"].headers, "Kedge-From"), "alice/desk")
        self.assertEqual(by_subject["live.bytes"].body, body)
        self.assertEqual(by_subject["live.empty"].body, b"")
        native.publish("live.a", "from afar", [("Colour", "red"), ("Nats-Msg-Id", "7"), ("Kedge-From", "op/root"), ("Many", "a"), ("Many", "b")])
        native.publish("live.bytes", body)
        native.publish("live.last")
        bob.expect("msg", subject="live.last")
        msgs = [n for n in bob.arrived() if n.op == "msg"]  # all but the last one
        self.assertEqual(sorted(m["subject"] for m in msgs[:3]), ["live.a", "live.bytes", "live.empty"])
        self.assertEqual([(m["subject"], m["from"]) for m in msgs[3:]], [("live.a", "nats"), ("live.bytes", "nats")])
        self.assertEqual(msgs[3]["headers"], {"Colour": "red", "Many": "a, b"})
        self.assertEqual(msgs[3].body, b"from afar")
        self.assertEqual(msgs[4].body, body)
        own = [m for m in alice.arrived() if m.op == "msg"]
        self.assertEqual([m["from"] for m in own], ["alice/desk", "nats"])
        ear.flush()
        self.assertEqual([m.subject for m in heard.rest()], ["live.a", "live.bytes", "live.last"])
        self.assertEqual(self.dropped(), 0)

    def test_one_way(self):
        """Out: kedge's go to NATS and nothing comes back; in: the other way round."""
        self.open_bridge("up.>", "--one-way", "out", probe="up.probe")
        self.open_bridge("down.>", "--one-way", "in", probe="down.probe")
        link, native = self.link(), self.native(self.nats)
        link.ok("sub", subject="up.*")
        link.ok("sub", subject="down.*")
        heard = native.subscribe(">")
        native.flush()
        link.send("pub", "1", subject="up.x")
        self.assertEqual(heard.next().subject, "up.x")
        native.publish("up.x", "2")
        native.publish("down.x", "3")
        self.assertEqual(link.expect("msg", subject="down.x").body, b"3")
        link.send("pub", "4", subject="down.x")
        link.send("pub", "5", subject="up.y")
        seen = []
        while not seen or seen[-1].subject != "up.y":
            seen.append(heard.next())
        self.assertEqual([m.body for m in seen if m.subject.startswith(("up", "down"))], [b"2", b"3", b"5"])
        self.assertEqual([n.body for n in link.arrived() if n.op == "msg"], [b"1", b"4", b"5"])

    def test_order(self):
        """The order of a publisher on a subject holds on the other side, both ways at once."""
        self.open_bridge()
        count = 2000
        alice, bob = self.link("alice", form="frames"), self.link("bob", form="frames")
        native, ear = self.native(self.nats), self.native(self.nats)
        bob.ok("sub", subject="live.in")
        heard = ear.subscribe("live.out")
        ear.flush()
        for number in range(count):
            alice.send("pub", str(number), subject="live.out")
            native.publish("live.in", str(number))
        self.assertEqual([int(heard.next().body) for _ in range(count)], list(range(count)))
        self.assertEqual([int(m.body) for m in bob.msgs(count)], list(range(count)))
        shown = self.bridges()["live.>"]
        self.assertGreaterEqual(shown["out"], count)
        self.assertGreaterEqual(shown["in"], count)

    def test_two_servers(self):
        """Two kedged bridge the same subjects over one NATS: everybody sees everything once."""
        other = self.kedged(self.nats.url())
        eventually(lambda: self.link_state(other)["state"] == "up", "the other's link")
        self.open_bridge()
        self.open_bridge(server=other)
        here, there = self.link("alice", "n"), self.link("bob", "n", server=other)
        ear = self.native(self.nats)
        heard = ear.subscribe("live.>")
        ear.flush()
        here.ok("sub", subject="live.>")
        there.ok("sub", subject="live.>")
        here.send("pub", "1", subject="live.x")
        self.assertEqual(there.expect("msg", subject="live.x")["from"], "nats")
        there.send("pub", "2", subject="live.x")
        here.expect("msg", subject="live.x", **{"from": "nats"})
        ear.publish("live.end")
        for link in (here, there):
            link.expect("msg", subject="live.end")
        self.assertEqual([(m["from"], m.body) for m in here.arrived() if m.op == "msg"], [("alice/n", b"1")])
        self.assertEqual([(m["from"], m.body) for m in there.arrived() if m.op == "msg"], [("bob/n", b"2")])
        ear.flush()
        self.assertEqual([m.body for m in heard.rest()], [b"1", b"2", b""])

    def test_ends(self):
        """It outlives kill -9 of kedged and of nats-server, and carries nothing any more when it is removed."""
        self.open_bridge()
        self.server.kill()
        self.server.start()
        self.await_link()
        self.await_crossing()
        self.nats.restart()
        self.await_link()
        self.await_crossing()
        self.bridge("add", "live.>")  # again, and harmless
        self.bridge("remove", "live.>")
        self.assertEqual(self.bridges(), {})
        link, native = self.link(), self.native(self.nats)
        link.ok("sub", subject=">")
        heard = native.subscribe("live.>")
        native.flush()
        self.open_bridge("other.>", probe="other.probe")  # a barrier on both sides
        link.arrived()
        link.send("pub", subject="live.x")
        link.send("pub", subject="other.x")
        native.publish("live.y")
        native.publish("other.y")
        link.expect("msg", subject="other.y")
        self.assertEqual([m["subject"] for m in link.arrived() if m.op == "msg"], ["live.x", "other.x"])
        native.flush()
        self.assertEqual([m.subject for m in heard.rest()], ["live.y"])

    def test_refused(self):
        """Reserved subjects, what overlaps a stream or another bridge, what is no pattern, and what there is not."""
        self.bridge("add", "live.>")
        for pattern, says in (("$sys.>", "reserved"), ("inbox.*", "reserved"), ("_x", "reserved"), ("live.x", "overlaps the bridge"),
                              ("*.x", "overlaps the bridge"), ("chat.x", "of stream CHAT")):
            with self.subTest(pattern):
                self.assertIn(says, self.bridge_refused("add", pattern))
        self.assertIn("no bridge", self.bridge_refused("remove", "x"))
        status, _, error = self.server.execute("alice", "bridge", "list")
        self.assertNotEqual(status, 0)
        self.assertIn("denied", error)


class Requests(Bridged):
    def setUp(self):
        super().setUp()
        self.open_bridge()

    def test_answered_here(self):
        """A NATS client's request, answered by a client of kedge, with headers both ways."""
        bob, native = self.link("bob", "n"), self.native(self.nats)
        bob.ok("sub", subject="live.time")
        for number in range(20):
            box = []
            native.write(native.request_async("live.time", str(number), [("Zone", "utc")], box.append))
            asked = bob.expect("msg", subject="live.time")
            self.assertEqual((asked["from"], asked["headers"], asked.body), ("nats", {"Zone": "utc"}, str(number).encode()))
            bob.send("pub", f"noon {number}", subject=asked["reply_to"], headers={"Kind": "answer"})
            eventually(lambda: box, "the answer")
            self.assertEqual(box[0].body, f"noon {number}".encode())
            self.assertEqual(header(box[0].headers, "Kind"), "answer")
            self.assertEqual(header(box[0].headers, "Kedge-From"), "bob/n")
        self.assertEqual(self.dropped(), 0)

    def test_answered_there(self):
        """A call of a kedge client by subject, answered by a NATS client."""
        native, alice = self.native(self.nats), self.link("alice", form="frames")
        native.subscribe("live.up", lambda m: native.publish(m.reply, m.body.upper(), [("Kind", "answer"), *m.headers]))
        native.flush()
        for number in range(20):
            answer = alice.ask("call", f"abc {number}", subject="live.up", headers={"Tone": "loud"})
            self.assertEqual((answer.op, answer["from"], answer.body), ("reply", "nats", f"ABC {number}".encode()), dict(answer))
            self.assertEqual(answer["headers"], {"Kind": "answer", "Tone": "loud"})
        self.assertEqual(self.dropped(), 0)

    def test_reply_to(self):
        """A message with `reply_to` gets all replies, whether a bridge carries that subject or not."""
        native, alice = self.native(self.nats), self.link("alice")
        for reply_to in ("mine.answers", "live.answers"):
            with self.subTest(reply_to):
                alice.ok("sub", subject=reply_to)
                asked = native.subscribe("live.many")
                native.flush()
                alice.send("pub", "?", subject="live.many", reply_to=reply_to)
                reply = asked.next().reply
                self.assertEqual(reply == reply_to, reply_to.startswith("live"))
                for body in (b"1", b"2"):
                    native.publish(reply, body)
                got = alice.msgs(2)
                self.assertEqual([(m["subject"], m["from"], m.body) for m in got], [(reply_to, "nats", b"1"), (reply_to, "nats", b"2")])
                asked.end()
        bob = self.link("bob")
        bob.ok("sub", subject="live.many")
        ear = native.subscribe("live.back")
        native.publish("live.many", "?", reply="live.back")
        asked = bob.expect("msg", subject="live.many")
        self.assertEqual(asked["reply_to"], "live.back")
        for body in ("1", "2"):
            bob.send("pub", body, subject="live.back")
        self.assertEqual([ear.next().body, ear.next().body], [b"1", b"2"])

    def test_across_two_servers(self):
        """A call here, answered by a client of another kedged on the same NATS."""
        other = self.kedged(self.nats.url())
        eventually(lambda: self.link_state(other)["state"] == "up", "the other's link")
        self.open_bridge(server=other)
        alice, bob = self.link("alice"), self.link("bob", server=other)
        bob.ok("sub", subject="live.far")
        alice.send("call", "?", id="c", subject="live.far")
        asked = bob.expect("msg", subject="live.far")
        bob.send("pub", "!", subject=asked["reply_to"])
        self.assertEqual(alice.answer("c").body, b"!")

    def test_nobody(self):
        """Nobody here: nothing is sent, somebody in NATS may answer. Nobody on either side: a call is told so."""
        native, alice = self.native(self.nats), self.link("alice")
        op = self.link("op")
        op.ok("sub", subject="$sys.unhandled")
        with self.assertRaises(TimeoutError):
            native.request("live.nobody", timeout=0.3)
        self.assertEqual([n for n in op.arrived() if n.op == "msg"], [])
        answer = alice.ask("call", subject="live.nobody")
        self.assertEqual((answer.op, answer["code"]), ("error", "no_responders"))
        self.assertEqual(json.loads(op.expect("msg").body)["subject"], "live.nobody")
        bob = self.link("bob")
        bob.ok("sub", subject="live.nobody")  # is there, and silent
        answer = alice.ask("call", subject="live.nobody", timeout_ms=300)
        self.assertEqual((answer.op, answer["code"]), ("error", "timeout"))
        bob.close()
        service = self.native(self.nats)
        service.subscribe("live.nobody", lambda m: service.publish(m.reply, b"here"))
        service.flush()
        self.assertEqual(native.request("live.nobody").body, b"here")
        self.assertEqual(self.dropped(), 0)

    def test_no_link(self):
        """Without NATS a call that only a bridge could carry is not waited for."""
        alice = self.link("alice")
        self.nats.kill()
        eventually(lambda: self.link_state()["state"] == "down", "the end of the link is seen")
        answer = alice.ask("call", subject="live.nobody")
        self.assertEqual((answer.op, answer["code"]), ("error", "no_responders"))

    def test_a_rule_taken_back(self):
        """A rule that takes the bridge's right away, and its end: it hears again by itself."""
        native, alice = self.native(self.nats), self.link("alice")
        self.open_bridge("mark.>", probe="mark.probe")
        heard, mark = native.subscribe("live.talk"), native.subscribe("mark.here")
        native.flush()

        def crosses():
            alice.send("pub", b"hello", subject="live.talk")
            alice.send("pub", b"", subject="mark.here")
            mark.next()  # it comes behind the other, if that comes
            return bool(heard.rest())

        self.assertTrue(crosses())
        self.server.admin("user", "add", "nats")
        rule = json.loads(self.server.admin("rule", "add", "deny", "subscribe", "live.>", "--user", "nats", "--json"))["id"]
        eventually(lambda: not crosses(), "the rule takes it away")
        self.server.admin("rule", "remove", str(rule))
        eventually(crosses, "it hears again")

    def test_a_reply_leads_nowhere_else(self):
        """What a reply_to names has to be open to users: a NATS client reaches no subject of operators by it."""
        native, alice, op = self.native(self.nats), self.link("alice"), self.link("op")
        op.ok("sub", subject="$sys.broadcast")
        asked = native.subscribe("live.trick")
        native.flush()
        alice.send("pub", subject="live.trick", reply_to="$sys.broadcast")
        native.publish(asked.next().reply, b"all of you")
        eventually(lambda: self.bridge("list")["refused"] == 1, "the refusal is counted")
        self.assertEqual([n for n in op.arrived() if n.op == "msg"], [])


class Rights(Bridged):
    """NATS tells nobody but the connection that a plain message or subscription is not allowed."""

    def test_what_nats_does_not_allow_is_said(self):
        denied = 'permissions: { publish: { deny: ["mute.>"] }, subscribe: { deny: ["deaf.>"] } }'
        users = f'[ {{user: "kedge", password: "secret", {denied}}}, {{user: "admin", password: "admin"}} ]'
        self.nats = self.nats_server(config=f"authorization {{ users = {users} }}")
        self.nats.credentials = {"user": "admin", "password": "admin"}
        self.server = self.kedged(self.nats.url(), f'user = "kedge"\npassword_file = "{self.file("password", "secret")}"')
        for pattern in ("deaf.>", "mute.>", "live.>"):
            self.bridge("add", pattern)
        for again in (False, True):
            if again:
                self.nats.restart()
            self.await_crossing()
            refused = eventually(lambda: self.bridges()["deaf.>"]["why"], "the subscription is refused")
            self.assertIn('Subscription to "deaf.>"', refused)
        bridges = self.bridges()
        self.assertEqual((bridges["mute.>"]["why"], bridges["live.>"]["why"]), ("", ""))

        before = bridges["mute.>"]
        link = self.link("bob")
        link.send("pub", b"x", subject="mute.a")
        link.ping()
        eventually(lambda: self.dropped("mute.>") == before["dropped"] + 1, "the drop is counted")
        self.assertIn('Publish to "mute.a"', self.bridges()["mute.>"]["why"])
        shown = self.server.kedge("bridge", "list")
        self.assertIn(b'mute.>: NATS does not allow it: ', shown.stdout)
        self.assertIn(b'deaf.>: NATS does not allow it: ', shown.stdout)


class Limits(Bridged):
    nats_options = {"max_payload": 200_000}
    settings = "bridge_replies = 4\nbridge_reply_ms = 500\nbridges = 3\n"
    config = "[limits]\nbody_bytes = 131072\nheader_bytes = 8192\n"

    def test_what_cannot_cross(self):
        """Dropped, counted, and the reason said; what comes behind it crosses."""
        self.open_bridge()
        link, native = self.link(form="frames"), self.native(self.nats)
        link.ok("sub", subject="live.>")
        heard = native.subscribe("live.>")
        native.flush()
        cases = (("body", "live.x", b"x" * 131_073, ()),
                 ("17 tokens", ".".join(["live"] + ["x"] * 16), b"", ()),
                 ("headers", "live.x", b"", [(f"H{number}", "v") for number in range(33)]),
                 ("header", "live.x", b"", [("Bad_Name", "v")]),
                 ("empty", "live.x", b"", [("Empty", "")]),
                 ("long", "live.x", b"", [("Long", "v" * 1025)]))
        before = self.dropped()
        for number, (what, subject, body, headers) in enumerate(cases, 1):
            with self.subTest(what):
                native.publish(subject, body, headers)
                native.publish("live.next", what)
                self.assertEqual(link.expect("msg", subject="live.next").body, what.encode())
                eventually(lambda: self.dropped() == before + number, "it is counted")
                self.assertTrue(self.bridges()["live.>"]["why"])
        self.assertEqual([n for n in link.arrived() if n.op == "msg"], [])
        native.publish("live.x", b"x" * 131_072, [(f"H{number}", "v") for number in range(32)])
        self.assertEqual(len(link.expect("msg", subject="live.x")["headers"]), 32)

    def test_more_than_nats_takes(self):
        self.nats.max_payload = 65_536
        self.nats.restart()
        self.await_link()
        self.open_bridge()
        link, native = self.link(form="frames"), self.native(self.nats)
        heard = native.subscribe("live.>")
        native.flush()
        before = self.dropped()
        link.send("pub", b"x" * 65_537, subject="live.large")
        link.send("pub", b"x" * 60_000, subject="live.fits")
        self.assertEqual(heard.next().subject, "live.fits")
        self.assertEqual(self.dropped(), before + 1)
        self.assertIn("max_payload", self.bridges()["live.>"]["why"])

    def test_requests(self):
        """Only so many wait for a reply, and only so long; what finds no room crosses as a message that expects none."""
        self.open_bridge()
        link, native = self.link(), self.native(self.nats)
        link.ok("sub", subject="live.q")
        for number in range(5):
            native.publish("live.q", str(number), reply=f"_INBOX.x.{number}")
        asked = link.msgs(5)
        self.assertEqual([bool(m.get("reply_to")) for m in asked], [True] * 4 + [False])
        self.assertEqual(self.dropped(), 1)
        time.sleep(0.6)  # what is waited for is that time passes
        native.publish("live.q", "again", reply="_INBOX.x.9")
        self.assertTrue(link.expect("msg", subject="live.q").get("reply_to"))

    def test_bridges(self):
        for pattern in ("live.>", "two.>", "three.>"):
            self.bridge("add", pattern)
        self.assertIn("3 bridges already", self.bridge_refused("add", "four.>"))

    def test_a_frozen_nats(self):
        """What NATS does not read is bounded by bridge_bytes; clients here notice nothing."""
        self.open_bridge()
        alice, bob = self.link("alice", form="frames"), self.link("bob", form="frames")
        bob.ok("sub", subject="live.x")
        before = self.dropped()
        self.nats.freeze()
        try:
            for number in range(400):  # 40 MB, of which sockets take a few
                alice.send("pub", b"x" * 100_000, subject="live.x")
                if number % 20 == 19:
                    bob.msgs(20)
            eventually(lambda: self.dropped() > before + 100, "what does not fit is dropped")
        finally:
            self.nats.thaw()
        self.await_link()
        self.await_crossing()

    def test_without_nats(self):
        """While there is no link nothing crosses, nothing is kept, and clients here notice nothing."""
        self.open_bridge()
        link = self.link()
        link.ok("sub", subject="live.>")
        self.nats.kill()
        eventually(lambda: self.link_state()["state"] == "down", "the link is down")
        before = self.dropped()
        for number in range(10):
            link.send("pub", str(number), subject="live.x")
        self.assertEqual([m.body for m in link.msgs(10)], [str(number).encode() for number in range(10)])
        eventually(lambda: self.dropped() == before + 10, "they are counted")
        self.nats.start()
        self.await_link()
        self.await_crossing()


if __name__ == "__main__":
    unittest.main()
