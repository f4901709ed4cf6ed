"""§6 Errors that need a broken disk, a leaving server or a reader that does not read; §7 system events."""

import contextlib
import json
import os
import resource
import subprocess
import threading
import unittest

from harness import Case, Server, Test, eventually, scratch


class DiskFull(Test):
    """Issue item 4: disk full = publishes answered `store_full`, nothing acknowledged that is not stored, and the server
    recovers when there is room again."""

    def setUp(self):
        home = scratch("small")
        os.makedirs(home, mode=0o700)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs", home], stderr=subprocess.PIPE)
        if mounted.returncode != 0:
            self.skipTest("needs the right to mount a tmpfs")
        self.addCleanup(subprocess.run, ["umount", "-l", home], check=True)
        self.server = Server({"op": "operator", "alice": "user"}, home=home)
        self.addCleanup(self.server.destroy)
        self.ballast = os.path.join(home, "ballast")
        self.server.start()
        self.server.add_stream("FULL", "full.>")

    def fill(self):
        with contextlib.suppress(OSError), open(self.ballast, "wb", buffering=0) as file:
            while file.write(b"\0" * 65536):
                pass

    def test_store_full_sticks_until_a_ping(self):
        """§6: after `store_full` the link's further publishes on that stream get the same error until a `ping` is answered,
        so that pipelined retries cannot be stored out of order. An `error` to a publish means *not stored*."""
        link = self.server.link("alice")
        self.addCleanup(link.close)
        link.hello("n")
        body = b"x" * 50_000
        sent = 0

        def publish(number):
            link.send("pub", b"%d " % number + body, id=str(number), subject="full.x")

        self.fill()
        stored = []
        failed = None
        while failed is None:
            self.assertLess(sent, 1000, "the disk never filled")
            publish(sent)
            answer = link.answer(str(sent))
            if answer.op == "ok":
                stored.append(answer["seq"])
            else:
                failed = sent
                self.assertEqual(answer["code"], "store_full")
            sent += 1
        # The disk has room again, but this link has not been told by a pong.
        os.unlink(self.ballast)
        for number in range(failed + 1, failed + 20):
            publish(number)
        for number in range(failed + 1, failed + 20):
            self.assertEqual(link.answer(str(number))["code"], "store_full")
        self.assertEqual(link.ok("pub", "x", subject="plain.is.no.stream").op, "ok")
        link.ping()
        for number in range(failed, failed + 20):
            publish(number)
        seqs = [link.expect("ok", id=str(number))["seq"] for number in range(failed, failed + 20)]
        self.assertEqual(stored + seqs, list(range(1, len(stored) + 21)))
        # What was answered is there, once and in order, also after kill -9.
        self.server.kill()
        self.server.start()
        reader = self.server.link("alice")
        self.addCleanup(reader.close)
        reader.ok("consume", stream="FULL", consumer="c", start="first")
        got = [msg.body.split()[0] for msg in reader.msgs(len(stored) + 20)]
        self.assertEqual(got, [b"%d" % n for n in range(failed + 20)])
        self.server.stop()

    def test_plain_traffic_goes_on(self):
        """A full disk does not touch what needs none."""
        self.fill()
        link = self.server.link("alice")
        self.addCleanup(link.close)
        link.ok("sub", subject="talk")
        link.ok("pub", "x", subject="talk")
        self.assertEqual(link.msgs(1)[0].body, b"x")
        os.unlink(self.ballast)


class DiskError(Test):
    """Issue item 4: an I/O error = publishes answered `store_full` or `internal`; the server recovers."""

    def test_write_errors(self):
        server = Server({"op": "operator", "alice": "user"}, ignore_file_size_signal=True)
        self.addCleanup(server.destroy)
        server.start()
        server.add_stream("BROKEN", "broken.>")
        link = server.link("alice")
        self.addCleanup(link.close)
        link.hello("n")
        ids = [str(n) for n in range(40)]
        body = b"y" * 20_000
        _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, hard))
        for identity in ids:
            link.send("pub", body, id=identity, subject="broken.x")
        answers = [link.answer(identity) for identity in ids]
        self.assertEqual({n.op for n in answers}, {"error"})
        self.assertLessEqual({n["code"] for n in answers}, {"store_full", "internal"})
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        link.ping()
        for identity in ids:
            link.send("pub", body, id=identity, subject="broken.x")
        self.assertEqual([link.expect("ok", id=identity)["seq"] for identity in ids], list(range(1, 41)))
        server.stop()


class Draining(Case):
    def test_drain(self):
        """§4.2 `info` `draining`; §6 `draining`; `bye` `draining`, exit status 1; kedged ends with 0 (issue: within a bound)."""
        server = Server(self.users, "")
        self.addCleanup(server.destroy)
        server.start()
        server.add_stream("D", "d.>")
        links = [server.link("alice", form) for form in ("lines", "frames")]
        for link in links:
            self.addCleanup(link.close)
            for number in range(100):
                link.send("pub", "x", id=str(number), subject="d.x")
        server.process.terminate()
        stored = 0
        for link in links:
            self.assertTrue(link.expect("info")["draining"])
            bye, status = link.end()
            self.assertEqual((bye["code"], status), ("draining", 1))
            answers = [n for n in link.rest() if "id" in n]
            self.assertEqual([n["id"] for n in answers], [str(n) for n in range(len(answers))])
            stored += sum(n.op == "ok" for n in answers)
            self.assertLessEqual({n["code"] for n in answers if n.op == "error"}, {"draining"})
        self.assertEqual(server.process.wait(60), 0)
        server.start()
        reader = server.link("alice")
        self.addCleanup(reader.close)
        self.assertGreaterEqual(reader.ok("pub", "x", subject="d.x")["seq"], stored + 1)
        server.stop()


