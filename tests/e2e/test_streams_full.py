"""Issue item 7: streams in full: retention by subject, discard, pause, peek, purge, backoff, export, import, replay, check."""

import json
import os
import sqlite3
import time
import unittest

from harness import Case, eventually

SLACK = 0.05


class Streams(Case):
    config = "[limits]\nack_wait_ms_min = 100\n"

    def show(self, name):
        return json.loads(self.server.admin("stream", "show", name, "--json"))

    def read(self, name):
        """Everything that the stream has, as (seq, body)."""
        lines = self.kedge("stream", "export", name).splitlines()
        return [(line["seq"], line["data"]) for line in map(json.loads, lines)]

    def kedge(self, *words, status=0, **more):
        done = self.server.kedge(*words, **more)
        self.assertEqual(done.returncode, status, done)
        return done.stdout


class Retention(Streams):
    def test_last_values(self):
        """Per-subject count: the last value of each subject."""
        name, token = self.stream(max_msgs_per_subject=1)
        self.assertEqual(self.show(name)["max_msgs_per_subject"], 1)
        link = self.link()
        for number in range(10):
            for place in ("a", "b", "c.d"):
                link.ok("pub", f"{place} {number}", subject=f"{token}.{place}")
        link.ok("pub", "only once", subject=f"{token}.e")
        eventually(lambda: self.show(name)["messages"] == 4, "one of each is left")
        self.assertEqual(self.read(name), [(28, "a 9"), (29, "b 9"), (30, "c.d 9"), (31, "only once")])
        self.server.kill()
        self.server.start()
        link = self.link()
        link.ok("pub", "a 10", subject=f"{token}.a")
        eventually(lambda: self.show(name)["messages"] == 4, "one of each is left")
        self.assertEqual(self.read(name), [(29, "b 9"), (30, "c.d 9"), (31, "only once"), (32, "a 10")])

    def test_a_few_of_each(self):
        name, token = self.stream()
        link = self.link()
        for number in range(30):
            link.ok("pub", str(number), subject=f"{token}.{number % 3}")
        self.server.admin("stream", "edit", name, "--max-msgs-per-subject", "2")
        link.ok("pub", "30", subject=f"{token}.0")
        eventually(lambda: self.show(name)["messages"] <= 6, "two of each are left")
        self.assertEqual([body for _, body in self.read(name)], ["25", "26", "27", "28", "29", "30"])

    def test_a_consumer_under_it(self):
        """Rows that went before they were delivered are not waited for; those pending can be acknowledged."""
        name, token = self.stream(max_msgs_per_subject=1)
        link = self.link()
        link.ok("consume", stream=name, consumer="c", start="first", window=1)
        publisher = self.link()
        self.publish(publisher, token + ".x", 20)
        eventually(lambda: self.show(name)["messages"] == 1, "one is left")
        got = []
        while "20" not in got:
            msg = link.expect("msg")
            got.append(msg.body.decode())
            link.ok("ack", consumer="c", seq=msg["seq"])
        self.assertEqual(got, sorted(got, key=int))

    def test_discard_new(self):
        """A full stream answers `quota`; what is there stays; there is room again after a purge."""
        name, token = self.stream(max_msgs=3, discard="new")
        link = self.link(node="full")
        self.publish(link, token + ".x", 3)
        self.assertEqual(link.refused("pub", "four", subject=token + ".x", id="four"), "quota")
        self.assertEqual(link.refused("pub", "five", subject=token + ".x", id="five"), "quota")
        link.ping()
        self.assertEqual(self.read(name), [(1, "1"), (2, "2"), (3, "3")])
        self.server.kill()
        self.server.start()
        link = self.link(node="full")
        self.assertEqual(link.ok("pub", "3", subject=token + ".x", id="p3")["dup"], True)
        self.assertEqual(link.refused("pub", "four", subject=token + ".x", id="four"), "quota")
        self.server.admin("stream", "purge", name, "--up-to", "1")
        link.ping()
        self.assertEqual(link.ok("pub", "four", subject=token + ".x", id="four")["seq"], 4)

    def test_discard_new_by_bytes(self):
        name, token = self.stream(max_bytes="10K", discard="new")
        link = self.link()
        answers = [link.ask("pub", b"x" * 1000, subject=token + ".x").get("code") for _ in range(15)]
        stored = answers.count(None)
        self.assertTrue(5 <= stored <= 10, answers)
        self.assertEqual(answers, [None] * stored + ["quota"] * (15 - stored))
        self.assertEqual(self.show(name)["messages"], stored)

    def test_discard_old_is_the_default(self):
        name, token = self.stream(max_msgs=3)
        self.assertEqual(self.show(name)["discard"], "old")
        self.publish(self.link(), token + ".x", 10)
        eventually(lambda: self.show(name)["messages"] == 3, "three are left")
        self.server.admin("stream", "edit", name, "--discard", "new")
        self.assertEqual(self.link().refused("pub", "x", subject=token + ".x"), "quota")


