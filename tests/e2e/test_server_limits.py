"""§8 Limits of the server as a whole, each at n and at n + 1, and with a reload; and that whatever waits in the server can be
seen on the metrics page and in `status`."""

import json
import re
import signal
import socket
import unittest
import urllib.request

from harness import Server, Test, eventually
from links import TIMEOUT


class Limited(Test):
    """One server a test, with its metrics page."""

    users = {"op": "operator", "alice": "user", "bob": "user"}

    def serve(self, limits=""):
        server = Server(self.users, f"[limits]\n{limits}", arguments=["--http", "127.0.0.1:0"])
        self.addCleanup(server.destroy)
        server.start()
        port = eventually(lambda: re.search(r"http on 127\.0\.0\.1:(\d+)", server.log(None)), "the page has a port")[1]
        server.page = f"http://127.0.0.1:{port}/metrics"
        return server

    def metrics(self, server):
        with urllib.request.urlopen(server.page, timeout=TIMEOUT) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    def reload(self, server, limits):
        server.configure(f"[limits]\n{limits}")
        before = server.log(None).count("configuration reloaded")
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: server.log(None).count("configuration reloaded") > before, "the configuration is reloaded")

    def channel(self, server, session, **more):
        link = server.channel(session, **more)
        self.addCleanup(link.close)
        return link


class Accounts(Limited):
    def refused(self, server, *words):
        status, out, error = server.execute("op", *words)
        self.assertEqual(status, 1, f"{words}: {out}")
        self.assertTrue(error)

    def test_users(self):
        """Users of the key file count; those who are known can still be changed."""
        server = self.serve("users = 8\n")
        known = len(json.loads(server.admin("user", "list", "--json"))["users"])
        self.assertGreaterEqual(known, len(self.users))
        for number in range(known, 8):
            server.admin("user", "add", f"u{number}")
        self.refused(server, "user", "add", "u8")
        server.admin("user", "add", "u7", "--role", "bot")
        eventually(lambda: self.metrics(server)["kedge_users"] == 8, "the gauge is at the limit")
        # The store itself holds more than 8 of them then: it has heard of the reload too.
        self.reload(server, "users = 16\n")
        for number in range(8, 16):
            server.admin("user", "add", f"u{number}")
        self.refused(server, "user", "add", "u16")
        server.stop()

    def test_rules(self):
        server = self.serve("rules = 2\n")
        add = ("rule", "add", "--role", "bot", "deny", "publish")
        server.admin(*add, "r.1")
        server.admin(*add, "r.2")
        self.refused(server, *add, "r.3")
        self.reload(server, "rules = 3\n")
        server.admin(*add, "r.3")
        self.refused(server, *add, "r.4")
        eventually(lambda: self.metrics(server)["kedge_rules"] == 3, "the gauge is at the limit")
        server.stop()

    def test_dead_letters_after_a_reload(self):
        server = self.serve("dead_letters = 1\n")
        server.add_stream("D", "d.>")
        link = self.channel(server, server.session("alice"))
        link.ok("consume", stream="D", consumer="c")

        def die(first, last):
            for seq in range(first, last + 1):
                link.ok("pub", "x", id=str(seq), subject="d.x")
                link.msgs(1)
                link.ok("term", consumer="c", seq=seq)

        def kept():
            return [letter["seq"] for letter in json.loads(server.admin("dead", "list", "D", "c", "--json"))["dead"]]
        die(1, 2)
        eventually(lambda: kept() == [2], "one is kept")
        self.reload(server, "dead_letters = 3\n")
        die(3, 5)
        eventually(lambda: kept() == [3, 4, 5], "three are kept")
        eventually(lambda: self.metrics(server)["kedge_dead_letters_kept"] == 3, "the gauge says so")
        server.stop()


class Sessions(Limited):
    def refused(self, server):
        """A connection that is not greeted as by an SSH server. (paramiko would wait out its time after a reset.)"""
        with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as sock:
            try:
                return sock.recv(4) != b"SSH-"
            except ConnectionError:
                return True

    def test_sessions(self):
        """§8: the server's sessions. One more is refused and counted; the others go on; a place that is left is free again."""
        server = self.serve("sessions = 3\n")
        held = [self.channel(server, session) for session in [server.session(user) for user in ("alice", "alice", "bob")]]
        self.assertTrue(self.refused(server))
        for link in held:
            link.ping()
        shown = self.metrics(server)
        self.assertEqual(shown["kedge_sessions"], 3)
        self.assertEqual(shown['kedge_refused_total{reason="sessions"}'], 1)
        self.assertEqual(shown['kedge_limit{name="sessions"}'], 3)
        self.reload(server, "sessions = 4\n")
        fourth = server.session("bob")
        self.channel(server, fourth).ping()
        self.assertTrue(self.refused(server))
        self.assertEqual(self.metrics(server)['kedge_refused_total{reason="sessions"}'], 2)
        fourth.close()
        eventually(lambda: self.metrics(server)["kedge_sessions"] == 3, "a place is free again")
        self.channel(server, server.session("bob")).ping()
        for link in held:
            link.ping()
        server.stop()


class Waiting(Limited):
    def test_what_is_not_read_is_seen(self):
        server = self.serve("keepalive_ms = 3600000\n")  # or it would wake a session that has missed something
        slow = self.channel(server, server.session("bob"), reading=False, window=65536)
        slow.send("sub", subject="flood")
        publisher = self.channel(server, server.session("alice"))
        eventually(lambda: self.metrics(server)["kedge_subscriptions"] == 1, "the slow link has subscribed")
        body = b"z" * 60_000
        for _ in range(60):
            publisher.ok("pub", body, subject="flood")

        def piled_up():
            shown = self.metrics(server)
            return shown["kedge_unsent_bytes"] > 1_000_000 and shown["kedge_outbox_bytes"] > 1_000_000 and shown
        shown = eventually(piled_up, "the outbox is on the page")
        self.assertLessEqual(shown["kedge_unsent_bytes_largest"], shown["kedge_unsent_bytes"])
        self.assertLessEqual(shown["kedge_unsent_bytes_largest"], shown['kedge_limit{name="link_unsent_bytes"}'])
        self.assertRegex(server.admin("status"), r"\nwaiting: .*MiB for clients to read")
        slow.close()
        eventually(lambda: self.metrics(server)["kedge_unsent_bytes"] == 0, "nothing waits once the link is gone")
        eventually(lambda: self.metrics(server)["kedge_outbox_bytes"] == 0, "nor in an outbox")
        self.assertIn("\nwaiting: nothing\n", server.admin("status"))
        shown = self.metrics(server)
        for name in ("router_inbox_bytes", "outputs_waiting", "operations_held", "links_stalled", "operations_unanswered",
                     "store_queue_bytes", "appends_waiting", "log_lines_waiting"):
            self.assertEqual(shown[f"kedge_{name}"], 0, name)
        server.stop()


if __name__ == "__main__":
    unittest.main()
