"""The commands of a migration as a person types them: in terminals of several widths, with a bar, with a question, in a pipe."""

import json
import os
import subprocess
import threading
import unittest

from harness import KEDGE, eventually
from migrating import STREAM, TOKEN, Migrating
from screen import Screen

WIDTHS = (40, 60, 80, 132)


class Screens(Migrating):
    def screen(self, *words, columns=100, rows=40, argv=None, **env):
        argv = argv or [KEDGE, "--home", self.server.home, *words]
        screen = Screen(argv, columns, rows, dict(self.server.environment(), **env))
        self.addCleanup(screen.close)
        return screen

    def shown(self, *words, status=0, **more):
        """What is on the screen when the command has ended so."""
        screen = self.screen(*words, **more)
        self.assertEqual(screen.status(), status, screen.text())
        return screen.text()

    def filled(self, count=50):
        link = self.link("alice")
        self.publish(link, count)
        return link

    def fits(self, text, columns):
        for line in text.split("\n"):
            self.assertLessEqual(len(line), columns, text)


class Way(Screens):
    def test_the_whole_way_at_a_terminal(self):
        """Plan, start, diff, dry run, switch, reverse, switch, complete: each says what was done and what comes next."""
        self.filled()
        self.assertIn(f"{STREAM} can be started", self.shown("migrate", "plan", STREAM, "--from", "first"))
        self.assertRegex(self.shown("migrate", "start", STREAM, "--from", "first"), rf"{STREAM}: MIRRORING: SQLite orders it, no lag\n(.*\n)*next: ")
        self.assertIn("both sides hold the same", self.shown("migrate", "diff", STREAM))
        self.make_ready()
        self.assertIn("it can be done", self.shown("migrate", "switch", STREAM, "--dry-run"))
        self.assertEqual(self.state(), "MIRRORING")
        self.assertRegex(self.shown("migrate", "switch", STREAM), rf"{STREAM}: JetStream orders it now\. (.|\n)*next: ")
        self.level()
        self.assertIn("SQLite orders it now", self.shown("migrate", "reverse", STREAM))
        self.make_ready()
        self.shown("migrate", "switch", STREAM, "--hold", "2s")
        self.level()
        screen = self.screen("migrate", "complete", STREAM)
        screen.await_text("! there is no way back", f"Type {STREAM} to go on")
        screen.type("yes", "Enter")
        self.assertEqual(screen.status(), 1)
        self.assertIn("nothing was done", screen.text())
        self.assertEqual(self.state(), "NATS")
        screen = self.screen("migrate", "complete", STREAM)
        screen.await_text("to go on")
        screen.type(STREAM, "Enter")
        self.assertEqual(screen.status(), 0)
        self.assertEqual(self.state(), "COMPLETE")
        text = self.shown("migrate", "events", STREAM, columns=140)
        for what in ("started", "switched", "reversed", "completed"):
            self.assertIn(what, text)

    def test_over_ssh(self):
        """`ssh -t bus migrate …` asks, too, and shows what is typed; without a terminal it says what is missing."""
        self.filled()
        self.bring_to("NATS")
        screen = self.screen(argv=self.server.ssh_argv("op", "migrate", "complete", STREAM, options=("-tt",)))
        screen.await_text("to go on")
        screen.type(STREAM + "X", "BSpace", "Enter")
        self.assertEqual(screen.status(), 0, screen.text())
        self.assertIn(f"as it is: {STREAM}\n", screen.text())
        self.assertEqual(self.state(), "COMPLETE")

    def test_in_a_pipe(self):
        """Nobody is asked there: exit status 2 and a sentence; `--yes` is the answer."""
        self.filled()
        self.bring_to("NATS")
        for argv in ([KEDGE, "--home", self.server.home, "migrate", "complete", STREAM], self.server.ssh_argv("op", "migrate", "complete", STREAM)):
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False, env=self.server.environment())
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(b"--yes", done.stderr)
            self.assertIn(b"no way back", done.stdout)
        self.assertEqual(self.state(), "NATS")
        done = self.server.kedge("migrate", "complete", STREAM, "--yes")
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(self.state(), "COMPLETE")

    def test_refused(self):
        """Exit status 1, why, and what to do."""
        text = self.shown("migrate", "switch", STREAM, status=1)
        self.assertIn("kedge: ", text)
        self.filled()
        self.start()
        self.nats.kill()
        self.await_status(lambda s: "link_down" in s["flags"], "the link is down")
        text = self.shown("migrate", "switch", STREAM, status=1)
        self.assertIn("there is no link to NATS", text)
        self.assertIn("next: it goes on by itself", text.replace("\n      ", " "))
        self.assertIn("BAD", self.shown("migrate", "plan", STREAM, status=1))


class Waits(Screens):
    settings = "diff_messages_second = 100"

    def test_waiting_keeps_no_descriptors(self):
        """A command that asks again and again gives back what each connection had open, here and at the server."""
        self.filled(1500)
        self.start("--from", "first")
        process = subprocess.Popen([KEDGE, "--home", self.server.home, "migrate", "diff", STREAM], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.server.environment())
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        counts = []
        begun = self.server.log(None).count("logged in")

        def many():
            counts.append(len(os.listdir(f"/proc/{process.pid}/fd")))
            return self.server.log(None).count("logged in") > begun + 16
        eventually(many, "it has asked many times")
        self.assertLess(max(counts), 16, counts)


