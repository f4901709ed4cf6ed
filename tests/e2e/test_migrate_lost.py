"""NATS is lost, and an operator says so: `reverse --abandon` makes SQLite the authority again, `resume --adopt` fills another stream or
takes back what a restored database lacks. kedged is killed at each labelled point of both (I7); and what was left behind in an
abandoned stream comes back with it."""

import os
import shutil
import subprocess
import unittest

from harness import KEDGE, Server, eventually, scratch
from links import TIMEOUT
from migrating import STREAM, TOKEN, Refused
from test_migrate_kill import AtPoint
from workers import LINE_CUT


class Lost(AtPoint):
    settings = "hold_ms = 1000\nanswer_ms = 1000\nconnect_ms = 1000\n"

    def bodies(self, prefix):
        return [row.body.decode() for row in self.rows() if row.body.startswith(prefix.encode() + b" ")]

    def try_migrate(self, *words):
        try:
            self.migrate(*words)
        except (Refused, *LINE_CUT):
            pass  # unless its answer was faster than its end

    def again_and_all_ok(self, count):
        """As a client that keeps ids does when the line was cut."""
        answers = self.publish(self.link("alice", "desk"), count)
        self.assertTrue(all(answer.op == "ok" for answer in answers), [dict(answer) for answer in answers])


class Abandoned(Lost):
    def leave_natives_behind(self, label=None):
        """In NATS, with messages in JetStream that kedge has not read; then nobody is there but kedge."""
        self.bring_to("NATS")
        self.publish(self.link("alice", "desk"), 20)
        self.publish_native(10)
        self.level()
        self.server.stop()
        self.publish_native(10, first=11)
        self.nats.kill()
        self.server.fault_point = label
        self.server.start()
        eventually(lambda: self.link_state()["state"] == "down", "the link is down")

    def come_back(self):
        """What it held is read, behind what was published meanwhile; the copy goes on; both sides hold everything once."""
        self.nats.start()
        s = self.level()
        self.assertIsNone(s["broken"])
        self.assertEqual((s["state"], s["authority"]), ("MIRRORING", "sqlite"))
        self.assertEqual(self.bodies("native"), [f"native {n}" for n in range(1, 21)])
        self.assertEqual(self.bodies("ssh"), [f"ssh {n}" for n in range(1, 31)])
        rows = [row.body.decode() for row in self.rows()]
        self.assertGreater(rows.index("native 11"), rows.index("ssh 30"))
        self.assert_same_sides()
        self.assertTrue(self.diff()["clean"])

    def test_what_natives_left_comes_with_the_stream(self):
        self.leave_natives_behind()
        status, asked, _ = self.run_migrate("migrate", "reverse", STREAM, "--abandon")
        self.assertEqual((status != 0, asked["confirm"]), (True, STREAM))
        self.assertIn("comes when that stream is back", " ".join(asked["risk"]))
        self.migrate("reverse", STREAM, "--abandon", "--yes")
        self.again_and_all_ok(30)
        self.assertEqual(self.bodies("native"), [f"native {n}" for n in range(1, 11)])
        self.come_back()
        self.switch()  # there again, under the next authority
        self.go_on(31)
        self.assertEqual(self.status()["authority_epoch"], 4)

    def test_one_that_was_given_up_and_is_there_after_all(self):
        """A publish reached JetStream, its answer did not come, its client sent it again to SQLite: it is in both once."""
        self.bring_to("NATS")
        self.publish(self.link("alice", "desk"), 20)
        self.level()
        with self.nats.frozen():
            answers = self.publish(self.link("alice", "desk"), 5, first=21)  # on their way: the server takes them when it goes on
            self.assertEqual({answer["code"] for answer in answers}, {"unavailable"})
            eventually(lambda: self.link_state()["state"] == "down", "the link is down", TIMEOUT * 2)
            self.migrate("reverse", STREAM, "--abandon", "--yes")
            self.again_and_all_ok(30)
        self.level(timeout=TIMEOUT * 2)
        rows = self.bodies("ssh")
        self.assertEqual(len(rows), len(set(rows)), rows)
        self.assertEqual(rows, [f"ssh {n}" for n in range(1, 31)])
        self.assert_same_sides()

    def at(self, label, after):
        self.leave_natives_behind(label)
        link = self.link("alice", "desk")
        for number in range(21, 31):  # on their way while it happens
            link.send("pub", f"ssh {number}", id=f"p{number}", subject=TOKEN + ".ssh")
        self.try_migrate("reverse", STREAM, "--abandon", "--yes")
        self.await_end(label)
        self.assertIn(self.state(), after)
        self.migrate("reverse", STREAM, "--abandon", "--yes")
        self.assertEqual(self.status()["authority"], "sqlite")
        self.again_and_all_ok(30)
        self.come_back()
        self.assertEqual(self.status()["authority_epoch"], 3)

    def test_abandon_intent(self):
        self.at("abandon.intent", ("NATS", "MIRRORING"))

    def test_abandon_committed(self):
        self.at("abandon.committed", ("MIRRORING",))

    def test_abandon_released(self):
        self.at("abandon.released", ("MIRRORING",))


