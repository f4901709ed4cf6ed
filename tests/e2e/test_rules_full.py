"""Issue item 5: rules by user, role and key for every action, bans, `rule test`, the audit list."""

import json
import time
import unittest

from harness import Case, eventually, key_of, make_key, public_key


class Rules(Case):
    arguments = ("--http", "127.0.0.1:0")

    def setUp(self):
        self.alice, self.bob = self.user(), self.user()

    def rule(self, *words):
        return json.loads(self.server.admin("rule", "add", *words, "--json"))["id"]

    def drop(self, *rules):
        for rule in rules:
            self.server.admin("rule", "remove", str(rule))

    def denied(self, link, op, body=None, **fields):
        """The sentence that says why."""
        answer = link.ask(op, body, **fields)
        self.assertEqual((answer.op, answer.get("code")), ("error", "denied"), dict(answer))
        return answer["message"]

    def second_key(self, user):
        """Another key of that user, and its fingerprint."""
        key = make_key("second")
        before = {k["fingerprint"] for k in self.keys(user)}
        self.server.admin("key", "add", user, public_key(key))
        fingerprint, = {k["fingerprint"] for k in self.keys(user)} - before
        return key, fingerprint

    def keys(self, user):
        return json.loads(self.server.admin("key", "list", user, "--json"))["keys"]


class Actions(Rules):
    def test_serve(self):
        """Who may serve what."""
        service, other = self.name("Svc"), self.name("Svc")
        rule = self.rule("deny", "serve", service, "--user", self.bob)
        self.assertIn(service, self.denied(self.link(self.bob), "serve", service=service, version="1", methods=["x"]))
        self.link(self.bob).ok("serve", service=other, version="1", methods=["x"])
        self.link(self.alice).ok("serve", service=service, version="1", methods=["x"])
        self.drop(rule)
        self.link(self.bob).ok("serve", service=service, version="1", methods=["x"])

    def test_serving_that_stands(self):
        """A rule holds from now on for what stands already."""
        service = self.name("Svc")
        server = self.link(self.bob)
        server.ok("serve", service=service, version="1", methods=["x"])
        self.rule("deny", "serve", service, "--user", self.bob)
        caller = self.link(self.alice)
        answer = caller.ask("call", service=service, method="x")
        self.assertEqual((answer.op, answer["code"]), ("error", "no_responders"))

    def test_call(self):
        """Who may call what: SERVICE.METHOD."""
        service = self.name("Svc")
        server = self.link(self.alice)
        server.ok("serve", service=service, version="1", methods=["open", "shut"])
        self.rule("deny", "call", f"{service}.shut", "--user", self.bob)
        caller = self.link(self.bob)
        self.assertIn(f"{service}.shut", self.denied(caller, "call", service=service, method="shut"))
        caller.send("call", id="c", service=service, method="open")
        server.send("reply", call=server.expect("call")["call"])
        self.assertEqual(caller.answer("c").op, "reply")
        self.assertEqual(server.arrived(), [])

    def test_post(self):
        """Who may post to whom: users and lists."""
        name = self.name("list")
        self.link(self.alice).ok("list", list=name, add=[self.alice])
        user_rule = self.rule("deny", "post", self.alice, "--user", self.bob)
        poster = self.link(self.bob)
        self.denied(poster, "post", "x", to=[self.bob, self.alice])
        self.link("op").ok("post", "x", to=[self.alice])
        self.drop(user_rule)
        poster.ok("post", "x", to=[self.alice])
        list_rule = self.rule("deny", "post", "@" + name, "--user", self.bob)
        self.denied(poster, "post", "x", to=["@" + name])
        poster.ok("post", "x", to=[self.alice])
        self.drop(list_rule)
        poster.ok("post", "x", to=["@" + name])

    def test_post_by_alias(self):
        """An alias does not get round a rule."""
        alias = "~" + self.name("al")
        self.link(self.alice).ok("alias", add=[alias])
        self.rule("deny", "post", self.alice, "--user", self.bob)
        poster = self.link(self.bob)
        for to in (alias, self.alice):
            self.denied(poster, "post", "x", to=[to])

    def test_create_lists(self):
        """Who may create lists; built in: users and bots may create `list.>`."""
        rule = self.rule("deny", "create", "list.>", "--user", self.bob)
        self.denied(self.link(self.bob), "list", list=self.name("list"), add=[self.bob])
        self.link(self.alice).ok("list", list=self.name("list"), add=[self.alice])
        self.drop(rule)
        self.link(self.bob).ok("list", list=self.name("list"), add=[self.bob])

    def test_create_streams(self):
        """Who may create streams: by a non-operator with an allow rule."""
        name = self.name("S")
        words = ("stream", "add", name, "--subjects", name.lower() + ".>")
        self.assertNotEqual(self.server.execute(self.bob, *words)[0], 0)
        self.rule("allow", "create", f"stream.{name}", "--user", self.bob)
        self.assertNotEqual(self.server.execute(self.bob, "stream", "add", self.name("S"), "--subjects", self.name("q") + ".>")[0], 0)
        status, _, error = self.server.execute(self.bob, *words)
        self.assertEqual(status, 0, error)
        self.assertEqual(self.link(self.bob).ok("pub", "x", subject=name.lower() + ".x")["stream"], name)

    def test_built_in(self):
        """Users and bots publish and subscribe outside `$sys.>`; serve, call and post everything."""
        self.link(self.alice).ok("sub", subject="x.>")
        for user in (self.bob, self.user("bot")):
            link, service = self.link(user), self.name("Svc")
            link.ok("pub", "x", subject="any.thing")
            link.ok("sub", subject="any.>")
            link.ok("serve", service=service, version="1", methods=["x"])
            link.ok("post", "x", to=[self.alice])
            link.ok("list", list=self.name("list"), add=[self.alice])
            self.denied(link, "sub", subject="$sys.node.join")
            self.denied(link, "pub", "x", subject="$sys.broadcast")


