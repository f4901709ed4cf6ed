"""§4.1 `consume` and its kin: start, filter, window, ack, upto, detach, sharing, ownership."""

import json
import unittest

from harness import Case


class Attach(Case):
    def consumer(self, stream, consumer="c", user="alice", form="lines", **fields):
        link = self.link(user, form=form)
        link.ok("consume", stream=stream, consumer=consumer, **fields)
        return link

    def test_msg_fields(self):
        """§4.2: `consumer` present = it wants an `ack`; `tries` counts."""
        name, token = self.filled(1)
        msg = self.consumer(name, start="first").msgs(1)[0]
        self.assertEqual((msg["stream"], msg["seq"], msg["consumer"], msg["subject"], msg["pub_id"], msg.body),
                         (name, 1, "c", f"{token}.x", "p1", b"1"))
        self.assertEqual(msg.get("tries", 1), 1)
        self.assertTrue(msg["from"].startswith("alice/~"))

    def test_starts(self):
        """§4.1: `start` for a new one: "first", "new" (default), {"seq":n}, {"time_ms":t}."""
        name, token = self.filled(5)
        publisher = self.link()
        for start, wanted in (("first", [1, 2, 3, 4, 5]), ({"seq": 4}, [4, 5]), ({"seq": 1}, [1, 2, 3, 4, 5]),
                              ({"time_ms": 0}, [1, 2, 3, 4, 5])):
            with self.subTest(start):
                link = self.consumer(name, self.name("c"), start=start)
                self.assertEqual(self.seqs(link.msgs(len(wanted))), wanted)
                self.assertEqual(link.arrived(), [])
        for start in ({}, {"start": "new"}):
            name, token = self.filled(5)
            link = self.consumer(name, self.name("c"), **start)
            publisher.ok("pub", "6", subject=token + ".x")
            self.assertEqual(self.seqs(link.msgs(1)), [6])
        for bad in ("last", 5, {"seq": "x"}, {}, {"seq": -1}, []):
            with self.subTest(bad=bad):
                self.assertEqual(publisher.refused("consume", stream=name, consumer=self.name("c"), start=bad), "bad_request")

    def test_start_by_time(self):
        """§4.1: from the first message at or after that time."""
        name, _ = self.filled(5)
        rows = self.consumer(name, start="first").msgs(5)
        for row in rows:
            link = self.consumer(name, self.name("c"), start={"time_ms": row["time_ms"]})
            first = min(r["seq"] for r in rows if r["time_ms"] >= row["time_ms"])
            self.assertEqual(link.msgs(1)[0]["seq"], first)
        link = self.consumer(name, self.name("c"), start={"time_ms": rows[-1]["time_ms"] + 3_600_000})
        self.assertEqual(link.arrived(), [])

    def test_start_is_ignored_for_a_known_one(self):
        """§4.1: `start` is ignored when the consumer exists."""
        name, _ = self.filled(4)
        link = self.consumer(name, start="first")
        link.msgs(4)
        link.ok("ack", consumer="c", upto=3)
        link.close()
        self.assertEqual(self.seqs(self.consumer(name, start="new").msgs(1)), [4])

    def test_filter(self):
        """§4.1 `filter`: a pattern; only what matches is delivered."""
        name, token = self.stream()
        publisher = self.link()
        for subject in ("a.x", "b.x", "a.y", "b.y", "a.x.z"):
            publisher.ok("pub", subject, subject=f"{token}.{subject}")
        for pattern, wanted in ((f"{token}.a.*", [1, 3]), (f"{token}.*.y", [3, 4]), (f"{token}.a.>", [1, 3, 5]),
                                (f"{token}.b.x", [2])):
            with self.subTest(pattern):
                link = self.consumer(name, self.name("c"), start="first", filter=pattern)
                self.assertEqual(self.seqs(link.msgs(len(wanted))), wanted)
                self.assertEqual(link.arrived(), [])
        self.assertEqual(publisher.refused("consume", stream=name, consumer="bad", filter="a..b"), "bad_request")

    def test_unknown_stream(self):
        """§6 `unknown_stream`"""
        self.assertEqual(self.link().refused("consume", stream="NoSuchStream", consumer="c"), "unknown_stream")

    def test_owner(self):
        """§4.1: the consumer belongs to the user who created it; another user gets `denied`."""
        name, _ = self.filled(1)
        self.consumer(name, start="first").msgs(1)
        self.assertEqual(self.link("bob").refused("consume", stream=name, consumer="c"), "denied")
        self.assertEqual(self.link("bot1").refused("consume", stream=name, consumer="c"), "denied")
        self.assertEqual(self.consumer(name, "c2", "bob", start="first").msgs(1)[0]["consumer"], "c2")

    def test_needs_the_right_to_subscribe(self):
        """§6 `denied`: what a rule denies to subscribe cannot be consumed either."""
        name, token = self.filled(1)
        self.server.admin("rule", "add", "deny", "subscribe", f"{token}.>", "--user", "bob")
        self.assertEqual(self.link("bob").refused("consume", stream=name, consumer="b", start="first"), "denied")

    def test_fixed_configuration(self):
        """§4.1: filter, `ack_wait_ms`, `max_deliver` are fixed; other values later: `exists`; absent keeps; the window is
        each link's own."""
        name, token = self.filled(1)
        fixed = {"filter": f"{token}.>", "ack_wait_ms": 5000, "max_deliver": 7}
        self.consumer(name, start="first", window=10, **fixed).close()
        link = self.link()
        for other in ({"filter": f"{token}.x"}, {"ack_wait_ms": 5001}, {"max_deliver": 8}, {"max_deliver": 0}):
            with self.subTest(other):
                self.assertEqual(link.refused("consume", stream=name, consumer="c", **other), "exists")
        self.consumer(name, window=20, **fixed)
        self.consumer(name)
        plain = self.name("c")
        self.consumer(name, plain)
        self.assertEqual(link.refused("consume", stream=name, consumer=plain, filter=f"{token}.>"), "exists")
        self.consumer(name, plain, ack_wait_ms=30000, max_deliver=0)

    def test_nothing_is_missed_between_ok_and_first_message(self):
        """§5.7: after the `ok` of `consume` nothing later is missed."""
        name, token = self.stream()
        publisher = self.link()
        for round_ in range(20):
            link = self.consumer(name, f"c{round_}")
            seq = publisher.ok("pub", "x", subject=token + ".x")["seq"]
            self.assertEqual(link.msgs(1)[0]["seq"], seq)

    def test_name_in_two_streams(self):
        """§4.1: where one name is attached in two streams, `ack` and its kin need `stream`."""
        one, _ = self.filled(2)
        two, _ = self.filled(2)
        link = self.consumer(one, start="first")
        link.ok("consume", stream=two, consumer="c", start="first")
        self.assertEqual(sorted((m["stream"], m["seq"]) for m in link.msgs(4)),
                         sorted((s, n) for s in (one, two) for n in (1, 2)))
        for op, fields in (("ack", {"seq": 1}), ("ack", {"upto": 1}), ("nak", {"seq": 1}), ("working", {"seq": 1}),
                           ("term", {"seq": 1}), ("detach", {})):
            with self.subTest(op):
                self.assertEqual(link.refused(op, consumer="c", **fields), "bad_request")
        link.ok("ack", consumer="c", stream=one, upto=2)
        link.ok("nak", consumer="c", stream=two, seq=1)
        self.assertEqual(link.msgs(1)[0]["stream"], two)
        link.ok("detach", consumer="c", stream=two)
        link.ok("ack", consumer="c", seq=1)

    def test_both_encodings_share(self):
        """§2.2, §4.1: several links may attach, whatever they speak."""
        name, token = self.stream()
        links = [self.consumer(name, form=form) for form in ("lines", "frames")]
        publisher = self.link()
        self.publish(publisher, token + ".x", 40)
        publisher.ping()
        got = []
        while len(got) < 40:
            for link in links:
                news = [n for n in link.arrived() if n.op == "msg"]
                for msg in news:
                    link.send("ack", consumer="c", seq=msg["seq"])
                got += news
        self.assertEqual(sorted(self.seqs(got)), list(range(1, 41)))


