"""§8 Limits over the wire: each at n and at n + 1. A small configuration makes them reachable; the defaults are in
`welcome` (test_protocol_links) and in /metrics (test_cli)."""

import json
import socket
import time
import unittest

import paramiko

from harness import Case, Server, Test, eventually
from links import TIMEOUT, LinkClosed
from wire import Frames, Lines

REFUSED = ("quota", "bad_request")


class Sizes(Case):
    config = "[limits]\nbody_bytes = 10000\nheader_bytes = 2000\nframe_bytes = 20000\nline_bytes = 40000\n"

    def subscribed(self, form):
        link = self.channel(self.session(), form)
        subject = self.name("s")
        link.ok("sub", subject=subject)
        return link, subject

    def test_body(self):
        """§8 body; §6: a body that is too large is read and dropped, and answered `too_large`."""
        for form in ("lines", "frames"):
            with self.subTest(form):
                link, subject = self.subscribed(form)
                self.assertEqual(link.welcome["max_body"], 10000)
                link.ok("pub", b"x" * 10000, subject=subject)
                self.assertEqual(len(link.msgs(1)[0].body), 10000)
                self.assertEqual(link.refused("pub", b"x" * 10001, subject=subject), "too_large")
                link.ok("pub", b"\xff" * 10000, subject=subject)
                self.assertEqual(link.msgs(1)[0].body, b"\xff" * 10000)
                self.assertEqual(link.refused("pub", b"\xff" * 10001, subject=subject), "too_large")
                self.assertEqual(self.bodies(link.arrived()), [])

    def test_body_of_an_operation_without_one(self):
        """§6: the limit is the body's, whatever the operation."""
        link, _ = self.subscribed("frames")
        link.send("ping", b"x" * 10001, id="p")
        self.assertEqual(link.take(lambda n: n.op in ("pong", "error"))["id"], "p")
        self.assertEqual(link.ping().op, "pong")

    def test_frame(self):
        """§8 frame; §6: only a frame longer than `max_frame` ends the link."""
        link, _ = self.subscribed("frames")
        header = b'{"op":"pub","id":"f","subject":"x"}'
        frame = Frames.pack(b"%-4x" % len(header), header, b"x" * (20000 - 4 - len(header)))
        self.assertEqual(len(frame), 20004)
        link.write(frame)
        self.assertEqual(link.answer("f")["code"], "too_large")
        link.write(Frames.pack(b"%-4x" % len(header), header, b"x" * (20001 - 4 - len(header))))
        bye, status = link.end()
        self.assertIn(bye["code"], ("bad_frame", "too_large"))
        self.assertEqual(status, 1)

    def test_header(self):
        """§8 header"""
        link, _ = self.subscribed("frames")
        for size, good in ((2000, True), (2001, False)):
            header = b'{"op":"ping","id":"h"}'
            link.write(Frames.pack(b"%-4x" % size, header + b" " * (size - len(header))))
            if good:
                self.assertEqual(link.answer("h").op, "pong")
            else:
                self.assertIn(link.expect("error")["code"], ("too_large", "bad_request", "bad_frame"))

    def test_line(self):
        """§8 line; §6: an overlong line is dropped to its LF and answered `too_large` without id."""
        link, _ = self.subscribed("lines")
        ping = b'{"op":"ping","id":"l"}'
        link.write(ping + b" " * (40000 - len(ping)) + b"\n")
        self.assertEqual(link.answer("l").op, "pong")
        link.write(ping + b" " * (40010 - len(ping)) + b"\n")
        error = link.next()
        self.assertEqual((error.op, error["code"]), ("error", "too_large"))
        self.assertNotIn("id", error)
        self.assertEqual(link.ping().op, "pong")

    def test_overlong_line_is_not_kept(self):
        """§6: dropped as it comes: a hundred times the limit, answered once."""
        link, _ = self.subscribed("lines")
        for _ in range(100):
            link.write(b"x" * 40000)
        link.write(b"\n" + Lines.encode({"op": "ping", "id": "after"}))
        self.assertEqual(link.next()["code"], "too_large")
        self.assertEqual(link.next(), {"op": "pong", "id": "after"})