class Pause(Streams):
    def test_a_stream(self):
        """Consumers get nothing, publishing goes on; it lasts; resumed, all comes in order."""
        name, token = self.filled(2)
        link = self.link()
        link.ok("consume", stream=name, consumer="c", start="first")
        link.msgs(2)
        self.server.admin("stream", "pause", name)
        self.publish(self.link(), token + ".x", 3, first=3)
        self.assertEqual(self.bodies(link.arrived()), [])
        self.assertTrue(self.show(name)["paused"])
        self.server.kill()
        self.server.start()
        link = self.link()
        link.ok("consume", stream=name, consumer="c")
        self.publish(self.link(), token + ".x", 1, first=6)
        self.assertEqual(self.bodies(link.arrived()), [])
        self.server.admin("stream", "resume", name)
        self.assertEqual(self.bodies(link.msgs(6)), ["1", "2", "3", "4", "5", "6"])
        self.assertFalse(self.show(name)["paused"])

    def test_plain_subscribers_go_on(self):
        name, token = self.stream()
        link = self.link()
        link.ok("sub", subject=token + ".>")
        self.server.admin("stream", "pause", name)
        link.ok("pub", "x", subject=token + ".x")
        self.assertEqual(self.bodies(link.msgs(1)), ["x"])

    def test_a_consumer(self):
        """One consumer pauses, the other goes on."""
        name, token = self.stream()
        links = {}
        for consumer in ("one", "two"):
            links[consumer] = self.link()
            links[consumer].ok("consume", stream=name, consumer=consumer)
        self.server.admin("consumer", "pause", name, "one")
        self.publish(self.link(), token + ".x", 5)
        self.assertEqual(self.bodies(links["two"].msgs(5)), ["1", "2", "3", "4", "5"])
        self.assertEqual(self.bodies(links["one"].arrived()), [])
        self.assertTrue(json.loads(self.server.admin("consumer", "show", name, "one", "--json"))["paused"])
        self.server.admin("consumer", "resume", name, "one")
        self.assertEqual(self.bodies(links["one"].msgs(5)), ["1", "2", "3", "4", "5"])


class PeekAndPurge(Streams):
    def peek(self, *words):
        return json.loads(self.server.admin("stream", "peek", *words, "--json"))

    def test_peek(self):
        """Looks at messages without a consumer and without taking them."""
        name, token = self.filled(10)
        self.link().ok("pub", b"\xff\x00", subject=token + ".other", headers={"Kind": "raw"})
        first = self.peek(name, "--count", "4")
        self.assertEqual([(m["seq"], m["subject"], m["data"]) for m in first["messages"]], [(n, token + ".x", str(n)) for n in range(1, 5)])
        self.assertFalse(first["end"])
        rest = self.peek(name, "--from", str(first["next"]), "--count", "100")
        self.assertEqual([m["seq"] for m in rest["messages"]], list(range(5, 12)))
        self.assertTrue(rest["end"])
        self.assertEqual((rest["messages"][-1]["data64"], rest["messages"][-1]["headers"]), ("/wA=", {"Kind": "raw"}))
        self.assertEqual([m["seq"] for m in self.peek(name, "--filter", "*.other")["messages"]], [11])
        self.assertEqual([m["seq"] for m in self.peek(name, "--filter", token + ".x", "--from", "9")["messages"]], [9, 10])
        self.assertIn("other", self.server.admin("stream", "peek", name, "--count", "100"))
        self.assertNotEqual(self.server.execute("op", "stream", "peek", "NO-SUCH")[0], 0)
        self.assertNotEqual(self.server.execute("alice", "stream", "peek", name)[0], 0)
        self.assertEqual(json.loads(self.server.admin("consumer", "list", name, "--json"))["consumers"], [])

    def test_purge_up_to(self):
        name, token = self.filled(10)
        link = self.link()
        link.ok("consume", stream=name, consumer="c", start="first", window=2)
        self.assertEqual(self.bodies(link.msgs(2)), ["1", "2"])
        self.assertEqual(json.loads(self.server.admin("stream", "purge", name, "--up-to", "6", "--json"))["purged"], 6)
        shown = self.show(name)
        self.assertEqual((shown["first_seq"], shown["last_seq"], shown["messages"]), (7, 10, 4))
        link.ok("ack", consumer="c", seq=[1, 2])
        self.assertEqual(self.bodies(link.msgs(2)), ["7", "8"])
        self.assertEqual(self.link().ok("pub", "11", subject=token + ".x")["seq"], 11)

    def test_purge_by_filter(self):
        name, token = self.stream()
        link = self.link()
        for number in range(12):
            link.ok("pub", str(number), subject=f"{token}.{number % 3}")
        self.assertEqual(json.loads(self.server.admin("stream", "purge", name, "--filter", token + ".1", "--json"))["purged"], 4)
        self.assertEqual([body for _, body in self.read(name)], ["0", "2", "3", "5", "6", "8", "9", "11"])
        self.assertEqual(json.loads(self.server.admin("stream", "purge", name, "--filter", token + ".2", "--up-to", "6", "--json"))["purged"], 2)
        self.assertEqual([body for _, body in self.read(name)], ["0", "3", "6", "8", "9", "11"])
        self.server.kill()
        self.server.start()
        self.assertEqual([body for _, body in self.read(name)], ["0", "3", "6", "8", "9", "11"])
        self.assertEqual(self.show(name)["messages"], 6)

    def test_purge_all(self):
        name, token = self.filled(5)
        self.server.admin("stream", "purge", name)
        self.assertEqual(self.show(name)["messages"], 0)
        self.assertEqual(self.link().ok("pub", "x", subject=token + ".x")["seq"], 6)
        self.assertEqual(self.read(name), [(6, "x")])

    def test_purged_while_pending(self):
        """What was delivered and then purged is not delivered again."""
        name, token = self.filled(4)
        link = self.link()
        link.ok("consume", stream=name, consumer="c", start="first")
        link.msgs(4)
        self.server.admin("stream", "purge", name, "--filter", token + ".x", "--up-to", "3")
        link.close()
        again = self.link()
        again.ok("consume", stream=name, consumer="c")
        again.ok("pub", "end", subject=token + ".x")
        self.assertEqual(self.bodies(again.msgs(2)), ["4", "end"])


