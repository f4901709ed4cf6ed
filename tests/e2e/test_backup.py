"""Issue item 9: backup and restore with identical answers; `kedged --recover` of a damaged database."""

import json
import os
import subprocess
import unittest

from harness import KEDGE, KEDGED, Server, Test, scratch
from links import TIMEOUT


class Full(Test):
    """A server with something of everything in it."""

    USERS = {"op": "operator", "alice": "user", "bob": "user", "bot1": "bot"}

    def setUp(self):
        self.server = self.serve(Server(self.USERS))

    def serve(self, server):
        self.addCleanup(server.destroy)
        return server.start()

    def link(self, server, user, node=None, **hello):
        link = server.link(user)
        self.addCleanup(link.close)
        if node:
            link.hello(node, **hello)
        return link

    def fill(self):
        server = self.server
        server.add_stream("WORK", "work.>", max_msgs_per_subject=50)
        server.add_stream("KEPT", "kept.>")
        writer = self.link(server, "alice", "writer")
        for number in range(100):
            writer.send("pub", f"w{number}", id=f"w{number}", subject=f"work.{number % 3}", headers={"Number": str(number)})
        for number in range(100):
            writer.answer(f"w{number}")
        for number in range(1, 11):
            writer.send("pub", f"k{number}", n=number, subject="kept.x")
        writer.take(lambda n: n.op == "stored" and n["n"] == 10)
        reader = self.link(server, "bob", "reader")
        reader.ok("consume", stream="WORK", consumer="half", start="first")
        got = reader.msgs(100)
        reader.ok("term", consumer="half", seq=got[3]["seq"], reason="unreadable")
        reader.ok("ack", consumer="half", upto=got[49]["seq"])
        reader.close()
        self.link(server, "bob", "desk", inbox=True).close()
        writer.ok("post", "a letter", id="letter", to=["bob"])
        writer.ok("alias", add=["~al"])
        writer.ok("list", list="friends", add=["bob", "~al"])
        server.admin("user", "add", "carol", "--role", "bot")
        server.admin("user", "edit", "carol", "--limit", "mail_messages=7")
        server.admin("rule", "add", "deny", "publish", "secret.>", "--user", "bob")
        server.admin("ban", "add", "--user", "carol", "--reason", "for now")

    QUESTIONS = (["user", "list"], ["key", "list"], ["rule", "list"], ["ban", "list"], ["alias", "list"], ["list", "show"], ["stream", "list"],
                 ["stream", "show", "WORK"], ["stream", "show", "KEPT"], ["consumer", "show", "WORK", "half"], ["dead", "list", "WORK", "half"],
                 ["stream", "peek", "WORK", "--count", "1000"], ["stream", "peek", "KEPT", "--count", "1000"], ["user", "show", "alice"],
                 ["user", "show", "carol"])

    def answers(self, server):
        """What it says to all the questions, but for who is there now and since when, and for the key of the home's own
        operator."""
        operator = open(os.path.join(server.home, "operator"), encoding="ascii").read().strip()

        def stable(value):
            if isinstance(value, dict):
                return {k: stable(v) for k, v in value.items() if k not in ("seen_ms", "online", "added_ms", "sessions")}
            if isinstance(value, list):
                return sorted((stable(v) for v in value if not isinstance(v, dict) or operator not in (v.get("name"), v.get("user"))),
                              key=json.dumps)
            return value
        return {" ".join(words): stable(json.loads(server.admin(*words, "--json"))) for words in (*self.QUESTIONS, ["node", "list"])}

    def same_work(self, server):
        """What only shows when one works with it: ids, numbers, cursors, mail."""
        writer = self.link(server, "alice")
        self.assertEqual(writer.hello("writer")["last"], {"KEPT": 10})
        again = writer.ok("pub", "w99", id="w99", subject="work.0", headers={"Number": "99"})
        self.assertEqual((again["seq"], again["dup"]), (100, True))
        self.assertEqual(writer.ok("post", "a letter", id="letter", to=["bob"]).get("dup"), True)
        reader = self.link(server, "bob", "reader")
        reader.ok("consume", stream="WORK", consumer="half")
        self.assertEqual([m["seq"] for m in reader.msgs(50)], list(range(51, 101)))
        desk = self.link(server, "bob", "desk", inbox=True)
        self.assertEqual(desk.expect("msg").body, b"a letter")
        self.assertEqual(reader.refused("pub", "x", subject="secret.x"), "denied")