class Looks(Screens):
    def test_watch(self):
        """In place, at any width, following the terminal's size and the server's end; `q` ends it."""
        self.filled()
        self.start("--from", "first")
        for columns in WIDTHS:
            with self.subTest(columns=columns):
                screen = self.screen("migrate", "status", "--watch", columns=columns, rows=20)
                text = screen.await_text(STREAM, "MIRRORING", "q ends")
                self.fits(text, columns)
                self.assertLessEqual(len(text.split("\n")), 20)
                screen.type("q")
                self.assertEqual(screen.status(), 0)
        screen = self.screen("migrate", "status", STREAM, "--watch", columns=80, rows=24)
        screen.await_text("MIRRORING")
        self.make_ready()
        screen.await_text("ready")
        screen.resize(40, 18)
        screen.await_text("authority: SQLite")
        self.server.kill()
        screen.await_text("trying", "again")
        self.server.start()
        self.migrate("pause", STREAM)
        screen.await_text("paused")
        screen.type("C-c")
        self.assertEqual(screen.status(), 0)

    def test_status(self):
        """On one screen, narrow and wide, with and without colours; what is down is said."""
        self.filled()
        self.start()
        self.nats.kill()
        self.await_status(lambda s: "link_down" in s["flags"], "the link is down")
        for columns in WIDTHS:
            with self.subTest(columns=columns):
                screen = self.screen("migrate", "status", columns=columns)
                screen.status()
                self.fits(screen.text(), columns)
                self.assertIn("link down", screen.text())
                self.assertIn("unknown", screen.text())
                self.assertRegex(screen.escapes(), "\x1b\\[31m")
        plain = self.screen("migrate", "status", NO_COLOR="1")
        plain.status()
        self.assertNotRegex(plain.escapes(), "\x1b\\[[0-9;]*3[0-9]")

    def test_top_and_doctor(self):
        self.filled()
        self.start("--from", "first")
        for columns, rows in ((60, 16), (80, 24), (140, 40)):
            screen = self.screen("top", columns=columns, rows=rows)
            self.fits(screen.await_text("MIRRORED", "MIRRORING"), columns)
            screen.type("q")
            screen.status()
        self.assertRegex(self.server.kedge("doctor").stdout.decode(), rf"good   migration of {STREAM}: MIRRORING")
        self.nats.kill()
        self.await_status(lambda s: "link_down" in s["flags"], "the link is down")
        done = self.server.kedge("doctor")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout.decode(), r"WRONG  NATS: down since ")

    def test_the_bar(self):
        """`start` waits at a terminal until the copy is up to date; Ctrl-C leaves the copy alone; a pipe does not wait."""
        self.filled(20_000)
        screen = self.screen("migrate", "start", STREAM, "--from", "first", columns=60)
        screen.await_text("[ended 0]")
        self.assertIn("no lag", screen.text())
        self.fits(screen.text(), 60)
        self.level()
        self.migrate("pause", STREAM)
        self.publish(self.link("alice"), 10, first=30_000)
        done = self.server.kedge("migrate", "resume", STREAM)
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"goes on", done.stdout)

    def test_diff_finds_and_is_left_alone(self):
        self.filled(200)
        self.start("--from", "first")
        with self.nats.jet() as jet:
            jet.delete_message(STREAM, 100)
        for columns in (40, 120):
            text = self.shown("migrate", "diff", STREAM, status=1, columns=columns)
            self.fits(text, columns)
            self.assertIn("1 missing", text.replace("\n  ", " "))
        piped = self.server.kedge("migrate", "diff", STREAM, "--json")
        self.assertEqual(piped.returncode, 1)
        report = json.loads(piped.stdout)
        self.assertEqual([f["kind"] for f in report["findings"]], ["missing"])
        last = self.server.kedge("migrate", "diff", STREAM, "--follow")
        self.assertEqual(last.returncode, 1)

    def test_events_live(self):
        self.filled()
        watch = subprocess.Popen([KEDGE, "--home", self.server.home, "migrate", "events", STREAM, "--follow"], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=self.server.environment())
        self.addCleanup(watch.stdout.close)
        self.addCleanup(watch.stderr.close)
        self.addCleanup(watch.wait)
        self.addCleanup(watch.kill)
        watch.stderr.readline()  # subscribed
        self.start()
        lines = []
        reader = threading.Thread(target=lambda: lines.append(watch.stdout.readline().decode()))
        reader.start()
        reader.join(30)
        self.assertRegex("".join(lines), rf"migration\.{STREAM}  ")

    def test_bridges(self):
        done = self.server.kedge("bridge", "add", "live.>", "--one-way", "out")
        self.assertEqual((done.returncode, done.stdout), (0, b"live.> is bridged\n"))
        self.assertIn(b"to NATS", self.server.kedge("bridge", "list").stdout)
        refused = self.server.kedge("bridge", "add", TOKEN + ".x")
        self.assertEqual(refused.returncode, 1)
        self.assertTrue(refused.stderr.startswith(b"kedge: "))
        self.assertIn(b"live.>", self.server.kedge("migrate", "status").stdout)
        self.assertEqual(self.server.kedge("bridge", "remove", "live.>").returncode, 0)
        self.assertEqual(self.server.kedge("bridge", "list").stdout, b"no bridges\n")


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    unittest.main(verbosity=2)
