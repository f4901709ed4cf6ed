"""§3 Names: each at its limit, and one beyond."""

import unittest

from harness import Case


class Names(Case):
    def refuses(self, link, op, values, **fields):
        """Each value of the one field that is a list is refused; the link goes on."""
        (field, _), = values.items()
        for value in values[field]:
            with self.subTest(op=op, **{field: value}):
                self.assertEqual(link.refused(op, **{field: value}, **fields), "bad_request")

    def test_nodes(self):
        """§3: `[a-z0-9][a-z0-9_-]{0,31}`."""
        for good in ("a", "0", "a" * 32, "x_y-z9"):
            self.assertEqual(self.link(node=good).ping().op, "pong")
        for bad in ("", "a" * 33, "A", "-a", "_a", "a.b", "a/b", "é", "a b"):
            with self.subTest(bad):
                self.assertEqual(self.link().refused("hello", node=bad), "bad_request")

    def test_users(self):
        """§3: users have the alphabet of nodes."""
        self.server.admin("user", "add", "u" * 32)
        for bad in ("u" * 33, "Upper", "-x", "_x", "a.b", "a/b", ""):
            with self.subTest(bad):
                status, _, error = self.server.execute("op", "user", "add", "--", bad)
                self.assertNotEqual(status, 0)
                self.assertTrue(error)

    def test_subjects(self):
        """§3: 1 to 16 tokens joined by `.`, 255 bytes at most; no space, control character, `*`, `>`."""
        link = self.link()
        for good in ("a", ".".join("a" * 16), "a" * 255, "é.€.\U0001f600", "A-b_c:d/e", "~x", "a.$b", "a._b"):
            with self.subTest(good):
                link.ok("sub", subject=good)
                link.ok("pub", "x", subject=good)
                self.assertEqual(link.msgs(1)[0]["subject"], good)
        bad = ["", ".", "a.", ".a", "a..b", ".".join("a" * 17), "a" * 256, "é" * 128, "a b", "a\tb", "a\x00b", "a\x7fb",
               "a\n", "a.*", "a.>", "*", ">", "a*b", "a>b"]
        self.refuses(link, "pub", {"subject": bad}, body="x")

    def test_patterns(self):
        """§3: a pattern may use `*` for one token and a final `>` for one or more."""
        link = self.link()
        for good in ("*", ">", "a.*.b", "a.>", "*.*.>", ".".join("*" * 16), ".".join("a" * 15) + ".>"):
            with self.subTest(good):
                link.ok("sub", subject=good)
        self.refuses(link, "sub", {"subject": ["", "a.>.b", ">.a", "a*", "*a.b", "a.b>", "a..*", "a. ", ".".join("*" * 17)]})

    def test_reply_to_is_a_subject(self):
        """§4.1: `reply_to` names a subject."""
        self.refuses(self.link(), "pub", {"reply_to": ["", "a b", "a.*", 7]}, subject="x", body="x")

    def test_ids(self):
        """§4: any string of 1 to 64 bytes."""
        link = self.link()
        for good in ("x", "y" * 64, "é" * 32, "a b\"\\", "{}"):
            self.assertEqual(link.ask("ping", id=good).op, "pong")
        for bad in ("", "y" * 65, "é" * 33, 7, ["a"]):
            with self.subTest(bad):
                link.send("ping", id=bad)
                self.assertEqual(link.expect("error")["code"], "bad_request")

    def test_wildcards_first_match_nothing_reserved(self):
        """§3: a pattern that begins with a wildcard matches no reserved subject."""
        link = self.link()
        token = self.name("_r")
        link.ok("sub", subject=">")
        link.ok("sub", subject="*." + token)
        link.ok("pub", "x", subject=token + ".a")
        link.ok("pub", "x", subject=f"_{token}.{token}")
        self.assertEqual(self.bodies(link.arrived()), [])
        link.ok("sub", subject=token + ".>")
        link.ok("pub", "y", subject=token + ".a")
        self.assertEqual(self.bodies(link.arrived()), ["y"])

    def test_inbox_and_svc_are_not_for_pub(self):
        """§3: publishing to `inbox.*` and `svc.*` is `denied`."""
        for user in ("alice", "bot1", "op"):
            link = self.link(user)
            for subject in ("inbox.alice", "inbox.bob", f"inbox.{user}", "svc.echo.say", "svc.echo"):
                with self.subTest(user=user, subject=subject):
                    self.assertEqual(link.refused("pub", "x", subject=subject), "denied")

    def test_streams_do_not_cover_inbox_and_svc(self):
        """§3: streams may not cover them."""
        for subjects in ("inbox.>", "svc.>", "inbox.alice", "svc.*.run", "good.>,inbox.*"):
            with self.subTest(subjects):
                status, _, error = self.server.execute("op", "stream", "add", self.name("S"), "--subjects", subjects)
                self.assertEqual(status, 1, error)

    def test_stream_names(self):
        """§3: `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`."""
        self.server.add_stream("S" * 64, "longest.>")
        link = self.link()
        link.ok("consume", stream="S" * 64, consumer="c")
        for bad in ("S" * 65, "-S", "_S", "S.x", "S x", "é"):
            with self.subTest(bad):
                status, _, _ = self.server.execute("op", "stream", "add", "--subjects", self.name("n") + ".>", "--", bad)
                self.assertNotEqual(status, 0)
                self.assertEqual(link.refused("consume", stream=bad, consumer="c"), "bad_request")

    def test_consumer_and_group_names(self):
        """§3: consumers have the alphabet of streams."""
        name, _ = self.stream()
        link = self.link()
        link.ok("consume", stream=name, consumer="C" * 64)
        self.refuses(link, "consume", {"consumer": ["", "C" * 65, "-c", "_c", "a.b", "a b", 5]}, stream=name)

    def test_streams_do_not_intersect(self):
        """§3: the subjects of two streams do not intersect."""
        name = self.name("S")
        token = name.lower()
        self.server.add_stream(name, f"{token}.*.a", f"{token}.b")
        for subjects in (f"{token}.b", f"{token}.*", f"{token}.>", f"{token}.x.*", f"{token}.x.a", ">", "*.b"):
            with self.subTest(subjects):
                status, _, _ = self.server.execute("op", "stream", "add", self.name("S"), "--subjects", subjects)
                self.assertEqual(status, 1)
        self.server.add_stream(self.name("S"), f"{token}.*.c", f"{token}.d")

    def test_seq(self):
        """§3: per stream, from 1, rising."""
        first, token = self.stream()
        second, other = self.stream()
        link = self.link()
        got = [link.ok("pub", "x", subject=f"{which}.x") for which in (token, other, token, other, token)]
        self.assertEqual([(n["stream"], n["seq"]) for n in got],
                         [(first, 1), (second, 1), (first, 2), (second, 2), (first, 3)])