class Defaults(Case):
    def test_largest_body(self):
        """§8: 1 MiB, in both encodings; one byte more is `too_large`."""
        for form in ("lines", "frames"):
            for filler in (b"x", b"\xff"):
                with self.subTest(form=form, filler=filler):
                    link = self.link(form=form)
                    subject = self.name("s")
                    link.ok("sub", subject=subject)
                    link.ok("pub", filler * 1048576, subject=subject)
                    self.assertEqual(link.msgs(1)[0].body, filler * 1048576)
                    self.assertEqual(link.refused("pub", filler * 1048577, subject=subject), "too_large")

    def test_waits_and_delays(self):
        """§8: ack wait 1 s to 1 h, delay 24 h, window 16,384, seqs in one ack 16,384."""
        name, _ = self.filled(2)
        link = self.link()
        for field, good, bad in (("ack_wait_ms", (1000, 3_600_000), (0, 999, 3_600_001)),
                                 ("window", (1, 16384), (0, 16385)), ("max_deliver", (0, 1), (-1,))):
            for value in good:
                with self.subTest(**{field: value}):
                    link.ok("consume", stream=name, consumer=self.name("c"), **{field: value})
            for value in bad:
                with self.subTest(**{field: value}):
                    self.assertIn(link.refused("consume", stream=name, consumer=self.name("c"), **{field: value}), REFUSED)
        link.ok("consume", stream=name, consumer="c", start="first")
        link.msgs(2)
        link.ok("nak", consumer="c", seq=1, delay_ms=86_400_000)
        self.assertIn(link.refused("nak", consumer="c", seq=2, delay_ms=86_400_001), REFUSED)
        link.ok("ack", consumer="c", seq=list(range(1, 16385)))
        self.assertIn(link.refused("ack", consumer="c", seq=list(range(1, 16386))), REFUSED)


class Counts(Case):
    config = """[limits]
link_subscriptions = 5
user_nodes = 3
user_consumers = 3
dead_letters = 3
streams = 3
stream_subjects = 2
consumer_window = 100
ack_seqs = 10
"""

    def test_subscriptions_a_link(self):
        link = self.link()
        for number in range(5):
            link.ok("sub", subject=f"n.{number}")
        self.assertIn(link.refused("sub", subject="n.5"), REFUSED)
        link.ok("sub", subject="n.0")  # one that is there takes no room
        link.ok("unsub", subject="n.0")
        link.ok("sub", subject="n.5", group="g")
        self.assertIn(link.refused("sub", subject="n.6", group="g"), REFUSED)

    def test_nodes_a_user(self):
        for number in range(3):
            link = self.link("bob", f"n{number}")
            link.close()
        link = self.link("bob")
        self.assertEqual(link.refused("hello", node="n3"), "quota")
        self.link("bob", "n0")
        self.link("alice", "n3")

    def test_consumers_a_user(self):
        self.server.add_stream("C", "c.>")
        link = self.link("bot1")
        for number in range(3):
            link.ok("consume", stream="C", consumer=f"c{number}")
        self.assertEqual(link.refused("consume", stream="C", consumer="c3"), "quota")
        self.assertEqual(link.refused("consume", stream="C", consumer="w", window=101), "bad_request")
        self.link("bot1").ok("consume", stream="C", consumer="c0", window=100)
        self.link("alice").ok("consume", stream="C", consumer="c3")
        link.ok("ack", consumer="c0", seq=list(range(10)) and list(range(1, 11)))
        self.assertIn(link.refused("ack", consumer="c0", seq=list(range(1, 12))), REFUSED)

    def test_dead_letters_of_a_consumer(self):
        """The newest are kept: the oldest go."""
        self.server.add_stream("D", "d.>")
        link = self.link()
        link.ok("consume", stream="D", consumer="c")
        self.publish(link, "d.x", 5)
        link.msgs(5)
        for seq in range(1, 6):
            link.ok("term", consumer="c", seq=seq)
        def kept():
            listed = json.loads(self.server.admin("dead", "list", "D", "c", "--json"))
            return [letter["seq"] for letter in next(v for v in listed.values() if isinstance(v, list))]
        eventually(lambda: kept() == [3, 4, 5], "three are kept")

    def test_streams(self):
        for number in range(3):
            name = f"L{number}"
            self.server.execute("op", "stream", "add", name, "--subjects", f"{name.lower()}.>")
        streams = [s for s in json.loads(self.link().ask("who", what="streams").body)["streams"] if s["stream"] != "INBOX"]
        self.assertEqual(len(streams), 3)
        status, _, error = self.server.execute("op", "stream", "add", "ONEMORE", "--subjects", "onemore.>")
        self.assertEqual(status, 1)
        self.assertTrue(error)
        self.server.admin("stream", "remove", streams[0]["stream"])
        status, _, error = self.server.execute("op", "stream", "add", "TOOMANY", "--subjects", "t.a,t.b,t.c")
        self.assertEqual(status, 1)
        self.server.add_stream(streams[0]["stream"], streams[0]["subjects"][0], "another.subject")


