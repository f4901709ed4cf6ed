"""NATS away, slow, frozen, full, or back with an older directory, in each state: who publishes and reads notices what the design
says and no more, and what can be mended without an operator is."""

import os
import sqlite3
import subprocess
import time
import unittest

from harness import KEDGED, Server, eventually
from links import TIMEOUT
from migrating import STREAM, TOKEN, Migrating
from nats_server import Proxy

# More, while NATS is frozen; a sanitizer, for which the time is longer too, keeps what was freed.
MEMORY_MOST = (64 if TIMEOUT <= 60 else 1024) * 1024 * 1024


class Faults(Migrating):
    settings = "hold_ms = 1500\nanswer_ms = 1000\n"

    def prepare(self, state, count=10):
        self.bring_to(state)
        self.alice = self.link("alice", "desk")
        self.publish(self.alice, count)
        self.publish_native(count)
        self.level()

    def down(self):
        """The link is down, and status says so with all it should."""
        s = self.await_status(lambda s: "link_down" in s["flags"], "it says that the link is down")
        link = self.link_state()
        self.assertEqual(link["state"], "down")
        self.assertTrue(link["why"])
        self.assertLess(abs(link["since_ms"] - time.time() * 1000), 120_000)
        self.assertFalse(s["ready"])
        self.assertTrue(s["not_ready"])
        return s

    def readers_go_on(self, count):
        self.assertEqual(len(self.rows()), count)


class Damaged(Faults):
    def test_a_journal_that_recover_brings_back(self):
        """`--recover` has what could be read, and kedged starts with it: broken, with the next step, and no row is lost."""
        self.prepare("NATS")
        self.server.stop()
        with sqlite3.connect(os.path.join(self.server.home, "kedge.db")) as database:
            changed = database.execute("UPDATE mirror_note SET text = '{\"state\":\"NA' WHERE kind = 0").rowcount
        database.close()
        self.assertEqual(changed, 1)
        done = subprocess.run([KEDGED, "--home", self.server.home, "--recover"], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=TIMEOUT, env=Server.environment())
        self.assertEqual(done.returncode, 0, done)
        self.server.start()
        self.await_link()
        s = self.status()
        self.assertEqual(s["broken"]["reason"], "journal")
        self.assertIn("migrate cancel " + STREAM, s["next"])
        self.readers_go_on(20)
        alice = self.link("alice", "desk")
        self.assertEqual(alice.refused("pub", "lost?", id="q", subject=TOKEN + ".ssh"), "unavailable")
        self.assertIn("journal", self.refused("resume", STREAM))
        self.server.kill()
        self.server.start()  # again, with what the first start has made of it
        self.assertEqual(self.status()["broken"]["reason"], "journal")
        self.migrate("cancel", STREAM)
        self.assertEqual(self.state(), "LEGACY")
        self.publish(self.link("alice", "desk"), 5, first=11)
        self.readers_go_on(25)