class Order(Rules):
    def test_deny_first(self):
        """Deny first, whoever allows what."""
        token = self.name("t")
        for words in (("allow", "publish", f"{token}.>", "--user", self.bob), ("allow", "publish", f"{token}.x", "--user", self.bob),
                      ("deny", "publish", f"{token}.>", "--role", "user"), ("allow", "publish", f"{token}.x", "--user", self.bob)):
            self.addCleanup(self.drop, self.rule(*words))
        self.denied(self.link(self.bob), "pub", "x", subject=token + ".x")
        self.link("bot1").ok("pub", "x", subject=token + ".x")

    def test_by_key(self):
        """Per key: one key of a user may less, or more, than the other."""
        token = self.name("t")
        key, fingerprint = self.second_key(self.bob)
        rule = self.rule("deny", "publish", f"{token}.>", "--key", fingerprint)
        first, second = self.link(self.bob), self.link(self.bob, key=key)
        first.ok("pub", "x", subject=token + ".x")
        self.assertIn(token, self.denied(second, "pub", "x", subject=token + ".x"))
        self.drop(rule)
        second.ok("pub", "x", subject=token + ".x")
        self.rule("allow", "subscribe", "$sys.dead", "--key", fingerprint)
        second.ok("sub", subject="$sys.dead")
        self.denied(first, "sub", subject="$sys.dead")

    def test_templates(self):
        """Templates {user} and {role}."""
        self.addCleanup(self.drop, self.rule("deny", "publish", "own.{user}.>", "--role", "user"),
                        self.rule("deny", "publish", "of.{role}.>", "--role", "bot"))
        bob, bot = self.link(self.bob), self.link("bot1")
        self.denied(bob, "pub", "x", subject=f"own.{self.bob}.x")
        bob.ok("pub", "x", subject=f"own.{self.alice}.x")
        self.denied(bot, "pub", "x", subject="of.bot.x")
        bot.ok("pub", "x", subject="of.user.x")

    def test_explained_and_counted(self):
        """Every denial counted and explained: it names the rule; `rule list` has it."""
        token = self.name("t")
        rule = self.rule("deny", "publish", f"{token}.*", "--user", self.bob)
        before = self.server.metric('kedge_errors_total{code="denied"}')
        self.assertRegex(self.denied(self.link(self.bob), "pub", "x", subject=token + ".x"), rf"{token}\.\*|rule \S*{rule}")
        self.assertEqual(self.server.metric('kedge_errors_total{code="denied"}'), before + 1)
        listed = json.loads(self.server.admin("rule", "list", "--json"))
        rules = listed if isinstance(listed, list) else listed["rules"]
        found, = [r for r in rules if r.get("id") == rule]
        self.assertEqual((found["effect"], found["action"], found["pattern"], found["user"]), ("deny", "publish", f"{token}.*", self.bob))

    def test_it_lasts(self):
        service = self.name("Svc")
        key, fingerprint = self.second_key(self.bob)
        self.rule("deny", "serve", service, "--key", fingerprint)
        self.server.kill()
        self.server.start()
        self.denied(self.link(self.bob, key=key), "serve", service=service, version="1", methods=["x"])
        self.link(self.bob).ok("serve", service=service, version="1", methods=["x"])