class Adopted(Lost):
    def await_broken(self, reason):
        self.await_status(lambda s: s["broken"] and s["broken"]["reason"] == reason, f"it is broken: {reason}")

    def adopt_again(self, label, reasons):
        """Killed at the label; then it is broken for the same reason still, or goes on already, and the command leads on."""
        self.try_migrate("resume", STREAM, "--adopt")
        self.await_end(label)
        self.await_link()
        s = self.await_status(lambda s: s["broken"] or self.is_level(s), "it goes on, or says why not")
        self.assertIn(s["broken"] and s["broken"]["reason"], reasons)
        self.migrate("resume", STREAM, "--adopt")
        self.assertIsNone(self.level()["broken"])
        self.assert_same_sides()

    def another_stream(self, label, state):
        """NATS came back with nothing."""
        self.bring_to(state)
        self.publish(self.link("alice", "desk"), 20)
        self.publish_native(10)
        self.level()
        self.server.stop()
        self.nats.kill()
        shutil.rmtree(self.nats.directory)
        os.makedirs(self.nats.directory)
        self.nats.start()
        self.server.fault_point = label
        self.server.start()
        self.await_broken("stream gone")
        self.adopt_again(label, ("stream gone", None))
        self.assert_bodies("ssh", range(1, 21))
        self.assert_bodies("native", range(1, 11))
        self.assertEqual(self.state(), state)
        self.go_on(21)

    def test_adopt_created_in_MIRRORING(self):
        self.another_stream("adopt.created", "MIRRORING")

    def test_adopt_created_in_NATS(self):
        self.another_stream("adopt.created", "NATS")

    def test_adopt_committed_in_MIRRORING(self):
        self.another_stream("adopt.committed", "MIRRORING")

    def test_adopt_committed_in_NATS(self):
        self.another_stream("adopt.committed", "NATS")

    def test_adopt_committed_for_an_older_database(self):
        """What it lacks comes back from JetStream, in as many tries as it takes."""
        self.bring_to("MIRRORING")
        self.publish(self.link("alice", "desk"), 10)
        self.level()
        path = scratch("backup")
        self.assertEqual(self.server.kedge("backup", path).returncode, 0)
        self.publish(self.link("alice", "desk"), 10, first=11)
        self.publish_native(10)
        self.level()
        self.server.stop()
        self.server = Server(self.users, self.configuration(self.nats.url()))
        self.addCleanup(self.server.destroy)
        done = subprocess.run([KEDGE, "--home", self.server.home, "restore", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=TIMEOUT, env=Server.environment())
        self.assertEqual(done.returncode, 0, done)
        self.server.fault_point = "adopt.committed"
        self.server.start()
        self.await_broken("log rewound")
        self.adopt_again("adopt.committed", ("log rewound", None))
        self.assertEqual(self.bodies("ssh"), [f"ssh {n}" for n in range(1, 21)])
        self.assert_bodies("native", range(1, 11))
        self.go_on(21)


if __name__ == "__main__":
    unittest.main()
