"""kedged is killed at each labelled point of the migration (I7): it comes back in a legal state without an operator, nothing is
lost or doubled, and the command that was under way can be given again."""

import unittest

from harness import eventually
from links import LinkClosed
from migrating import STREAM, TOKEN, Migrating, Refused
from workers import LINE_CUT

# label, state before, the command, states in which it may be found afterwards, the state that the command leads to. What follows a
# label is on its way to the database already; so two states are legal after some.
POINTS = (
    ("start.intent", "LEGACY", ("start", "--from", "first"), ("LEGACY", "MIRRORING"), "MIRRORING"),
    ("start.created", "LEGACY", ("start", "--from", "first"), ("LEGACY", "MIRRORING"), "MIRRORING"),
    ("start.committed", "LEGACY", ("start", "--from", "first"), ("MIRRORING",), "MIRRORING"),
    ("switch.intent", "MIRRORING", ("switch",), ("MIRRORING",), "NATS"),
    ("switch.held", "MIRRORING", ("switch",), ("MIRRORING",), "NATS"),
    ("switch.fenced", "MIRRORING", ("switch",), ("MIRRORING", "NATS"), "NATS"),
    ("switch.committed", "MIRRORING", ("switch",), ("NATS",), "NATS"),
    ("switch.released", "MIRRORING", ("switch",), ("NATS",), "NATS"),
    ("reverse.intent", "NATS", ("reverse",), ("NATS",), "MIRRORING"),
    ("reverse.held", "NATS", ("reverse",), ("NATS",), "MIRRORING"),
    ("reverse.fenced", "NATS", ("reverse",), ("NATS", "MIRRORING"), "MIRRORING"),
    ("reverse.committed", "NATS", ("reverse",), ("MIRRORING",), "MIRRORING"),
    ("reverse.released", "NATS", ("reverse",), ("MIRRORING",), "MIRRORING"),
    ("complete.intent", "NATS", ("complete", "--yes"), ("NATS", "COMPLETE"), "COMPLETE"),
    ("complete.committed", "NATS", ("complete", "--yes"), ("COMPLETE",), "COMPLETE"),
    ("cancel.intent", "MIRRORING", ("cancel",), ("MIRRORING", "LEGACY"), "LEGACY"),
    ("cancel.committed", "MIRRORING", ("cancel",), ("LEGACY",), "LEGACY"),
)


class AtPoint(Migrating):
    def restart_with(self, label):
        self.server.stop()
        self.server.fault_point = label
        self.server.start_until_ready_or_end()

    def await_end(self, label):
        eventually(lambda: self.server.process.poll() is not None, f"it kills itself at {label}")
        self.assertEqual(self.server.process.returncode, -9)
        self.server.kill()
        self.server.fault_point = None
        self.server.start()

    def go_on(self, first):
        """Both homes publish, and both sides are equal again."""
        self.publish(self.link("alice", "desk"), 10, first=first)
        self.publish_native(10, first=first)
        self.level()
        self.assert_same_sides()


class Kill(AtPoint):
    def at(self, label, before, command, after, goal):
        self.bring_to(before)
        answers = self.publish(self.link("alice", "desk"), 20)
        self.assertTrue(all(answer.op == "ok" for answer in answers))
        if before != "LEGACY":
            self.publish_native(20)
            self.level()
            if command[0] == "switch":
                self.make_ready()
        self.restart_with(label)
        if before != "LEGACY":
            self.level()
            if command[0] == "switch":
                self.make_ready()
        link = self.link("alice", "desk")
        for number in range(21, 31):  # on their way while it happens
            link.send("pub", f"ssh {number}", id=f"p{number}", subject=TOKEN + ".ssh")
        try:
            self.migrate(command[0], STREAM, *command[1:])
        except (Refused, *LINE_CUT):
            pass  # unless its answer was faster than its end
        self.await_end(label)
        s = self.await_status(lambda s: s["state"] in after, f"one of {after}")
        self.assertIsNone(s["broken"])
        link = self.link("alice", "desk")
        self.assertTrue(all(answer.op == "ok" for answer in self.publish(link, 30)))  # again, with the same ids
        if s["state"] != "LEGACY":
            self.level()
        # The command again: it goes on to its goal, or is there already and refuses or says so.
        if command[0] == "switch" and self.state() == "MIRRORING":
            self.make_ready()
        status, value, error = self.run_migrate("migrate", command[0], STREAM, *command[1:])
        if s["state"] != goal:
            self.assertEqual(status, 0, (value, error))
        self.assertEqual(self.state(), goal)
        if goal == "LEGACY":
            self.publish(self.link("alice", "desk"), 10, first=31)
            self.start()
        else:
            self.go_on(31)
        rows = [row.body.decode() for row in self.rows()]
        self.assertEqual([row for row in rows if row.startswith("ssh")], [f"ssh {n}" for n in range(1, 41)])
        self.assertEqual(len(rows), len(set(rows)))