class RuleTest(Rules):
    def ask(self, *words):
        status, out, error = self.server.execute("op", "rule", "test", *words, "--json")
        answer = json.loads(out or "null")
        self.assertIsNotNone(answer, error)
        self.assertTrue(answer["why"])
        return answer["allowed"], answer["rule"]

    def test_yes_or_no_and_which_rule(self):
        """`rule test USER publish SUBJECT` says yes or no and which rule."""
        token = self.name("t")
        self.assertEqual(self.ask(self.bob, "publish", token + ".x"), (True, 0))
        rule = self.rule("deny", "publish", f"{token}.>", "--user", self.bob)
        self.assertEqual(self.ask(self.bob, "publish", token + ".x"), (False, rule))
        self.assertEqual(self.ask(self.alice, "publish", token + ".x"), (True, 0))
        self.assertEqual(self.ask(self.bob, "subscribe", token + ".x"), (True, 0))
        self.assertFalse(self.ask(self.bob, "subscribe", "$sys.dead")[0])
        allow = self.rule("allow", "subscribe", "$sys.dead", "--user", self.bob)
        self.assertEqual(self.ask(self.bob, "subscribe", "$sys.dead"), (True, allow))
        self.assertFalse(self.ask(self.bob, "subscribe", f"inbox.{self.alice}")[0])
        self.assertTrue(self.ask(self.bob, "subscribe", f"inbox.{self.bob}")[0])
        self.assertFalse(self.ask("op", "subscribe", f"inbox.{self.bob}")[0])

    def test_agrees_with_what_happens(self):
        token, service = self.name("t"), self.name("Svc")
        self.rule("deny", "serve", service, "--user", self.bob)
        self.rule("deny", "post", self.alice, "--user", self.bob)
        self.rule("deny", "call", f"{service}.x", "--user", self.bob)
        link = self.link(self.bob)
        for action, subject, op, fields in (("publish", token, "pub", {"subject": token}),
                                            ("serve", service, "serve", {"service": service, "version": "1", "methods": ["x"]}),
                                            ("call", service + ".x", "call", {"service": service, "method": "x"}),
                                            ("post", self.alice, "post", {"to": [self.alice]}),
                                            ("post", self.bob, "post", {"to": [self.bob]}),
                                            ("publish", "$sys.broadcast", "pub", {"subject": "$sys.broadcast"})):
            with self.subTest(action=action, subject=subject):
                self.assertEqual(self.ask(self.bob, action, subject)[0], link.ask(op, **fields).get("code") != "denied")

    def test_a_key(self):
        token = self.name("t")
        _, fingerprint = self.second_key(self.bob)
        rule = self.rule("deny", "publish", token, "--key", fingerprint)
        self.assertEqual(self.ask(self.bob, "publish", token), (True, 0))
        self.assertEqual(self.ask(self.bob, "publish", token, "--key", fingerprint), (False, rule))

    def test_for_people(self):
        out = self.server.execute("op", "rule", "test", self.bob, "publish", "a.b")[1]
        self.assertRegex(out.lower(), r"\b(yes|allowed)\b")
        out = "".join(self.server.execute("op", "rule", "test", self.bob, "publish", "$sys.x")[1:])
        self.assertRegex(out.lower(), r"\b(no|denied)\b")