class Acknowledge(Case):
    def setUp(self):
        self.name_, self.token = self.filled(10)

    def attach(self, consumer="c", user="alice", **fields):
        link = self.link(user)
        fields.setdefault("start", "first")
        link.ok("consume", stream=self.name_, consumer=consumer, **fields)
        return link

    def state(self, consumer="c"):
        body = json.loads(self.link().ask("who", what="consumers").body)
        return next(c for c in body["consumers"] if (c["stream"], c["consumer"]) == (self.name_, consumer))

    def test_window(self):
        """§4.1: `window` = unacknowledged messages at once."""
        link = self.attach(window=3)
        self.assertEqual(self.seqs(link.msgs(3)), [1, 2, 3])
        self.assertEqual(link.arrived(), [])
        link.ok("ack", consumer="c", seq=2)
        self.assertEqual(link.msgs(1)[0]["seq"], 4)
        link.ok("ack", consumer="c", seq=[1, 3])
        self.assertEqual(self.seqs(link.msgs(2)), [5, 6])
        self.assertEqual(link.arrived(), [])
        link.ok("ack", consumer="c", upto=6)
        self.assertEqual(self.seqs(link.msgs(3)), [7, 8, 9])

    def test_default_window(self):
        """§4.1: default 256."""
        publisher = self.link()
        self.publish(publisher, self.token + ".x", 260, first=11)
        link = self.attach()
        self.assertEqual(self.seqs(link.msgs(256)), list(range(1, 257)))
        self.assertEqual(link.arrived(), [])
        link.ok("ack", consumer="c", upto=256)
        self.assertEqual(self.seqs(link.msgs(14)), list(range(257, 271)))

    def test_acknowledged_is_committed(self):
        """§4.1: with an id, `ok` comes after the commit of the position: it survives kill -9."""
        link = self.attach()
        link.msgs(10)
        link.ok("ack", consumer="c", upto=4)
        link.ok("ack", consumer="c", seq=[6, 8])
        self.server.kill()
        self.server.start()
        again = self.attach()
        got = again.msgs(4)
        self.assertEqual(self.seqs(got), [5, 7, 9, 10])

    def test_upto_is_in_order_of_delivery(self):
        """§4.1: `upto` covers what was delivered on this link up to and including the last delivery of that seq, in order
        of delivery, without what was nak'd."""
        link = self.attach(window=10)
        link.msgs(10)
        link.ok("nak", consumer="c", seq=2)
        self.assertEqual(link.msgs(1)[0]["seq"], 2)
        # Delivered: 1 2* 3 … 10 2. Up to 5 takes 1 3 4 5; the second delivery of 2 lies behind 10.
        link.ok("ack", consumer="c", upto=5)
        self.assertEqual(self.state()["pending"], 6)
        link.ok("ack", consumer="c", upto=2)
        self.assertEqual(self.state()["pending"], 0)

    def test_upto_leaves_what_was_nakd(self):
        """§4.1: … without what was nak'd."""
        link = self.attach(window=10)
        link.msgs(10)
        link.ok("nak", consumer="c", seq=3, delay_ms=3_600_000)
        link.ok("ack", consumer="c", upto=10)
        self.assertEqual(self.state()["pending"], 1)

    def test_upto_is_of_this_link(self):
        """§4.1: … what was delivered on *this* link."""
        one = self.attach(window=4)
        one.msgs(4)
        two = self.attach(window=4)
        self.assertEqual(self.seqs(two.msgs(4)), [5, 6, 7, 8])
        two.ok("ack", consumer="c", upto=8)
        two.msgs(2)
        self.assertEqual(self.state()["pending"], 6)

    def test_not_pending_is_ignored(self):
        """§4.1: a seq that is not pending is ignored and counted."""
        link = self.attach(window=2)
        link.msgs(2)
        link.ok("ack", consumer="c", seq=[1, 1, 9, 4711])
        self.assertEqual(link.msgs(1)[0]["seq"], 3)
        link.ok("ack", consumer="c", seq=1)
        link.ok("ack", consumer="c", upto=4711)
        link.ok("nak", consumer="c", seq=1)
        link.ok("working", consumer="c", seq=1)
        link.ok("term", consumer="c", seq=1)
        self.assertEqual(link.arrived(), [])

    def test_needs_seq_or_upto(self):
        """§4.1: `seq` (number or list) or `upto`."""
        link = self.attach()
        for fields in ({}, {"seq": 1, "upto": 1}, {"seq": "1"}, {"seq": [1, "2"]}, {"seq": -1}, {"upto": [1]}, {"seq": 1.5}):
            with self.subTest(fields):
                self.assertEqual(link.refused("ack", consumer="c", **fields), "bad_request")

    def test_not_attached(self):
        """§6 `unknown_consumer`: nothing of that name is attached here."""
        self.attach("elsewhere")
        link = self.link()
        for op, fields in (("ack", {"seq": 1}), ("ack", {"upto": 1}), ("nak", {"seq": 1}), ("working", {"seq": 1}),
                           ("term", {"seq": 1}), ("detach", {})):
            with self.subTest(op):
                self.assertEqual(link.refused(op, consumer="elsewhere", **fields), "unknown_consumer")

    def test_detach(self):
        """§4.1: deliveries stop here; the cursor stays; what was unacknowledged is redelivered elsewhere at once."""
        one = self.attach(window=10)
        one.msgs(10)
        one.ok("ack", consumer="c", seq=[1, 2, 3])
        two = self.attach(window=100)
        self.assertEqual(two.arrived(), [])
        one.ok("detach", consumer="c")
        got = two.msgs(7)
        self.assertEqual(self.seqs(got), [4, 5, 6, 7, 8, 9, 10])
        self.assertTrue(all(msg["tries"] >= 2 for msg in got))
        self.link().ok("pub", "x", subject=self.token + ".x")
        self.assertEqual(two.msgs(1)[0]["seq"], 11)
        self.assertEqual(one.arrived(), [])

    def test_attach_again_after_detach(self):
        """§4.1: the cursor stays."""
        link = self.attach()
        link.msgs(10)
        link.ok("ack", consumer="c", upto=8)
        link.ok("detach", consumer="c")
        link.arrived()
        link.ok("consume", stream=self.name_, consumer="c")
        self.assertEqual(self.seqs(link.msgs(2)), [9, 10])

    def test_sharing(self):
        """§4.1: several links may attach: they share the work; nothing is delivered twice."""
        links = [self.attach(window=2) for _ in range(3)]
        first = [self.seqs(link.msgs(2)) for link in links]
        self.assertEqual(sorted(sum(first, [])), [1, 2, 3, 4, 5, 6])
        for link, seqs in zip(links, first):
            link.ok("ack", consumer="c", seq=seqs)
        rest = []
        while len(rest) < 4:
            rest += sum((self.seqs(link.arrived()) for link in links), [])
        self.assertEqual(sorted(rest), [7, 8, 9, 10])

    def test_two_consumers_do_not_share(self):
        """§5.3: each consumer gets everything."""
        for consumer in ("c1", "c2"):
            self.assertEqual(self.seqs(self.attach(consumer).msgs(10)), list(range(1, 11)))

    def test_position_survives_the_link(self):
        """§4.1: durable."""
        link = self.attach()
        link.msgs(10)
        link.ok("ack", consumer="c", upto=7)
        link.send("quit")
        link.end()
        self.assertEqual(self.seqs(self.attach().msgs(3)), [8, 9, 10])


if __name__ == "__main__":
    unittest.main()