class Idle(Case):
    config = "[limits]\nidle_ms = 1000\n"

    def test_keepalive(self):
        """§8: `ping` is due when the client asked for it in `hello`; else `bye` `idle`. Without it nobody is ended."""
        quiet = self.link()
        start = time.monotonic()
        asked = self.link()
        asked.hello("k", keepalive=True)
        bye, status = asked.end()
        self.assertEqual((bye["code"], status), ("idle", 1))
        self.assertGreaterEqual(time.monotonic() - start, 0.95)
        self.assertEqual(quiet.ping().op, "pong")


class Sessions(Case):
    config = "[limits]\nuser_sessions = 2\nsession_links = 4\n"

    def test_sessions_a_user(self):
        """§8: sessions a user."""
        held = [self.session("bob"), self.session("bob")]
        for session in held:
            self.channel(session).ping()
        with self.assertRaises((paramiko.SSHException, EOFError, LinkClosed, OSError, TimeoutError)):
            self.channel(self.session("bob"))
        self.channel(self.session("alice")).ping()
        held[0].close()

        def again():
            try:
                return self.channel(self.session("bob")).ping()
            except (paramiko.SSHException, EOFError, LinkClosed, OSError):
                return None
        eventually(again, "a place is free again")

    def test_links_a_session(self):
        """§8: channels a session."""
        session = self.session("alice")
        held = [self.channel(session) for _ in range(4)]
        with self.assertRaises((paramiko.SSHException, EOFError, LinkClosed)):
            self.channel(session)
        for link in held:
            link.ping()
        held[0].send("quit")
        held[0].end()
        held[0].close()

        def again():
            try:
                return self.channel(session).ping()
            except (paramiko.SSHException, EOFError, LinkClosed):
                return None
        eventually(again, "a place is free again")


class BeforeLogin(Test):
    """ssh.md "Before authentication": limits on those who have not logged in."""

    def serve(self, limits):
        # Loopback is neither penalised nor counted unless it is taken off the list of those.
        server = Server({"op": "operator", "alice": "user"}, "[gate]\nexempt = []\n[limits]\n" + limits)
        self.addCleanup(server.destroy)
        return server.start()

    def stranger(self, server):
        """A connection that says nothing; whether the server greets it as an SSH server (it may say why it does not:
        RFC 4253 §4.2)."""
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT)
        self.addCleanup(sock.close)
        try:
            return sock, sock.recv(4) == b"SSH-"
        except ConnectionError:
            return sock, False

    def test_unauthenticated_an_address(self):
        """§8: unauthenticated sessions, 10 an address (here 3)."""
        server = self.serve("unauthenticated_address = 3\n")
        held = [self.stranger(server) for _ in range(3)]
        self.assertEqual([greeted for _, greeted in held], [True] * 3)
        self.assertFalse(self.stranger(server)[1])
        for sock, _ in held:
            sock.close()

        def login():
            try:
                link = server.link("alice")
            except LinkClosed:
                return False
            self.addCleanup(link.close)
            return link.ping()
        eventually(login, "strangers that left make room")
        server.stop()

    def test_unauthenticated(self):
        """§8: unauthenticated sessions (here 4), whoever they are; those who have logged in go on."""
        server = self.serve("unauthenticated = 4\nunauthenticated_early_drop = 4\nunauthenticated_address = 100\n")
        link = server.link("alice")
        self.addCleanup(link.close)
        held = [self.stranger(server) for _ in range(4)]
        self.assertEqual([greeted for _, greeted in held], [True] * 4)
        self.assertFalse(self.stranger(server)[1])
        self.assertEqual(link.ping().op, "pong")
        server.stop()

    def test_login_grace(self):
        """§8: 20 s each (here 1 s)."""
        server = self.serve("login_grace_ms = 1000\n")
        link = server.link("alice")
        self.addCleanup(link.close)
        start = time.monotonic()
        sock, greeted = self.stranger(server)
        self.assertTrue(greeted)
        try:
            while sock.recv(4096):
                pass
        except ConnectionError:
            pass
        self.assertGreaterEqual(time.monotonic() - start, 0.95)
        self.assertEqual(link.ping().op, "pong")
        server.stop()


if __name__ == "__main__":
    unittest.main()