class Restore(Full):
    def backup(self):
        path = scratch("backup")
        done = self.server.kedge("backup", path)
        self.assertEqual(done.returncode, 0, done)
        return path

    def restore(self, path, home, status=0):
        done = subprocess.run([KEDGE, "--home", home, "restore", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=TIMEOUT, env=Server.environment())
        self.assertEqual(done.returncode == 0, status == 0, done)
        return done

    def test_identical_answers(self):
        """`kedge restore` into an empty home, then identical answers."""
        self.fill()
        before = self.answers(self.server)
        path = self.backup()
        other = Server(self.USERS)
        self.restore(path, other.home)
        self.serve(other)
        after = self.answers(other)
        for question, answer in before.items():
            with self.subTest(question):
                self.assertEqual(after[question], answer)
        self.same_work(other)
        other.stop()

    def test_only_into_an_empty_home(self):
        """It never writes over a database, and takes no file that is none."""
        self.server.add_stream("WORK", "work.>")
        path = self.backup()
        self.restore(path, self.server.home, status=1)
        self.server.admin("stream", "show", "WORK")
        self.server.stop()
        self.assertTrue(self.restore(path, self.server.home, status=1).stderr)
        self.server.start()
        self.server.admin("stream", "show", "WORK")
        empty = scratch("home")
        for content in (b"", b"not a database at all" * 1000, open(path, "rb").read()[:20_000]):
            broken = scratch("broken")
            with open(broken, "wb") as file:
                file.write(content)
            self.restore(broken, empty, status=1)
            self.assertFalse(os.path.exists(os.path.join(empty, "kedge.db")))
        self.restore("/no/such/file", empty, status=1)
        self.restore(path, empty)


class Recover(Full):
    def recover(self, server):
        return subprocess.run([KEDGED, "--home", server.home, "--recover"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=TIMEOUT, env=Server.environment())

    def database(self):
        return os.path.join(self.server.home, "kedge.db")

    def test_a_sound_database(self):
        """Nothing is lost by it."""
        self.fill()
        before = self.answers(self.server)
        self.server.stop()
        done = self.recover(self.server)
        self.assertEqual(done.returncode, 0, done)
        self.server.start()
        after = self.answers(self.server)
        for question, answer in before.items():
            with self.subTest(question):
                self.assertEqual(after[question], answer)
        self.same_work(self.server)

    def test_a_damaged_database(self):
        """Saves all that can be read, and says what could not; the damaged file is kept."""
        self.server.add_stream("BIG", "big.>")
        writer = self.link(self.server, "alice")
        for number in range(400):
            writer.send("pub", f"{number} " + "x" * 2000, id=str(number), subject="big.x")
        for number in range(400):
            writer.answer(str(number))
        self.server.admin("rule", "add", "deny", "publish", "secret.>", "--user", "bob")
        self.server.stop()
        size = os.path.getsize(self.database())
        with open(self.database(), "r+b") as file:  # pages in the middle, where the log is
            file.seek(size // 2 // 4096 * 4096)
            file.write(b"\xa5" * 4096 * 3)
        done = self.recover(self.server)
        said = (done.stdout + done.stderr).decode()
        self.assertEqual(done.returncode, 0, said)
        self.assertRegex(said, r"BIG|row|message")
        self.assertTrue([name for name in os.listdir(self.server.home) if name.startswith("kedge.db") and name != "kedge.db"
                         and not name.endswith(("-wal", "-shm"))], os.listdir(self.server.home))
        self.server.start()
        status, out, error = self.server.execute("op", "check", "--json")
        self.assertEqual(json.loads(out)["findings"], [], error)
        reader = self.link(self.server, "alice")
        reader.ok("consume", stream="BIG", consumer="c", start="first", window=1000)
        shown = json.loads(self.server.admin("stream", "show", "BIG", "--json"))
        self.assertGreater(shown["messages"], 300)
        got = reader.msgs(shown["messages"])
        numbers = [int(m.body.split()[0]) for m in got]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual([m["seq"] - 1 for m in got], numbers, "a seq never changes")
        self.assertEqual(self.link(self.server, "bob").refused("pub", "x", subject="secret.x"), "denied")
        self.assertEqual(self.link(self.server, "alice").ok("pub", "one more", subject="big.x")["seq"], 401)

    def test_not_while_it_runs(self):
        done = self.recover(self.server)
        self.assertNotEqual(done.returncode, 0)
        self.assertTrue(done.stderr)
        self.link(self.server, "alice").ping()

    def test_a_damaged_database_does_not_start_in_silence(self):
        """Without `--recover` a database whose first page is broken is refused, and the sentence names the way out."""
        self.server.stop()
        with open(self.database(), "r+b") as file:
            file.write(b"\xa5" * 4096)
        done = subprocess.run(self.server.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT,
                              env=Server.environment())
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"--recover", done.stderr + done.stdout)


if __name__ == "__main__":
    unittest.main()