class Headers(Case):
    """§3: an object of strings."""

    def test_good(self):
        link = self.link()
        subject = self.name("h")
        link.ok("sub", subject=subject)
        for headers in ({"A": "b"}, {"n" * 64: "v" * 1024}, {"a-B-9": "é" * 512}, {f"H{n}": str(n) for n in range(32)},
                        {"X": 'quote " backslash \\ slash /'}, {"X-Nats-Y": "a"}, {"Content-Type": "text/plain; a=b"}):
            with self.subTest(headers):
                link.ok("pub", "x", subject=subject, headers=headers)
                self.assertEqual(link.msgs(1)[0]["headers"], headers)

    def test_bad(self):
        link = self.link()
        for headers in ({"n" * 65: "v"}, {"": "v"}, {"a b": "v"}, {"é": "v"}, {"a_b": "v"}, {"Nats-Msg-Id": "v"},
                        {"Kedge-X": "v"}, {"A": ""}, {"A": "v" * 1025}, {"A": "é" * 513}, {"A": " v"}, {"A": "v "},
                        {"A": "a\nb"}, {"A": "a\x7f"}, {"A": "a\tb"}, {"A": 5}, {"A": None}, {"A": ["x"]},
                        {f"H{n}": str(n) for n in range(33)}, ["A"], "A", 5):
            with self.subTest(headers):
                self.assertEqual(link.refused("pub", "x", subject="x", headers=headers), "bad_request")

    def test_kept_in_a_stream(self):
        """§4.2: `headers` come with the stored message too."""
        name, token = self.stream()
        link = self.link()
        link.ok("pub", "x", subject=token + ".a", headers={"Kind": "kept"}, reply_to="answers.here")
        link.ok("consume", stream=name, consumer="c", start="first")
        msg = link.msgs(1)[0]
        self.assertEqual((msg["headers"], msg["reply_to"]), ({"Kind": "kept"}, "answers.here"))


if __name__ == "__main__":
    unittest.main()
