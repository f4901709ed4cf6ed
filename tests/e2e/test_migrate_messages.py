"""Messages that are not as they should be, on either side of a mirrored stream: none of them stops it, is lost or doubled."""

import unittest

from harness import eventually
from migrating import STREAM, TOKEN, Migrating
from nats import header


class Refusals(Migrating):
    """JetStream refuses one message in the middle of a window: here what is larger than somebody allowed of late."""

    def limit_messages(self, size):
        with self.nats.jet() as jet:
            jet.update(STREAM, max_msg_size=size)

    def bodies(self):
        return [b"x" * 5000 if number == 50 else b"%d" % number for number in range(1, 101)]

    def publish_bodies(self, link):
        for number, body in enumerate(self.bodies(), 1):
            link.send("pub", body, id=f"r{number}", subject=TOKEN + ".x")
        return [link.answer(f"r{number}") for number in range(1, 101)]

    def test_while_sqlite_orders(self):
        """Publishers notice nothing; mended it goes on, from the refused row."""
        self.start()
        self.limit_messages(2000)
        answers = self.publish_bodies(self.link())
        self.assertEqual([a["seq"] for a in answers], list(range(1, 101)))
        s = self.await_status(lambda s: s["counters"]["refusals"] > 0, "it is counted")
        s = self.await_status(lambda s: s["broken"], "it says that it cannot go on")
        self.assertTrue(s["broken"]["reason"] and s["broken"]["why"] and s["broken"]["next"], s)
        self.assertGreaterEqual(s["lag"]["messages"], 1)
        self.assertNotIn(self.bodies()[49], [copy.body for _, copy in self.copies()])
        self.limit_messages(-1)
        self.migrate("resume", STREAM)
        self.assert_late_ones_counted()

    def assert_late_ones_counted(self):
        """What was on its way behind it could overtake the refused row, and that is told."""
        s = self.level()
        copies = [copy.body for _, copy in self.copies()]
        self.assertEqual(sorted(copies), sorted(self.bodies()))
        late = sum(1 for one, other in zip(copies, copies[1:]) if self.bodies().index(one) > self.bodies().index(other))
        self.assertGreaterEqual(s["counters"]["reordered"], late)
        self.assert_same_sides()

    def test_for_a_moment(self):
        """Refused and then taken: no operator is needed."""
        self.start()
        self.limit_messages(2000)
        self.publish_bodies(self.link())
        self.await_status(lambda s: s["counters"]["refusals"] > 0, "it is counted")
        self.limit_messages(-1)
        if self.status()["broken"]:
            self.skipTest("it gave up before the stream could be mended")
        self.assert_late_ones_counted()

    def test_while_jetstream_orders(self):
        """The publisher is told, and only of the one; the others are stored in their order, on both sides."""
        self.start()
        self.switch()
        self.limit_messages(2000)
        link = self.link("alice", "desk")
        answers = self.publish_bodies(link)
        self.assertEqual(answers[49].op, "error", dict(answers[49]))
        link.ping()
        stored = [index for index, answer in enumerate(answers) if answer.op == "ok"]
        self.assertEqual(stored[:49], list(range(49)))
        self.limit_messages(-1)
        # What was refused with it goes out again with the same ids, as §6 says.
        for index in range(100):
            if index not in stored:
                link.ok("pub", self.bodies()[index], id=f"r{index + 1}", subject=TOKEN + ".x")
        self.level()
        self.assertEqual(sorted(copy.body for _, copy in self.copies()), sorted(self.bodies()))
        self.assert_same_sides()