class Bans(Rules):
    def bans(self):
        return json.loads(self.server.admin("ban", "list", "--json"))["bans"]

    def enters(self, user, key=None):
        return self.server.ssh(user, "kedge-json", key=key, options=("-s",)).returncode == 0

    def test_a_user(self):
        """Bans by user end live sessions at once."""
        link, other = self.link(self.bob), self.link(self.alice)
        self.server.admin("ban", "add", "--user", self.bob, "--reason", "spam")
        bye, status = link.end()
        self.assertEqual((bye["code"], status), ("revoked", 1))
        self.assertFalse(self.enters(self.bob))
        self.assertGreaterEqual(self.server.metric('kedge_refused_total{reason="banned"}'), 1)
        other.ping()
        ban, = [b for b in self.bans() if b.get("user") == self.bob]
        self.assertEqual((ban["reason"], ban["by"]), ("spam", "op"))
        self.server.admin("ban", "remove", str(ban["id"]))
        self.assertTrue(self.enters(self.bob))
        self.assertEqual([b for b in self.bans() if b.get("user") == self.bob], [])

    def test_a_key(self):
        """… by key: the user's other key goes on."""
        key, fingerprint = self.second_key(self.bob)
        first, second = self.link(self.bob), self.link(self.bob, key=key)
        self.server.admin("ban", "add", "--key", fingerprint)
        self.assertEqual(second.end()[0]["code"], "revoked")
        first.ping()
        self.assertFalse(self.enters(self.bob, key))
        self.assertTrue(self.enters(self.bob))

    def test_an_expiry(self):
        """… with an expiry."""
        link = self.link(self.bob)
        start = time.monotonic()
        self.server.admin("ban", "add", "--user", self.bob, "--for", "2s")
        self.assertEqual(link.end()[0]["code"], "revoked")
        eventually(lambda: self.enters(self.bob), "the ban is over")
        self.assertGreaterEqual(time.monotonic() - start, 1.9)

    def test_it_lasts(self):
        self.server.admin("ban", "add", "--user", self.bob, "--for", "1h")
        self.server.kill()
        self.server.start()
        self.assertFalse(self.enters(self.bob))
        self.assertTrue(self.enters(self.alice))

    def test_no_nonsense(self):
        for words in ([], ["--user", self.bob, "--key", "SHA256:x"], ["--address", "not-an-address"], ["--user", "nobody-here", "--for", "soon"]):
            with self.subTest(words):
                self.assertNotEqual(self.server.execute("op", "ban", "add", *words)[0], 0)
        self.assertNotEqual(self.server.execute("op", "ban", "remove", "999999")[0], 0)
        for words in (["ban", "add", "--user", self.alice], ["ban", "list"], ["audit", "list"], ["rule", "list"]):
            self.assertNotEqual(self.server.execute(self.bob, *words)[0], 0)


