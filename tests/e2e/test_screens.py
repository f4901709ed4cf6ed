"""Issue item 8: `status`, `top`, `events`, `doctor`; item 4 `control`: in a real terminal, narrow and wide, with and without colours."""

import json
import os
import subprocess
import threading
import unittest

from harness import KEDGE, Case, Server, Test, eventually
from screen import Screen


class Screens(Case):
    def setUp(self):
        """Something to see: a stream, a consumer that lags, a node, a service."""
        self.stream_, self.token = self.filled(30)
        self.node = self.name("node")
        self.link_ = self.link("bob", self.node)
        self.link_.ok("consume", stream=self.stream_, consumer="slow", start="first", window=5)
        self.link_.msgs(5)

    def argv(self, *words):
        return [KEDGE, "--home", self.server.home, *words]

    def screen(self, argv, columns=100, rows=30, **env):
        screen = Screen(argv, columns, rows, dict(self.server.environment(), **env))
        self.addCleanup(screen.close)
        return screen

    def json(self, *words):
        done = self.server.kedge(*words, "--json")
        self.assertEqual(done.returncode, 0, done)
        return json.loads(done.stdout)


class Top(Screens):
    def test_narrow_and_wide(self):
        """Live: sessions, rates, queues, consumers with lag; no line is wider than the terminal, none is pushed off it."""
        for columns, rows in ((60, 20), (80, 24), (160, 50)):
            with self.subTest(columns=columns):
                screen = self.screen(self.argv("top"), columns, rows)
                text = screen.await_text(self.stream_, "slow")
                self.assertTrue(all(len(line) <= columns for line in text.split("\n")), text)
                self.assertLessEqual(len(text.split("\n")), rows)
                self.assertRegex(text, r"(?i)session")
                self.assertRegex(text, r"(?i)lag")
                screen.type("q")
                self.assertEqual(screen.status(), 0)

    def test_live(self):
        """It follows what happens, and the size of the terminal."""
        screen = self.screen(self.argv("top"), 120, 40)
        screen.await_text(self.stream_)
        name, _ = self.stream()
        screen.await_text(name)
        screen.resize(70, 20)

        def fits():
            lines = screen.text().split("\n")
            return len(lines) <= 20 and all(len(line) <= 70 for line in lines) and self.stream_ in screen.text()
        eventually(fits, "it fits the smaller terminal")
        screen.type("C-c")
        screen.status()

    def test_colours(self):
        """With colours on a terminal, without where NO_COLOR asks or the terminal has none."""
        plain = self.screen(self.argv("top"), NO_COLOR="1")
        plain.await_text(self.stream_)
        self.assertNotRegex(plain.escapes(), "\x1b\\[[0-9;]*3[0-9]")
        coloured = self.screen(self.argv("top"))
        coloured.await_text(self.stream_)
        self.assertIn("\x1b[", coloured.escapes())

    def test_over_ssh_with_a_pty(self):
        """`ssh bus top` with a pty works too, and ends at a key and at the server's end."""
        screen = self.screen(self.server.ssh_argv("op", "top", options=("-tt",)), 90, 25)
        text = screen.await_text(self.stream_, "slow")
        self.assertTrue(all(len(line) <= 90 for line in text.split("\n")), text)
        screen.type("q")
        self.assertEqual(screen.status(), 0)

    def test_without_a_terminal(self):
        """Into a pipe it does not write escapes for ever: one picture, or a sentence."""
        done = self.server.kedge("top")
        self.assertNotIn(b"\x1b", done.stdout)
        self.assertTrue(done.stdout if done.returncode == 0 else done.stderr)

    def test_the_terminal_is_left_as_it_was(self):
        """After `q` and after an interrupt what is typed is seen again, line by line."""
        for end in ("q", "C-c"):
            with self.subTest(end):
                shell = self.screen(["sh", "-c", "trap : INT; " + " ".join(self.argv("top")) + "; stty -a; cat"], 150, 50)
                eventually(lambda: "lag" in shell.text().lower(), "top is there")
                shell.type(end)
                text = shell.await_text("icanon")
                self.assertNotIn("-icanon", text)
                self.assertNotRegex(text, r"[^k]-echo\b")
                shell.type("typed", "Enter")
                shell.await_text("typed\ntyped")
                shell.type("C-d")
                self.assertEqual(shell.status(), 0)


    def test_over_ssh_without_a_pty(self):
        done = self.server.ssh("op", "top")
        self.assertNotIn(b"\x1b", done.stdout)
        self.assertTrue(done.stdout if done.returncode == 0 else done.stderr)

    def test_not_for_everybody(self):
        """`top` and `events` show what only those see who may."""
        for words in ("top", "events", "status"):
            done = self.server.ssh("alice", words, options=("-tt",) if words == "top" else ())
            self.assertNotEqual(done.returncode, 0)
            self.assertNotIn(self.stream_.encode(), done.stdout)