class Numbers(Migrating):
    """JetStream refuses one numbered publish and takes those behind it: there was no room for a large one."""

    NUMBERS = range(1, 41)
    settings = "hold_ms = 60000"

    def body(self, number):
        return b"x" * 50_000 if number == 1 else b"number %d" % number

    def publish(self, link):
        link.write(b"".join(link.codec.encode({"op": "pub", "n": n, "subject": TOKEN + ".x"}, self.body(n)) for n in self.NUMBERS))

    def limit(self, size):
        with self.nats.jet() as jet:
            jet.update(STREAM, discard="new", max_bytes=size)

    def setUp(self):
        super().setUp()
        self.start()
        self.switch()
        self.limit(40_000)

    def await_stored_early(self):
        """The small ones that came through are rows."""
        eventually(lambda: any(row.body != self.body(1) for row in self.rows()), "what is behind the large one is stored")

    def assert_told_when_all_is_stored(self, link):
        """As a client does it: after an error a ping, then all again that is not known to be stored."""
        told = link.take(lambda n: n.op in ("stored", "error"))
        while told.op == "error" or told["n"] != self.NUMBERS[-1]:
            if told.op == "stored":
                self.assertIn(self.body(1), [row.body for row in self.rows()], "told before all of it was stored")
            else:
                link.ping()
                link.arrived()
                self.publish(link)
            told = link.take(lambda n: n.op in ("stored", "error"))
        self.level()
        self.assertEqual(sorted(row.body for row in self.rows()), sorted(map(self.body, self.NUMBERS)))
        self.assert_same_sides()

    def test_told_only_when_all_is_stored(self):
        link = self.link("alice", "desk", form="frames")
        self.publish(link)
        self.await_stored_early()
        self.assertEqual([n for n in link.arrived() if n.op == "stored"], [])
        self.limit(-1)
        self.publish(link)
        self.assert_told_when_all_is_stored(link)

    def test_killed_before_the_refused_one_came_through(self):
        link = self.link("alice", "desk", form="frames")
        self.publish(link)
        self.await_stored_early()
        self.server.kill()
        self.server.start()
        self.await_link()
        link = self.link("alice", form="frames")
        self.assertEqual(link.hello("desk").get("last", {}), {}, "not all up to what was stored early is stored")
        self.limit(-1)
        self.publish(link)
        self.assert_told_when_all_is_stored(link)


