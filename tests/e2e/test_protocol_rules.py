"""Issue item 5, architecture.md "What must always hold" 3: nobody reads or writes a subject that the rules do not give."""

import unittest

from harness import Case


class Inboxes(Case):
    def test_only_its_owner_reads_an_inbox(self):
        """Item 5: no one but its owner reads an inbox, operators neither."""
        for user in ("alice", "bot1", "op"):
            link = self.link(user)
            for pattern in ("inbox.bob", "inbox.*", "inbox.>", "inbox.bob.>"):
                with self.subTest(user=user, pattern=pattern):
                    answer = link.ask("sub", subject=pattern)
                    self.assertEqual((answer.op, answer.get("code")), ("error", "denied"))


class System(Case):
    def test_allowed_by_a_rule(self):
        """§7: to subscribe needs a rule that gives the subject; `$sys.broadcast`: whoever may publish there reaches every
        link that subscribes."""
        link = self.link("alice")
        self.assertEqual(link.refused("sub", subject="$sys.broadcast"), "denied")
        self.server.admin("rule", "add", "allow", "subscribe", "$sys.broadcast", "--role", "user")
        link.ok("sub", subject="$sys.broadcast")
        self.assertEqual(link.refused("sub", subject="$sys.node.join"), "denied")
        self.assertEqual(link.refused("pub", "x", subject="$sys.broadcast"), "denied")
        self.link("op").ok("pub", "to all", subject="$sys.broadcast")
        self.assertEqual(link.msgs(1)[0].body, b"to all")


class Denied(Case):
    """Deny goes before allow, whichever way a subject is reached."""

    def setUp(self):
        self.stream_name, self.token = self.stream()
        self.hidden = f"{self.token}.hidden"
        self.alice = self.link("alice")

    def deny(self, action="subscribe"):
        self.server.admin("rule", "add", "deny", action, f"{self.hidden}.>", "--user", "bob")

    def hidden_bodies(self, link):
        self.alice.ok("pub", "secret", subject=f"{self.hidden}.x")
        self.alice.ok("pub", "open", subject=f"{self.token}.open")
        link.ping()
        return [body for body in self.bodies(link.arrived()) if body == "secret"]

    def test_through_a_wider_pattern(self):
        """A wider pattern is refused, or delivers without what is hidden."""
        self.deny()
        for pattern in (">", f"{self.token}.>", f"{self.token}.*.x", f"*.hidden.x"):
            for group in ({}, {"group": "g"}):
                with self.subTest(pattern, **group):
                    link = self.link("bob")
                    link.ask("sub", subject=pattern, **group)
                    self.assertEqual(self.hidden_bodies(link), [])

    def test_through_a_consumer(self):
        """A consumer of a stream that holds hidden subjects is refused, or delivers without them."""
        self.deny()
        for fields in ({}, {"filter": f"{self.token}.>"}, {"filter": f"{self.hidden}.x"}, {"filter": f"{self.token}.*.x"}):
            with self.subTest(fields):
                self.alice.ok("pub", "secret", subject=f"{self.hidden}.x")
                link = self.link("bob")
                answer = link.ask("consume", stream=self.stream_name, consumer=self.name("c"), start="first", **fields)
                if answer.op == "error":
                    self.assertEqual(answer["code"], "denied")
                self.assertEqual(self.hidden_bodies(link), [])

    def test_a_subscription_that_stands(self):
        """A rule holds from now on for what stands already."""
        link = self.link("bob")
        link.ok("sub", subject=f"{self.hidden}.x")
        self.assertEqual(self.hidden_bodies(link), ["secret"])
        self.deny()
        self.assertEqual(self.hidden_bodies(link), [])

    def test_a_consumer_that_stands(self):
        link = self.link("bob")
        link.ok("consume", stream=self.stream_name, consumer=self.name("c"), filter=f"{self.hidden}.>")
        self.alice.ok("pub", "secret", subject=f"{self.hidden}.x")
        link.msgs(1)
        self.deny()
        self.assertEqual(self.hidden_bodies(link), [])

    def test_publishing(self):
        self.deny("publish")
        link = self.link("bob", "n")
        self.assertEqual(link.refused("pub", "x", subject=f"{self.hidden}.x"), "denied")
        link.send("pub", "x", subject=f"{self.hidden}.x", n=1)
        self.assertEqual(link.expect("error")["code"], "denied")
        link.ok("pub", "x", subject=f"{self.token}.open")
        self.assertEqual(link.ok("pub", "x", subject=f"{self.token}.open")["seq"], 2)


if __name__ == "__main__":
    unittest.main()