def _add(label, *rest):
    def test(self):
        self.at(label, *rest)
    test.__doc__ = f"kill -9 at {label}"
    setattr(Kill, "test_" + label.replace(".", "_"), test)


for point in POINTS:
    _add(*point)


class Adopted(AtPoint):
    """A stream that was in JetStream before: what it holds stays where it is, however often the start was interrupted."""

    def at(self, label, marked=False):
        mark = {}
        if marked:  # as by a start whose request was carried out, and of which nothing else is left
            self.migrate("start", STREAM)
            with self.nats.jet() as jet:
                mark = {"description": jet.info(STREAM)["config"]["description"]}
            self.migrate("cancel", STREAM, "--delete-stream", "--yes")
        with self.nats.jet() as jet:
            jet.create(STREAM, TOKEN + ".>", **mark)
        self.publish_native(500)
        self.publish(self.link("alice", "desk"), 5)
        self.restart_with(label)
        self.await_link()
        try:
            self.migrate("start", STREAM)
        except (Refused, *LINE_CUT):
            pass
        self.await_end(label)
        self.await_link()
        if self.state() == "LEGACY":
            self.migrate("start", STREAM)
        self.level()
        self.publish(self.link("alice", "desk"), 5, first=6)
        self.publish_native(5, first=501)
        self.level()
        self.assertEqual(sorted(row.body.decode() for row in self.rows()),
                         sorted([f"ssh {n}" for n in range(1, 11)] + [f"native {n}" for n in range(501, 506)]))
        copies = [copy.body.decode() for _, copy in self.copies()]
        self.assertEqual(sorted(copies), sorted([f"ssh {n}" for n in range(6, 11)] + [f"native {n}" for n in range(1, 506)]))

    def test_start_intent(self):
        self.at("start.intent")

    def test_start_intent_under_our_mark(self):
        self.at("start.intent", marked=True)

    def test_start_created(self):
        self.at("start.created")


class Traffic(AtPoint):
    """The points that traffic passes, in both authorities, the first time and later."""

    def traffic(self, label, state):
        self.bring_to(state)
        for count, times in enumerate(("", "#3", "#10")):
            with self.subTest(times=times):
                self.restart_with(label + times)
                first = 1 + count * 200
                number = first
                try:
                    link = self.link("alice", "desk")
                    while number < first + 100:
                        link.send("pub", f"ssh {number}", id=f"p{number}", subject=TOKEN + ".ssh")
                        number += 1
                        if number % 5 == 0:
                            link.ping()
                            self.publish_native(1, first=number, subject=TOKEN + ".other")
                    link.answer(f"p{number - 1}")
                    for more in range(100):  # what came together was carried together: less often than it was published
                        self.publish(link, 1, first=100_000 + first + more, subject=TOKEN + ".more")
                        self.publish_native(1, first=100_000 + first + more, subject=TOKEN + ".more")
                        self.level(timeout=5)
                except (LinkClosed, *LINE_CUT, AssertionError, TimeoutError, Refused):
                    pass
                self.await_end(label)
                self.publish_again(self.link("alice", "desk"), 100, first)
                self.level()
                self.assert_same_sides()
                bodies = [row.body.decode() for row in self.rows()]
                self.assertEqual([b for b in bodies if b.startswith("ssh") and first <= int(b.split()[1]) < 100_000],
                                 [f"ssh {n}" for n in range(first, first + 100)])
                self.assertEqual(len(bodies), len(set(bodies)))

    def publish_again(self, link, count, first):
        """With the same ids, until each is answered ok: what was just read back may be `unavailable` once more."""
        def all_ok():
            link.ping()
            return all(answer.op == "ok" for answer in self.publish(link, count, first=first))
        eventually(all_ok, "all is stored")

    def rewound(self, label, state):
        """JetStream comes back older; kedged dies while it takes that into account."""
        self.bring_to(state)
        self.publish(self.link("alice", "desk"), 20)
        self.level()
        older = self.nats.copy()
        self.publish(self.link("alice", "desk"), 30, first=21)
        self.publish_native(10)
        self.level()
        self.restart_with(label)
        self.level()
        self.nats.put_back(older)
        self.publish_native(10, first=11)
        self.await_end(label)
        self.level()
        self.assert_same_sides()
        self.assert_bodies("ssh", range(1, 51))
        bodies = [row.body.decode() for row in self.rows()]
        self.assertEqual([b for b in bodies if b.startswith("native")], [f"native {n}" for n in range(1, 21)])
        self.assertGreaterEqual(self.status()["counters"]["generation"], 1)


for label in ("pump.sent", "import.asked", "import.stored"):
    for state in ("MIRRORING", "NATS"):
        setattr(Traffic, f"test_{label.replace('.', '_')}_in_{state}",
                lambda self, label=label, state=state: self.traffic(label, state))
for label in ("takeback.asked", "takeback.done"):
    for state in ("MIRRORING", "NATS"):
        setattr(Traffic, f"test_{label.replace('.', '_')}_in_{state}",
                lambda self, label=label, state=state: self.rewound(label, state))


if __name__ == "__main__":
    unittest.main()