class Headers(Migrating):
    def test_a_clients_header_that_is_natss_or_ours(self):
        """Refused in every state, before anything is stored."""
        link = self.link()
        for state in ("LEGACY", "MIRRORING", "NATS"):
            if state == "MIRRORING":
                self.start()
            elif state == "NATS":
                self.switch()
            for name in ("Nats-Msg-Id", "Nats-Expected-Last-Sequence", "Nats-Rollup", "Kedge-Row", "Kedge-From"):
                with self.subTest(state=state, name=name):
                    self.assertEqual(link.refused("pub", "x", subject=TOKEN + ".x", headers={name: "1"}), "bad_request")
        self.level()
        self.assertEqual(self.rows(), [])
        self.assertEqual(self.copies(), [])

    def copied(self, state):
        """A native client publishes again what it read, headers and all: a message of its own, each time."""
        link = self.link("alice", "desk")
        link.ok("pub", "original", id="one", subject=TOKEN + ".x", headers={"Color": "red"})
        self.level()
        ((_, copy),) = self.copies()
        ours = [(name, value) for name, value in copy.headers if name != "Nats-Msg-Id"]
        self.assertTrue(any(name == "Kedge-Row" for name, _ in ours), ours)
        with self.nats.jet() as jet:
            self.assertEqual(jet.publish(copy.subject, copy.body, copy.headers).get("duplicate"), True)
            self.assertEqual(jet.publish(copy.subject, copy.body, ours)["seq"], 2)
            self.assertEqual(jet.publish(copy.subject, copy.body, ours)["seq"], 3)
            jet.publish(copy.subject, b"another body", ours, msg_id="mine")
            jet.publish(TOKEN + ".y", copy.body, ours)
            jet.publish(copy.subject, copy.body, [h if h[0] != "Color" else ("Color", "blue") for h in ours])
        self.level()
        link.ok("pub", "later", id="two", subject=TOKEN + ".x")
        self.level()
        rows = self.rows()
        self.assertEqual([(row.body, row["subject"], row["from"]) for row in rows],
                         [(b"original", TOKEN + ".x", "alice/desk"), (b"original", TOKEN + ".x", "nats"), (b"original", TOKEN + ".x", "nats"),
                          (b"another body", TOKEN + ".x", "nats"), (b"original", TOKEN + ".y", "nats"), (b"original", TOKEN + ".x", "nats"),
                          (b"later", TOKEN + ".x", "alice/desk")])
        self.assertEqual([row["headers"]["Color"] for row in rows[:-1]], ["red"] * 5 + ["blue"])
        self.assertEqual(self.link("alice", "desk").ok("pub", "original", id="one", subject=TOKEN + ".x", headers={"Color": "red"})["seq"], 1)
        self.level()
        self.assert_same_sides()
        self.assertEqual(self.status()["state"], state)

    def test_our_headers_copied_while_mirroring(self):
        self.start()
        self.copied("MIRRORING")

    def test_our_headers_copied_while_jetstream_orders(self):
        self.start()
        self.switch()
        self.copied("NATS")

    def test_invented_headers(self):
        """Nobody can speak for kedge: what looks like its own but was not made by it is a native message."""
        self.start()
        link = self.link("alice", "desk")
        link.ok("pub", "first", subject=TOKEN + ".x")
        self.level()
        row = header(self.copies()[0][1].headers, "Kedge-Row").split()
        with self.nats.jet() as jet:
            for value in ("", "r", "nonsense " * 50, f"r {row[1]} 2 {row[3]}", f"r {row[1]} 18446744073709551615 {row[3]}",
                          f"r {row[1]} -1 {row[3]}", f"p {row[1]} 9 1 1 {row[3]}", f"r {'0' * len(row[1])} 1 {row[3]}"):
                jet.publish(TOKEN + ".x", value or "empty", [("Kedge-Row", value)])
        self.level()
        link.ok("pub", "last", subject=TOKEN + ".x")
        s = self.level()
        self.assertEqual([row["from"] for row in self.rows()], ["alice/desk"] + ["nats"] * 8 + ["alice/desk"])
        self.assertEqual((s["state"], s["broken"]), ("MIRRORING", None))


class Ids(Migrating):
    def test_a_message_id_of_ours_taken_by_somebody(self):
        """It is known from a copy that JetStream lost with its directory: the row goes out under another id."""
        self.start()
        link = self.link("alice", "desk")
        self.publish(link, 5)
        self.level()
        older = self.nats.copy()
        self.publish(link, 5, first=6)
        self.level()
        ids = [header(copy.headers, "Nats-Msg-Id") for _, copy in self.copies()[5:]]
        self.server.stop()
        self.nats.put_back(older)
        with self.nats.jet() as jet:
            for number in (0, 2, 4):
                jet.publish(TOKEN + ".thief", f"thief {number}", msg_id=ids[number])
        self.server.start()
        s = self.level()
        self.assert_same_sides()
        rows, copies = [row.body for row in self.rows()], [copy.body for _, copy in self.copies()]
        self.assertEqual(sorted(rows), sorted(copies))
        self.assertEqual([body for body in rows if body.startswith(b"ssh")], [f"ssh {n}".encode() for n in range(1, 11)])
        self.assertEqual([body for body in copies if body.startswith(b"thief")], [b"thief 0", b"thief 2", b"thief 4"])
        self.assertGreater(s["counters"]["duplicates"], 0)
        if [body for body in copies if body.startswith(b"ssh")] != [f"ssh {n}".encode() for n in range(1, 11)]:
            self.assertGreater(s["counters"]["reordered"], 0)  # those behind them were on their way

    def test_a_native_id_like_a_clients(self):
        """The ids of clients here and the message ids of clients there have nothing to do with each other."""
        self.start()
        link = self.link("alice", "desk")
        for state in ("MIRRORING", "NATS"):
            if state == "NATS":
                self.switch()
            with self.nats.jet() as jet:
                jet.publish(TOKEN + ".x", "native", msg_id="same" + state)
            self.level()
            self.assertNotIn("dup", link.ok("pub", "ssh", id="same" + state, subject=TOKEN + ".x"))
        self.level()
        self.assertEqual(len(self.rows()), 4)
        self.assert_same_sides()