class Away(Faults):
    def test_while_sqlite_orders(self):
        self.prepare("MIRRORING")
        self.nats.kill()
        self.down()
        self.publish(self.alice, 50, first=11)
        s = self.await_status(lambda s: s["lag"]["messages"] == 50, "what waits is counted")
        self.assertGreater(s["lag"]["bytes"], 50 * 5)
        eventually(lambda: self.status()["lag"]["seconds"] >= 1, "the time is, too")
        self.readers_go_on(70)
        self.server.kill()  # and with a restart of kedged in between
        self.server.start()
        self.assertEqual(self.status()["lag"]["messages"], 50)
        self.nats.start()
        self.level()
        self.assert_same_sides()
        self.assert_bodies("ssh", range(1, 61))

    def test_while_jetstream_orders(self):
        """For longer than the hold: `unavailable`, and the same ids later store each once."""
        self.prepare("NATS")
        self.nats.kill()
        self.down()
        began = time.monotonic()
        for number in range(11, 31):
            self.alice.send("pub", f"ssh {number}", id=f"p{number}", subject=TOKEN + ".ssh")
        answers = [self.alice.answer(f"p{number}") for number in range(11, 31)]
        self.assertEqual({answer.get("code") for answer in answers}, {"unavailable"})
        self.assertGreater(time.monotonic() - began, 1.0)
        self.assertLess(time.monotonic() - began, TIMEOUT / 4)
        self.readers_go_on(20)
        self.assertEqual(self.state(), "NATS")
        self.nats.start()
        self.level()
        self.alice.ping()
        self.assertTrue(all(answer.op == "ok" for answer in self.publish(self.alice, 30)))
        self.level()
        self.assert_same_sides()
        self.assert_bodies("ssh", range(1, 31))

    def test_for_less_than_the_hold(self):
        """In state NATS a publisher waits a little and sees no error."""
        self.server.stop()
        self.server.configure(self.configuration(self.nats.url(), "hold_ms = 20000"))
        self.server.start()
        self.await_link()
        self.prepare("NATS")
        self.nats.kill()
        self.down()
        for number in range(11, 31):
            self.alice.send("pub", f"ssh {number}", id=f"p{number}", subject=TOKEN + ".ssh")
        self.nats.start()
        answers = [self.alice.answer(f"p{number}") for number in range(11, 31)]
        self.assertEqual({answer.op for answer in answers}, {"ok"})
        self.level()
        self.assert_bodies("ssh", range(1, 31))
        self.assert_same_sides()

    def test_more_waits_than_is_allowed(self):
        """Beyond `backlog_bytes` the mirror is given up, never a publish; an operator has it filled again."""
        self.server.stop()
        self.server.configure(self.configuration(self.nats.url(), "backlog_bytes = 1048576"))
        self.server.start()
        self.await_link()
        self.prepare("MIRRORING")
        self.nats.kill()
        for number in range(11, 611):
            self.alice.send("pub", f"ssh {number} " + "x" * 4000, id=f"p{number}", subject=TOKEN + ".ssh")
        self.assertEqual({self.alice.answer(f"p{number}").op for number in range(11, 611)}, {"ok"})
        s = self.await_status(lambda s: s["broken"], "it is given up")
        self.assertIn("backlog", s["broken"]["reason"])
        self.assertTrue(s["broken"]["next"])
        self.nats.start()
        eventually(lambda: self.link_state()["state"] == "up", "the link is back")
        self.publish(self.alice, 5, first=611)
        self.migrate("resume", STREAM)
        self.level()
        self.assert_bodies("ssh", range(1, 616))
        self.assert_same_sides()

    def test_kedged_starts_without_it(self):
        for state in ("MIRRORING", "NATS"):
            with self.subTest(state):
                self.switch() if state == "NATS" else self.prepare("MIRRORING")
                self.server.stop()
                self.nats.kill()
                self.server.start()
                self.assertEqual(self.down()["state"], state)
                self.nats.start()
                self.level()
                self.assert_same_sides()

    def test_again_and_again(self):
        self.prepare("MIRRORING")
        for round_ in range(6):
            self.nats.restart()
            self.publish(self.alice, 20, first=11 + 20 * round_)
        self.level()
        self.assert_bodies("ssh", range(1, 131))
        self.switch()
        self.nats.restart()
        self.level()
        self.publish(self.alice, 5, first=131)
        self.level()
        self.assert_same_sides()


