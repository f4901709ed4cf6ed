"""§5.2, §5.3: redelivery by nak, ack wait, lost links; dead letters; `$sys.dead`.

Waits are proven by lower bounds only: a redelivery may be late on a loaded machine, never early.
"""

import json
import time
import unittest

from harness import Case, eventually

# A message that comes back this much early would be wrong; clocks of two processes differ by less.
SLACK = 0.05


class Redelivery(Case):
    config = "[limits]\nack_wait_ms_min = 100\n"

    def setUp(self):
        self.name_, self.token = self.filled(5)

    def attach(self, consumer="c", **fields):
        link = self.link()
        link.ok("consume", stream=self.name_, consumer=consumer, start="first", **fields)
        return link

    def dead(self, consumer="c"):
        listed = json.loads(self.server.admin("dead", "list", self.name_, consumer, "--json"))
        return listed if isinstance(listed, list) else next(v for v in listed.values() if isinstance(v, list))

    def test_nak(self):
        """§4.1: redeliver; §5.3: with `tries` raised."""
        link = self.attach()
        link.msgs(5)
        for tries in (2, 3, 4):
            link.ok("nak", consumer="c", seq=3)
            msg = link.msgs(1)[0]
            self.assertEqual((msg["seq"], msg["tries"], msg.body), (3, tries, b"3"))

    def test_nak_with_delay(self):
        """§4.1: … later if asked."""
        link = self.attach()
        link.msgs(5)
        start = time.monotonic()
        link.ok("nak", consumer="c", seq=1, delay_ms=700)
        link.ok("nak", consumer="c", seq=2)
        self.assertEqual([(m["seq"]) for m in link.msgs(2)], [2, 1])
        self.assertGreaterEqual(time.monotonic() - start, 0.7 - SLACK)

    def test_redelivery_goes_first_lowest_first(self):
        """§5.2: what is to be redelivered goes first, lowest `seq` first, before anything newer."""
        link = self.attach(window=3)
        link.msgs(3)
        link.write(b"".join(link.codec.encode({"op": "nak", "consumer": "c", "seq": seq}) for seq in (3, 1, 2)))
        got = self.seqs(link.msgs(3))
        self.assertEqual(sorted(got), [1, 2, 3])
        link.ok("detach", consumer="c")
        other = self.attach(window=5)
        self.assertEqual(self.seqs(other.msgs(5)), [1, 2, 3, 4, 5])

    def test_ack_wait(self):
        """§5.3: unacknowledged after `ack_wait_ms` means redelivery with `tries` raised, not before."""
        start = time.monotonic()
        link = self.attach(ack_wait_ms=1000)
        link.msgs(5)
        link.ok("ack", consumer="c", seq=[1, 2, 4, 5])
        msg = link.msgs(1)[0]
        self.assertEqual((msg["seq"], msg["tries"]), (3, 2))
        self.assertGreaterEqual(time.monotonic() - start, 1 - SLACK)
        link.ok("ack", consumer="c", seq=3)
        self.assertEqual(self.attach("other").msgs(1)[0]["tries"], 1)

    def test_working(self):
        """§4.1: restart the ack wait."""
        link = self.attach(ack_wait_ms=1000, window=1)
        link.msgs(1)
        for _ in range(4):
            sent = time.monotonic()
            link.ok("working", consumer="c", seq=1)
            try:
                link.expect("msg", timeout=0.5)
            except TimeoutError:
                continue
            # It may only come back if this machine took longer than the ack wait to send the next `working`.
            self.assertGreaterEqual(time.monotonic() - sent, 1 - SLACK)
            self.skipTest("too slow a machine to keep the ack wait")
        msg = link.msgs(1)[0]
        self.assertEqual((msg["seq"], msg["tries"]), (1, 2))
        self.assertGreaterEqual(time.monotonic() - sent, 1 - SLACK)

    def test_link_gone(self):
        """§5.3: when the link goes, redelivery with `tries` raised."""
        one = self.attach(window=5)
        one.msgs(5)
        one.ok("ack", consumer="c", seq=1)
        one.close()
        got = self.attach().msgs(4)
        self.assertEqual([(m["seq"], m["tries"]) for m in got], [(n, 2) for n in (2, 3, 4, 5)])

    def test_link_gone_before_it_was_written(self):
        """§5.2: links that went away count as tries only for messages that were written to them."""
        link = self.attach(window=2, max_deliver=3)
        link.msgs(2)
        link.close()
        got = self.attach(max_deliver=3).msgs(5)
        self.assertEqual([(m["seq"], m["tries"]) for m in got], [(1, 2), (2, 2), (3, 1), (4, 1), (5, 1)])

    def test_late_ack_counts(self):
        """§4.1: a late ack counts until the message is delivered elsewhere."""
        link = self.attach(ack_wait_ms=1000, window=5)
        link.msgs(5)
        again = link.msgs(1)[0]
        self.assertEqual(again["tries"], 2)
        link.ok("ack", consumer="c", seq=[1, 2, 3, 4, 5])
        link.close()
        self.assertEqual(self.attach().arrived(), [])

    def test_ack_from_a_link_that_lost_it(self):
        """§4.1: … delivered elsewhere: the earlier link's ack is ignored."""
        one = self.attach(window=1)
        one.msgs(1)
        one.ok("nak", consumer="c", seq=1, delay_ms=2000)
        self.assertEqual(one.msgs(1)[0]["seq"], 2)  # its window is full again
        two = self.attach(window=100)
        two.take(lambda n: n.op == "msg" and n["seq"] == 1)
        one.ok("ack", consumer="c", seq=1)
        two.close()
        one.ok("ack", consumer="c", seq=2)
        got = one.msgs(1)[0]
        self.assertEqual((got["seq"], got["tries"]), (1, 3))

    def test_term(self):
        """§4.1 `term`: never again: dead-letter it, with its reason."""
        link = self.attach()
        link.msgs(5)
        link.ok("term", consumer="c", seq=2, reason="cannot be parsed")
        link.ok("ack", consumer="c", seq=[1, 3, 4, 5])
        self.assertEqual(link.arrived(), [])
        letters = eventually(self.dead, "a dead letter")
        self.assertEqual([letter["seq"] for letter in letters], [2])
        self.assertIn("cannot be parsed", json.dumps(letters[0]))
        self.server.kill()
        self.server.start()
        self.assertEqual([letter["seq"] for letter in self.dead()], [2])
        self.assertEqual(self.attach().arrived(), [])

    def test_max_deliver(self):
        """§5.3: after `max_deliver` tries the message goes to the dead letters."""
        link = self.attach(max_deliver=3)
        self.assertEqual([m["tries"] for m in link.msgs(5)], [1] * 5)
        for tries in (2, 3):
            link.ok("nak", consumer="c", seq=4)
            self.assertEqual(link.msgs(1)[0]["tries"], tries)
        link.ok("nak", consumer="c", seq=4)
        link.ok("ack", consumer="c", seq=[1, 2, 3, 5])
        self.assertEqual(link.arrived(), [])
        letter, = eventually(self.dead, "a dead letter")
        self.assertEqual((letter["seq"], letter["tries"]), (4, 3))

    def test_max_deliver_by_ack_wait(self):
        """§5.3: an expired ack wait is a try too."""
        link = self.attach(max_deliver=2, ack_wait_ms=300, window=1)
        self.assertEqual([(m["seq"], m["tries"]) for m in link.msgs(4)], [(1, 1), (1, 2), (2, 1), (2, 2)])
        self.assertIn(1, [letter["seq"] for letter in eventually(self.dead, "a dead letter")])

    def test_replay(self):
        """§5.3: an operator can list, replay or drop it."""
        link = self.attach()
        link.msgs(5)
        for seq in (1, 2):
            link.ok("term", consumer="c", seq=seq)
        eventually(lambda: len(self.dead()) == 2, "two dead letters")
        self.server.admin("dead", "replay", self.name_, "c", "1")
        msg = link.msgs(1)[0]
        self.assertEqual((msg["seq"], msg.body), (1, b"1"))
        link.ok("ack", consumer="c", seq=1)
        self.assertEqual([letter["seq"] for letter in self.dead()], [2])
        self.server.admin("dead", "drop", self.name_, "c", "2")
        self.assertEqual(self.dead(), [])
        self.assertEqual(link.arrived(), [])

    def test_dead_letters_outlive_retention(self):
        """§5.3: a dead letter keeps its message; replay delivers it when the stream no longer has it."""
        name, token = self.filled(3, max_msgs=3)
        link = self.link()
        link.ok("consume", stream=name, consumer="c", start="first")
        link.msgs(3)
        link.ok("term", consumer="c", seq=1)
        link.ok("ack", consumer="c", seq=[2, 3])
        self.publish(self.link(), token + ".x", 10, first=4)
        link.msgs(10)
        link.ok("ack", consumer="c", upto=13)
        self.server.admin("dead", "replay", name, "c", "1")
        self.assertEqual(link.msgs(1)[0].body, b"1")

    def test_system_event(self):
        """§7 `$sys.dead` (a dead letter: `stream` `consumer` `seq` `reason`)."""
        watch = self.link("op")
        watch.ok("sub", subject="$sys.dead")
        link = self.attach()
        link.msgs(5)
        link.ok("term", consumer="c", seq=3, reason="no such player")
        event = watch.take(lambda n: n.op == "msg" and json.loads(n.body)["stream"] == self.name_)
        self.assertEqual((event["subject"], event["from"]), ("$sys.dead", "$sys"))
        body = json.loads(event.body)
        self.assertEqual((body["consumer"], body["seq"]), ("c", 3))
        self.assertIn("no such player", body["reason"])

    def test_after_restart(self):
        """§5.3: what was delivered and not acknowledged comes again after kill -9."""
        link = self.attach()
        link.msgs(5)
        link.ok("ack", consumer="c", seq=[2, 4])
        self.server.kill()
        self.server.start()
        self.assertEqual(self.seqs(self.attach().msgs(3)), [1, 3, 5])


if __name__ == "__main__":
    unittest.main()