class Strange(Migrating):
    def test_what_kedge_cannot_represent(self):
        """It is parked by its place, counted and shown; everything else goes on."""
        self.start()
        with self.nats.jet() as jet:
            connection = jet.connection
            places = [jet.publish(TOKEN + ".ok", "1")["seq"]]
            many = TOKEN + "." + ".".join("t" * 16)
            bad = [jet.publish(many, "17 tokens")["seq"]]
            connection.publish(TOKEN.encode() + b".\xff\xfe", b"not UTF-8")
            connection.publish(TOKEN + "." + "x" * 300, b"a long subject")
            connection.flush()
            bad += [2 + 1, 2 + 2]
            eventually(lambda: jet.last(STREAM) == 4, "they are stored")
            places.append(jet.publish(TOKEN + ".ok", "2")["seq"])
            jet.update(STREAM, max_msg_size=-1)
            bad.append(jet.publish(TOKEN + ".big", b"x" * (1024 * 1024 + 1))["seq"])
            places.append(jet.publish(TOKEN + ".ok", "3")["seq"])
        self.level()
        self.link().ok("pub", "4", subject=TOKEN + ".ok")
        s = self.level()
        self.assertEqual([row.body for row in self.rows()], [b"1", b"2", b"3", b"4"])
        self.assertEqual([parked["place"] for parked in s["parked"]], bad)
        self.assertTrue(all(parked["why"] for parked in s["parked"]), s["parked"])
        self.assertEqual(s["counters"]["parked"], len(bad))
        self.assertEqual(s["state"], "MIRRORING")

    def test_headers_that_kedge_cannot_represent(self):
        """None of them stops anything; all messages arrive or are parked."""
        self.start()
        kinds = ([(f"H{n}", "x") for n in range(40)], [("Long", "x" * 2000)], [("With Space", "x")], [("Twice", "a"), ("Twice", "b")],
                 [("Empty", "")], [("Binary", "\udcff\udcfe")], [("Under_score", "x")], [("N" * 65, "x")])
        with self.nats.jet() as jet:
            for number, headers in enumerate(kinds):
                jet.publish(TOKEN + ".x", f"native {number}", headers)
            jet.publish(TOKEN + ".x", "native last")
        s = self.level()
        rows = self.rows()
        self.assertEqual(len(rows) + len(s["parked"]), len(kinds) + 1)
        self.assertEqual(rows[-1].body, b"native last")

    def test_messages_deleted_on_the_other_side(self):
        """A hole in JetStream's numbers is passed over."""
        self.start()
        self.migrate("pause", STREAM)
        self.publish_native(10)
        with self.nats.jet() as jet:
            for place in (1, 4, 5, 10):
                jet.delete_message(STREAM, place)
        self.migrate("resume", STREAM)
        self.level()
        self.assertEqual(len(self.rows()), 6)
        for step in ("switch", "reverse"):  # the last place is a hole: nothing waits for it
            getattr(self, step)()
        self.migrate("pause", STREAM)
        (place,) = self.publish_native(1, first=11)
        with self.nats.jet() as jet:
            jet.delete_message(STREAM, place)
        self.nats.restart()
        self.migrate("resume", STREAM)
        self.level()
        self.switch()
        self.publish(self.link(), 1)
        self.level()
        self.assertEqual(self.rows()[-1].body, b"ssh 1")
        self.assertEqual(len(self.rows()), 7)
        self.assert_same_sides()


if __name__ == "__main__":
    unittest.main()
