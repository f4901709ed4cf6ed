"""Issue item 6: messages and bytes a second per user with bursts: slowed, not cut; stored bytes per user; values of one user's own.

Rates are proven by lower bounds of time only: a slowed client may be slower on a loaded machine, never faster.
"""

import json
import signal
import threading
import time
import unittest

from harness import Case, eventually


class Rates(Case):
    def setUp(self):
        self.flooder, self.other = self.user(), self.user()

    def limit(self, user, **limits):
        words = [word for name, value in limits.items() for word in ("--limit", f"{name}={value}")]
        self.server.admin("user", "edit", user, *words)

    def flood(self, link, count, make):
        """Writes everything at once, on a thread of its own, for the writer may have to wait."""
        data = b"".join(link.codec.encode(*make(number)) for number in range(count))
        thread = threading.Thread(target=lambda: link.write(data), daemon=True)
        thread.start()
        return thread

    def test_messages_a_second(self):
        """A well-behaved client is slowed, not cut: nothing lost, nothing reordered, no error."""
        self.limit(self.flooder, user_rate_messages=200, user_burst_ms=500)
        subject = self.name("flood")
        watch = self.link(self.other)
        watch.ok("sub", subject=subject)
        link = self.link(self.flooder)
        start = time.monotonic()
        self.flood(link, 500, lambda n: ({"op": "pub", "id": str(n), "subject": subject}, str(n).encode()))
        got = [watch.expect("msg").body for _ in range(500)]
        self.assertGreaterEqual(time.monotonic() - start, (500 - 200 * 0.5) / 200 - 0.3)
        self.assertEqual(got, [str(n).encode() for n in range(500)])
        for number in range(500):
            self.assertEqual(link.answer(str(number)).op, "ok")
        link.ping()

    def test_bytes_a_second(self):
        self.limit(self.flooder, user_rate_bytes=200_000, user_burst_ms=500)
        subject = self.name("flood")
        watch = self.link(self.other)
        watch.ok("sub", subject=subject)
        link = self.link(self.flooder, form="frames")
        start = time.monotonic()
        self.flood(link, 50, lambda n: ({"op": "pub", "subject": subject}, b"%05d" % n + b"x" * 9995))
        got = [int(watch.expect("msg").body[:5]) for _ in range(50)]
        self.assertGreaterEqual(time.monotonic() - start, (500_000 - 100_000) / 200_000 - 0.3)
        self.assertEqual(got, list(range(50)))

    def test_durable_publishes_posts_and_calls(self):
        """The rate is of publishes, posts and calls together, over all links of the user; each is done once, in order."""
        self.limit(self.flooder, user_rate_messages=200, user_burst_ms=200)
        name, token = self.stream()
        inbox = self.inbox(self.other)
        server = self.link("bot1")
        service = self.name("Svc")
        server.ok("serve", service=service, version="1", methods=["x"])
        links = [self.link(self.flooder, "n1"), self.link(self.flooder, "n2"), self.link(self.flooder, "n3", form="frames")]
        start = time.monotonic()
        self.flood(links[0], 100, lambda n: ({"op": "pub", "id": str(n), "subject": token + ".x"}, str(n).encode()))
        self.flood(links[1], 100, lambda n: ({"op": "post", "id": str(n), "to": [self.other]}, str(n).encode()))
        self.flood(links[2], 100, lambda n: ({"op": "call", "id": str(n), "service": service, "method": "x", "timeout_ms": 60_000},
                                             str(n).encode()))
        numbers = [str(n) for n in range(100)]
        self.assertEqual([links[0].answer(n)["seq"] for n in numbers], list(range(1, 101)))
        self.assertEqual([links[1].answer(n).op for n in numbers], ["ok"] * 100)
        calls = [server.expect("call") for _ in numbers]
        self.assertGreaterEqual(time.monotonic() - start, (300 - 40) / 200 - 0.3)
        self.assertEqual([c.body.decode() for c in calls], numbers)
        self.assertEqual(self.bodies(inbox.msgs(100)), numbers)

    def test_others_go_on(self):
        """Who floods slows nobody else, nor that user's acknowledgements and pings for ever."""
        self.limit(self.flooder, user_rate_messages=10, user_burst_ms=100)
        subject = self.name("flood")
        link, other = self.link(self.flooder), self.link(self.other)
        self.flood(link, 1000, lambda n: ({"op": "pub", "subject": subject}, b"x"))
        for _ in range(200):
            other.ok("pub", "x", subject=subject)
        link.close()
        self.link(self.flooder).ping()

    def test_no_limit_by_default(self):
        link = self.link(self.flooder)
        subject = self.name("flood")
        link.ok("sub", subject=subject)
        self.flood(link, 5000, lambda n: ({"op": "pub", "subject": subject}, b"x"))
        start = time.monotonic()
        link.msgs(5000)
        self.assertLess(time.monotonic() - start, 20)

    def test_a_limit_that_is_taken_away(self):
        """At run time, for links that are there: what was held is let go."""
        self.limit(self.flooder, user_rate_messages=1, user_burst_ms=1000)
        subject = self.name("flood")
        watch = self.link(self.other)
        watch.ok("sub", subject=subject)
        link = self.link(self.flooder)
        self.flood(link, 200, lambda n: ({"op": "pub", "subject": subject}, str(n).encode()))
        watch.expect("msg")
        self.limit(self.flooder, user_rate_messages=0)
        self.assertEqual([watch.expect("msg").body for _ in range(199)], [str(n).encode() for n in range(1, 200)])