class Frozen(Faults):
    def memory(self):
        with open(f"/proc/{self.server.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def test_while_sqlite_orders(self):
        """I8: publishers notice nothing; memory stays; it catches up."""
        self.prepare("MIRRORING")
        body = "." * 2000
        with self.nats.frozen():
            before = None
            for number in range(11, 3011):
                self.alice.send("pub", f"ssh {number} {body}", id=f"p{number}", subject=TOKEN + ".ssh")
                if number % 20 == 10:  # all have their answer before NATS goes on
                    for each in range(max(11, number - 19), number + 1):
                        self.assertEqual(self.alice.answer(f"p{each}").op, "ok")
                if number == 1000:
                    before = self.memory()
            self.assertLess(self.memory() - before, MEMORY_MOST)
            s = self.await_status(lambda s: s["lag"]["messages"] >= 3000 or "link_down" in s["flags"], "it says what waits")
            self.assertFalse(self.is_level(s))
            self.readers_go_on(3020)
        self.level()
        self.assert_same_sides()
        self.assert_bodies("ssh", range(1, 3011))

    def test_while_jetstream_orders(self):
        """Publishes wait, then `unavailable`; what the frozen server took all the same is found and not doubled."""
        self.prepare("NATS")
        with self.nats.frozen():
            for number in range(11, 31):
                self.alice.send("pub", f"ssh {number}", id=f"p{number}", subject=TOKEN + ".ssh")
            self.assertEqual({self.alice.answer(f"p{number}").get("code") for number in range(11, 31)}, {"unavailable"})
            self.readers_go_on(20)
        self.alice.ping()
        self.level()
        self.assertTrue(all(answer.op == "ok" for answer in self.publish(self.alice, 30)))
        self.level()
        self.assert_bodies("ssh", range(1, 31))
        self.assert_same_sides()

    def test_a_switch_rolls_back(self):
        """What cannot be done within the hold is not done; held publishes are answered by the old authority."""
        self.prepare("MIRRORING")
        self.make_ready()
        with self.nats.frozen():
            began = time.monotonic()
            self.alice.send("pub", "ssh 11", id="p11", subject=TOKEN + ".ssh")
            said = self.refused("switch", STREAM)
            self.assertTrue(said)
            self.assertEqual(self.alice.answer("p11").op, "ok")
            self.assertLess(time.monotonic() - began, TIMEOUT / 2)
            self.assertEqual(self.status()["state"], "MIRRORING")
            self.publish(self.alice, 1, first=12)
        self.level()
        self.switch()
        self.level()
        with self.nats.frozen():
            self.refused("reverse", STREAM)
            self.assertEqual(self.status()["state"], "NATS")
        self.level()
        self.reverse()
        self.publish(self.alice, 1, first=13)
        self.level()
        self.assert_same_sides()
        self.assert_bodies("ssh", range(1, 14))


class Slow(Faults):
    def setUp(self):
        self.nats = self.nats_server()
        self.proxy = Proxy(lambda: self.nats.port)
        self.addCleanup(self.proxy.close)
        self.server = self.kedged(self.nats.url(self.proxy.port))
        self.await_link()
        self.server.add_stream(STREAM, TOKEN + ".>")

    def test_slow(self):
        self.prepare("MIRRORING")
        self.proxy.delay = 0.05
        began = time.monotonic()
        self.publish(self.alice, 500, first=11)
        self.assertLess(time.monotonic() - began, TIMEOUT / 8)
        self.level()
        self.switch()
        self.publish(self.alice, 20, first=511)
        self.proxy.delay = 0
        self.level()
        self.assert_bodies("ssh", range(1, 531))
        self.assert_same_sides()

    def test_cut_again_and_again(self):
        """Connections that end in the middle of what they carry, in both authorities; in NATS a short cut is no error."""
        self.prepare("MIRRORING")
        number = 11
        for state in ("MIRRORING", "NATS"):
            if state == "NATS":
                self.switch()
            for _ in range(10):
                for each in range(number, number + 40):
                    self.alice.send("pub", f"ssh {each}", id=f"p{each}", subject=TOKEN + ".ssh")
                self.proxy.cut()
                answers = [self.alice.answer(f"p{each}") for each in range(number, number + 40)]
                if any(answer.op == "error" for answer in answers):
                    self.assertEqual(state, "NATS", answers[0])
                    self.assertEqual({a.get("code") for a in answers if a.op == "error"}, {"unavailable"})
                    self.alice.ping()
                    self.level()
                    self.publish(self.alice, 40, first=number)
                number += 40
            self.level()
        self.assert_bodies("ssh", range(1, number))
        self.assert_same_sides()

    def test_a_line_that_carries_nothing(self):
        """The cable is out: no reset tells of it."""
        self.prepare("MIRRORING")
        self.proxy.hold()
        self.publish(self.alice, 20, first=11)
        s = self.await_status(lambda s: s["lag"]["messages"] >= 20 or "link_down" in s["flags"], "it says what waits")
        self.assertFalse(self.is_level(s))
        self.proxy.release()
        self.level()
        self.assert_bodies("ssh", range(1, 31))
        self.assert_same_sides()


class Full(Faults):
    nats_options = {"limits": "max_file: 300000"}

    def fill(self, first, size=2000, count=200):
        for number in range(first, first + count):
            self.alice.send("pub", f"ssh {number} " + "x" * size, id=f"p{number}", subject=TOKEN + ".ssh")
        return [self.alice.answer(f"p{number}") for number in range(first, first + count)]

    def enlarge(self):
        self.nats.limits = "max_file: 100000000"
        self.nats.restart()

    def mended(self):
        s = self.await_status(lambda s: self.is_level(s) or s["broken"], "it goes on, or says why not")
        if s["broken"]:
            self.assertTrue(s["broken"]["next"])
            self.migrate("resume", STREAM)
        self.level()

    def test_while_sqlite_orders(self):
        """Publishers notice nothing; status says that NATS is full; with room again all is copied."""
        self.prepare("MIRRORING")
        self.assertEqual({answer.op for answer in self.fill(11)}, {"ok"})
        s = self.await_status(lambda s: s["counters"]["refusals"] > 0, "refusals are counted")
        self.assertFalse(self.is_level(s))
        self.enlarge()
        self.mended()
        self.assert_bodies("ssh", range(1, 211))
        self.assert_same_sides()

    def test_while_jetstream_orders(self):
        """Publishers are told; nothing that was refused is stored; with room again the same ids go through."""
        self.prepare("NATS")
        answers = self.fill(11)
        errors = [answer for answer in answers if answer.op == "error"]
        self.assertTrue(errors)
        self.assertLessEqual({error["code"] for error in errors}, {"store_full", "quota", "unavailable"})
        self.enlarge()
        self.mended()
        self.alice.ping()
        self.assertEqual({answer.op for answer in self.fill(11)}, {"ok"})
        self.level()
        self.assert_bodies("ssh", range(1, 211))
        self.assert_same_sides()


class Older(Faults):
    """I12. The directory of JetStream goes back to an older copy."""

    def rewind(self, state, natives=True, kedged_away=False, times=1):
        self.prepare(state)
        older = self.nats.copy()
        number = 11
        for _ in range(times):
            self.publish(self.alice, 20, first=number)
            self.publish_native(20, first=number)
            self.level()
            if kedged_away:
                self.server.stop()
            self.nats.put_back(older)
            if natives:  # before kedge has seen it: numbers of places are given a second time
                self.publish_native(20, first=number + 20)
            else:
                self.publish_native(0)
            if kedged_away:
                self.server.start()
                self.alice = self.link("alice", "desk")
            self.await_status(lambda s: s["counters"]["generation"] > 0 and self.is_level(s), "it has noticed and restored all")
            number += 40
            self.publish(self.alice, 40, first=number - 40)  # half of them again
        self.level()
        self.assert_same_sides()
        self.assertEqual([row.body for row in self.rows() if row.body.startswith(b"ssh")], [f"ssh {n}".encode() for n in range(1, number)])
        bodies = [row.body.decode() for row in self.rows()]
        self.assertEqual(len(bodies), len(set(bodies)))
        if natives:
            self.assertEqual([b for b in bodies if b.startswith("native")], [f"native {n}" for n in range(1, number)])
        self.assertEqual(self.state(), state)
        self.assertIsNone(self.status()["broken"])

    def test_while_sqlite_orders(self):
        self.rewind("MIRRORING")

    def test_while_jetstream_orders(self):
        self.rewind("NATS")

    def test_with_nothing_new(self):
        self.rewind("MIRRORING", natives=False)

    def test_while_kedged_is_away(self):
        self.rewind("MIRRORING", kedged_away=True)

    def test_while_kedged_is_away_and_jetstream_orders(self):
        self.rewind("NATS", kedged_away=True)

    def test_three_times_to_the_same_copy(self):
        self.rewind("MIRRORING", times=3)

    def test_where_limits_took_what_was_read_last(self):
        """Of 61 messages that stand where others stood two are left, and only one of them at a place that had been read."""
        self.server.admin("stream", "edit", STREAM, "--max-msgs-per-subject", "1")
        self.bring_to("MIRRORING")
        self.alice = self.link("alice", "desk")
        for number in range(1, 6):
            self.publish(self.alice, 1, first=number, subject=f"{TOKEN}.kept.{number}")
        self.level()
        older = self.nats.copy()
        self.publish(self.alice, 1, first=6, subject=TOKEN + ".lost")
        self.publish(self.alice, 40, first=7)
        self.level()
        self.server.stop()
        self.nats.put_back(older)
        self.publish_native(1, subject=TOKEN + ".new")
        self.publish_native(60, first=2)
        self.server.start()
        self.await_status(lambda s: s["counters"]["generation"] > 0 and self.is_level(s), "it has noticed and restored all")
        last = {row["subject"]: row.body for row in self.rows()}
        self.assertEqual(last, {copy[1].subject: copy[1].body for copy in self.copies()})
        self.assertEqual({subject: body.decode() for subject, body in last.items()},
                         {**{f"{TOKEN}.kept.{n}": f"ssh {n}" for n in range(1, 6)}, TOKEN + ".lost": "ssh 6", TOKEN + ".ssh": "ssh 46",
                          TOKEN + ".new": "native 1", TOKEN + ".native": "native 61"})

    def test_an_updated_stream(self):
        """nats-server 2.9 gives it another time of creation at its next start: it is the same all the same."""
        self.prepare("MIRRORING")
        self.migrate("cancel", STREAM)
        self.start()  # writes the description again
        for _ in range(2):
            self.nats.restart()
            self.publish_native(0)
            self.publish(self.alice, 20)
            self.level()
        self.switch()
        self.nats.restart()
        self.publish(self.alice, 25)
        self.level()
        self.assert_bodies("ssh", range(1, 26))
        self.assert_same_sides()

    def test_to_before_the_stream(self):
        """Then there is no stream: an operator has to say what becomes of it."""
        older = self.nats.copy()
        self.prepare("MIRRORING")
        self.nats.put_back(older)
        s = self.await_status(lambda s: s["broken"], "it says so")
        self.assertTrue(s["broken"]["next"])
        self.publish(self.alice, 5, first=11)
        self.readers_go_on(25)


if __name__ == "__main__":
    unittest.main()