class BanAddress(Rules):
    FROM = ("-o", "BindAddress=127.0.0.2")

    def enters(self, user, *options):
        return self.server.ssh(user, "kedge-json", options=("-s", *options)).returncode == 0

    def test_an_address(self):
        """… by address: everybody from there goes, operators too, and nobody comes; those from elsewhere stay."""
        gone, op, stays = self.link(self.bob, options=self.FROM), self.link("op", options=self.FROM), self.link(self.bob)
        start = time.monotonic()
        self.server.admin("ban", "add", "--address", "127.0.0.2", "--for", "2s")
        for link in (gone, op):
            self.assertEqual(link.end()[0]["code"], "revoked")
        stays.ping()
        self.assertFalse(self.enters("op", *self.FROM))
        self.assertTrue(self.enters(self.bob))
        eventually(lambda: self.enters(self.bob, *self.FROM), "the ban is over")
        self.assertGreaterEqual(time.monotonic() - start, 1.9)

    def test_a_network(self):
        gone = self.link(self.bob, options=self.FROM)
        self.server.admin("ban", "add", "--address", "127.0.0.2/31")
        self.assertEqual(gone.end()[0]["code"], "revoked")
        ban, = [b for b in json.loads(self.server.admin("ban", "list", "--json"))["bans"] if (b.get("address") or "").endswith("/31")]
        self.server.admin("ban", "remove", str(ban["id"]))
        self.link(self.bob, options=self.FROM).ping()

    def test_not_oneself(self):
        """Who would lock themselves out is told so."""
        for words in (["--address", "127.0.0.0/8"], ["--user", "op"]):
            status, _, error = self.server.execute("op", "ban", "add", *words)
            self.assertNotEqual(status, 0)
            self.assertIn("yourself", error)

    def test_another_address(self):
        link = self.link(self.bob)
        self.server.admin("ban", "add", "--address", "192.0.2.0/24")
        self.server.admin("ban", "add", "--address", "2001:db8::/32")
        link.ping()
        self.link(self.alice).ping()


class Audit(Rules):
    def entries(self, *words):
        return json.loads(self.server.admin("audit", "list", *words, "--json"))["entries"]

    def test_what_operators_do(self):
        """Issue item 5: an audit log of what operators do: who, when, what, and how it went."""
        token = self.name("t")
        before = time.time() * 1000
        self.rule("deny", "publish", token, "--user", self.bob)
        self.assertNotEqual(self.server.execute("op", "stream", "remove", "NO-SUCH-STREAM")[0], 0)
        self.server.admin("rule", "list")  # changes nothing, is not there
        entries = self.entries("--count", "10")
        self.assertEqual([e["id"] for e in entries], sorted((e["id"] for e in entries), reverse=True))
        added, = [e for e in entries if e["command"] == "rule add" and token in json.dumps(e["args"])]
        self.assertEqual(added["user"], "op")
        self.assertTrue(before - 1000 <= added["time_ms"] <= time.time() * 1000 + 1000)
        self.assertTrue(added["key"].startswith("SHA256:"))
        failed, = [e for e in entries if "NO-SUCH-STREAM" in json.dumps(e["args"])]
        self.assertNotEqual(failed["outcome"], added["outcome"])
        self.assertEqual([e for e in entries if e["command"] in ("rule list", "audit list")], [])

    def test_it_lasts_and_pages(self):
        for number in range(6):
            self.server.admin("rule", "add", "deny", "publish", f"page.{number}", "--user", self.bob)
        self.server.kill()
        self.server.start()
        newest = self.entries("--count", "3")
        older = self.entries("--count", "3", "--before", str(newest[-1]["id"]))
        self.assertEqual([json.dumps(e["args"]).count(f"page.{n}") for n, e in zip((5, 4, 3, 2, 1, 0), newest + older)], [1] * 6)

    def test_not_only_operators(self):
        """What others change by commands is there, too."""
        name = self.name("al")
        self.assertEqual(self.server.execute(self.bob, "alias", "add", name)[0], 0)
        self.assertTrue([e for e in self.entries("--count", "20") if e["user"] == self.bob and name in json.dumps(e["args"])])


class AuditBound(Rules):
    config = "[limits]\naudit_entries = 100\n"

    def test_the_oldest_go(self):
        """Bounded by limits.audit_entries."""
        for number in range(120):
            self.drop(self.rule("deny", "publish", f"bound.{number}", "--user", self.bob))
        entries = json.loads(self.server.admin("audit", "list", "--count", "1000", "--json"))["entries"]
        self.assertLessEqual(len(entries), 100)
        self.assertGreater(len(entries), 50)
        self.assertIn("bound.119", json.dumps(entries))


if __name__ == "__main__":
    unittest.main()