class RatesOfAll(Case):
    """The same limits from the configuration hold for everybody; one user's own value goes before them."""

    config = "[limits]\nuser_rate_messages = 200\nuser_burst_ms = 500\n"

    def test_configured(self):
        user, free = self.user(), self.user()
        self.server.admin("user", "edit", free, "--limit", "user_rate_messages=0")
        for name, least in ((user, (400 - 100) / 200 - 0.3), (free, 0)):
            link = self.link(name)
            start = time.monotonic()
            for number in range(400):
                link.send("pub", "x", id=str(number), subject="a.b")
            for number in range(400):
                self.assertEqual(link.answer(str(number)).op, "ok")
            took = time.monotonic() - start
            self.assertGreaterEqual(took, least)


class Reload(Case):
    config = "[limits]\nuser_rate_messages = 5\nuser_burst_ms = 1000\n"

    def test_from_the_configuration_while_it_runs(self):
        """Issue items 6, 9: from the configuration, which SIGHUP takes over; what was held is let go then."""
        user = self.user()
        link = self.link(user)
        for number in range(300):
            link.send("pub", "x", id=str(number), subject="a.b")
        link.answer("4")
        self.server.configure("[limits]\nuser_rate_messages = 100000\n")
        start = time.monotonic()
        self.server.process.send_signal(signal.SIGHUP)
        for number in range(5, 300):
            self.assertEqual(link.answer(str(number)).op, "ok")
        self.assertLess(time.monotonic() - start, 30)


class Window(Case):
    config = "[limits]\nbody_bytes = 20000\nheader_bytes = 2000\nframe_bytes = 60000\nline_bytes = 60000\nlink_inflight_bytes = 65536\n"

    def test_through_the_ssh_window(self):
        """Issue item 6: slowed through the SSH window: the writer has to wait, the server keeps no more than its share."""
        user = self.user()
        self.server.admin("user", "edit", user, "--limit", "user_rate_bytes=1000000", "--limit", "user_burst_ms=100")
        link = self.link(user, form="frames")
        data = b"".join(link.codec.encode({"op": "pub", "subject": "a.b"}, b"x" * 10_000) for _ in range(600))
        start = time.monotonic()
        link.write(data)  # 6 MB; it comes back when the last byte fits the window
        self.assertGreaterEqual(time.monotonic() - start, 1.0)
        link.close()


class Stored(Case):
    config = "[limits]\nuser_stored_bytes = 100000\n"

    def setUp(self):
        self.alice, self.bob = self.user(), self.user()
        self.name_, self.token = self.stream()

    def stores(self, user, size, subject=None):
        link = self.link(user)
        return link.ask("pub", b"x" * size, subject=subject or self.token + ".x").get("code")

    def test_stored_bytes_of_a_user(self):
        """Issue item 6: stored bytes per user, over all streams; over it a publish is answered `quota`, what is stored stays."""
        other, token = self.stream()
        self.assertIsNone(self.stores(self.alice, 40_000))
        self.assertIsNone(self.stores(self.alice, 40_000, token + ".x"))
        self.assertEqual(self.stores(self.alice, 40_000), "quota")
        self.assertIsNone(self.stores(self.alice, 5_000))
        self.assertIsNone(self.stores(self.bob, 40_000))
        self.assertIsNone(self.stores(self.alice, 900_000, self.name("plain")))
        self.server.kill()
        self.server.start()
        self.assertEqual(self.stores(self.alice, 40_000), "quota")
        reader = self.link("op")
        reader.ok("consume", stream=self.name_, consumer="c", start="first")
        self.assertEqual([len(m.body) for m in reader.msgs(3)], [40_000, 5_000, 40_000])

    def test_room_comes_back(self):
        """What retention or a purge takes is no longer counted."""
        for _ in range(2):
            self.assertIsNone(self.stores(self.alice, 45_000))
        self.assertEqual(self.stores(self.alice, 45_000), "quota")
        self.server.admin("stream", "purge", self.name_, "--up-to", "1")
        eventually(lambda: self.stores(self.alice, 45_000) is None, "room for one more")
        self.assertEqual(self.stores(self.alice, 45_000), "quota")
        self.server.admin("stream", "remove", self.name_)
        self.server.add_stream(self.name_, self.token + ".>")
        eventually(lambda: self.stores(self.alice, 90_000) is None, "room for all")

    def test_pipelined(self):
        """§6 `quota` sticks until a ping: no later one is stored before an earlier one that failed."""
        link = self.link(self.alice, "n")
        for number in range(20):
            link.send("pub", b"%02d" % number + b"x" * 19_998, id=str(number), subject=self.token + ".x")
        codes = [link.answer(str(n)).get("code") for n in range(20)]
        stored = codes.index("quota")
        self.assertTrue(3 <= stored <= 5, codes)
        self.assertEqual(codes, [None] * stored + ["quota"] * (20 - stored))

    def test_one_users_own(self):
        """Per user."""
        self.server.admin("user", "edit", self.alice, "--limit", "user_stored_bytes=200000")
        self.assertIsNone(self.stores(self.alice, 90_000))
        self.assertIsNone(self.stores(self.alice, 90_000))
        self.assertEqual(self.stores(self.alice, 90_000), "quota")
        shown = json.loads(self.server.admin("user", "show", self.alice, "--json"))
        self.assertEqual(shown["limits"]["user_stored_bytes"], 200_000)
        self.assertGreaterEqual(shown["stored_bytes"], 180_000)
        self.assertNotEqual(self.server.execute("op", "user", "edit", self.alice, "--limit", "no_such_limit=1")[0], 0)
        self.assertNotEqual(self.server.execute("op", "user", "edit", self.alice, "--limit", "sessions=1")[0], 0)


if __name__ == "__main__":
    unittest.main()
