"""Issue item 6: `kedge`, in the forms that others script against; the same commands over `ssh`."""

import json
import os
import subprocess
import unittest

from harness import KEDGE, SSH, Case, Server, Test, eventually, key_of, make_key, public_key, scratch
from links import TIMEOUT

COMMANDS = ("pub", "sub", "consume", "ping", "who", "status", "user add", "user list", "user remove", "key add", "key list",
            "key remove", "rule add", "rule list", "rule remove", "stream add", "stream list", "stream show", "stream edit",
            "stream remove", "consumer list", "consumer show", "consumer remove", "dead list", "dead show", "dead replay",
            "dead drop", "backup")


class Cli(Case):
    def kedge(self, *words, status=0, **more):
        done = self.server.kedge(*words, **more)
        self.assertEqual(done.returncode, status, f"kedge {words}: {done.stdout} {done.stderr}")
        self.assertNotIn(b"\x1b", done.stdout, "colours only on a terminal")
        return done.stdout.decode()

    def fails(self, *words):
        done = self.server.kedge(*words)
        self.assertGreater(done.returncode, 0, done)
        self.assertLess(done.returncode, 128, done)
        self.assertTrue(done.stderr, "a failure says why")
        self.assertEqual(done.stdout, b"")
        return done.stderr.decode()

    def json(self, *words):
        return json.loads(self.kedge(*words, "--json"))

    def rows(self, *words):
        """The one list of what `--json` prints."""
        value = self.json(*words)
        return value if isinstance(value, list) else next(v for v in value.values() if isinstance(v, list))

    def to(self, user):
        return [KEDGE, "--to", f"{user}@127.0.0.1:{self.server.port}", "-i", key_of(user), "--known-hosts",
                self.server.known_hosts, "--accept-new", "--no-agent"]

    def run_as(self, user, *words, **more):
        return subprocess.run([*self.to(user), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT,
                              env=self.server.environment(), **more)


class Everyday(Cli):
    def test_help(self):
        """Every command has `--help`."""
        self.kedge("--help")
        self.assertRegex(self.kedge("--version"), r"\d+\.\d+\.\d+")
        session = self.server.session("op")
        for command in COMMANDS:
            with self.subTest(command):
                self.assertIn(command.split()[-1], self.kedge(*command.split(), "--help"))
                channel = session.open_session()
                channel.exec_command(command + " --help")
                self.assertEqual(channel.recv_exit_status(), 0)
                channel.close()

    def test_mistakes(self):
        """Every command has an exit status."""
        for words in (["frobnicate"], ["pub"], ["pub", "a..b", "x"], ["sub", "a", "--count", "many"], ["stream", "show", "NONE"],
                      ["user"], ["consume", "NONE", "--consumer", "c"], ["pub", "inbox.alice", "x"], ["--no-such-option"],
                      ["consume", "S"], ["key", "remove", "alice", "SHA256:none"], ["rule", "remove", "999999"],
                      ["consumer", "show", "NONE", "c"], ["dead", "list", "NONE", "c"], ["key", "add", "alice", "/no/such/file"]):
            with self.subTest(words):
                self.fails(*words)

    def test_pub_and_sub(self):
        sub = subprocess.Popen([KEDGE, "--home", self.server.home, "sub", "cli.>", "--count", "3", "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.server.environment())
        self.addCleanup(lambda: sub.poll() is None and sub.kill())
        watch = self.link()
        # Until the subscription stands, publications pass it by: publish until it has had its three.
        numbers = iter(range(10_000))
        eventually(lambda: watch.ok("pub", str(next(numbers)), subject="cli.x") and sub.poll() is not None, "sub has its three")
        out, error = sub.communicate(timeout=TIMEOUT)
        self.assertEqual(sub.returncode, 0, error)
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(len(lines), 3)
        first = int(lines[0]["data"])
        self.assertEqual([(line["subject"], line["data"]) for line in lines], [("cli.x", str(first + n)) for n in range(3)])
        watch.ok("sub", subject="cli.>")
        self.kedge("pub", "cli.y", "a text with spaces")
        self.kedge("pub", "cli.y", "")
        self.assertEqual(self.bodies(watch.msgs(2)), ["a text with spaces", ""])

    def test_pub_json_says_where(self):
        name, token = self.stream()
        answers = [json.loads(line) for line in self.kedge("pub", token + ".x", "one", "--json").splitlines()]
        self.assertEqual([(answer["stream"], answer["seq"]) for answer in answers], [(name, 1)])

    def test_pub_many_lines(self):
        """`pub -` reads lines or a file of any size in many messages."""
        name, token = self.stream()
        lines = [f"line {n} " + "x" * (n % 100) for n in range(20_000)]
        self.kedge("pub", token + ".x", "-", input="\n".join(lines).encode() + b"\n")
        self.assertEqual(self.json("stream", "show", name)["last_seq"], 20_000)
        reader = self.link()
        reader.ok("consume", stream=name, consumer="c", start={"seq": 19_991})
        self.assertEqual(self.bodies(reader.msgs(10)), lines[-10:])

    def test_pub_the_last_line_without_lf(self):
        name, token = self.stream()
        self.kedge("pub", token + ".x", "-", input=b"one\ntwo")
        reader = self.link()
        reader.ok("consume", stream=name, consumer="c", start="first")
        self.assertEqual(self.bodies(reader.msgs(2)), ["one", "two"])

    def test_consume(self):
        """`consume STREAM --consumer NAME [--filter P] [--start first|new|SEQ] [--count N]`: acknowledges what it printed."""
        name, token = self.filled(10)
        read = lambda *words: [json.loads(line)["seq"] for line in self.kedge("consume", name, "--json", *words).splitlines()]
        self.assertEqual(read("--consumer", "one", "--start", "first", "--count", "4"), [1, 2, 3, 4])
        self.assertEqual(read("--consumer", "one", "--count", "6"), [5, 6, 7, 8, 9, 10])
        self.assertEqual(read("--consumer", "two", "--start", "8", "--count", "3"), [8, 9, 10])
        publisher = self.link()
        publisher.ok("pub", "x", subject=token + ".y")
        self.assertEqual(read("--consumer", "three", "--start", "first", "--filter", token + ".y", "--count", "1"), [11])
        consumer, = (c for c in self.rows("consumer", "list", name) if c["consumer"] == "one")
        self.assertEqual((consumer["pending"], consumer["next_seq"]), (0, 11))

    def test_consume_exec(self):
        """`consume --exec CMD` runs a command for each message and acknowledges on exit 0."""
        name, token = self.filled(5)
        got = scratch("got")
        # The third message fails once.
        command = f'n=$(cat); echo $n $KEDGE_SEQ >>{got}; [ "$n" != 3 ] || [ $(grep -c "^3 " {got}) = 2 ]'
        self.kedge("consume", name, "--consumer", "c", "--start", "first", "--count", "5", "--exec", command,
                   "--retry-delay", "10ms")
        with open(got, encoding="ascii") as file:
            lines = file.read().split("\n")[:-1]
        self.assertEqual(sorted(lines), ["1 1", "2 2", "3 3", "3 3", "4 4", "5 5"])
        self.assertEqual(self.json("consumer", "show", name, "c")["pending"], 0)

    def test_ping_who_status(self):
        self.assertIn("pong", self.kedge("ping"))
        self.json("ping")
        link = self.link("bob", "seen")
        self.assertIn("seen", self.kedge("who"))
        self.assertTrue([n for n in self.json("who")["nodes"] if (n["user"], n["node"]) == ("bob", "seen")])
        name, _ = self.filled(2)
        self.assertIn(name, self.kedge("who", "streams"))
        self.assertIn(name, self.kedge("status"))
        self.assertIn(name, json.dumps(self.json("status")))
        link.ping()

    def test_to(self):
        """`kedge --to USER@HOST:PORT -i KEY COMMAND`, and its refusals."""
        watch = self.link()
        watch.ok("sub", subject="to.here")
        done = self.run_as("bot1", "pub", "to.here", "hello")
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(watch.msgs(1)[0].body, b"hello")
        self.assertNotEqual(self.run_as("bot1", "user", "add", "eve").returncode, 0)
        wrong = subprocess.run([*self.to("alice")[:3], "-i", make_key("wrong"), "--known-hosts", self.server.known_hosts,
                                "--no-agent", "--timeout", "5s", "ping"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               timeout=TIMEOUT, env=self.server.environment())
        self.assertNotEqual(wrong.returncode, 0)
        self.assertTrue(wrong.stderr)

    def test_known_hosts_are_checked(self):
        """Issue item 7: checks the host key against known_hosts."""
        for known in ("", f"[127.0.0.1]:{self.server.port} " + " ".join(public_key(make_key("other")).split()[:2]) + "\n"):
            path = scratch("known_hosts")
            with open(path, "w", encoding="ascii") as file:
                file.write(known)
            argv = [KEDGE, "--to", f"alice@127.0.0.1:{self.server.port}", "-i", key_of("alice"), "--known-hosts", path,
                    "--no-agent", "--timeout", "5s", *(["--accept-new"] if known else []), "ping"]
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT,
                                  env=self.server.environment())
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(done.stdout, b"")

    def test_same_over_ssh(self):
        """Each also works as `ssh bus COMMAND`, from the same code: output, exit status."""
        name, _ = self.filled(3)
        for words in (["stream", "show", name, "--json"], ["stream", "show", name], ["key", "list", "alice", "--json"], ["rule", "list"],
                      ["consumer", "list", name], ["dead", "list", name, "c"], ["frobnicate"], ["stream", "show", "NONE"],
                      ["user", "add", "Bad Name"], ["who", "streams", "--json"], ["stream", "add"]):
            with self.subTest(words):
                here = self.server.kedge(*words)
                there = self.server.ssh("op", *("'" + word + "'" for word in words))
                self.assertEqual(here.returncode, there.returncode, (here, there))
                self.assertEqual(here.stdout, there.stdout)

    def test_survives_kill(self):
        """Issue item 7: a program that uses the library loses and doubles nothing across a server's kill -9."""
        name, token = self.stream()
        process = subprocess.Popen([KEDGE, "--home", self.server.home, "pub", token + ".x", "-", "--node", "feeder"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.server.environment())
        self.addCleanup(lambda: process.poll() is None and process.kill())
        for number in range(600):
            process.stdin.write(b"%d\n" % number)
            process.stdin.flush()
            if number in (200, 400):
                self.server.kill()
                self.server.start()
        _, error = process.communicate(timeout=TIMEOUT * 2)
        self.assertEqual(process.returncode, 0, error)
        reader = self.link()
        reader.ok("consume", stream=name, consumer="c", start="first", window=1000)
        self.assertEqual(self.bodies(reader.msgs(600)), [str(n) for n in range(600)])
        self.assertEqual(reader.arrived(), [])


class Operators(Cli):
    def test_users_and_keys(self):
        """`user add NAME [--role ROLE] [--key FILE]…`, list, remove; `key add|list|remove`."""
        one, two = make_key("one"), make_key("two")
        self.kedge("user", "add", "carol", "--role", "bot", "--key", one + ".pub", "--key", two + ".pub")
        for key in (one, two):
            self.assertEqual(self.link("carol", key=key).welcome["role"], "bot")
        self.assertEqual([u["role"] for u in self.rows("user", "list") if u["name"] == "carol"], ["bot"])
        self.kedge("user", "add", "carol", "--role", "user")
        self.assertEqual(self.link("carol", key=one).welcome["role"], "user")
        self.kedge("user", "add", "dave")
        self.assertEqual([u["role"] for u in self.rows("user", "list") if u["name"] == "dave"], ["user"])
        three = make_key("three")
        self.kedge("key", "add", "carol", three + ".pub")
        self.link("carol", key=three).ping()
        keys = self.rows("key", "list", "carol")
        self.assertEqual(len(keys), 3)
        for key in keys:
            self.kedge("key", "remove", "carol", key["fingerprint"])
        self.assertEqual(self.rows("key", "list", "carol"), [])
        self.kedge("user", "remove", "carol")
        self.assertFalse([u for u in self.rows("user", "list") if u["name"] == "carol" and not u.get("removed")])
        self.fails("user", "remove", "nobody-of-that-name")
        self.fails("user", "add", "erin", "--role", "king")

    def test_accounts_last(self):
        key = make_key("k")
        self.kedge("user", "add", "lasting", "--key", key + ".pub")
        self.kedge("rule", "add", "deny", "publish", "never.>", "--user", "lasting")
        self.server.kill()
        self.server.start()
        link = self.link("lasting", key=key)
        self.assertEqual(link.refused("pub", "x", subject="never.more"), "denied")

    def test_rules(self):
        """Issue item 5: deny-first allow lists per role and per user, with `{user}`; denial says which rule."""
        link = self.link("bob")
        link.ok("pub", "x", subject="secret.a")
        rule = self.json("rule", "add", "deny", "publish", "secret.>", "--user", "bob")
        answer = link.ask("pub", "x", subject="secret.a")
        self.assertEqual((answer.op, answer["code"]), ("error", "denied"))
        self.assertRegex(answer["message"], r"secret\.>|rule \S*" + str(rule["id"]))
        link.ok("sub", subject="secret.a")
        self.link("alice").ok("pub", "x", subject="secret.a")
        self.assertIn("secret.>", self.kedge("rule", "list"))
        self.kedge("rule", "remove", str(rule["id"]))
        link.ok("pub", "x", subject="secret.a")
        self.kedge("rule", "add", "deny", "subscribe", "private.*.>", "--role", "bot")
        bot = self.link("bot1")
        self.assertEqual(bot.refused("sub", subject="private.x.y"), "denied")
        bot.ok("pub", "x", subject="private.x.y")
        self.kedge("rule", "add", "deny", "publish", "of.{user}.>", "--role", "bot")
        self.assertEqual(bot.refused("pub", "x", subject="of.bot1.x"), "denied")
        bot.ok("pub", "x", subject="of.bob.x")

    def test_denied_subscriptions_do_not_leak(self):
        """architecture.md: nobody reads a subject that the rules do not give; a wider pattern does not widen it."""
        self.kedge("rule", "add", "deny", "subscribe", "hidden.>", "--user", "bob")
        link = self.link("bob")
        link.ask("sub", subject=">")  # denied, or without what is hidden
        self.assertEqual(link.refused("sub", subject="hidden.a"), "denied")
        self.link("alice").ok("pub", "x", subject="hidden.a")
        self.assertEqual([m["subject"] for m in link.arrived() if m.op == "msg" and m["subject"] == "hidden.a"], [])

    def test_streams(self):
        """`stream add NAME --subjects 'a.>,b.*' [--max-age 7d] [--max-bytes 1G] [--max-msgs N] [--retention …]`"""
        self.kedge("stream", "add", "ROUND", "--subjects", "ra.>,rb.*", "--max-age", "7d", "--max-bytes", "1G", "--max-msgs",
                   "5", "--retention", "limits")
        shown = self.json("stream", "show", "ROUND")
        self.assertEqual((shown["subjects"], shown["max_age_ms"], shown["max_bytes"], shown["max_msgs"], shown["retention"]),
                         (["ra.>", "rb.*"], 7 * 86_400_000, 1 << 30, 5, "limits"))
        self.fails("stream", "add", "ROUND", "--subjects", "rc.>")
        link = self.link()
        self.publish(link, "ra.x.y", 20)
        eventually(lambda: self.json("stream", "show", "ROUND")["messages"] == 5, "retention by count")
        shown = self.json("stream", "show", "ROUND")
        self.assertEqual((shown["first_seq"], shown["last_seq"]), (16, 20))
        self.kedge("stream", "edit", "ROUND", "--max-msgs", "0", "--subjects", "ra.>,rb.>")
        self.publish(link, "rb.x.y", 20, first=100)
        shown = self.json("stream", "show", "ROUND")
        self.assertEqual((shown["messages"], shown["last_seq"], shown["max_msgs"], shown["max_age_ms"]),
                         (25, 40, 0, 7 * 86_400_000))
        self.assertIn("ROUND", [s["stream"] for s in self.rows("stream", "list")])
        self.kedge("stream", "remove", "ROUND")
        self.fails("stream", "show", "ROUND")
        self.assertNotIn("seq", link.ok("pub", "x", subject="ra.x"))
        self.kedge("stream", "add", "ROUND", "--subjects", "ra.>")
        self.assertEqual(link.ok("pub", "x", subject="ra.x")["seq"], 1)

    def test_retention_by_bytes_and_interest(self):
        name, token = self.stream(max_bytes="10K")
        link = self.link()
        for _ in range(50):
            link.ok("pub", b"x" * 1000, subject=token + ".x")
        eventually(lambda: self.json("stream", "show", name)["bytes"] <= 10_240, "retention by size")
        name, token = self.stream(retention="interest")
        consumer = self.link()
        consumer.ok("consume", stream=name, consumer="c")
        self.publish(link, token + ".x", 10)
        consumer.msgs(10)
        self.assertEqual(self.json("stream", "show", name)["messages"], 10)
        consumer.ok("ack", consumer="c", upto=7)
        eventually(lambda: self.json("stream", "show", name)["messages"] == 3, "retention by interest")

    def test_consumers(self):
        name, _ = self.filled(3)
        link = self.link("bob")
        link.ok("consume", stream=name, consumer="c", start="first", ack_wait_ms=5000, max_deliver=4)
        link.msgs(3)
        shown = self.json("consumer", "show", name, "c")
        self.assertEqual((shown["owner"], shown["pending"], shown["links"], shown["ack_wait_ms"], shown["max_deliver"]),
                         ("bob", 3, 1, 5000, 4))
        self.kedge("consumer", "remove", name, "c")
        self.assertEqual(self.rows("consumer", "list", name), [])
        self.assertEqual(link.refused("ack", consumer="c", seq=1), "unknown_consumer")
        other = self.link("alice")
        other.ok("consume", stream=name, consumer="c", start="first")
        self.assertEqual(self.seqs(other.msgs(3)), [1, 2, 3])

    def test_dead_letters(self):
        name, _ = self.filled(4)
        link = self.link()
        link.ok("consume", stream=name, consumer="c", start="first")
        link.msgs(4)
        for seq in (1, 2, 3):
            link.ok("term", consumer="c", seq=seq, reason=f"reason {seq}")
        eventually(lambda: [d["seq"] for d in self.rows("dead", "list", name, "c")] == [1, 2, 3], "three dead letters")
        self.assertIn("reason 2", self.kedge("dead", "list", name, "c"))
        shown = self.json("dead", "show", name, "c", "2")
        self.assertEqual((shown["seq"], shown["data"]), (2, "2"))
        self.kedge("dead", "replay", name, "c", "2")
        self.assertEqual(link.msgs(1)[0]["seq"], 2)
        self.kedge("dead", "drop", name, "c", "1")
        self.assertEqual([d["seq"] for d in self.rows("dead", "list", name, "c")], [3])
        self.kedge("dead", "replay", name, "c")
        self.assertEqual(link.msgs(1)[0]["seq"], 3)
        self.assertEqual(self.rows("dead", "list", name, "c"), [])
        self.fails("dead", "show", name, "c", "1")

    def test_backup(self):
        """`backup FILE` (online): the file opens in a new home, with everything that was acknowledged before."""
        name, token = self.filled(100)
        link = self.link(node="keeper")
        link.ok("pub", "kept", subject=token + ".x", id="kept")
        link.ok("consume", stream=name, consumer="c", start="first")
        link.msgs(101)
        link.ok("ack", consumer="c", upto=50)
        path = scratch("backup.db")
        self.kedge("backup", path)
        other = Server(self.users)
        self.addCleanup(other.destroy)
        os.rename(path, os.path.join(other.home, "kedge.db"))
        other.start()
        reader = other.link("alice")
        self.addCleanup(reader.close)
        reader.ok("consume", stream=name, consumer="c")
        self.assertEqual(self.seqs(reader.msgs(51)), list(range(51, 102)))
        again = other.link("alice")
        self.addCleanup(again.close)
        again.hello("keeper")
        self.assertEqual(again.ok("pub", "kept", subject=token + ".x", id="kept")["seq"], 101)
        other.stop()


class FirstSteps(Test):
    def test_a_stranger(self):
        """The issue's story: a server, a publication, a durable consumer, kill -9, start: nothing acknowledged is gone."""
        server = Server()
        self.addCleanup(server.destroy)
        os.unlink(os.path.join(server.home, "authorized_keys"))
        server.start()
        operator = ["-o", f"UserKnownHostsFile={os.path.join(server.home, 'known_hosts')}"]
        with open(os.path.join(server.home, "operator"), encoding="ascii") as file:
            user = file.read().strip()
        key = os.path.join(server.home, "operator_ed25519")
        ssh = [SSH, "-F", "none", "-p", str(server.port), "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
               *operator, "-o", "GlobalKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=yes", f"{user}@127.0.0.1"]
        for words in ("stream add CHAT --subjects 'chat.>'", "pub chat.lobby one", "pub chat.lobby two"):
            done = subprocess.run([*ssh, words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=TIMEOUT)
            self.assertEqual(done.returncode, 0, done)
        server.kill()
        server.start()
        done = subprocess.run([*ssh, "consume CHAT --consumer me --start first --count 2 --json"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual([json.loads(line)["data"] for line in done.stdout.splitlines()], ["one", "two"])
        server.stop()


if __name__ == "__main__":
    unittest.main()