class Status(Screens):
    def test_on_one_screen(self):
        for columns in (60, 140):
            screen = self.screen(self.argv("status"), columns, 60)
            text = screen.await_text(self.stream_, "slow")
            self.assertTrue(all(len(line) <= columns for line in text.split("\n")), text)
            self.assertEqual(screen.status(), 0)

    def test_json(self):
        """All with `--json` where not live."""
        text = json.dumps(self.json("status"))
        for word in (self.stream_, "slow"):
            self.assertIn(word, text)

    def test_why_something_is_not_well(self):
        """A consumer without a link that lags, a dead letter: it says so."""
        self.link_.ok("term", consumer="slow", seq=1, reason="broken")
        self.link_.close()
        eventually(lambda: "dead" in self.server.kedge("status").stdout.decode().lower(), "the dead letter is named")


class Events(Screens):
    def test_events(self):
        """`kedge events`: what the server says of itself, as it happens."""
        process = subprocess.Popen(self.argv("events", "--json"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.server.environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        lines = iter(process.stdout.readline, b"")
        names = iter(range(10_000))
        seen = []

        def provoked():
            """Until it listens, events pass it by: the first that it shows says that it does."""
            self.link("bob", f"e{next(names)}").close()
            return seen
        threading.Thread(target=lambda: seen.extend([next(lines)]), daemon=True).start()
        eventually(provoked, "the first event")
        self.link_.ok("term", consumer="slow", seq=2, reason="broken")
        line = next(line for line in lines if b"$sys.dead" in line)
        event = json.loads(line)
        self.assertEqual(event["subject"], "$sys.dead")
        self.assertIn("broken", line.decode())

    def test_in_a_terminal(self):
        screen = self.screen(self.argv("events"), 70, 20)
        names = iter(range(10_000))

        def provoked():
            self.link("bob", f"t{next(names)}").close()
            return "bob/t" in screen.text() or "join" in screen.text()
        eventually(provoked, "an event is on the screen")
        screen.type("C-c")
        screen.status()


class Doctor(Test):
    """`kedge doctor` looks at the installation and says what to do."""

    def setUp(self):
        self.server = Server({"op": "operator", "alice": "user"})
        self.addCleanup(self.server.destroy)

    def doctor(self, *words):
        done = self.server.kedge("doctor", *words)
        return done.returncode, done.stdout.decode() + done.stderr.decode()

    def test_all_is_well(self):
        self.server.start()
        status, text = self.doctor()
        self.assertEqual(status, 0, text)
        done = self.server.kedge("doctor", "--json")
        self.assertIsInstance(json.loads(done.stdout), (dict, list))

    def test_permissions(self):
        """Checks keys and permissions, and says what to do."""
        self.server.start()
        os.chmod(self.server.home, 0o755)
        status, text = self.doctor()
        self.assertNotEqual(status, 0, text)
        self.assertRegex(text, r"0?700")
        os.chmod(self.server.home, 0o700)
        key = next(os.path.join(self.server.home, name) for name in os.listdir(self.server.home)
                   if "host" in name and not name.endswith(".pub") and "ed25519" in name)
        os.chmod(key, 0o644)
        status, text = self.doctor()
        self.assertNotEqual(status, 0, text)
        self.assertRegex(text, r"0?600")

    def test_a_server_that_does_not_run(self):
        self.server.start()
        self.server.stop()
        status, text = self.doctor()
        self.assertNotEqual(status, 0, text)
        self.assertRegex(text.lower(), r"run|start")


if __name__ == "__main__":
    unittest.main()