class Backoff(Streams):
    def test_a_list(self):
        """Delayed redelivery with backoff lists: a delay before each further try; the last one holds for all later."""
        name, _ = self.filled(1)
        link = self.link()
        link.ok("consume", stream=name, consumer="c", start="first")
        link.msgs(1)
        self.server.admin("consumer", "edit", name, "c", "--backoff", "300ms,600ms")
        self.assertEqual(json.loads(self.server.admin("consumer", "show", name, "c", "--json"))["backoff_ms"], [300, 600])
        for tries, delay in ((2, 0.3), (3, 0.6), (4, 0.6)):
            start = time.monotonic()
            link.ok("nak", consumer="c", seq=1)
            self.assertEqual(link.expect("msg")["tries"], tries)
            self.assertGreaterEqual(time.monotonic() - start, delay - SLACK)
        start = time.monotonic()
        link.ok("nak", consumer="c", seq=1, delay_ms=50)  # who says when, is heeded
        self.assertEqual(link.expect("msg")["tries"], 5)
        self.assertLess(time.monotonic() - start, 0.6)

    def test_after_an_ack_wait_and_a_lost_link(self):
        name, _ = self.filled(1)
        link = self.link()
        link.ok("consume", stream=name, consumer="c", start="first", ack_wait_ms=200)
        self.server.admin("consumer", "edit", name, "c", "--backoff", "500ms")
        start = time.monotonic()
        self.assertEqual([m["tries"] for m in link.msgs(2)], [1, 2])
        self.assertGreaterEqual(time.monotonic() - start, 0.5 - SLACK)
        start = time.monotonic()
        link.close()
        other = self.link()
        other.ok("consume", stream=name, consumer="c")
        self.assertEqual(other.expect("msg")["tries"], 3)
        self.assertGreaterEqual(time.monotonic() - start, 0.5 - SLACK)

    def test_edit(self):
        """`consumer edit` changes what is given, and it lasts."""
        name, _ = self.filled(2)
        link = self.link()
        link.ok("consume", stream=name, consumer="c", start="first", max_deliver=5)
        self.server.admin("consumer", "edit", name, "c", "--ack-wait", "7s", "--max-deliver", "2")
        self.server.kill()
        self.server.start()
        shown = json.loads(self.server.admin("consumer", "show", name, "c", "--json"))
        self.assertEqual((shown["ack_wait_ms"], shown["max_deliver"]), (7000, 2))
        self.assertNotEqual(self.server.execute("op", "consumer", "edit", name, "none", "--max-deliver", "2")[0], 0)