class SlowReaders(Case):
    config = """[limits]
body_bytes = 65536
frame_bytes = 131072
line_bytes = 163840
link_unsent_bytes = 262144
"""

    def stalled(self, user="bob", node=None):
        """A link that does not read; it does not see its welcome either."""
        link = self.channel(self.session(user), reading=False, window=65536)
        if node:
            link.send("hello", node=node)
        return link

    def nodes(self, link):
        return {f"{n['user']}/{n['node']}" for n in json.loads(link.ask("who").body)["nodes"]}

    def test_slow_consumer(self):
        """§6, §8: a plain subscriber that does not read is ended at a bound in bytes; others go on undisturbed."""
        slow = self.stalled(node="slow")
        slow.send("sub", subject="flood")
        watch, other = self.link(), self.link("bob")
        eventually(lambda: "bob/slow" in self.nodes(watch), "the slow link said hello")
        other.ok("sub", subject="flood")
        body = b"z" * 60_000
        for number in range(400):
            watch.ok("pub", body, subject="flood")
            self.assertEqual(other.msgs(1)[0].body, body)
            if "bob/slow" not in self.nodes(watch):
                break
        else:
            self.fail("24 MB unread, and the link is still there")
        slow.start_reading()
        bye, status = slow.end()
        if bye:
            self.assertEqual((bye["code"], status), ("slow_consumer", 1))

    def test_durable_consumers_pause(self):
        """§8: consumers pause at half of it: a durable consumer that does not read is not ended and misses nothing."""
        name, token = self.stream()
        slow = self.stalled(node="pausing")
        slow.send("consume", stream=name, consumer="c", window=1000)
        watch = self.link("op")
        eventually(lambda: "bob/pausing" in self.nodes(watch), "the slow link said hello")
        eventually(lambda: [c for c in json.loads(watch.ask("who", what="consumers").body)["consumers"] if c["stream"] == name],
                   "the consumer is there")
        for number in range(100):
            watch.send("pub", b"%d " % number + b"z" * 40_000, id=str(number), subject=token + ".x")
        for number in range(100):
            watch.expect("ok", id=str(number))
        self.assertIn("bob/pausing", self.nodes(watch))
        slow.start_reading()
        self.assertEqual([int(m.body.split()[0]) for m in slow.msgs(100)], list(range(100)))
        self.assertEqual(slow.ping().op, "pong")

    def test_full_outbox_of_answers_stops_the_reading(self):
        """§8: a full outbox of answers stops the reading; nothing is lost, no link is ended."""
        link = self.stalled(node="asker")
        count = 30_000
        identity = "i" * 50
        failure = []

        def ask():
            try:
                for first in range(0, count, 500):
                    link.write(b"".join(link.codec.encode({"op": "ping", "id": f"{identity}{n}"})
                                        for n in range(first, first + 500)))
            except OSError as error:
                failure.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        watch = self.link()
        for _ in range(20):
            watch.ping()
        link.start_reading()
        pongs = [link.expect("pong")["id"] for _ in range(count)]
        thread.join()
        self.assertEqual(failure, [])
        self.assertEqual(pongs, [f"{identity}{n}" for n in range(count)])


class SystemEvents(Case):
    """§7"""

    def watch(self, pattern):
        link = self.link("op")
        link.ok("sub", subject=pattern)
        return link

    def event(self, link, subject, node):
        msg = link.take(lambda n: n.op == "msg" and n["subject"] == subject and json.loads(n.body)["node"] == node)
        self.assertEqual(msg["from"], "$sys")
        return json.loads(msg.body)

    def test_join_and_leave(self):
        """§7 `$sys.node.join` `$sys.node.leave` (`user` `node` `reason`)."""
        watch = self.watch("$sys.node.*")
        link = self.link("bob", "laptop")
        self.assertEqual(self.event(watch, "$sys.node.join", "laptop")["user"], "bob")
        link.send("quit")
        left = self.event(watch, "$sys.node.leave", "laptop")
        self.assertEqual(left["user"], "bob")
        self.assertTrue(left["reason"])

    def test_leave_when_the_line_is_cut(self):
        watch = self.watch("$sys.>")
        link = self.link("bob", "cut")
        self.event(watch, "$sys.node.join", "cut")
        link.close()
        self.event(watch, "$sys.node.leave", "cut")

    def test_only_named_nodes(self):
        """§7: join and leave are for named nodes."""
        watch = self.watch("$sys.node.>")
        link = self.link("bob")
        link.send("quit")
        link.end()
        self.event_after(watch)

    def event_after(self, watch):
        self.link("bob", "marker")
        first = watch.next()
        self.assertEqual(json.loads(first.body)["node"], "marker")

    def test_needs_a_rule(self):
        """§7: to subscribe needs a rule that gives the subject; users and bots have none by default."""
        for user in ("alice", "bot1"):
            link = self.link(user)
            for pattern in ("$sys.>", "$sys.node.join", "$sys.*.join", "$sys.dead"):
                with self.subTest(user=user, pattern=pattern):
                    answer = link.ask("sub", subject=pattern)
                    self.assertEqual((answer.op, answer["code"]), ("error", "denied"))
            self.assertEqual(link.refused("pub", "x", subject="$sys.node.join"), "denied")

    def test_wildcards_first_do_not_match(self):
        """§3: `>` matches no reserved subject, for operators either."""
        everything = self.watch(">")
        watch = self.watch("$sys.node.join")
        self.link("bob", "unseen")
        self.event(watch, "$sys.node.join", "unseen")
        self.assertEqual(everything.arrived(), [])


if __name__ == "__main__":
    unittest.main()