class Files(Streams):
    def test_export_and_import(self):
        """`kedge stream export|import` (JSON lines): all that a message is, into another stream."""
        name, token = self.stream()
        link = self.link("alice", "writer")
        link.ok("pub", "text", subject=token + ".a", id="one", headers={"Mood": "good"}, reply_to="answers.here")
        link.ok("pub", b"\xff\x00\xfe", subject=token + ".b", id="two")
        link.ok("pub", "", subject=token + ".c", id="three")
        exported = self.kedge("stream", "export", name)
        lines = [json.loads(line) for line in exported.splitlines()]
        self.assertEqual([(line["seq"], line["subject"], line["from"]) for line in lines],
                         [(n, f"{token}.{c}", "alice/writer") for n, c in ((1, "a"), (2, "b"), (3, "c"))])
        self.assertEqual([(line.get("data"), line.get("data64")) for line in lines][:2], [("text", None), (None, "/wD+")])
        self.server.admin("stream", "purge", name)
        self.kedge("stream", "import", name, input=exported)
        reader = self.link()
        reader.ok("consume", stream=name, consumer="c", start="first")
        got = reader.msgs(3)
        self.assertEqual([(m["subject"], m.body) for m in got], [(token + ".a", b"text"), (token + ".b", b"\xff\x00\xfe"), (token + ".c", b"")])
        self.assertEqual(got[0]["headers"], {"Mood": "good"})
        # The same file again: nothing twice.
        self.kedge("stream", "import", name, input=exported)
        self.assertEqual(reader.arrived(), [])

    def test_import_says_which_line_is_wrong(self):
        name, token = self.stream()
        good = json.dumps({"subject": token + ".x", "data": "good"}).encode() + b"\n"
        for bad in (b"not json\n", b'{"subject":"other.subject","data":"x"}\n', b'{"data":"no subject"}\n'):
            with self.subTest(bad):
                done = self.server.kedge("stream", "import", name, input=good + bad)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(b"2", done.stderr)

    def test_export_of_a_range(self):
        name, _ = self.filled(1500)
        self.assertEqual(len(self.kedge("stream", "export", name).splitlines()), 1500)
        lines = self.kedge("stream", "export", name, "--from", "700", "--to", "705").splitlines()
        self.assertEqual([json.loads(line)["seq"] for line in lines], list(range(700, 706)))

    def test_replay(self):
        """`replay` of a range at a given speed: published again, in order, not faster than asked."""
        name, token = self.filled(10)
        watch = self.link()
        watch.ok("sub", subject="again.>")
        start = time.monotonic()
        self.kedge("replay", name, "--from", "3", "--to", "8", "--rate", "10", "--prefix", "again")
        took = time.monotonic() - start
        got = watch.msgs(6)
        self.assertEqual([(m["subject"], m.body) for m in got], [(f"again.{token}.x", str(n).encode()) for n in range(3, 9)])
        self.assertGreaterEqual(took, 0.5 - SLACK)
        self.assertEqual(self.show(name)["messages"], 10)


class Check(Streams):
    def test_a_sound_store(self):
        """`kedge check` reads the whole store and says what is wrong: here, nothing."""
        name, token = self.filled(20)
        link = self.link("alice", "n")
        link.ok("consume", stream=name, consumer="c", start="first")
        link.ok("ack", consumer="c", upto=link.msgs(20)[10]["seq"])
        self.server.admin("stream", "purge", name, "--up-to", "3")
        self.inbox("bob").close()
        link.ok("post", "mail", to=["bob"])
        answer = json.loads(self.kedge("check", "--json"))
        self.assertEqual(answer["findings"], [])
        self.assertGreaterEqual(answer["rows"], 18)
        self.assertGreaterEqual(answer["streams"], 1)
        status, out, _ = self.server.execute("op", "check")
        self.assertEqual(status, 0)
        self.assertTrue(out.strip())
        self.assertNotEqual(self.server.execute("alice", "check")[0], 0)

    def test_a_store_that_was_tampered_with(self):
        """… and says what is wrong: here a row that is gone."""
        name, token = self.filled(20)
        for body in ("to be gone", "to stay"):
            self.link().ok("pub", body, subject=token + ".x")
        self.server.stop()
        database = sqlite3.connect(os.path.join(self.server.home, "kedge.db"))
        with database:
            self.assertEqual(database.execute("DELETE FROM log WHERE CAST(body AS TEXT) = 'to be gone'").rowcount, 1)
        database.close()
        self.server.start()
        status, out, _ = self.server.execute("op", "check", "--json")
        answer = json.loads(out)
        self.assertEqual(status, 1)
        self.assertIn(name, " ".join(answer["findings"]))
        self.assertEqual(self.server.kedge("check").returncode, 1)


if __name__ == "__main__":
    unittest.main()
